package schema_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/schema"
)

// TestMerged: what is handed out says the same as what was written, without an extension.
func TestMerged(t *testing.T) {
	t.Parallel()
	merged := schema.Merged()
	if i := strings.Index(merged, "\nextend "); i >= 0 {
		t.Errorf("%.60s", merged[i:])
	}
	want, got := mustLoad(t, schema.SDL()), mustLoad(t, merged)
	if len(got.Types) != len(want.Types) {
		t.Errorf("%d types, want %d", len(got.Types), len(want.Types))
	}
	for name, w := range want.Types {
		g := got.Types[name]
		if g == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if g.Kind != w.Kind || g.Description != w.Description || !reflect.DeepEqual(g.Interfaces, w.Interfaces) || !reflect.DeepEqual(fields(g), fields(w)) {
			t.Errorf("%s:\n     %v %q\nwant %v %q", name, fields(g), g.Description, fields(w), w.Description)
		}
	}
	for name := range want.Directives {
		if got.Directives[name] == nil {
			t.Errorf("@%s is missing", name)
		}
	}
}

func mustLoad(t *testing.T, sdl string) *ast.Schema {
	t.Helper()
	s, err := gqlparser.LoadSchema(&ast.Source{Name: "schema", Input: sdl})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fields are a type's fields or values, with all that is said of them, by name.
func fields(d *ast.Definition) map[string][]string {
	out := map[string][]string{}
	value := func(v *ast.Value) string {
		if v == nil {
			return ""
		}
		return v.String()
	}
	marks := func(of ast.DirectiveList) (names string) {
		for _, d := range of {
			names += " @" + d.Name
		}
		return names
	}
	for _, f := range d.Fields {
		said := []string{f.Description, f.Type.String(), value(f.DefaultValue), marks(f.Directives)}
		for _, a := range f.Arguments {
			said = append(said, a.Name, a.Description, a.Type.String(), value(a.DefaultValue), marks(a.Directives))
		}
		out[f.Name] = said
	}
	for _, v := range d.EnumValues {
		out[v.Name] = []string{v.Description, marks(v.Directives)}
	}
	return out
}
