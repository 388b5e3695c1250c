package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/transport/live"
)

// Whatever is a valid subscription has a key: the same one when it is said in other words, and another one when something is
// changed in it by which any event is delivered differently. For whom an event looks different, it is not shared.
func FuzzShape(f *testing.F) {
	es := generated.NewExecutableSchema(generated.Config{Resolvers: everything{}})
	exec := executor.New(es)
	for i, q := range []string{
		messageQuery, feedQuery, `subscription{events(types:[MESSAGE_ADDED]){...on MessageAdded{message{id @skip(if:false)}}}}`,
		`subscription A($i:[ID!]){presenceChanged(userIds:$i){snapshot ...F}} fragment F on PresenceChanged{presences{user{id}}}`,
		`subscription{events{...on Event{...on Event{cursor}}}}`,
		`subscription{events{...on ConversationUpdated{conversation{members(first:2){nodes{user{id}}} receipts(last:2){edges{cursor node{user{id}}}}}}}}`,
		`subscription($a:Cursor $t:EventType!){events(after:$a types:[$t]){cursor ...on ConversationUpdated{conversation{messages(after:"x" last:2){nodes{id}}}}}}`,
		`subscription($b:Boolean=true){...@include(if:$b){...R}} fragment R on Subscription{typingChanged(conversationId:"x"){users{relationship}}}`,
	} {
		f.Add(q, uint64(i))
	}
	for i := range 60 {
		f.Add("", uint64(i))
	}
	f.Fuzz(func(t *testing.T, query string, seed uint64) {
		if len(query) > 4096 || strings.Contains(query, `"""`) { // which the formatter writes as another kind of string
			return
		}
		r := rand.New(rand.NewPCG(seed, 2))
		if query == "" { // valid documents are rarely found by chance
			query = randomDocument(r, es.Schema()).Text("")
		}
		values := valuesOf(r, query)
		first, ok := look(t, exec, es.Schema(), query, values)
		if !ok {
			return
		}
		text, renamed, err := testkit.Rewrite(r, query, values)
		if err != nil {
			t.Fatal(err)
		}
		if second, ok := look(t, exec, es.Schema(), text, renamed); !ok || second.key != first.key || !maps.Equal(second.viewer, first.viewer) || !slices.Equal(second.got, first.got) {
			t.Errorf("%s\nand\n%s\nare not the same: %t %t\n%v\n%v", query, text, ok, second.key == first.key, first.got, second.got)
		}
		for range 16 {
			text, given := change(r, exec, es.Schema(), query, values), values
			if r.IntN(8) == 0 {
				text, given = query, valuesOf(r, query)
			}
			if other, ok := look(t, exec, es.Schema(), text, given); ok && other.key == first.key && !slices.Equal(other.got, first.got) {
				t.Errorf("%s with %v\nand\n%s with %v\nhave the same key\n%v\n%v", query, values, text, given, first.got, other.got)
			}
		}
		for typ, differs := range first.differs {
			if differs && !first.viewer[typ] {
				t.Errorf("%s: %s differs between viewers, but would be shared", query, typ)
			}
		}
	})
}

func randomDocument(r *rand.Rand, schema *ast.Schema) testkit.Document {
	switch r.IntN(5) {
	case 0:
		return testkit.RandomDocument(r, schema, "messageAdded", "conversationId")
	case 1:
		return testkit.RandomDocument(r, schema, "conversationUpdated", "conversationId")
	case 2:
		return testkit.RandomDocument(r, schema, "friendRequestUpdated")
	case 3:
		return testkit.RandomDocument(r, schema, "events", "types")
	}
	return testkit.RandomDocument(r, schema, "events")
}

// looked is what is known of a document.
type looked struct {
	key     string
	viewer  map[string]bool
	got     []string        // what it delivers to one viewer
	differs map[string]bool // types of events that another viewer gets differently
}

// look executes a document for a few events of each type; false: it is not valid, or too large.
func look(t *testing.T, exec *executor.Executor, schema *ast.Schema, text string, values map[string]any) (l looked, ok bool) {
	t.Helper()
	oc, err := operation(exec, text, values)
	if err != nil || oc.Operation.Operation != ast.Subscription {
		return l, false
	}
	if l.key, l.viewer, err = live.Key(schema, oc); err != nil {
		return l, false
	}
	var types []string
	l.got, types, ok = deliver(exec, oc, 1)
	again, err := operation(exec, text, values)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := deliver(exec, again, 2)
	l.differs = map[string]bool{}
	for i, typ := range types {
		if i < len(l.got) && i < len(other) && l.got[i] != other[i] {
			l.differs[typ] = true
		}
	}
	return l, ok
}

type toldKey struct{}

