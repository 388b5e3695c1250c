package httpapi

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/internal/obs"
)

// measure counts operations by kind, first root field and code. Both label sets are bounded: fields by the schema, of
// which only valid operations get here, and codes by ourselves. A subscription is counted when it fails.
type measure struct{ metrics *obs.Metrics }

func (measure) ExtensionName() string                   { return "Metrics" }
func (measure) Validate(graphql.ExecutableSchema) error { return nil }

func (m measure) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	resp := next(ctx)
	if resp == nil || !graphql.HasOperationContext(ctx) {
		return resp
	}
	op := graphql.GetOperationContext(ctx)
	code := "OK"
	if len(resp.Errors) > 0 {
		if code, _ = resp.Errors[0].Extensions["code"].(string); code == "" {
			code = "INTERNAL"
		}
	}
	kind, field := "none", "none"
	if op.Operation != nil && op.Doc != nil {
		kind, field = string(op.Operation.Operation), rootField(op.Operation.SelectionSet)
	}
	if kind != string(ast.Subscription) || code != "OK" {
		m.metrics.Operation(kind, field, code, time.Since(op.Stats.OperationStart))
	}
	return resp
}

// rootField is the first field of the operation, by its name in the schema.
func rootField(set ast.SelectionSet) string {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			return sel.Name
		case *ast.InlineFragment:
			return rootField(sel.SelectionSet)
		case *ast.FragmentSpread:
			if sel.Definition != nil {
				return rootField(sel.Definition.SelectionSet)
			}
		}
	}
	return "none"
}
