package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	h := mustHandler(t)
	messages := func(args string) string {
		return `{ conversation(id: "x") { messages(` + args + `) { edges { cursor node { id seq body createdAt sender { id username displayName bio } } } pageInfo { endCursor } } } }`
	}
	tests := []struct {
		name, query string
		variables   map[string]any
		limit       string // that is exceeded; empty if none
		value       int
	}{
		{"a page of messages", messages("last: 50"), nil, "", 0},
		{"the largest page", messages("last: 100"), nil, "", 0},
		{"the list of chats", `{ me { id } conversations(first: 50) { nodes { id title updatedAt unreadCount peer { id username } lastMessage { id body sender { id } } } } }`, nil, "", 0},
		{"a page that is chosen later", `query($n: Int) { conversations(first: $n) { nodes { members(first: $n) { nodes { user { id } } } } } }`, map[string]any{"n": 20}, "", 0},
		{"too large a page that is chosen later", `query($n: Int) { conversations(first: $n) { nodes { members(first: $n) { nodes { user { id } } } } } }`, map[string]any{"n": 50}, "complexity", 1 + 50*(1+1+50*2)},
		{"too large by default", `query($n: Int = 40) { conversations(first: $n) { nodes { members { nodes { user { id } } } } } }`, nil, "complexity", 1 + 40*(1+1+50*2)},
		{"pages of pages", `{ conversations { nodes { messages { nodes { sender { id } } } } } }`, nil, "complexity", 1 + 50*(1+1+50*2)},
		{"pages of pages in fragments", `{ conversations { ...C } } fragment C on ConversationConnection { nodes { messages { ...M } } } fragment M on MessageConnection { edges { node { sender { id } } } }`, nil, "complexity", 1 + 50*(1+1+50*2)},
		{"an absurd page", messages("first: 2000000000"), nil, "complexity", 1_000_000_000},
		{"many tokens", `{ ` + strings.Repeat("__typename ", 999) + `}`, nil, "tokens", 1001},
		{"many aliases", `{ ` + numbered(16, "a%d: __typename ") + `}`, nil, "aliases", 16},
		{"enough aliases", `{ ` + numbered(15, "a%d: __typename ") + `}`, nil, "", 0},
		{"aliases in fragments", `{ ...F } fragment F on Query { ` + numbered(16, "a%d: __typename ") + `}`, nil, "aliases", 16},
		{"many directives", `{ __typename ` + strings.Repeat("@include(if: true) ", 51) + `}`, nil, "directives", 51},
		{"deep", `{ conversation(id: "x") ` + strings.Repeat(`{ messages(first: 1) { nodes { conversation `, 4) + `{ id }` + strings.Repeat(` } } }`, 4) + ` }`, nil, "depth", 14},
		{"deep in fragments", `{ conversation(id: "x") { ...A } } fragment A on Conversation { messages(first: 1) { nodes { conversation { ...B } } } } fragment B on Conversation { messages(first: 1) { nodes { conversation { ...C } } } } fragment C on Conversation { messages(first: 1) { nodes { conversation { lastMessage { id } } } } }`, nil, "depth", 12},
		{"deep where nothing is executed", `{ __typename } fragment A on Conversation { ` + strings.Repeat(`lastMessage { conversation { `, 6) + `id` + strings.Repeat(` } }`, 6) + `}`, nil, "depth", 13},
		{"many repeats", `{ ` + strings.Repeat(`me { id } ... { me { id } } `, 26) + `}`, nil, "repeats", 52},
		{"many mutations", `mutation { ` + numbered(15, `a%d: signOut { cursor } `) + `}`, nil, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(map[string]any{"query": tt.query, "variables": tt.variables})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time from the cache
				r := mustReply(t, call(h, http.MethodPost, "/graphql", string(body), asJSON))
				if tt.limit == "" {
					if r.code() == "QUERY_TOO_COMPLEX" {
						t.Fatalf("refused: %+v", r.Errors)
					}
					continue
				}
				if r.code() != "QUERY_TOO_COMPLEX" {
					t.Fatalf("not refused: %+v", r)
				}
				ext := r.Errors[0].Extensions
				if ext["limit"] != tt.limit || ext["value"] != float64(tt.value) || ext["maximum"] == nil {
					t.Errorf("%v, want %s %d", ext, tt.limit, tt.value)
				}
				if !strings.HasPrefix(r.Errors[0].Message, tt.limit+": ") || !strings.Contains(r.Errors[0].Message, "at most") {
					t.Errorf("message %q", r.Errors[0].Message)
				}
			}
		})
	}
}

