package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub executes the real schema's root fields without any service behind them: __typename is the root type, me is the
// viewer's session, cursor is what the carrier knows, refreshSession sets cookies, signOut clears them, user panics,
// users is longer than a kilobyte, everything else is null.
type stub struct {
	graphql.ExecutableSchema
	schema *ast.Schema
}

func (s stub) Schema() *ast.Schema { return s.schema }

func (s stub) Exec(context.Context) graphql.ResponseHandler {
	done := false
	return func(ctx context.Context) *graphql.Response {
		if done {
			return nil
		}
		done = true
		return answer(ctx)
	}
}

func answer(ctx context.Context) *graphql.Response {
	op := graphql.GetOperationContext(ctx)
	data := map[string]any{}
	for _, sel := range op.Operation.SelectionSet {
		f, ok := sel.(*ast.Field)
		if !ok {
			continue
		}
		var v any
		switch f.Name {
		case "__typename":
			v = strings.ToUpper(string(op.Operation.Operation[:1])) + string(op.Operation.Operation[1:])
		case "__schema":
			v = map[string]any{"off": op.DisableIntrospection}
		case "me":
			if viewer, ok := chat.ViewerFrom(ctx); ok {
				v = viewer.Session.String()
			}
		case "cursor":
			c := token.CarrierFrom(ctx)
			v = []any{c.Client.Addr, c.Client.UserAgent, c.RefreshToken, c.Refused != nil, c.Settable, c.Header}
		case "refreshSession":
			v = token.CarrierFrom(ctx).Set("new-access", "new-refresh", time.Now().Add(time.Minute), time.Now().Add(time.Hour))
		case "signOut":
			token.CarrierFrom(ctx).Clear()
		case "user":
			panic("secret detail")
		case "users":
			v = strings.Repeat("long ", 1000)
		case "sessions":
			graphql.AddError(ctx, chat.ErrUnauthenticated)
		}
		data[f.Alias] = v
	}
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return &graphql.Response{Data: raw}
}

func mustSchema(t testing.TB) *ast.Schema {
	t.Helper()
	names, err := filepath.Glob("../../../schema/*.graphqls")
	if err != nil || len(names) == 0 {
		t.Fatal("no schema", err)
	}
	sources := make([]*ast.Source, len(names))
	for i, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources[i] = &ast.Source{Name: name, Input: string(text)}
	}
	schema, err := gqlparser.LoadSchema(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

var session = chat.NewID(chat.KindSession)

func present(_ context.Context, err error) *gqlerror.Error {
	var theirs *gqlerror.Error
	if errors.As(err, &theirs) && theirs.Extensions["code"] != nil {
		return theirs
	}
	return &gqlerror.Error{Message: "hidden", Extensions: map[string]any{"code": string(chat.CodeOf(err))}}
}

// mustSettings parses settings as the program does.
func mustSettings(t testing.TB, flags ...string) config.Config {
	t.Helper()
	_, c, err := config.Parse(flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustConfig(t testing.TB, flags ...string) httpapi.Config {
	t.Helper()
	return httpapi.Config{
		Settings: mustSettings(t, flags...),
		Schema:   stub{schema: mustSchema(t)},
		SDL:      "type Query\n",
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Metrics:  obs.NewMetrics(),
		Authenticate: func(_ context.Context, access string) (chat.Viewer, time.Time, error) {
			if access != "good" {
				return chat.Viewer{}, time.Time{}, chat.ErrUnauthenticated
			}
			return chat.Viewer{User: chat.NewID(chat.KindUser), Session: session}, time.Now().Add(time.Minute), nil
		},
		Ready:   func(context.Context) error { return nil },
		Present: present,
		Recover: func(_ context.Context, _ any) error { return errors.New("panic") },
		GraphiQL: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "GraphiQL has "+r.URL.Path)
		}),
		App: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "the app has "+r.URL.Path)
		}),
	}
}

func mustHandler(t testing.TB, flags ...string) http.Handler {
	t.Helper()
	return mustNew(t, mustConfig(t, flags...))
}

func mustNew(t testing.TB, c httpapi.Config) http.Handler {
	t.Helper()
	h, err := httpapi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// call is one request: method, path and body, then headers as "Name: value".
func call(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Del("Content-Type")
	for _, kv := range headers {
		k, v, _ := strings.Cut(kv, ": ")
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Add(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// signingKey satisfies production.
const signingKey = "9fQ2vX7mLk4RtB8wZpN3cY6hJd5sGa1E"

const asJSON = "Content-Type: application/json"

func post(h http.Handler, query string, headers ...string) *httptest.ResponseRecorder {
	body, _ := json.Marshal(map[string]any{"query": query})
	return call(h, http.MethodPost, "/graphql", string(body), append([]string{asJSON}, headers...)...)
}

type reply struct {
	Data   map[string]any
	Errors []struct {
		Message    string
		Extensions map[string]any
	}
}

func (r reply) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	code, _ := r.Errors[0].Extensions["code"].(string)
	return code
}

func mustReply(t testing.TB, w *httptest.ResponseRecorder) (r reply) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return r
}
