package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/webhook"
)

// automaton is a bot with a key.
type automaton struct {
	*client.Client
	id, key, name string
}

func mustBot(tb testing.TB, owner *client.Account, name string, scopes ...chat.Scope) automaton {
	tb.Helper()
	var made struct {
		CreateBot struct {
			Bot struct{ User struct{ ID string } }
		}
	}
	testkit.MustDo(tb, owner.Client, `mutation($n: String!) { createBot(input: {username: $n, displayName: "Robot"}) { bot { user { id } } } }`, client.Vars{"n": name}, &made)
	p := automaton{id: made.CreateBot.Bot.User.ID, name: name}
	var key struct {
		CreateAPIKey struct {
			Secret string
			APIKey struct{ ID string }
		}
	}
	testkit.MustDo(tb, owner.Client, `mutation($b: ID!, $s: [ApiScope!]!) { createApiKey(input: {botId: $b, name: "Key", scopes: $s}) { secret apiKey { id } } }`,
		client.Vars{"b": p.id, "s": scopes}, &key)
	p.key, p.Client = key.CreateAPIKey.APIKey.ID, &client.Client{URL: owner.URL, Token: key.CreateAPIKey.Secret, HTTP: owner.HTTP}
	return p
}

func mustAdd(tb testing.TB, owner *client.Account, group string, p automaton) {
	tb.Helper()
	testkit.MustDo(tb, owner.Client, `mutation($g: ID!, $b: ID!) { addMembers(input: {conversationId: $g, userIds: [$b]}) { cursor } }`, client.Vars{"g": group, "b": p.id}, nil)
}

const sendText = `mutation($c: ID!, $k: String!) { sendMessage(input: {conversationId: $c, body: "Beep.", clientKey: $k}) { cursor message { id seq } } }`

// TestBots: a program does with a key what its scopes allow, over HTTP and sockets; nobody signs in as it.
func TestBots(t *testing.T) {
	t.Parallel()
	testkit.Apps(t, func(t *testing.T, a *app.App) {
		ann := mustMeet(t, a.URL(), 1)[0]
		group := mustCreateGroup(t, ann)
		robot, mute := mustBot(t, ann, "robot", chat.ScopeRead, chat.ScopeMessagesSend), mustBot(t, ann, "reader", chat.ScopeRead)
		for _, p := range []automaton{robot, mute} {
			mustAdd(t, ann, group, p)
		}
		var me struct {
			Me struct {
				ID, Relationship string
				Bot              bool
			}
			Friends struct {
				Nodes []struct {
					User struct {
						ID  string
						Bot bool
					}
				}
			}
			Conversations struct{ Nodes []struct{ ID string } }
		}
		testkit.MustDo(t, robot.Client, `{ me { id bot relationship } friends { nodes { user { id bot } } } conversations { nodes { id } } }`, nil, &me)
		if me.Me.ID != robot.id || !me.Me.Bot || len(me.Friends.Nodes) != 1 || me.Friends.Nodes[0].User.ID != ann.ID || me.Friends.Nodes[0].User.Bot || len(me.Conversations.Nodes) != 2 {
			t.Errorf("%+v", me)
		}
		socket, err := robot.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		heard, err := socket.Subscribe(`subscription($c: ID!) { messageAdded(conversationId: $c) { __typename ... on MessageAdded { message { body sender { bot } } actor { bot } } } }`, client.Vars{"c": group}, 100)
		if err != nil {
			t.Fatal(err)
		}
		type event struct {
			MessageAdded struct {
				Typename string `json:"__typename"`
				Message  struct {
					Body   string
					Sender struct{ Bot bool }
				}
				Actor struct{ Bot bool }
			}
		}
		next := func() (e event) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := heard.Next(ctx, &e); err != nil {
				t.Fatal(err)
			}
			return e
		}
		next() // CaughtUp
		testkit.MustDo(t, robot.Client, sendText, client.Vars{"c": group, "k": "1"}, nil)
		if e := next().MessageAdded; e.Message.Body != "Beep." || !e.Message.Sender.Bot || !e.Actor.Bot {
			t.Errorf("%+v", e)
		}
		for q, p := range map[string]automaton{
			sendText: mute, `mutation { updateProfile(input: {bio: "x"}) { cursor } }`: robot, `mutation { signOut { cursor } }`: robot,
			`{ sessions { nodes { id } } }`: robot, `{ bots { nodes { user { id } } } }`: mute, `{ account { email } }`: mute,
		} {
			err := p.Do(t.Context(), q, client.Vars{"c": group, "k": "2"}, nil)
			if client.Code(err) != "FORBIDDEN" || q == sendText && !strings.Contains(err.Error(), "MESSAGES_SEND") {
				t.Errorf("%s: %v", q, err)
			}
			// On the socket, too.
			s, err := socket.Subscribe(q, client.Vars{"c": group, "k": "3"}, 1)
			if err == nil && p.id == robot.id {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if err := s.Next(ctx, nil); client.Code(err) != "FORBIDDEN" {
					t.Errorf("on a socket, %s: %v", q, err)
				}
				cancel()
			}
		}
		for _, word := range []string{"", "robot", "password", robot.Token} {
			err := (&client.Client{URL: a.URL()}).Do(t.Context(), `mutation($p: String!) { signIn(input: {username: "robot", password: $p}) { cursor } }`, client.Vars{"p": word}, nil)
			if client.Code(err) != "UNAUTHENTICATED" {
				t.Errorf("signs in as a bot with %q: %v", word, err)
			}
		}
		// Keys are for GraphQL alone.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/admin/jobs/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+robot.Token)
		resp, err := mustHTTP(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Error("a key opens the operators' pages:", resp.StatusCode)
		}
	})
}

