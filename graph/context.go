package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
)

// Context gives every operation its loaders and the position as of which it is read. Each field of a mutation gets
// loaders of its own: the fields run one after another, and what one has changed the next must not find cached.
type Context struct{ Resolver *Resolver }

// ExtensionName is required by gqlgen.
func (Context) ExtensionName() string { return "Context" }

// Validate is required by gqlgen.
func (Context) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptOperation prepares an operation, before anything is read.
func (c Context) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(c.Resolver.Begin(ctx))
}

// InterceptRootField prepares each field of a mutation.
func (c Context) InterceptRootField(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	if graphql.GetOperationContext(ctx).Operation.Operation == "mutation" {
		ctx = c.Resolver.WithLoaders(ctx)
	}
	return next(ctx)
}
