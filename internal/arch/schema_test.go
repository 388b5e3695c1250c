package arch_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func loadSchema(t *testing.T) *ast.Schema {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "schema", "*.graphqls"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found no schema: %v", err)
	}
	var sources []*ast.Source
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, &ast.Source{Name: name, Input: string(text)})
	}
	schema, err := gqlparser.LoadSchema(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestEverythingInTheSchemaIsDescribed: the descriptions are the manual that clients see in GraphiQL.
func TestEverythingInTheSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	check := func(description, what string) {
		if strings.TrimSpace(description) == "" {
			t.Errorf("%s has no description", what)
		}
	}
	arguments := func(args ast.ArgumentDefinitionList, of string) {
		for _, a := range args {
			check(a.Description, of+"("+a.Name+":)")
		}
	}
	for name, def := range schema.Types {
		if def.BuiltIn {
			continue
		}
		check(def.Description, name)
		for _, f := range def.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			check(f.Description, name+"."+f.Name)
			arguments(f.Arguments, name+"."+f.Name)
		}
		for _, v := range def.EnumValues {
			check(v.Description, name+"."+v.Name)
		}
	}
	for name, def := range schema.Directives {
		if def.Position != nil && def.Position.Src.BuiltIn {
			continue
		}
		check(def.Description, "@"+name)
		arguments(def.Arguments, "@"+name)
	}
}

// TestMutationsTakeOneInputAndAnswerWithACursor: what a client can do after any mutation is subscribe from there.
func TestMutationsTakeOneInputAndAnswerWithACursor(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	for _, f := range schema.Mutation.Fields {
		switch {
		case f.Name == "signOut", f.Name == "resendVerification", f.Name == "requestExport":
			if len(f.Arguments) != 0 {
				t.Errorf("%s takes arguments, but there is nothing to say", f.Name)
			}
		case len(f.Arguments) != 1 || f.Arguments[0].Name != "input":
			t.Errorf("%s does not take exactly one argument `input`", f.Name)
		case schema.Types[f.Arguments[0].Type.Name()].Kind != ast.InputObject:
			t.Errorf("the input of %s is no input object", f.Name)
		}
		payload := schema.Types[f.Type.Name()]
		if !f.Type.NonNull || payload.Kind != ast.Object || !strings.HasSuffix(payload.Name, "Payload") {
			t.Errorf("%s answers with %s, not with a payload", f.Name, f.Type)
			continue
		}
		if c := payload.Fields.ForName("cursor"); c == nil || c.Type.String() != "Cursor!" {
			t.Errorf("%s has no `cursor: Cursor!`", payload.Name)
		}
	}
}

// TestSubscriptionsToTheLogCanResume: whatever delivers events can be asked for those after a cursor.
func TestSubscriptionsToTheLogCanResume(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	for _, f := range schema.Subscription.Fields {
		// The interfaces of narrow subscriptions do not implement Event themselves: code generators know no such thing.
		durable := true
		for _, def := range schema.GetPossibleTypes(schema.Types[f.Type.Name()]) {
			durable = durable && slices.Contains(def.Interfaces, "Event")
		}
		after := f.Arguments.ForName("after")
		switch {
		case durable && (after == nil || after.Type.String() != "Cursor"):
			t.Errorf("%s delivers events, but has no `after: Cursor`", f.Name)
		case !durable && after != nil:
			t.Errorf("%s takes `after`, but delivers no events", f.Name)
		}
	}
}

// TestConnectionsAreAlike: every list is paged the same way, both ways, and none needs a scan to be counted.
func TestConnectionsAreAlike(t *testing.T) {
	t.Parallel()
	schema := loadSchema(t)
	for name, def := range schema.Types {
		if strings.HasSuffix(name, "Connection") {
			for _, field := range []string{"edges", "nodes", "pageInfo"} {
				if def.Fields.ForName(field) == nil {
					t.Errorf("%s has no %s", name, field)
				}
			}
			if len(def.Fields) != 3 {
				t.Errorf("%s has more than edges, nodes and pageInfo", name)
			}
		}
		for _, f := range def.Fields {
			if !strings.HasSuffix(f.Type.Name(), "Connection") {
				continue
			}
			for arg, kind := range map[string]string{"first": "Int", "after": "String", "last": "Int", "before": "String"} {
				if a := f.Arguments.ForName(arg); a == nil || a.Type.String() != kind {
					t.Errorf("%s.%s has no `%s: %s`", name, f.Name, arg, kind)
				}
			}
		}
	}
}
