package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/transport/httpapi"
)

func TestWhoMakesTheRequest(t *testing.T) {
	t.Parallel()
	h := mustHandler(t, "--origins=https://app.example.org", "--public-url=https://chat.example.org", "--env=production", "--secret="+signingKey)
	const cookie, refresh = "Cookie: parley_access=good", "Cookie: parley_refresh=r"
	tests := []struct {
		name    string
		headers []string // the one of the token first
		signed  bool
		refused bool
		refresh string
	}{
		{"nobody", nil, false, false, ""},
		{"a token", []string{"Authorization: Bearer good"}, true, false, ""},
		{"a token, lower case", []string{"Authorization: bearer  good"}, true, false, ""},
		{"a bad token", []string{"Authorization: Bearer bad"}, false, true, ""},
		{"another scheme", []string{"Authorization: Basic good"}, false, true, ""},
		{"no token after Bearer", []string{"Authorization: Bearer"}, false, true, ""},
		{"a cookie", []string{cookie}, true, false, ""},
		{"both cookies", []string{"Cookie: parley_access=good; parley_refresh=r"}, true, false, "r"},
		{"a bad cookie", []string{"Cookie: parley_access=bad", refresh}, false, true, "r"},
		{"the header wins", []string{"Authorization: Bearer bad", cookie}, false, true, ""},
		{"a cookie from our own page", []string{cookie, "Origin: https://example.com"}, true, false, ""},
		{"a cookie from the public address", []string{cookie, "Origin: https://chat.example.org"}, true, false, ""},
		{"a cookie from a listed page", []string{cookie, "Origin: https://App.Example.org"}, true, false, ""},
		{"a cookie from a foreign page", []string{cookie, refresh, "Origin: https://evil.example.net"}, false, false, ""},
		{"a cookie from a longer name", []string{cookie, "Origin: https://app.example.org.evil.net"}, false, false, ""},
		{"a cookie from a sandbox", []string{cookie, "Origin: null"}, false, false, ""},
		{"a cookie from localhost in production", []string{cookie, "Origin: http://localhost:3000"}, false, false, ""},
		{"a token from a foreign page", []string{"Authorization: Bearer good", "Origin: https://evil.example.net"}, true, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := mustReply(t, post(h, "{ me { id } cursor }", tt.headers...))
			if got := r.Data["me"] == session.String(); got != tt.signed {
				t.Errorf("signed in: %v (%v)", got, r.Data["me"])
			}
			carrier, ok := r.Data["cursor"].([]any)
			header := len(tt.headers) > 0 && strings.HasPrefix(tt.headers[0], "Authorization:")
			if !ok || carrier[2] != tt.refresh || carrier[3] != tt.refused || carrier[5] != header {
				t.Errorf("carrier %v", carrier)
			}
		})
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	for _, production := range []bool{false, true} {
		flags := []string{"--env=development"}
		if production {
			flags = []string{"--env=production", "--secret=" + signingKey}
		}
		h := mustHandler(t, flags...)
		set := post(h, "mutation { refreshSession { cursor } }").Result().Cookies()
		cleared := post(h, "mutation { signOut { cursor } }").Result().Cookies()
		for i, name := range []string{"parley_access", "parley_refresh"} {
			for _, cookies := range [][]*http.Cookie{set, cleared} {
				if len(cookies) != 4 {
					t.Fatalf("cookies %v", cookies)
				}
				for i, path := range []string{"/files", "/admin"} {
					c := cookies[1+i]
					if c.Path != path || c.Name != "parley_access" || c.Value != cookies[0].Value || !c.HttpOnly || c.Secure != production {
						t.Fatalf("cookies %v", cookies)
					}
				}
				c := cookies[3*i]
				if c.Name != name || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/graphql" || c.Secure != production {
					t.Errorf("%v", c)
				}
			}
			if set, cleared := set[3*i], cleared[3*i]; set.Value == "" || set.Expires.IsZero() || cleared.Value != "" || cleared.MaxAge >= 0 {
				t.Errorf("set %v, cleared %v", set, cleared)
			}
		}
		foreign := post(h, "mutation { refreshSession { cursor } }", "Origin: https://evil.example.net")
		if len(foreign.Result().Cookies()) != 0 || mustReply(t, foreign).Data["refreshSession"] != false {
			t.Error("a foreign page was given cookies")
		}
	}
}

