package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/parley-chat/parley/graph"
	"github.com/parley-chat/parley/internal/chat"
)

// TestMatrixOfScopes: of every root field it is said what it needs of an API key, and a key that has no more than that does
// it, and no other.
func TestMatrixOfScopes(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	known := map[string]bool{}
	scopes := []chat.Scope{chat.ScopeRead, chat.ScopeMessagesSend, chat.ScopeManage}
	for _, root := range roots(sdl) {
		for _, f := range root.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			known[f.Name] = true
			need, ok := graph.Scopes[f.Name]
			if !ok {
				t.Errorf("say in graph/scope.go which scope %s needs of an API key, or that it is for people", f.Name)
			}
			if root != sdl.Mutation && need != "" && need != chat.ScopeRead {
				t.Errorf("%s only reads, and needs %s", f.Name, need)
			}
			for _, has := range append(scopes, "") {
				alone, others := chat.ScopesOf(has), chat.ScopesOf(slices.DeleteFunc(slices.Clone(scopes), func(s chat.Scope) bool { return s == has })...)
				if has == "" {
					alone, others = 0, chat.ScopesOf() // a person, and a key without scopes
				}
				name := strings.ToLower(root.Name) + " { a: " + f.Name + selection(sdl, f.Type, 1) + " }"
				if got, want := allows(t, alone, name), has == "" || need != "" && need == has; got != want {
					t.Errorf("%s with %q alone: %t, want %t", f.Name, has, got, want)
				}
				if got, want := allows(t, others, name), has != "" && need != "" && need != has; got != want {
					t.Errorf("%s with all but %q: %t, want %t", f.Name, has, got, want)
				}
			}
		}
	}
	for name := range graph.Scopes {
		if !known[name] {
			t.Errorf("%s is no root field", name)
		}
	}
}

// TestScopesOfDocuments: a field is found wherever it stands, and nobody reads by the answer to a mutation.
func TestScopesOfDocuments(t *testing.T) {
	t.Parallel()
	send, read := chat.ScopesOf(chat.ScopeMessagesSend), chat.ScopesOf(chat.ScopeRead)
	for doc, want := range map[string]chat.Scopes{
		`mutation { sendMessage(input: {conversationId: "x", body: "y", clientKey: "z"}) { cursor message { id seq __typename } } }`:                     send,
		`mutation { sendMessage(input: {conversationId: "x", body: "y", clientKey: "z"}) { message { conversation { id } } } }`:                          0,
		`mutation { sendMessage(input: {conversationId: "x", body: "y", clientKey: "z"}) { message { ...m } } } fragment m on Message { sender { id } }`: 0,
		`mutation { sendMessage(input: {conversationId: "x", body: "y", clientKey: "z"}) { ... { message { ... on Message { sender { id } } } } } }`:     0,
		`mutation { markRead(input: {conversationId: "x", seq: 1}) { conversation { unreadCount } receipt { seq } } }`:                                   send,
		`mutation { markRead(input: {conversationId: "x", seq: 1}) { conversation { members { nodes { role } } } } }`:                                    0,
		`{ ...q } fragment q on Query { me { id } ... { conversations { nodes { messages { nodes { body } } } } } }`:                                     read,
		`{ me { id } ...q } fragment q on Query { ... on Query { sessions { nodes { id } } } }`:                                                          0,
		`{ me: bots { nodes { user { id } } } }`:                           0,
		`{ me { id } bots @skip(if: true) { nodes { user { id } } } }`:     0,
		`{ __typename __schema { types { name fields { name } } } }`:       read,
		`query A { me { id } } query B { bots { nodes { user { id } } } }`: read,
	} {
		for _, has := range []chat.Scopes{read, send} {
			if got := allows(t, has, doc); got != (has == want) && !(strings.Contains(doc, "__schema") && got) {
				t.Errorf("%v: %t\n%s", has.List(), got, doc)
			}
		}
		if !allows(t, 0, doc) {
			t.Errorf("a person is refused\n%s", doc)
		}
	}
}

// link does what the validator does.
func link(fragments ast.FragmentDefinitionList, set ast.SelectionSet) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			link(fragments, sel.SelectionSet)
		case *ast.InlineFragment:
			link(fragments, sel.SelectionSet)
		case *ast.FragmentSpread:
			sel.Definition = fragments.ForName(sel.Name)
		}
	}
}

// allows says whether a session with these scopes may have the document's first operation executed.
func allows(t *testing.T, has chat.Scopes, doc string) bool {
	t.Helper()
	parsed, err := parser.ParseQuery(&ast.Source{Input: doc})
	if err != nil {
		t.Fatal(doc, err)
	}
	for _, op := range parsed.Operations {
		link(parsed.Fragments, op.SelectionSet)
	}
	for _, f := range parsed.Fragments {
		link(parsed.Fragments, f.SelectionSet)
	}
	ctx := chat.WithViewer(context.Background(), chat.Viewer{User: chat.NewID(chat.KindUser), Scopes: has})
	refused := graph.Context{}.MutateOperationContext(ctx, &graphql.OperationContext{Doc: parsed, Operation: parsed.Operations[0]})
	if refused != nil && (refused.Extensions["code"] != "FORBIDDEN" || len(refused.Path) == 0) {
		t.Errorf("%s: %v", doc, refused)
	}
	return refused == nil
}
