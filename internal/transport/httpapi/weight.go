package httpapi

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/internal/chat"
)

// weight is what a selection set asks for.
//
// The unit of cost is the object: fields that are scalars or enums are free, since they come with their object. Every
// object counts 1 and what is selected below it. A connection counts 1, and what is selected in nodes and edges as often
// as the page is long (first or last, else 50), an edge and its node being one object; a plain list of objects counts
// as 50. pageInfo is free. A mutation adds 10. Fifty messages with their senders weigh 101; fifty conversations, each
// with its last message and its sender, 151. Introspection is free where it is on.
type weight struct {
	depth      int // nested fields
	selections int // fields and spreads, with fragments in place
	objects    int
	items      int // objects for each item of the page, in the selection set of a connection
}

// saturated stands for every larger number.
const saturated = 1_000_000_000

const mutationCost = 10

func plus(a, b int) int { return min(a+b, saturated) }
func times(a, b int) int {
	if a != 0 && b > saturated/a {
		return saturated
	}
	return a * b
}

func (w weight) and(o weight) weight {
	return weight{max(w.depth, o.depth), plus(w.selections, o.selections), plus(w.objects, o.objects), plus(w.items, o.items)}
}

func (w weight) or(o weight) weight {
	return weight{max(w.depth, o.depth), max(w.selections, o.selections), max(w.objects, o.objects), max(w.items, o.items)}
}

// weigher weighs each fragment once.
type weigher struct {
	schema    *ast.Schema
	doc       *ast.QueryDocument
	variables map[string]any
	defaults  ast.VariableDefinitionList
	fragments map[string]*weight // nil while it is being weighed
	cycle     string             // a fragment that contains itself
}

func newWeigher(schema *ast.Schema, doc *ast.QueryDocument, op *ast.OperationDefinition, variables map[string]any) *weigher {
	return &weigher{schema: schema, doc: doc, variables: variables, defaults: op.VariableDefinitions, fragments: map[string]*weight{}}
}

func (w *weigher) operation(op *ast.OperationDefinition) weight {
	root := w.schema.Query
	switch op.Operation {
	case ast.Mutation:
		root = w.schema.Mutation
	case ast.Subscription:
		root = w.schema.Subscription
	}
	return w.set(op.SelectionSet, root)
}

func (w *weigher) fragment(name string) weight {
	known, seen := w.fragments[name]
	switch {
	case seen && known == nil:
		w.cycle = name
		return weight{}
	case seen:
		return *known
	}
	f := w.doc.Fragments.ForName(name)
	if f == nil {
		return weight{} // the validator says so
	}
	w.fragments[name] = nil
	sum := w.set(f.SelectionSet, w.schema.Types[f.TypeCondition])
	w.fragments[name] = &sum
	return sum
}

func (w *weigher) set(set ast.SelectionSet, parent *ast.Definition) (sum weight) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			sum = sum.and(w.field(sel, parent))
		case *ast.InlineFragment:
			on := parent
			if sel.TypeCondition != "" {
				on = w.schema.Types[sel.TypeCondition]
			}
			sum = sum.and(weight{selections: 1}).and(w.set(sel.SelectionSet, on))
		case *ast.FragmentSpread:
			sum = sum.and(weight{selections: 1}).and(w.fragment(sel.Name))
		}
	}
	return sum
}

func (w *weigher) field(f *ast.Field, parent *ast.Definition) weight {
	var def *ast.FieldDefinition
	var typ *ast.Definition
	if parent != nil {
		if def = parent.Fields.ForName(f.Name); def != nil {
			typ = w.schema.Types[def.Type.Name()]
		}
	}
	below := w.set(f.SelectionSet, typ)
	sum := weight{depth: below.depth + 1, selections: plus(below.selections, 1)}
	switch {
	case isIntrospection(f.Name):
		sum.depth = 1
	case parent != nil && strings.HasPrefix(parent.Name, "__"):
		sum.depth = 0
	case def == nil || typ == nil || !typ.IsCompositeType() || typ.Name == "PageInfo":
	case isConnection(parent) && (f.Name == "nodes" || f.Name == "edges"):
		sum.items = plus(1, below.objects)
	case isConnection(typ):
		sum.objects = plus(1, plus(below.objects, times(w.page(f), below.items)))
	case def.Type.Elem != nil:
		sum.objects = plus(1, times(chat.DefaultPage, plus(1, below.objects)))
	case f.Name == "node" && strings.HasSuffix(parent.Name, "Edge"):
		sum.objects = below.objects
	default:
		sum.objects = plus(1, below.objects)
	}
	if parent != nil && parent == w.schema.Mutation && def != nil {
		sum.objects = plus(sum.objects, mutationCost)
	}
	return sum
}

func isConnection(d *ast.Definition) bool { return strings.HasSuffix(d.Name, "Connection") }

// page is how many items a connection's arguments ask for. What is not a sensible number is refused later.
func (w *weigher) page(f *ast.Field) int {
	for _, name := range []string{"first", "last"} {
		arg := f.Arguments.ForName(name)
		if arg == nil || arg.Value == nil {
			continue
		}
		text := arg.Value.Raw
		if arg.Value.Kind == ast.Variable {
			text = w.variable(arg.Value.Raw)
		}
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return int(min(max(n, 1), saturated))
		}
	}
	return chat.DefaultPage
}

func (w *weigher) variable(name string) string {
	switch v := w.variables[name].(type) {
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	if d := w.defaults.ForName(name); d != nil && d.DefaultValue != nil {
		if _, given := w.variables[name]; !given {
			return d.DefaultValue.Raw
		}
	}
	return ""
}
