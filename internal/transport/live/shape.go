package live

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// shape is what one document selects, whatever its white space, fragments and variable names. It is computed once for
// each document text and cached, so that a subscribe costs a look-up and the JSON of its variables.
type shape struct {
	hash      [32]byte
	vars      []string        // in order of use; the cursor's left out
	cursorVar string          // the variable that only the root field's "after" uses
	viewer    map[string]bool // the concrete root types for which a field marked @viewer is selected
}

const maxShape = 64 << 10 // nested fragments grow without bound when they are written out

var errShape = errors.New("the selection is too large when its fragments are written out")

func shapeOf(schema *ast.Schema, op *ast.OperationDefinition) (*shape, error) {
	w := shapeWriter{schema: schema, shape: &shape{viewer: map[string]bool{}}}
	w.text = append(w.text, op.Operation...)
	w.directives(op.Directives)
	w.put("{")
	w.selections(op.SelectionSet, schema.Subscription.Name, atOperation, nil)
	w.put("}")
	if len(w.text) > maxShape {
		return nil, errShape
	}
	if slices.Contains(w.vars, w.cursorVar) { // also used elsewhere: part of the key after all
		w.cursorVar = ""
	}
	w.shape.cursorVar = w.cursorVar
	w.hash = sha256.Sum256(w.text)
	return w.shape, nil
}

// level is how deep in the document a selection stands: what it says of root types depends on that.
type level uint8

const (
	atOperation level = iota // holds the root field
	atRoot                   // of the event's own type: fragments tell its concrete types apart
	below
)

type shapeWriter struct {
	*shape
	schema    *ast.Schema
	text      []byte
	cursorVar string
}

func (w *shapeWriter) put(ss ...string) {
	for _, s := range ss {
		w.text = append(w.text, s...)
	}
}

// selections writes a selection of parent. roots are the concrete root types whose events come here.
func (w *shapeWriter) selections(set ast.SelectionSet, parent string, at level, roots []string) {
	for _, sel := range set {
		if len(w.text) > maxShape {
			return
		}
		switch s := sel.(type) {
		case *ast.Field:
			w.put(s.Alias, ":", s.Name)
			w.arguments(s.Arguments, at == atOperation)
			w.directives(s.Directives)
			w.mark(s, at, roots)
			if len(s.SelectionSet) > 0 {
				on, sub, to := s.Definition.Type.Name(), below, roots
				if at == atOperation {
					sub, to = atRoot, w.concrete(on)
				}
				w.put("{")
				w.selections(s.SelectionSet, on, sub, to)
				w.put("}")
			}
			w.put(" ")
		case *ast.InlineFragment:
			w.fragment(s.SelectionSet, s.Directives, s.TypeCondition, parent, at, roots)
		case *ast.FragmentSpread: // written out: names and order of fragments do not matter
			w.fragment(s.Definition.SelectionSet, s.Directives, s.Definition.TypeCondition, parent, at, roots)
		}
	}
}

// fragment writes one on its parent's own type as if its fields stood there.
func (w *shapeWriter) fragment(set ast.SelectionSet, ds ast.DirectiveList, on, parent string, at level, roots []string) {
	if (on == "" || on == parent) && len(ds) == 0 {
		w.selections(set, parent, at, roots)
		return
	}
	if on == "" {
		on = parent
	}
	if at == atRoot {
		possible := w.concrete(on)
		roots = slices.DeleteFunc(slices.Clone(roots), func(t string) bool { return !slices.Contains(possible, t) })
	}
	w.put("...", on)
	w.directives(ds)
	w.put("{")
	w.selections(set, on, at, roots)
	w.put("}")
}

// concrete lists the object types that a type can turn out to be.
func (w *shapeWriter) concrete(name string) []string {
	d := w.schema.Types[name]
	if d == nil {
		return nil
	}
	if !d.IsAbstractType() {
		return []string{name}
	}
	var names []string
	for _, t := range w.schema.GetPossibleTypes(d) {
		names = append(names, t.Name)
	}
	return names
}

// mark looks at the field itself and, on an interface, at the field of every type that implements it.
func (w *shapeWriter) mark(f *ast.Field, at level, roots []string) {
	if f.Definition == nil || f.ObjectDefinition == nil || at == atOperation {
		return // __typename has no definition
	}
	all := marked(f.Definition)
	if at == atRoot {
		for _, t := range roots {
			if all || marked(w.schema.Types[t].Fields.ForName(f.Name)) {
				w.viewer[t] = true
			}
		}
		return
	}
	if f.ObjectDefinition.IsAbstractType() {
		for _, t := range w.schema.GetPossibleTypes(f.ObjectDefinition) {
			all = all || marked(t.Fields.ForName(f.Name))
		}
	}
	if all {
		for _, t := range roots {
			w.viewer[t] = true
		}
	}
}

func marked(d *ast.FieldDefinition) bool { return d != nil && d.Directives.ForName("viewer") != nil }

func (w *shapeWriter) arguments(args ast.ArgumentList, root bool) {
	w.put("(")
	sorted := slices.Clone(args)
	slices.SortFunc(sorted, func(a, b *ast.Argument) int { return strings.Compare(a.Name, b.Name) })
	for _, a := range sorted {
		if root && a.Name == "after" {
			if a.Value.Kind == ast.Variable {
				w.cursorVar = a.Value.Raw
			}
			continue
		}
		w.put(a.Name, ":")
		w.value(a.Value)
		w.put(",")
	}
	w.put(")")
}

func (w *shapeWriter) directives(ds ast.DirectiveList) {
	for _, d := range ds {
		w.put("@", d.Name)
		w.arguments(d.Arguments, false)
	}
}

func (w *shapeWriter) value(v *ast.Value) {
	switch v.Kind {
	case ast.Variable: // by its place, not by its name
		i := slices.Index(w.vars, v.Raw)
		if i < 0 {
			i = len(w.vars)
			w.vars = append(w.vars, v.Raw)
		}
		w.put("$", strconv.Itoa(i))
	case ast.ListValue, ast.ObjectValue:
		w.put("[")
		for _, c := range v.Children {
			w.put(c.Name, "=")
			w.value(c.Value)
			w.put(",")
		}
		w.put("]")
	default:
		w.put(strconv.Itoa(int(v.Kind)), strconv.Quote(v.Raw))
	}
}

// key adds the values of the variables (already coerced: defaults are in, integers are integers). An absent variable
// differs from a null one.
func (s *shape) key(oc *graphql.OperationContext) (string, error) {
	k := append(make([]byte, 0, 128), s.hash[:]...)
	for _, name := range s.vars {
		k = append(k, ',')
		if v, ok := oc.Variables[name]; ok {
			b, err := json.Marshal(v) // maps are sorted
			if err != nil {
				return "", err
			}
			k = append(k, b...)
		}
	}
	return string(k), nil
}