func TestOnlyOwnPagesOpenSockets(t *testing.T) {
	t.Parallel()
	c := mustConfig(t, "--origins=https://app.example.org")
	reached := func(http.ResponseWriter) {}
	c.Transports = []graphql.Transport{transport{supports: func(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }, do: reached}}
	h := mustNew(t, c)
	for origin, status := range map[string]int{
		"":                              200,
		"https://app.example.org":       200,
		"http://example.com":            200,
		"http://localhost:5173":         200,
		"http://127.0.0.1:5173":         200,
		"http://[::1]:5173":             200,
		"https://evil.example.net":      403,
		"https://localhost.example.net": 403,
		"file://localhost":              403,
		"null":                          403,
	} {
		if got := call(h, "GET", "/graphql", "", "Upgrade: websocket", "Connection: Upgrade", "Origin: "+origin).Code; got != status {
			t.Errorf("%q: %d, want %d", origin, got, status)
		}
	}
}

func TestForeignPagesCannotSendRequests(t *testing.T) {
	t.Parallel()
	h := mustHandler(t, "--origins=https://app.example.org")
	for header, status := range map[string]int{
		"X-Nothing: 1":                           403,
		"Apollo-Require-Preflight: ":             403,
		"Apollo-Require-Preflight: 1":            200,
		"X-Apollo-Operation-Name: Q":             200,
		asJSON:                                   200,
		"Content-Type: application/JSON ; a=b":   200,
		"Content-Type: application/jsonp":        403,
		"Sec-Fetch-Site: same-origin":            200,
		"Sec-Fetch-Site: cross-site":             403,
		"Origin: https://app.example.org":        200,
		"Origin: https://evil.example.net":       403,
		"Content-Type: multipart/form-data; b=c": 403,
	} {
		if got := call(h, "GET", "/graphql?query={__typename}", "", header).Code; got != status {
			t.Errorf("%s: %d, want %d", header, got, status)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	h := mustHandler(t, "--origins=https://app.example.org")
	ask := func(origin string) http.Header {
		return call(h, "OPTIONS", "/graphql", "", "Origin: "+origin, "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: authorization,content-type").Result().Header
	}
	good := ask("https://app.example.org")
	if good.Get("Access-Control-Allow-Origin") != "https://app.example.org" || good.Get("Access-Control-Allow-Credentials") != "true" ||
		!strings.Contains(good.Get("Access-Control-Allow-Headers"), "authorization") {
		t.Errorf("listed: %v", good)
	}
	if bad := ask("https://evil.example.net"); bad.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("foreign: %v", bad)
	}
	w := post(h, "{ __typename }", "Origin: https://app.example.org")
	if w.Header().Get("Access-Control-Allow-Origin") == "" || !slices.Contains(w.Header().Values("Vary"), "Origin") {
		t.Errorf("answer: %v", w.Header())
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ proxies, forwarded, want string }{
		{"", "198.51.100.7", "192.0.2.1"},
		{"192.0.2.0/24", "198.51.100.7", "198.51.100.7"},
		{"192.0.2.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"},
		{"192.0.2.1,10.0.0.0/8", "198.51.100.7, 10.1.2.3", "198.51.100.7"},
		{"192.0.2.1", "198.51.100.7, nonsense", "192.0.2.1"},
		{"192.0.2.1", "::ffff:198.51.100.7", "198.51.100.7"},
		{"192.0.2.1", "", "192.0.2.1"},
		{"10.0.0.1", "198.51.100.7", "192.0.2.1"},
	} {
		r := mustReply(t, post(mustHandler(t, "--trusted-proxies="+tt.proxies), "{ cursor }", "X-Forwarded-For: "+tt.forwarded, "User-Agent: test"))
		if c, ok := r.Data["cursor"].([]any); !ok || c[0] != tt.want || c[1] != "test" {
			t.Errorf("%+v: %v", tt, r.Data)
		}
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	h := mustHandler(t)
	const long = `{ users(search: "a") { nodes { id } } }`
	w := post(h, long, "Accept-Encoding: br, gzip;q=0.8")
	if w.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %v", w.Header())
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || string(text) != post(h, long).Body.String() {
		t.Errorf("%v %s", err, text)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"short":    post(h, "{ __typename }", "Accept-Encoding: gzip"),
		"refused":  post(h, long, "Accept-Encoding: gzip;q=0"),
		"not gzip": post(h, long, "Accept-Encoding: br"),
	} {
		if w.Header().Get("Content-Encoding") != "" || !strings.HasPrefix(w.Body.String(), "{") {
			t.Errorf("%s was compressed", name)
		}
	}
}

func TestSocketsAndStreamsReachTheConnection(t *testing.T) {
	t.Parallel()
	c := mustConfig(t)
	c.Transports = []graphql.Transport{transport{
		supports: func(r *http.Request) bool { return r.Header.Get("Upgrade") != "" },
		do: func(w http.ResponseWriter) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_ = conn.Close()
		},
	}, transport{
		supports: func(r *http.Request) bool { return r.Header.Get("Accept") == "text/event-stream" },
		do: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ":\n\n")
			w.(http.Flusher).Flush()
		},
	}}
	srv := httptest.NewServer(mustNew(t, c))
	defer srv.Close()
	for header, status := range map[string]int{"Upgrade": 101, "Accept": 200} {
		r, err := http.NewRequest(http.MethodGet, srv.URL+"/graphql", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Apollo-Require-Preflight", "1")
		r.Header.Set("Accept-Encoding", "gzip")
		r.Header.Set(header, map[string]string{"Upgrade": "websocket", "Accept": "text/event-stream"}[header])
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", header, resp.StatusCode, resp.Header)
		}
	}
}

