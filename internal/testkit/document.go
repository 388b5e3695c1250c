package testkit

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// Document is a subscription in parts, so that a test can add to what it selects.
type Document struct {
	Field     string // of Subscription
	Selection string // of the event
	Values    map[string]any
	arguments []string // of Field, without the cursor
	variables []string // their definitions
	fragments []fragment
}

type fragment struct {
	name, text string
	on         *ast.Definition
	depth      int
}

// Text is the document with more in the selection of the event. It takes a variable $after.
func (d Document) Text(more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "subscription(%s) { %s(%s) { %s %s } }", strings.Join(append([]string{"$after: Cursor"}, d.variables...), " "),
		d.Field, strings.Join(append([]string{"after: $after"}, d.arguments...), " "), d.Selection, more)
	for _, f := range d.fragments {
		fmt.Fprintf(&b, " fragment %s on %s { %s}", f.name, f.on.Name, f.text)
	}
	return b.String()
}

// RandomDocument makes a valid document that subscribes to a field: random selections with aliases, fragments with and
// without names on whatever types fit, @skip and @include, pages of one to three items, and variables for all of these.
// The arguments of the field itself are variables with their names, whose values the caller sets.
func RandomDocument(r *rand.Rand, schema *ast.Schema, field string, arguments ...string) Document {
	root := schema.Subscription.Fields.ForName(field)
	event := schema.Types[root.Type.Name()]
	for {
		w := documentWriter{Rand: r, schema: schema, objects: 12}
		w.Field, w.Values = field, map[string]any{}
		for _, name := range arguments {
			w.arguments = append(w.arguments, name+": $"+name)
			w.variables = append(w.variables, "$"+name+": "+root.Arguments.ForName(name).Type.String())
		}
		w.Selection = w.selection(event, 4, 2+r.IntN(4))
		// Two fields of one name may not fit together.
		if _, errs := gqlparser.LoadQueryWithRules(schema, w.Text(""), rules.NewDefaultRules()); len(errs) == 0 {
			return w.Document
		}
	}
}

type documentWriter struct {
	*rand.Rand
	Document
	schema  *ast.Schema
	names   int
	objects int // that may still be asked for
}

func (w *documentWriter) name(prefix string) string {
	w.names++
	return fmt.Sprint(prefix, w.names)
}

// selection selects so many things; depth is how many objects may still nest.
func (w *documentWriter) selection(on *ast.Definition, depth, n int) string {
	var b strings.Builder
	for range n {
		if depth > 0 && w.IntN(4) == 0 {
			b.WriteString(w.fragment(on, depth-1))
		} else {
			b.WriteString(w.field(on, depth))
		}
		b.WriteByte(' ')
	}
	return b.String()
}

func (w *documentWriter) field(on *ast.Definition, depth int) string {
	fits := slices.Collect(func(yield func(*ast.FieldDefinition) bool) {
		for _, f := range on.Fields {
			if leaf := w.schema.Types[f.Type.Name()].IsLeafType(); !strings.HasPrefix(f.Name, "__") && (leaf || depth > 0 && w.objects > 0) && !yield(f) {
				return
			}
		}
	})
	if len(fits) == 0 || w.IntN(12) == 0 {
		return "__typename" + w.condition()
	}
	f := fits[w.IntN(len(fits))]
	text := f.Name
	if len(f.Arguments) > 0 { // under a name of its own: another page of the same field does not fit together with it
		n := fmt.Sprint(1 + w.IntN(3))
		if w.IntN(2) == 0 {
			n = w.variable("Int", 1+w.IntN(3))
		}
		text = fmt.Sprintf("%s: %s(%s: %s)", w.name("p"), text, []string{"first", "last"}[w.IntN(2)], n)
	} else if w.IntN(4) == 0 {
		text = w.name("a") + ": " + text
	}
	text += w.condition()
	if of := w.schema.Types[f.Type.Name()]; !of.IsLeafType() {
		w.objects--
		text += " { " + w.selection(of, depth-1, 1+w.IntN(3)) + "}"
	}
	return text
}

func (w *documentWriter) fragment(on *ast.Definition, depth int) string {
	var fits []*ast.Definition
	possible := w.schema.GetPossibleTypes(on)
	for _, name := range slices.Sorted(maps.Keys(w.schema.Types)) { // in order: what is random must follow from the seed
		if d := w.schema.Types[name]; d.IsCompositeType() && slices.ContainsFunc(w.schema.GetPossibleTypes(d), func(t *ast.Definition) bool { return slices.Contains(possible, t) }) {
			fits = append(fits, d)
		}
	}
	of := fits[w.IntN(len(fits))]
	if w.IntN(2) == 0 {
		head := "... on " + of.Name
		if w.IntN(4) == 0 {
			head, of = "...", on
		}
		return head + w.condition() + " { " + w.selection(of, depth, 1+w.IntN(3)) + "}"
	}
	for _, f := range w.fragments {
		if slices.Contains(fits, f.on) && f.depth <= depth && w.IntN(2) == 0 {
			return "..." + f.name + w.condition()
		}
	}
	f := fragment{name: w.name("F"), on: of, depth: depth, text: w.selection(of, depth, 1+w.IntN(3))}
	w.fragments = append(w.fragments, f)
	return "..." + f.name + w.condition()
}

