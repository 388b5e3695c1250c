package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/transport/httpapi"
)

const (
	acceptGraphQL = "Accept: application/graphql-response+json"
	preflight     = "Apollo-Require-Preflight: yes"
)

func TestStatusAndMediaType(t *testing.T) {
	t.Parallel()
	h := mustHandler(t, "--max-body=1KiB")
	ok := `{"query":"{ __typename }"}`
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		mediaType, code          string
	}{
		{"a query", "POST", "/graphql", ok, []string{asJSON}, 200, "application/json", ""},
		{"rather than a stream", "POST", "/graphql", ok, []string{asJSON, "Accept: application/json, text/event-stream;q=0.4"}, 200, "application/json", ""},
		{"in UTF-8", "POST", "/graphql", ok, []string{"Content-Type: application/json; charset=UTF-8"}, 200, "application/json", ""},
		{"asked for the new type", "POST", "/graphql", ok, []string{asJSON, acceptGraphQL}, 200, "application/graphql-response+json", ""},
		{"both types alike", "POST", "/graphql", ok, []string{asJSON, "Accept: application/json, application/graphql-response+json"}, 200, "application/graphql-response+json", ""},
		{"json rather", "POST", "/graphql", ok, []string{asJSON, "Accept: application/graphql-response+json;q=0.5, application/json"}, 200, "application/json", ""},
		{"anything but json", "POST", "/graphql", ok, []string{asJSON, "Accept: application/json;q=0, */*"}, 200, "application/graphql-response+json", ""},
		{"anything", "POST", "/graphql", ok, []string{asJSON, "Accept: */*"}, 200, "application/json", ""},
		{"before a stream", "POST", "/graphql", ok, []string{asJSON, "Accept: application/json, text/event-stream"}, 200, "application/json", ""},
		{"a stream only if q allows", "POST", "/graphql", ok, []string{asJSON, "Accept: text/event-stream;q=0, application/*"}, 200, "application/json", ""},
		{"html", "POST", "/graphql", ok, []string{asJSON, "Accept: text/html"}, 406, "application/json", "BAD_USER_INPUT"},
		{"another encoding", "POST", "/graphql", ok, []string{asJSON, "Accept: application/json; charset=latin1"}, 406, "application/json", "BAD_USER_INPUT"},
		{"all refused", "POST", "/graphql", ok, []string{asJSON, "Accept: application/json;q=0, application/graphql-response+json;q=0"}, 406, "application/json", "BAD_USER_INPUT"},
		{"not JSON by type", "POST", "/graphql", ok, []string{"Content-Type: text/plain", preflight}, 415, "application/json", "BAD_USER_INPUT"},
		{"no type", "POST", "/graphql", ok, []string{preflight}, 415, "application/json", "BAD_USER_INPUT"},
		{"latin1", "POST", "/graphql", ok, []string{"Content-Type: application/json; charset=latin1"}, 415, "application/json", "BAD_USER_INPUT"},
		{"compressed", "POST", "/graphql", ok, []string{asJSON, "Content-Encoding: gzip"}, 415, "application/json", "BAD_USER_INPUT"},
		{"a simple request of a foreign page", "POST", "/graphql", ok, []string{"Content-Type: text/plain"}, 403, "application/json", "FORBIDDEN"},
		{"a GET of a foreign page", "GET", "/graphql?query={__typename}", "", nil, 403, "application/json", "FORBIDDEN"},
		{"put", "PUT", "/graphql", ok, []string{asJSON}, 405, "application/json", "BAD_USER_INPUT"},
		{"too large", "POST", "/graphql", `{"query":"{ __typename #` + strings.Repeat("x", 1024) + `"}`, []string{asJSON}, 413, "application/json", "BAD_USER_INPUT"},
		{"no body", "POST", "/graphql", "", []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"a batch", "POST", "/graphql", "[" + ok + "]", []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"no query", "POST", "/graphql", `{"variables":{}}`, []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"null", "POST", "/graphql", `null`, []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"two values", "POST", "/graphql", ok + ok, []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"a number as query", "POST", "/graphql", `{"query":1}`, []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"text as variables", "POST", "/graphql", `{"query":"{ __typename }","variables":"x"}`, []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"not UTF-8", "POST", "/graphql", "{\"query\":\"{ __typename }\xff\"}", []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"unparsable", "POST", "/graphql", `{"query":"{"}`, []string{asJSON, acceptGraphQL}, 400, "application/graphql-response+json", "GRAPHQL_PARSE_FAILED"},
		{"unparsable, old type", "POST", "/graphql", `{"query":"{"}`, []string{asJSON}, 200, "application/json", "GRAPHQL_PARSE_FAILED"},
		{"invalid", "POST", "/graphql", `{"query":"{ nothing }"}`, []string{asJSON, acceptGraphQL}, 400, "application/graphql-response+json", "GRAPHQL_VALIDATION_FAILED"},
		{"no such operation", "POST", "/graphql", `{"query":"query A { __typename }","operationName":"B"}`, []string{asJSON, acceptGraphQL}, 400, "application/graphql-response+json", "GRAPHQL_VALIDATION_FAILED"},
		{"a missing variable", "POST", "/graphql", `{"query":"query($id: ID!) { user(id: $id) { id } }"}`, []string{asJSON, acceptGraphQL}, 400, "application/graphql-response+json", "GRAPHQL_VALIDATION_FAILED"},
		{"a subscription", "POST", "/graphql", `{"query":"subscription { events { cursor } }"}`, []string{asJSON}, 400, "application/json", "BAD_USER_INPUT"},
		{"a failed field", "POST", "/graphql", `{"query":"{ sessions { nodes { id } } }"}`, []string{asJSON, acceptGraphQL}, 200, "application/graphql-response+json", "UNAUTHENTICATED"},
		{"GET", "GET", "/graphql?query={__typename}", "", []string{preflight}, 200, "application/json", ""},
		{"GET with variables", "GET", `/graphql?query=query($s:String!){users(search:$s){nodes{id}}}&variables={"s":"a"}`, "", []string{preflight}, 200, "application/json", ""},
		{"GET without a query", "GET", "/graphql", "", []string{preflight}, 400, "application/json", "BAD_USER_INPUT"},
		{"GET with bad variables", "GET", "/graphql?query={__typename}&variables=[1]", "", []string{preflight}, 400, "application/json", "BAD_USER_INPUT"},
		{"GET of a mutation", "GET", "/graphql?query=mutation{__typename}", "", []string{preflight}, 405, "application/json", "BAD_USER_INPUT"},
		{"GET of a subscription", "GET", "/graphql?query=subscription{events{cursor}}", "", []string{preflight}, 400, "application/json", "BAD_USER_INPUT"},
		{"a panic", "POST", "/graphql", `{"query":"{ user(id: \"x\") { id } }"}`, []string{asJSON}, 500, "application/json", "INTERNAL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := call(h, tt.method, strings.ReplaceAll(tt.path, `"`, "%22"), tt.body, tt.headers...)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != tt.mediaType+"; charset=utf-8" {
				t.Errorf("type %q, want %q", got, tt.mediaType)
			}
			if got := mustReply(t, w).code(); got != tt.code {
				t.Errorf("code %q, want %q: %s", got, tt.code, w.Body)
			}
			if refused := tt.code != "" && tt.name != "a failed field"; refused == strings.Contains(w.Body.String(), `"data"`) {
				t.Errorf("data must be there exactly if something was executed: %s", w.Body)
			}
			if strings.Contains(w.Body.String(), "secret detail") {
				t.Error("a panic's detail was shown")
			}
		})
	}
}

func TestRefusalsNameTheMethodAllowed(t *testing.T) {
	t.Parallel()
	h := mustHandler(t)
	if got := call(h, "GET", "/graphql?query=mutation{__typename}", "", preflight).Header().Get("Allow"); got != "POST" {
		t.Errorf("Allow: %q for a mutation by GET", got)
	}
	if got := call(h, "DELETE", "/graphql", "", asJSON).Header().Get("Allow"); got != "GET, POST" {
		t.Errorf("Allow: %q for DELETE", got)
	}
}

func TestUndecodableBodyIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := call(mustHandler(t), "POST", "/graphql", `{"query":"mutation { signIn }","password":hunter22`, asJSON)
	if w.Code != 400 || strings.Contains(w.Body.String(), "hunter22") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOtherTransportsAreLeftAlone(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]http.Header{
		"upgrade": {"Upgrade": {"websocket"}},
		"stream":  {"Accept": {"text/event-stream"}},
		"mixed":   {"Accept": {"application/json;q=0.4, text/event-stream"}},
	} {
		if (httpapi.Transport{}).Supports(&http.Request{Method: http.MethodPost, Header: headers}) {
			t.Errorf("%s: supported", name)
		}
	}
}

func TestPersistedQueries(t *testing.T) {
	t.Parallel()
	h := mustHandler(t)
	const query = "query Persisted { __typename }"
	sum := sha256.Sum256([]byte(query))
	send := func(query, hash string, version int) (int, reply) {
		body := fmt.Sprintf(`{"query":%q,"extensions":{"persistedQuery":{"version":%d,"sha256Hash":%q}}}`, query, version, hash)
		w := call(h, "POST", "/graphql", body, asJSON, acceptGraphQL)
		return w.Code, mustReply(t, w)
	}
	hash := hex.EncodeToString(sum[:])

	if status, r := send("", hash, 1); status != 200 || r.code() != "PERSISTED_QUERY_NOT_FOUND" || r.Errors[0].Message != "PersistedQueryNotFound" {
		t.Errorf("unknown: %d %+v", status, r)
	}
	if status, r := send("{ __typename me { id } }", hash, 1); status != 400 || r.code() != "BAD_USER_INPUT" {
		t.Errorf("wrong hash: %d %+v", status, r)
	}
	if status, r := send(query, hash, 2); status != 400 || r.code() != "BAD_USER_INPUT" {
		t.Errorf("version: %d %+v", status, r)
	}
	if status, r := send(query, hash, 1); status != 200 || r.code() != "" {
		t.Errorf("first: %d %+v", status, r)
	}
	if status, r := send("", hash, 1); status != 200 || r.Data["__typename"] != "Query" {
		t.Errorf("again: %d %+v", status, r)
	}
}
