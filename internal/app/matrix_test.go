package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/schema"
)

// slot is a place of a root field where a client writes an id.
type slot struct {
	root  *ast.Definition
	field *ast.FieldDefinition
	path  []string // from the field's arguments
	list  bool
}

func (s slot) String() string { return s.field.Name + "." + strings.Join(s.path, ".") }

// has says whether a key of the matrix is about the slot: its name, with the kind of id behind it where it takes several.
func (s slot) has(key string) bool {
	name, _, _ := strings.Cut(key, " ")
	return name == s.String()
}

func mustSchema(tb testing.TB) *ast.Schema {
	tb.Helper()
	s, err := gqlparser.LoadSchema(&ast.Source{Name: "schema", Input: schema.SDL()})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func roots(s *ast.Schema) []*ast.Definition {
	return []*ast.Definition{s.Query, s.Mutation, s.Subscription}
}

// slots finds every id that a client can write.
func slots(s *ast.Schema) (out []slot) {
	for _, root := range roots(s) {
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			var walk func(t *ast.Type, path []string)
			walk = func(t *ast.Type, path []string) {
				if t.Name() == "ID" {
					out = append(out, slot{root, f, slices.Clone(path), t.Elem != nil})
				}
				if d := s.Types[t.Name()]; d.Kind == ast.InputObject {
					for _, in := range d.Fields {
						walk(in.Type, append(path, in.Name))
					}
				}
			}
			for _, a := range f.Arguments {
				walk(a.Type, []string{a.Name})
			}
		}
	}
	return out
}

// document writes an operation on one root field that takes its arguments from variables.
func document(s *ast.Schema, root *ast.Definition, f *ast.FieldDefinition, vars map[string]any) string {
	var declared, given []string
	for _, a := range f.Arguments {
		if _, ok := vars[a.Name]; ok {
			declared = append(declared, "$"+a.Name+": "+a.Type.String())
			given = append(given, a.Name+": $"+a.Name)
		}
	}
	list := func(l []string) string {
		if len(l) == 0 {
			return ""
		}
		return "(" + strings.Join(l, ", ") + ")"
	}
	return strings.ToLower(root.Name) + list(declared) + " { " + f.Name + list(given) + selection(s, f.Type, 2) + " }"
}

// selection selects what has no further fields, down to a depth.
func selection(s *ast.Schema, t *ast.Type, depth int) string {
	d := s.Types[t.Name()]
	if len(d.Fields) == 0 {
		return ""
	}
	fields := []string{"__typename"}
	for _, f := range d.Fields {
		switch leaf := len(s.Types[f.Type.Name()].Fields) == 0; {
		case leaf:
			fields = append(fields, f.Name)
		case depth > 1 && len(f.Arguments) == 0:
			fields = append(fields, f.Name+selection(s, f.Type, depth-1))
		}
	}
	return " { " + strings.Join(fields, " ") + " }"
}

// variables fills the arguments: the slot with an id, what else is required from the table.
func (s *stage) variables(f *ast.FieldDefinition, who string, at *slot, id any) map[string]any {
	s.Helper()
	var value func(t *ast.Type, required bool, path []string) (any, bool)
	value = func(t *ast.Type, required bool, path []string) (any, bool) {
		key := f.Name + "." + strings.Join(path, ".")
		if at != nil && key == at.String() {
			if at.list {
				return []any{id}, true
			}
			return id, true
		}
		if d := s.schema.Types[t.Name()]; d.Kind == ast.InputObject {
			in := map[string]any{}
			for _, field := range d.Fields {
				if v, ok := value(field.Type, field.Type.NonNull && field.DefaultValue == nil, append(slices.Clone(path), field.Name)); ok {
					in[field.Name] = v
				}
			}
			return in, true
		}
		if !required {
			return nil, false
		}
		v, ok := values[key]
		if !ok {
			s.Fatalf("%s is required: give it a value in the table of values", key)
		}
		if of, ok := v.(func(*stage, string) string); ok {
			v = of(s, who)
		}
		if t.Elem != nil {
			v = []any{v}
		}
		return v, true
	}
	vars := map[string]any{}
	for _, a := range f.Arguments {
		if v, ok := value(a.Type, a.Type.NonNull && a.DefaultValue == nil, []string{a.Name}); ok {
			vars[a.Name] = v
		}
	}
	return vars
}

// try runs the slot's operation as somebody with an id, which does not show in the answer.
func (s *stage) try(who string, at slot, id string) answer {
	s.Helper()
	vars := s.variables(at.field, who, &at, id)
	a := s.ask(who, at.root == s.schema.Subscription, document(s.schema, at.root, at.field, vars), vars)
	a.body = strings.ReplaceAll(a.body, id, "<id>")
	return a
}

func suffix(id string) string { return id[strings.IndexByte(id, '_'):] }

// TestMatrix: whoever may not see a thing gets the very answer that an id without a thing gets.
func TestMatrix(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	all := slots(sdl)
	unused := maps.Clone(matrix)
	for _, at := range all {
		maps.DeleteFunc(unused, func(key string, _ row) bool { return at.has(key) })
	}
	if len(unused) > 0 {
		t.Errorf("the schema has no more %v", slices.Collect(maps.Keys(unused)))
	}
	testkit.URLs(t, func(t *testing.T, url string) {
		s := newStage(t, sdl, testkit.MustRunApp(t, url).URL())
		s.store = testkit.MustOpenStore(t, url)
		for _, at := range all {
			t.Run(at.String(), func(t *testing.T) {
				said := false
				for _, key := range slices.Sorted(maps.Keys(matrix)) {
					if at.has(key) {
						s.in(t, func() { s.row(at, matrix[key]) })
						said = true
					}
				}
				if !said {
					t.Fatalf("takes an id: say in the matrix who may do what with it")
				}
			})
		}
	})
}