// condition is now and then a directive, or two.
func (w *documentWriter) condition() (text string) {
	for _, name := range []string{"include", "skip"} {
		if w.IntN(8) > 0 {
			continue
		}
		holds := (name == "include") == (w.IntN(4) > 0) // most is kept
		value := fmt.Sprint(holds)
		if w.IntN(2) == 0 {
			value = w.variable("Boolean", holds)
		}
		text += " @" + name + "(if: " + value + ")"
	}
	return text
}

// variable defines one, or takes one that there is.
func (w *documentWriter) variable(of string, value any) string {
	for _, name := range slices.Sorted(maps.Keys(w.Values)) {
		if w.Values[name] == value && w.IntN(3) == 0 {
			return "$" + name
		}
	}
	name := w.name("v")
	w.Values[name] = value
	switch w.IntN(3) {
	case 0:
		w.variables = append(w.variables, fmt.Sprintf("$%s: %s!", name, of))
	case 1:
		w.variables = append(w.variables, fmt.Sprintf("$%s: %s! = %v", name, of, value))
	default:
		w.variables = append(w.variables, fmt.Sprintf("$%s: %s = %v", name, of, value))
	}
	return "$" + name
}

// Rewrite says the same as a valid document in other words: other white space, other names of the operation, of variables
// and of fragments, another order of definitions and arguments, some fragments written out.
func Rewrite(r *rand.Rand, text string, values map[string]any) (string, map[string]any, error) {
	doc, err := parser.ParseQuery(&ast.Source{Input: text})
	if err != nil {
		return "", nil, err
	}
	w := rewriter{Rand: r, variables: map[string]string{}, fragments: map[string]string{}, inline: map[string]*ast.FragmentDefinition{}}
	for _, f := range doc.Fragments {
		name := fmt.Sprint("Part", r.IntN(1000), "_", len(w.fragments))
		w.fragments[f.Name], f.Name = name, name
		if r.IntN(3) == 0 {
			w.inline[name] = f
		}
	}
	for _, op := range doc.Operations {
		if len(doc.Operations) == 1 {
			op.Name = fmt.Sprint("Op", r.IntN(1000))
		}
		for _, v := range op.VariableDefinitions {
			v.Variable = w.variable(v.Variable)
		}
		shuffle(r, op.VariableDefinitions)
		w.directives(op.Directives)
		w.selections(op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		w.directives(f.Directives)
		w.selections(f.SelectionSet)
	}
	doc.Fragments = slices.DeleteFunc(doc.Fragments, func(f *ast.FragmentDefinition) bool { return w.inline[f.Name] != nil })
	shuffle(r, doc.Fragments)
	renamed := map[string]any{}
	for name, v := range values {
		if now, ok := w.variables[name]; ok {
			renamed[now] = v
		}
	}
	var b strings.Builder
	b.WriteString("# the same\n")
	options := []formatter.FormatterOption{formatter.WithIndent(strings.Repeat(" ", r.IntN(4)))}
	if r.IntN(2) == 0 {
		options = append(options, formatter.WithCompacted())
	}
	formatter.NewFormatter(&b, options...).FormatQueryDocument(doc)
	return b.String(), renamed, nil
}

type rewriter struct {
	*rand.Rand
	variables, fragments map[string]string                  // the new names
	inline               map[string]*ast.FragmentDefinition // what is written out, by its new name
}

func (w *rewriter) variable(name string) string {
	if w.variables[name] == "" {
		w.variables[name] = fmt.Sprint("x", w.IntN(1000), "_", len(w.variables))
	}
	return w.variables[name]
}

// selections rewrites a set. A fragment that is written out shares its own set, which is rewritten once.
func (w *rewriter) selections(set ast.SelectionSet) {
	for i, sel := range set {
		switch s := sel.(type) {
		case *ast.Field:
			w.arguments(s.Arguments)
			w.directives(s.Directives)
			w.selections(s.SelectionSet)
		case *ast.InlineFragment:
			w.directives(s.Directives)
			w.selections(s.SelectionSet)
		case *ast.FragmentSpread:
			w.directives(s.Directives)
			s.Name = w.fragments[s.Name]
			if f := w.inline[s.Name]; f != nil {
				set[i] = &ast.InlineFragment{TypeCondition: f.TypeCondition, Directives: s.Directives, SelectionSet: f.SelectionSet}
			}
		}
	}
}

func (w *rewriter) directives(ds ast.DirectiveList) {
	for _, d := range ds {
		w.arguments(d.Arguments)
	}
}

func (w *rewriter) arguments(as ast.ArgumentList) {
	for _, a := range as {
		w.value(a.Value)
	}
	shuffle(w.Rand, as)
}

func (w *rewriter) value(v *ast.Value) {
	if v.Kind == ast.Variable {
		v.Raw = w.variable(v.Raw)
	}
	for _, c := range v.Children {
		w.value(c.Value)
	}
}

func shuffle[T any](r *rand.Rand, s []T) {
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}