// TestWebhooksOverHTTP: what is posted is said once, as the bot; whatever is refused is told in JSON with a code; and the key
// stands in no log.
func TestWebhooksOverHTTP(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, database string) {
		var log syncBuffer
		a, err := app.Start(context.Background(), testkit.MustConfig(t, database, "--log-level", "debug"), obs.NewLogger(&log, "debug"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Stop)
		people := mustMeet(t, a.URL(), 2)
		ann, bob := people[0], people[1]
		group := mustCreateGroup(t, ann, bob)
		robot := mustBot(t, ann, "robot", chat.ScopeRead)
		mustAdd(t, ann, group, robot)
		create := func(secret *string) (id, address string) {
			var out struct {
				CreateIncomingWebhook struct {
					URL     string
					Webhook struct{ ID string }
				}
			}
			testkit.MustDo(t, ann.Client, `mutation($c: ID!, $b: ID!, $s: String) { createIncomingWebhook(input: {conversationId: $c, botId: $b, name: "Hook", signingSecret: $s}) { url webhook { id } } }`,
				client.Vars{"c": group, "b": robot.id, "s": secret}, &out)
			return out.CreateIncomingWebhook.Webhook.ID, out.CreateIncomingWebhook.URL
		}
		id, address := create(nil)
		post := func(address, kind, body string, header ...string) (int, map[string]any) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", kind)
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			resp, err := mustHTTP(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			var out map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
				t.Error(err)
			}
			return resp.StatusCode, out
		}
		code := func(out map[string]any) any {
			e, _ := out["error"].(map[string]any)
			return e["code"]
		}
		const js = "application/json"
		status, first := post(address, js, `{"text": "The build is broken."}`, "Idempotency-Key", "build-1")
		if status != 200 || first["seq"] != 1. || !strings.HasPrefix(first["messageId"].(string), "msg_") || first["cursor"] == "" {
			t.Fatal(status, first)
		}
		if status, again := post(address, js, `{"text": "The build is broken."}`, "Webhook-Id", "build-1"); status != 200 || again["messageId"] != first["messageId"] || again["cursor"] != first["cursor"] {
			t.Error(status, again)
		}
		for body, kind := range map[string]string{"text=Form+and&more": "application/x-www-form-urlencoded", "Plain and more": "text/plain; charset=utf-8", `{"text":"No type"}`: ""} {
			if status, out := post(address, kind, body); status != 200 {
				t.Error(kind, status, out)
			}
		}
		unknown := address[:len(address)-1] + "!"
		for name, c := range map[string]struct {
			address, kind, body string
			header              []string
			status              int
			code                string
		}{
			"another text":    {address, js, `{"text": "It works."}`, []string{"Idempotency-Key", "build-1"}, 409, "CONFLICT"},
			"no text":         {address, js, `{"body": "x"}`, nil, 400, "BAD_USER_INPUT"},
			"not JSON":        {address, js, `text`, nil, 400, "BAD_USER_INPUT"},
			"nothing said":    {address, js, `{"text": " "}`, nil, 400, "BAD_USER_INPUT"},
			"too long":        {address, "text/plain", strings.Repeat("x", 4001), nil, 400, "BAD_USER_INPUT"},
			"too large":       {address, "text/plain", strings.Repeat("x", 65<<10), nil, 413, "BAD_USER_INPUT"},
			"another type":    {address, "application/xml", `<text/>`, nil, 415, "BAD_USER_INPUT"},
			"another charset": {address, "text/plain; charset=latin1", `x`, nil, 415, "BAD_USER_INPUT"},
			"a long key":      {address, js, `{"text": "x"}`, []string{"Idempotency-Key", strings.Repeat("k", 257)}, 400, "BAD_USER_INPUT"},
			"another key":     {unknown, js, `{"text": "x"}`, nil, 404, "NOT_FOUND"},
			"no key":          {a.URL() + "/hooks/", js, `{"text": "x"}`, nil, 404, "NOT_FOUND"},
			"a longer path":   {address + "/x", js, `{"text": "x"}`, nil, 404, "NOT_FOUND"},
		} {
			if status, out := post(c.address, c.kind, c.body, c.header...); status != c.status || code(out) != c.code {
				t.Errorf("%s: %d %v", name, status, out)
			}
		}

		// One that is signed.
		secret := webhook.NewSecret()
		text := secret.Text()
		signedID, signed := create(&text)
		const said = `{"text": "Signed."}`
		if status, out := post(signed, js, said); status != 401 || code(out) != "UNAUTHENTICATED" {
			t.Error("unsigned:", status, out)
		}
		sign := func(with webhook.Secret, at time.Time) []string {
			h := http.Header{}
			if err := webhook.Sign(h, "evt_1", at, []byte(said), with); err != nil {
				t.Fatal(err)
			}
			return []string{"Webhook-Id", h.Get("Webhook-Id"), "Webhook-Timestamp", h.Get("Webhook-Timestamp"), "Webhook-Signature", h.Get("Webhook-Signature"), "Idempotency-Key", "of no account"}
		}
		status, out := post(signed, js, said, sign(secret, time.Now())...)
		if status != 200 {
			t.Error(status, out)
		}
		if _, again := post(signed, js, said, sign(secret, time.Now().Add(-time.Minute))...); again["messageId"] != out["messageId"] {
			t.Error("said twice:", out, again)
		}
		for _, h := range [][]string{sign(webhook.NewSecret(), time.Now()), sign(secret, time.Now().Add(-time.Hour))} {
			if status, out := post(signed, js, said, h...); status != 401 || code(out) != "UNAUTHENTICATED" {
				t.Error(status, out)
			}
		}

		// Who sees them, and who may end them: an admin, and nobody who is none any more.
		hooks := func(c *client.Client) int {
			var out struct {
				Conversation struct{ IncomingWebhooks []struct{ ID string } }
			}
			testkit.MustDo(t, c, `query($c: ID!) { conversation(id: $c) { incomingWebhooks { id name bot { bot } } } }`, client.Vars{"c": group}, &out)
			return len(out.Conversation.IncomingWebhooks)
		}
		role := func(r string) {
			testkit.MustDo(t, ann.Client, `mutation($c: ID!, $u: ID!, $r: Role!) { setMemberRole(input: {conversationId: $c, userId: $u, role: $r}) { cursor } }`, client.Vars{"c": group, "u": bob.ID, "r": r}, nil)
		}
		end := func(id string) string {
			return client.Code(bob.Do(t.Context(), `mutation($w: ID!) { deleteIncomingWebhook(input: {webhookId: $w}) { cursor } }`, client.Vars{"w": id}, nil))
		}
		if hooks(ann.Client) != 2 || hooks(bob.Client) != 0 || hooks(robot.Client) != 0 || end(id) != "NOT_FOUND" {
			t.Error("a member")
		}
		role("ADMIN")
		if hooks(bob.Client) != 2 || end(id) != "" {
			t.Error("an admin")
		}
		role("MEMBER")
		if hooks(bob.Client) != 0 || end(signedID) != "NOT_FOUND" {
			t.Error("somebody who was an admin")
		}
		_, missing := post(unknown, js, `{"text": "x"}`)
		if status, gone := post(address, js, `{"text": "x"}`); status != 404 || fmt.Sprint(gone) != fmt.Sprint(missing) {
			t.Error(status, gone)
		}

		key, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		secretPart := strings.TrimPrefix(key.Path, "/hooks/")[31:]
		if lines := log.String(); strings.Contains(lines, secretPart) || strings.Contains(lines, robot.Token[30:]) || !strings.Contains(lines, "/hooks/") {
			t.Error("the log tells a key, or nothing of webhooks")
		}
		mustCheck(t, testkit.MustOpenStore(t, database))
	})
}