func TestHostileDocumentsAreRefusedAtOnce(t *testing.T) {
	h := mustHandler(t)
	var doubling, nesting, cycle strings.Builder
	for i := range 100 {
		fmt.Fprintf(&doubling, "fragment F%d on Query { ...F%d ...F%d } ", i, i+1, i+1)
		fmt.Fprintf(&nesting, "fragment F%d on User { presence { user { ...F%d } } presence { user { ...F%d } } } ", i, i+1, i+1)
		fmt.Fprintf(&cycle, "fragment F%d on Query { ...F%d } ", i, (i+1)%100)
	}
	for name, tt := range map[string]struct{ query, code string }{
		"doubling fragments":         {"{ ...F0 } " + doubling.String() + "fragment F100 on Query { __typename }", "QUERY_TOO_COMPLEX"},
		"nesting fragments":          {"{ me { ...F0 } } " + nesting.String()[:strings.Index(nesting.String(), "fragment F40")] + "fragment F40 on User { id }", "QUERY_TOO_COMPLEX"},
		"a cycle":                    {"{ ...F0 } " + cycle.String(), "GRAPHQL_VALIDATION_FAILED"},
		"a fragment within itself":   {"{ ...F } fragment F on Query { ...F }", "GRAPHQL_VALIDATION_FAILED"},
		"many braces":                {strings.Repeat("{", 100_000), "QUERY_TOO_COMPLEX"},
		"a megabyte of names":        {"{" + strings.Repeat(" a", 500_000) + "}", "QUERY_TOO_COMPLEX"},
		"many fields that may clash": {"{" + strings.Repeat(" __typename", 990) + "}", "QUERY_TOO_COMPLEX"},
		"the same in fragments":      {"{" + strings.Repeat(" ... { __typename __typename }", 180) + "}", "QUERY_TOO_COMPLEX"},
		"as many as are allowed":     {"{" + strings.Repeat(" ... { __typename me { id } cursor }", 50) + "}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			r := mustReply(t, post(h, tt.query))
			took := time.Since(start)
			if r.code() != tt.code {
				t.Errorf("code %q, want %q: %+v", r.code(), tt.code, r.Errors)
			}
			limit := 50 * time.Millisecond
			if len(tt.query) > 50_000 || os.Getenv("CI") != "" {
				limit = time.Second // reading a megabyte, or a busy machine
			}
			if took > limit {
				t.Errorf("took %v", took)
			}
			t.Log(took)
		})
	}
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	full := `query IntrospectionQuery { __schema { queryType { name } mutationType { name } subscriptionType { name }
	  types { ...FullType } directives { name description locations args { ...InputValue } } } }
	fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
	  inputFields { ...InputValue } interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
	fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
	fragment TypeRef on __Type { kind name ` + strings.Repeat("ofType { kind name ", 8) + strings.Repeat("} ", 9)

	on := mustReply(t, post(mustHandler(t), full))
	if on.code() != "" || fmt.Sprint(on.Data["__schema"]) != "map[off:false]" {
		t.Errorf("on: %+v", on)
	}
	off := mustHandler(t, "--introspection=false")
	for _, q := range []string{full, `{ __type(name: "User") { name } }`, `{ ...F } fragment F on Query { s: __schema { types { name } } }`} {
		if r := mustReply(t, post(off, q)); r.code() != "GRAPHQL_VALIDATION_FAILED" || !strings.Contains(r.Errors[0].Message, "introspection is off") {
			t.Errorf("off: %+v", r)
		}
	}
	if r := mustReply(t, post(off, "{ __typename }")); r.code() != "" {
		t.Errorf("__typename: %+v", r)
	}
}

func TestSuggestionsFollowIntrospection(t *testing.T) {
	t.Parallel()
	on, off := mustHandler(t), mustHandler(t, "--introspection=false")
	suggested := 0
	for _, q := range []string{
		`{ mee { id } }`, `{ me }`, `{ user(idd: "x") { id } }`, `query($x: Strin) { users(search: $x) { nodes { id } } }`,
		`{ me { ...F } } fragment F on Usr { id }`, `mutation { setMemberRole(input: {conversationId: "a", userId: "b", role: ADMI}) { cursor } }`,
		`mutation { signIn(input: {usernam: "a", password: "b"}) { cursor } }`, `{ users(serch: "a") { nodes { id } } }`, `{ me { id @inclde(if: true) } }`,
	} {
		if strings.Contains(post(on, q).Body.String(), "Did you mean") {
			suggested++
		}
		w := post(off, q)
		if mustReply(t, w).code() != "GRAPHQL_VALIDATION_FAILED" || strings.Contains(strings.ToLower(w.Body.String()), "did you mean") {
			t.Errorf("%s: %s", q, w.Body)
		}
	}
	if suggested < 4 {
		t.Errorf("only %d suggestions with introspection", suggested)
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
