package graph_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/graph"
	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/presence"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

// api executes operations as a client of the user resolvers would have them executed.
type api struct {
	*executor.Executor
	graph *graph.Resolver
}

func newAPI(t *testing.T, s *store.Store) api {
	t.Helper()
	tokens, err := token.New(token.Config{Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	r := &graph.Resolver{
		Users:   user.New(s, tokens, token.NewRevoked(tokens.AccessTTL(), nil), user.Config{SignInsPerUser: -1, SignInsPerAddr: -1}),
		Friends: friend.New(s, friend.Config{}), Presences: presence.New(s, presence.Config{}),
		Epoch: 7, Applied: func() chat.Position { return 0 },
	}
	return api{executor.New(generated.NewExecutableSchema(generated.Config{Resolvers: r})), r}
}

// do executes one operation and fails with its first error.
func (a api) do(ctx context.Context, query string, variables map[string]any) (map[string]any, error) {
	ctx = graphql.StartOperationTrace(a.graph.Begin(ctx))
	op, errs := a.CreateOperationContext(ctx, &graphql.RawParams{Query: query, Variables: variables, ReadTime: graphql.TraceTiming{Start: time.Now()}})
	if errs != nil {
		return nil, errs
	}
	next, ctx := a.DispatchOperation(ctx, op)
	res := next(ctx)
	if len(res.Errors) > 0 {
		return nil, errorOf(res.Errors)
	}
	var data map[string]map[string]any
	if err := json.Unmarshal(res.Data, &data); err != nil {
		return nil, err
	}
	for _, field := range data {
		return field, nil
	}
	return nil, nil
}

func errorOf(l gqlerror.List) error {
	if cause := l[0].Unwrap(); cause != nil {
		return cause
	}
	return l[0]
}

func overHTTP(t *testing.T, refresh string) (context.Context, *token.Carrier) {
	c := &token.Carrier{Client: token.Client{Addr: "192.0.2.7", UserAgent: "browser"}, RefreshToken: refresh, Settable: true}
	return token.WithCarrier(t.Context(), c), c
}

const payload = `{cursor user{id username relationship} session{id userAgent current} accessToken accessTokenExpiresAt refreshToken}`

func TestTokensInThePayload(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		a := newAPI(t, s)
		ctx, c := overHTTP(t, "")
		up, err := a.do(ctx, `mutation{signUp(input:{username:"Ada",password:"correct horse"})`+payload+`}`, nil)
		if err != nil {
			t.Fatal(err)
		}
		u, session := up["user"].(map[string]any), up["session"].(map[string]any)
		if u["username"] != "ada" || u["relationship"] != "SELF" || session["current"] != true || session["userAgent"] != "browser" || len(c.Cookies()) != 0 ||
			up["cursor"] != (chat.Cursor{Epoch: 7, Position: 1}).String() {
			t.Error(up, c.Cookies())
		}
		v, expires, err := a.graph.Users.Authenticate(ctx, up["accessToken"].(string))
		if err != nil || v.User.String() != u["id"] || v.Session.String() != session["id"] || expires.Format(time.RFC3339) != up["accessTokenExpiresAt"] {
			t.Error(v, expires, err)
		}
		// Without a carrier too: nothing but the payload can take tokens there.
		next, err := a.do(t.Context(), `mutation($t:String!){refreshSession(input:{refreshToken:$t})`+payload+`}`, map[string]any{"t": up["refreshToken"]})
		if err != nil || next["refreshToken"] == up["refreshToken"] || next["session"].(map[string]any)["id"] != session["id"] {
			t.Error(next, err)
		}
	})
}

func TestTokensInCookies(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		a := newAPI(t, s)
		ctx, c := overHTTP(t, "")
		up, err := a.do(ctx, `mutation{signUp(input:{username:"ada",password:"correct horse",cookie:true})`+payload+`}`, nil)
		if err != nil || up["accessToken"] != nil || up["refreshToken"] != nil {
			t.Fatal(up, err)
		}
		first := cookies(c)
		v, _, err := a.graph.Users.Authenticate(ctx, first[token.AccessCookie])
		if err != nil {
			t.Fatal(err)
		}

		other, err := a.graph.Users.SignIn(ctx, c.Client, "ada", "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		bearer, _, err := a.graph.Users.Authenticate(ctx, other.Access)
		if err != nil {
			t.Fatal(err)
		}
		ctx, c = overHTTP(t, first[token.RefreshCookie])
		c.Header = true
		if _, err := a.do(chat.WithViewer(ctx, bearer), `mutation{signOut{cursor}}`, nil); err != nil || len(c.Cookies()) != 0 {
			t.Error("a session that is not theirs cleared the cookies", c.Cookies(), err)
		}

		ctx, c = overHTTP(t, first[token.RefreshCookie])
		in, err := a.do(ctx, `mutation{refreshSession`+payload+`}`, nil)
		if err != nil || in["accessToken"] != nil || in["refreshToken"] != nil || cookies(c)[token.RefreshCookie] == first[token.RefreshCookie] {
			t.Fatal(in, err)
		}
		if _, err = a.do(chat.WithViewer(ctx, v), `mutation{signOut{cursor}}`, nil); err != nil {
			t.Fatal(err)
		}
		for _, k := range c.Cookies() {
			if k.MaxAge >= 0 {
				t.Error(k)
			}
		}
		// A refresh token that is worth nothing is cleared away.
		ctx, c = overHTTP(t, first[token.RefreshCookie])
		if _, err = a.do(ctx, `mutation{refreshSession`+payload+`}`, nil); chat.CodeOf(err) != chat.CodeUnauthenticated || len(c.Cookies()) != 2 {
			t.Error(c.Cookies(), err)
		}
	})
}

