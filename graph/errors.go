package graph

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/obs"
)

// errPanic stands for a panic that Recover has logged.
var errPanic = errors.New("panic")

// Recover returns what turns a panic into an error, after logging it with its stack.
func Recover(log *slog.Logger) graphql.RecoverFunc {
	return func(ctx context.Context, p any) error {
		log.ErrorContext(ctx, "panic", "panic", p, "path", fieldPath(ctx).String(), "stack", string(debug.Stack()))
		return errPanic
	}
}

// PresentError returns what every error passes on its way to a client. Errors of ours keep their code and message,
// those of the parser and the validator are theirs; whatever else is INTERNAL, shows a request id only, and is logged
// here, once.
func PresentError(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		var ours *chat.Error
		var theirs *gqlerror.Error
		path := fieldPath(ctx)
		if errors.As(err, &theirs) && path == nil {
			path = theirs.Path
		}
		switch {
		case errors.As(err, &ours):
		case theirs != nil && theirs.Extensions["code"] != nil:
			return theirs
		case argumentPath(ctx, theirs) != nil:
			ours = chat.BadInput(theirs.Message)
		case chat.CodeOf(err) == chat.CodeUnavailable:
			ours = &chat.Error{Code: chat.CodeUnavailable, Message: "the request was cancelled or took too long"}
		default:
			ours = &chat.Error{Code: chat.CodeInternal, Cause: err}
		}

		out := &gqlerror.Error{Message: ours.Message, Path: path, Extensions: map[string]any{"code": string(ours.Code)}}
		if theirs != nil {
			out.Locations = theirs.Locations
		}
		// UNAUTHENTICATED with a path is a password that is wrong; without one it is the session, which clients renew.
		about := ours.Code == chat.CodeBadInput || ours.Code == chat.CodeUnauthenticated && ours.Path != nil
		if in := inputPath(ctx, ours, theirs); in != nil && about {
			out.Extensions["inputPath"] = in
		}
		if ours.RetryAfter > 0 {
			out.Extensions["retryAfter"] = int(math.Ceil(ours.RetryAfter.Seconds()))
		}
		if ours.Code == chat.CodeInternal {
			out.Message = "internal error"
			if id := obs.RequestID(ctx); id != "" {
				out.Extensions["requestId"] = id
			}
			if !errors.Is(err, errPanic) {
				log.ErrorContext(ctx, "internal error", "error", err.Error(), "path", path.String())
			}
		} else if ours.Cause != nil && ours.Code == chat.CodeUnavailable {
			log.WarnContext(ctx, "unavailable", "error", err.Error(), "path", path.String())
		}
		return out
	}
}

func fieldPath(ctx context.Context) ast.Path {
	if fc := graphql.GetFieldContext(ctx); fc != nil {
		return fc.Path()
	}
	return nil
}

// argumentPath is where within the field's arguments a value was refused; gqlgen appends it to the field's own path.
func argumentPath(ctx context.Context, err *gqlerror.Error) ast.Path {
	at := fieldPath(ctx)
	if err == nil || at == nil || len(err.Path) <= len(at) || !slices.Equal(err.Path[:len(at)], at) {
		return nil
	}
	return err.Path[len(at):]
}

// inputPath leads from the field's arguments to the refused value, list indices as numbers.
func inputPath(ctx context.Context, ours *chat.Error, theirs *gqlerror.Error) []any {
	var path []any
	for _, p := range argumentPath(ctx, theirs) {
		switch p := p.(type) {
		case ast.PathName:
			path = append(path, string(p))
		case ast.PathIndex:
			path = append(path, int(p))
		}
	}
	if len(ours.Path) == 0 {
		return path
	}
	path = nil
	if fc := graphql.GetFieldContext(ctx); fc != nil && fc.Field.Field != nil && fc.Field.Definition != nil {
		args := fc.Field.Definition.Arguments
		if args.ForName(ours.Path[0]) == nil && args.ForName("input") != nil {
			path = append(path, "input")
		}
	}
	for _, p := range ours.Path {
		path = append(path, p)
	}
	return path
}
