package graph_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/graph"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/obs"
)

// inField is the context of the mutation send: sendMessage(input:).
func inField() context.Context {
	field := &ast.Field{Alias: "send", Name: "sendMessage", Definition: &ast.FieldDefinition{Arguments: ast.ArgumentDefinitionList{{Name: "input"}}}}
	ctx := graphql.WithFieldContext(context.Background(), &graphql.FieldContext{Field: graphql.CollectedField{Field: field}})
	return obs.WithRequestID(ctx, "request-1")
}

func TestPresentError(t *testing.T) {
	t.Parallel()
	field := ast.Path{ast.PathName("send")}
	below := append(ast.Path{}, ast.PathName("send"), ast.PathName("input"), ast.PathName("ids"), ast.PathIndex(2))
	type m = map[string]any
	tests := []struct {
		name    string
		err     error
		message string
		ext     m
		logged  bool
	}{
		{"one of ours", chat.ErrNotFound, "not found", m{"code": "NOT_FOUND"}, false},
		{"one of ours, wrapped", fmt.Errorf("send: %w", chat.ErrNotFound), "not found", m{"code": "NOT_FOUND"}, false},
		{"as the executor wraps it", gqlerror.WrapPath(field, chat.Forbidden("silent")), "silent", m{"code": "FORBIDDEN"}, false},
		{"its cause is not shown", &chat.Error{Code: chat.CodeConflict, Message: "taken", Cause: errors.New("detail")}, "taken", m{"code": "CONFLICT"}, false},
		{"where in the input", chat.BadInput("too long", "input", "body"), "too long", m{"code": "BAD_USER_INPUT", "inputPath": []any{"input", "body"}}, false},
		{"where in the input, without its argument", chat.BadInput("too long", "body"), "too long", m{"code": "BAD_USER_INPUT", "inputPath": []any{"input", "body"}}, false},
		{"an id that is none", gqlerror.WrapPath(below, chat.BadInput("not an id")), "not an id", m{"code": "BAD_USER_INPUT", "inputPath": []any{"input", "ids", 2}}, false},
		{"a scalar of gqlgen's", gqlerror.WrapPath(below, errors.New("json.Number is not a bool")), "json.Number is not a bool", m{"code": "BAD_USER_INPUT", "inputPath": []any{"input", "ids", 2}}, false},
		{"a password that is wrong", &chat.Error{Code: chat.CodeUnauthenticated, Message: "wrong", Path: []string{"password"}}, "wrong", m{"code": "UNAUTHENTICATED", "inputPath": []any{"input", "password"}}, false},
		{"nobody is signed in", chat.ErrUnauthenticated, "sign in first", m{"code": "UNAUTHENTICATED"}, false},
		{"later", &chat.Error{Code: chat.CodeRateLimited, Message: "slow down", RetryAfter: 1200 * time.Millisecond}, "slow down", m{"code": "RATE_LIMITED", "retryAfter": 2}, false},
		{"the validator's", &gqlerror.Error{Message: "Cannot query", Extensions: m{"code": "GRAPHQL_VALIDATION_FAILED"}}, "Cannot query", m{"code": "GRAPHQL_VALIDATION_FAILED"}, false},
		{"cancelled", fmt.Errorf("query: %w", context.Canceled), "the request was cancelled or took too long", m{"code": "UNAVAILABLE"}, false},
		{"too slow", gqlerror.WrapPath(field, context.DeadlineExceeded), "the request was cancelled or took too long", m{"code": "UNAVAILABLE"}, false},
		{"busy", &chat.Error{Code: chat.CodeUnavailable, Message: "try again", Cause: errors.New("detail")}, "try again", m{"code": "UNAVAILABLE"}, true},
		{"a fault", errors.New("detail of the database"), "internal error", m{"code": "INTERNAL", "requestId": "request-1"}, true},
		{"a fault, wrapped", gqlerror.WrapPath(field, errors.New("detail")), "internal error", m{"code": "INTERNAL", "requestId": "request-1"}, true},
		{"a fault of ours", &chat.Error{Code: chat.CodeInternal, Message: "detail", Cause: errors.New("detail")}, "internal error", m{"code": "INTERNAL", "requestId": "request-1"}, true},
		{"a null where there is none", gqlerror.WrapPath(field, errors.New("the requested element is null")), "internal error", m{"code": "INTERNAL", "requestId": "request-1"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			got := graph.PresentError(slog.New(slog.NewJSONHandler(&log, nil)))(inField(), tt.err)
			if got.Message != tt.message || !reflect.DeepEqual(got.Extensions, tt.ext) {
				t.Errorf("%q %v", got.Message, got.Extensions)
			}
			if got.Path != nil && got.Path.String() != "send" {
				t.Errorf("path %v", got.Path)
			}
			if lines := strings.Count(log.String(), "\n"); lines > 1 || (lines == 1) != tt.logged {
				t.Errorf("logged %d lines: %s", lines, log.String())
			}
		})
	}
}

func TestRecoverLogsOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := slog.New(slog.NewJSONHandler(&log, nil))
	err := graph.Recover(l)(inField(), "detail")
	got := graph.PresentError(l)(inField(), err)
	if got.Message != "internal error" || got.Extensions["code"] != "INTERNAL" {
		t.Errorf("%+v", got)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "errors_test.go") {
		t.Errorf("log %s", log.String())
	}
}