func TestRequestIDsAndLogs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := mustConfig(t)
	c.Log = obs.NewLogger(&out, "info")
	h := mustNew(t, c)

	w := post(h, `{ users(search: "needle") { nodes { id } } }`, "X-Request-Id: client-chosen-1", "Authorization: Bearer good")
	if w.Header().Get("X-Request-Id") != "client-chosen-1" {
		t.Errorf("id %q", w.Header().Get("X-Request-Id"))
	}
	for _, want := range []string{`"request":"client-chosen-1"`, `"path":"/graphql"`, `"status":200`, `"method":"POST"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in %s", want, out.String())
		}
	}
	call(h, "GET", "/graphql?query={__typename}&variables=needle", "", preflight)
	for _, secret := range []string{"needle", "good"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q was logged: %s", secret, out.String())
		}
	}
	for _, bad := range []string{"short", "with space in it", "line\tbreaks-in-it", strings.Repeat("x", 65)} {
		if id := post(h, "{ __typename }", "X-Request-Id: "+bad).Header().Get("X-Request-Id"); id == bad || len(id) < 8 {
			t.Errorf("id %q", id)
		}
	}
}

func TestPanicsInTransportsAreAnswered(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := mustConfig(t)
	c.Log = slog.New(slog.NewJSONHandler(&out, nil))
	c.GraphiQL = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("detail") })
	w := call(mustNew(t, c), "GET", "/graphiql/", "")
	if w.Code != 500 || mustReply(t, w).code() != "INTERNAL" || strings.Contains(w.Body.String(), "detail") || !strings.Contains(out.String(), "detail") {
		t.Errorf("%d %s, log %s", w.Code, w.Body, out.String())
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	production := []string{"--env=production", "--secret=" + signingKey}
	for _, tt := range []struct {
		flags  []string
		path   string
		status int
		body   string
	}{
		{nil, "/", 200, "the app has /"},
		{nil, "/conversations/x", 200, "the app has /conversations/x"},
		{nil, "/duo", 200, "the app has /duo"},
		{production, "/duo", 404, ""},
		{nil, "/graphiql", 307, ""},
		{nil, "/graphiql/", 200, "GraphiQL has /"},
		{nil, "/graphiql/main.js", 200, "GraphiQL has /main.js"},
		{nil, "/schema.graphql", 200, "type Query"},
		{nil, "/livez", 200, "ok"},
		{nil, "/readyz", 200, "ok"},
		{nil, "/metrics", 200, "go_goroutines"},
		{[]string{"--graphiql=false"}, "/graphiql/", 200, "the app has /graphiql/"},
		{production, "/", 200, "the app has /"},
		{production, "/graphiql/main.js", 200, "the app has /graphiql/main.js"},
		{production, "/metrics", 200, "the app has /metrics"},
		{production, "/livez", 200, "ok"},
		{append([]string{"--graphiql"}, production...), "/graphiql/", 200, "GraphiQL has /"},
	} {
		w := call(mustHandler(t, tt.flags...), "GET", tt.path, "")
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%v %s: %d %.80s", tt.flags, tt.path, w.Code, w.Body)
		}
	}
	if got := post(mustHandler(t), "{ __typename }").Header().Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options %q", got)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	c := mustConfig(t)
	c.Ready = func(context.Context) error { return errors.New("secret reason") }
	for _, h := range []http.Handler{mustNew(t, c), httpapi.Admin(c.Metrics, c.Ready)} {
		if w := call(h, "GET", "/readyz", ""); w.Code != 503 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("ready: %d %s", w.Code, w.Body)
		}
		if w := call(h, "GET", "/livez", ""); w.Code != 200 {
			t.Errorf("live: %d", w.Code)
		}
	}
}

func TestMetricsCountOperations(t *testing.T) {
	t.Parallel()
	c := mustConfig(t)
	h := mustNew(t, c)
	post(h, "query Mine { alias: me { id } }")
	post(h, "{ ...F } fragment F on Query { sessions { nodes { id } } }")
	post(h, "{ sessions { nodes { id } } }")
	post(h, "{ nothing }")
	out := call(httpapi.Admin(c.Metrics, c.Ready), "GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`parley_graphql_operation_duration_seconds_count{code="OK",field="me",kind="query"} 1`,
		`parley_graphql_operation_duration_seconds_count{code="UNAUTHENTICATED",field="sessions",kind="query"} 1`,
		`parley_graphql_operation_duration_seconds_count{code="GRAPHQL_VALIDATION_FAILED",field="none",kind="none"} 1`,
		`parley_http_request_duration_seconds_count{method="POST",route="/graphql",status="200"} 4`,
		`parley_http_requests_in_flight 0`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not counted", want)
		}
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*httpapi.Config){
		"Schema": func(c *httpapi.Config) { c.Schema = nil }, "Log": func(c *httpapi.Config) { c.Log = nil },
		"Authenticate": func(c *httpapi.Config) { c.Authenticate = nil }, "proxy": func(c *httpapi.Config) { c.Settings.TrustedProxies = []string{"x"} },
	} {
		c := mustConfig(t)
		spoil(&c)
		if _, err := httpapi.New(c); err == nil || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// transport stands in for those of sockets and streams.
type transport struct {
	supports func(*http.Request) bool
	do       func(http.ResponseWriter)
}

func (t transport) Supports(r *http.Request) bool { return t.supports(r) }

func (t transport) Do(w http.ResponseWriter, _ *http.Request, _ graphql.GraphExecutor) { t.do(w) }