func (s *stage) row(at slot, row row) {
	s.renew(row.kind)
	for _, who := range personas {
		real := row.real(s, who)
		random := chat.NewID(row.kind).String()
		unknown := s.try(who, at, random)
		if who == anonymous {
			for _, a := range []answer{unknown, s.try(who, at, real)} {
				if a.code != chat.CodeUnauthenticated {
					s.Errorf("anonymous: %+v", a)
				}
			}
			continue
		}
		if want := cmpCode(row.leftOut == "", chat.CodeNotFound); unknown.code != want {
			s.Errorf("%s, an unknown id: %+v, want %s", who, unknown, want)
		}
		for _, k := range []chat.Kind{chat.KindUser, chat.KindSession, chat.KindFriendRequest, chat.KindConversation, chat.KindMessage, chat.KindNotification, chat.KindFile, chat.KindWebhook, chat.KindWebhookDelivery} {
			if k == row.kind {
				continue
			}
			if a := s.try(who, at, k.String()+suffix(real)); !a.same(unknown) {
				s.Errorf("%s, an id of kind %s with the digits of a real one:\n     %+v\nwant %+v", who, k, a, unknown)
			}
		}
		want, seen := row.sees[who]
		if !seen {
			want, seen = row.sees[everybody]
		}
		if !seen {
			for _, id := range append(row.hidden(s, who), real) {
				if a := s.try(who, at, id); !a.same(unknown) {
					s.Errorf("%s can tell %s from an unknown id:\n     %+v\nwant %+v", who, id, a, unknown)
				}
			}
			continue
		}
		if a := s.try(who, at, real); a.code != want.code || a.same(unknown) {
			s.Errorf("%s: %+v, want %q: %s", who, a, want.code, want.why)
		}
	}
	for _, bad := range []any{"", "nonsense", "cnv_", strings.Repeat("0", 30), "cnv_zzzzzzzzzzzzzzzzzzzzzzzzzz", "cnv_01h455vb4pex5vsknk084sn02", 12} {
		vars := s.variables(at.field, "member", &at, bad)
		a := s.ask("member", at.root == s.schema.Subscription, document(s.schema, at.root, at.field, vars), vars)
		path := make([]any, len(at.path))
		for i, p := range at.path {
			path[i] = p
		}
		if at.list {
			path = append(path, 0.)
		}
		if a.code != chat.CodeBadInput || !reflect.DeepEqual(a.inputPath, path) {
			s.Errorf("%q: %+v, want BAD_USER_INPUT with the path %v", bad, a, path)
		}
	}
}

func cmpCode(ok bool, c chat.Code) chat.Code {
	if ok {
		return c
	}
	return ""
}

// TestAnonymous: without an account there is nothing to do but to get one.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	testkit.URLs(t, func(t *testing.T, url string) {
		s := newStage(t, sdl, testkit.MustRunApp(t, url).URL())
		s.renew(chat.KindConversation)
		for _, root := range roots(sdl) {
			for _, f := range root.Fields {
				if strings.HasPrefix(f.Name, "__") || open[f.Name] != "" {
					continue
				}
				vars := s.variables(f, "owner", nil, nil)
				if a := s.ask(anonymous, root == sdl.Subscription, document(sdl, root, f, vars), vars); a.code != chat.CodeUnauthenticated {
					s.Errorf("%s.%s: %+v", root.Name, f.Name, a)
				}
			}
		}
	})
}

// TestBlockedIsNotTold: whom somebody has blocked sees the very same of them as a stranger does.
func TestBlockedIsNotTold(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	testkit.URLs(t, func(t *testing.T, url string) {
		s := newStage(t, sdl, testkit.MustRunApp(t, url).URL())
		vars := map[string]any{"id": s.cast["owner"].ID, "name": s.username("owner")}
		for _, q := range []string{
			`query($id: ID!) { user(id: $id) { id username displayName bio createdAt relationship presence { status lastSeenAt } } }`,
			`query($name: String!) { users(search: $name) { nodes { id displayName relationship presence { status lastSeenAt } } pageInfo { hasNextPage } } }`,
			`subscription($id: ID!) { presenceChanged(userIds: [$id]) { snapshot presences { status lastSeenAt user { id } } } }`,
			`mutation($id: ID!) { removeFriend(input: {userId: $id}) { user { id } } }`,
			`{ friendRequests { nodes { id } } blockedUsers { nodes { id } } }`,
		} {
			live := strings.HasPrefix(q, "subscription")
			stranger, blocked := s.ask("stranger", live, q, vars), s.ask("blocked", live, q, vars)
			if !stranger.same(blocked) {
				s.Errorf("%s\nblocked  %+v\nstranger %+v", q, blocked, stranger)
			}
		}
	})
}

// answer is what came back.
type answer struct {
	status    int
	body      string
	code      chat.Code // of the first error
	inputPath []any
}

func (a answer) same(b answer) bool { return a.status == b.status && a.body == b.body }

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

func read(status int, body string) answer {
	a := answer{status: status, body: body}
	var r struct {
		Errors []struct {
			Extensions struct {
				Code      chat.Code
				InputPath []any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		a.code = chat.Code("not JSON: " + err.Error())
	} else if len(r.Errors) > 0 {
		a.code, a.inputPath = r.Errors[0].Extensions.Code, r.Errors[0].Extensions.InputPath
		if a.code == "" {
			a.code = "no code"
		}
	}
	return a
}