func cookies(c *token.Carrier) map[string]string {
	m := map[string]string{}
	for _, k := range c.Cookies() {
		if k.HttpOnly && k.SameSite != http.SameSiteNoneMode {
			m[k.Name] = k.Value
		}
	}
	return m
}

func TestCookiesThatCannotBeSet(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		a := newAPI(t, s)
		socket := token.WithCarrier(t.Context(), &token.Carrier{RefreshToken: "token"})
		for _, ctx := range []context.Context{t.Context(), socket} {
			for _, field := range []string{"signUp", "signIn"} {
				_, err := a.do(ctx, `mutation{`+field+`(input:{username:"ada",password:"correct horse",cookie:true})`+payload+`}`, nil)
				var e *chat.Error
				if !asError(err, &e) || e.Code != chat.CodeBadInput || strings.Join(e.Path, ".") != "input.cookie" {
					t.Error(field, err)
				}
			}
		}
		if h, err := s.Head(t.Context()); err != nil || h.Position != 0 {
			t.Error("somebody was signed up:", h, err)
		}
		if _, err := a.do(socket, `mutation{refreshSession`+payload+`}`, nil); chat.CodeOf(err) != chat.CodeBadInput {
			t.Error(err)
		}
		ctx, _ := overHTTP(t, "")
		for _, ctx := range []context.Context{t.Context(), ctx} {
			if _, err := a.do(ctx, `mutation{refreshSession`+payload+`}`, nil); chat.CodeOf(err) != chat.CodeUnauthenticated {
				t.Error(err)
			}
		}
	})
}

func asError(err error, to **chat.Error) bool {
	e, ok := err.(*chat.Error) //nolint:errorlint // as the resolver returned it
	*to = e
	return ok
}

func TestUserResolvers(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		a := newAPI(t, s)
		up := func(name string) (chat.Viewer, *user.SignedIn) {
			in, err := a.graph.Users.SignUp(t.Context(), token.Client{}, user.NewAccount{Username: name, Password: "correct horse"})
			if err != nil {
				t.Fatal(err)
			}
			return chat.Viewer{User: in.User.ID, Session: in.Session.ID}, in
		}
		v, ada := up("ada")
		_, eve := up("adele")
		me := chat.WithViewer(t.Context(), v)

		for _, q := range []string{
			`{user(id:"` + ada.User.ID.String() + `"){id}}`, `{users(search:"a"){nodes{id}}}`, `{sessions{nodes{id}}}`,
			`mutation{signOut{cursor}}`, `mutation{updateProfile(input:{bio:"x"}){cursor}}`,
			`mutation{changePassword(input:{currentPassword:"correct horse",newPassword:"battery staple"}){cursor}}`,
			`mutation{revokeSession(input:{sessionId:"` + ada.Session.ID.String() + `"}){cursor}}`,
		} {
			if _, err := a.do(t.Context(), q, nil); chat.CodeOf(err) != chat.CodeUnauthenticated {
				t.Error(q, err)
			}
		}
		if u, err := a.do(t.Context(), `{me{id}}`, nil); err != nil || u != nil {
			t.Error(u, err)
		}
		const fields = `{id relationship presence{status}}`
		u, err := a.do(me, `{me`+fields+`}`, nil)
		if err != nil || u["id"] != ada.User.ID.String() || u["relationship"] != "SELF" || u["presence"] == nil {
			t.Error(u, err)
		}
		u, err = a.do(me, `{user(id:"`+eve.User.ID.String()+`")`+fields+`}`, nil)
		if err != nil || u["id"] != eve.User.ID.String() || u["relationship"] != "NONE" || u["presence"] != nil {
			t.Error(u, err)
		}
		if _, err = a.do(me, `{user(id:"`+eve.Session.ID.String()+`"){id}}`, nil); chat.CodeOf(err) != chat.CodeNotFound {
			t.Error(err)
		}
		l, err := a.do(me, `{users(search:"AD",first:1){edges{cursor node{id}} nodes{username} pageInfo{hasNextPage endCursor}}}`, nil)
		if err != nil || l["nodes"].([]any)[0].(map[string]any)["username"] != "ada" || l["pageInfo"].(map[string]any)["hasNextPage"] != true {
			t.Error(l, err)
		}
		if _, err = a.do(me, `{users(search:"AD",first:0){nodes{id}}}`, nil); chat.CodeOf(err) != chat.CodeBadInput {
			t.Error(err)
		}
		if l, err = a.do(me, `{sessions{nodes{id current}}}`, nil); err != nil || l["nodes"].([]any)[0].(map[string]any)["current"] != true {
			t.Error(l, err)
		}
		p, err := a.do(me, `mutation{updateProfile(input:{displayName:"Ada L."}){cursor user{displayName}}}`, nil)
		if err != nil || p["user"].(map[string]any)["displayName"] != "Ada L." {
			t.Error(p, err)
		}
		p, err = a.do(me, `mutation{changePassword(input:{currentPassword:"correct horse",newPassword:"battery staple"}){user{id}}}`, nil)
		if err != nil || p["user"].(map[string]any)["id"] != ada.User.ID.String() {
			t.Error(p, err)
		}
		p, err = a.do(me, `mutation{revokeSession(input:{sessionId:"`+ada.Session.ID.String()+`"}){cursor sessionId}}`, nil)
		if err != nil || p["sessionId"] != ada.Session.ID.String() {
			t.Error(p, err)
		}
	})
}
