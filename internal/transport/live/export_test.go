package live

import (
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// Key shows the pure internals that decide what is shared.
func Key(schema *ast.Schema, oc *graphql.OperationContext) (key string, viewer map[string]bool, err error) {
	s, err := shapeOf(schema, oc.Operation)
	if err != nil {
		return "", nil, err
	}
	key, err = s.key(oc)
	return key, s.viewer, err
}