// syncBuffer is a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestKeysEndEverywhere: what is connected with a key on one node is closed when it ends on another, with and without NATS.
func TestKeysEndEverywhere(t *testing.T) { //nolint:paralleltest // it measures time
	for name, within := range map[string]time.Duration{"NATS up": time.Second, "NATS down": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			nats := testkit.MustNATS(t)
			c := testkit.MustCluster(t, nats, 2)
			mustConnect(t, c.Nodes...)
			ann := mustMeet(t, c.Nodes[0].URL(), 1)[0]
			if name == "NATS down" {
				nats.Stop()
			}
			i := 0
			for what, end := range map[string]func(p automaton) error{
				"revokeApiKey": func(p automaton) error {
					return ann.Do(t.Context(), `mutation($k: ID!) { revokeApiKey(input: {keyId: $k}) { cursor } }`, client.Vars{"k": p.key}, nil)
				},
				"rotateApiKey": func(p automaton) error {
					return ann.Do(t.Context(), `mutation($k: ID!) { rotateApiKey(input: {keyId: $k}) { cursor } }`, client.Vars{"k": p.key}, nil)
				},
				"deleteBot": func(p automaton) error {
					return ann.Do(t.Context(), `mutation($b: ID!) { deleteBot(input: {botId: $b}) { cursor } }`, client.Vars{"b": p.id}, nil)
				},
			} {
				i++
				p := mustBot(t, ann, fmt.Sprint("robot-", i), chat.ScopeRead, chat.ScopeMessagesSend)
				far := &client.Client{URL: c.Nodes[1].URL(), Token: p.Token, HTTP: ann.HTTP}
				eventually(t, func() error { return far.Do(t.Context(), `{ conversations { nodes { id } } }`, nil, nil) })
				socket, err := far.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				feed, err := socket.Subscribe(`subscription { events { __typename } }`, nil, 100)
				if err != nil {
					t.Fatal(err)
				}
				stream := mustStream(t, far)
				if err := end(p); err != nil {
					t.Fatal(what, err)
				}
				limit := time.Now().Add(within)
				ctx, cancel := context.WithDeadline(t.Context(), limit.Add(patience))
				for err = nil; err == nil; err = feed.Next(ctx, nil) {
				}
				cancel()
				if client.CloseCode(err) != 4401 {
					t.Errorf("%s: the socket ends with %v", what, err)
				}
				if _, err := io.Copy(io.Discard, stream); err != nil && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
					t.Errorf("%s: the stream ends with %v", what, err)
				}
				if late := time.Since(limit); late > 0 {
					t.Errorf("%s: %v late", what, late)
				}
				socket.Close()
				for _, node := range c.Nodes {
					at := &client.Client{URL: node.URL(), Token: p.Token, HTTP: ann.HTTP}
					if code := client.Code(at.Do(t.Context(), `{ conversations { nodes { id } } }`, nil, nil)); code != "UNAUTHENTICATED" {
						t.Errorf("%s: a node says %q", what, code)
					}
					if s, err := at.Dial(t.Context()); err == nil {
						s.Close()
						t.Errorf("%s: a socket is opened", what)
					}
				}
			}
		})
	}
}

// mustStream opens a subscription over Server-Sent Events, up to its first event.
func mustStream(t *testing.T, c *client.Client) io.Reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+"/graphql", strings.NewReader(`{"query": "subscription { events { __typename } }"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := mustHTTP(t).Do(r) //nolint:bodyclose // closed below
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "data: {") {
			return lines
		}
	}
}