// deliver executes an operation for a viewer, and tells the types of the events. false: the root is one that cannot be executed.
func deliver(exec *executor.Executor, oc *graphql.OperationContext, viewer int) (got, types []string, ok bool) {
	defer func() {
		if recover() != nil { // gqlgen, where __typename stands in place of a subscription
			ok = false
		}
	}()
	ctx := chat.WithViewer(graphql.StartOperationTrace(context.Background()), chat.Viewer{User: user(viewer), Session: session(viewer)})
	responses, ctx := exec.DispatchOperation(context.WithValue(ctx, toldKey{}, &types), oc)
	for resp := responses(ctx); resp != nil; resp = responses(ctx) {
		for _, e := range resp.Errors {
			e.Locations = nil
		}
		errs, _ := json.Marshal(resp.Errors)
		got = append(got, string(resp.Data)+string(errs))
		if len(got) > len(types) { // refused
			break
		}
	}
	return got, types, true
}

// valuesOf gives the variables of a document values, where their types are known.
func valuesOf(r *rand.Rand, query string) map[string]any {
	values := map[string]any{}
	doc, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil || len(doc.Operations) == 0 {
		return values
	}
	for _, v := range doc.Operations[0].VariableDefinitions {
		if r.IntN(6) == 0 {
			continue
		}
		switch v.Type.Name() {
		case "Boolean":
			values[v.Variable] = r.IntN(3) > 0
		case "Int":
			values[v.Variable] = 1 + r.IntN(3)
		case "ID":
			values[v.Variable] = conv(1).String()
		case "Cursor":
			values[v.Variable] = at(1)
		case "EventType":
			values[v.Variable] = []string{"MESSAGE_ADDED", "MEMBER_ADDED", "CONVERSATION_UPDATED"}[r.IntN(3)]
		}
	}
	return values
}

// change changes one thing in a valid document, which may not be valid after it.
func change(r *rand.Rand, exec *executor.Executor, schema *ast.Schema, query string, values map[string]any) string {
	oc, err := operation(exec, query, values)
	if err != nil {
		return ""
	}
	c := changes{Rand: r, schema: schema}
	for _, op := range oc.Doc.Operations {
		c.set(op.SelectionSet)
	}
	for _, f := range oc.Doc.Fragments {
		c.do = append(c.do, func() { f.TypeCondition = c.anyType() })
		c.set(f.SelectionSet)
	}
	c.do[r.IntN(len(c.do))]()
	var b strings.Builder
	formatter.NewFormatter(&b).FormatQueryDocument(oc.Doc)
	return b.String()
}

// changes are what can be changed.
type changes struct {
	*rand.Rand
	schema *ast.Schema
	do     []func()
}

// anyType is a type that a fragment can be on.
func (c *changes) anyType() string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.schema.Types)), func(name string) bool { return !c.schema.Types[name].IsCompositeType() })
	return names[c.IntN(len(names))]
}

func (c *changes) set(set ast.SelectionSet) {
	c.do = append(c.do, func() { c.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] }) })
	for i, sel := range set {
		c.do = append(c.do, func() { set[i] = set[c.IntN(len(set))] })
		switch s := sel.(type) {
		case *ast.Field:
			c.do = append(c.do, func() { s.Alias = "other" }, func() {
				if s.ObjectDefinition != nil {
					s.Name = s.ObjectDefinition.Fields[c.IntN(len(s.ObjectDefinition.Fields))].Name
				}
			})
			c.directives(&s.Directives)
			for _, a := range s.Arguments {
				c.value(a.Value)
				c.do = append(c.do, func() { a.Name = map[string]string{"first": "last", "last": "first"}[a.Name] })
			}
			c.set(s.SelectionSet)
		case *ast.InlineFragment:
			c.do = append(c.do, func() { s.TypeCondition = c.anyType() })
			c.directives(&s.Directives)
			c.set(s.SelectionSet)
		case *ast.FragmentSpread:
			c.directives(&s.Directives)
		}
	}
}

func (c *changes) directives(ds *ast.DirectiveList) {
	add := func(name, raw string) func() {
		return func() {
			is := &ast.Argument{Name: "if", Value: &ast.Value{Kind: ast.BooleanValue, Raw: raw}}
			*ds = append(*ds, &ast.Directive{Name: name, Arguments: ast.ArgumentList{is}})
		}
	}
	c.do = append(c.do, add("skip", "true"), add("include", "false"))
	for _, d := range *ds {
		c.do = append(c.do, func() { *ds = nil }, func() { d.Name = map[string]string{"skip": "include", "include": "skip"}[d.Name] })
		for _, a := range d.Arguments {
			c.value(a.Value)
		}
	}
}

func (c *changes) value(v *ast.Value) {
	switch v.Kind {
	case ast.BooleanValue:
		c.do = append(c.do, func() { v.Raw = map[string]string{"true": "false", "false": "true"}[v.Raw] })
	case ast.IntValue:
		c.do = append(c.do, func() { v.Raw = fmt.Sprint(1 + c.IntN(4)) })
	case ast.EnumValue:
		c.do = append(c.do, func() {
			kinds := c.schema.Types["EventType"].EnumValues
			v.Raw = kinds[c.IntN(len(kinds))].Name
		})
	case ast.Variable:
		c.do = append(c.do, func() { v.Kind, v.Raw = ast.BooleanValue, "true" }, func() { v.Kind, v.Raw = ast.IntValue, "1" })
	}
	for _, child := range v.Children {
		c.value(child.Value)
	}
}
