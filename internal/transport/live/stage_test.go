package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"go.uber.org/goleak"

	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/graph/model"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/socket"
	"github.com/parley-chat/parley/internal/transport/sse"
	"github.com/parley-chat/parley/internal/transport/ws"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

const epoch = 7

// memory is a log in memory that hands itself to the registry.
type memory struct {
	mu      sync.Mutex
	events  []*chat.Event
	applied chat.Position
	floor   chat.Position
	publish sync.Mutex
	live    *live.Live
	fail    atomic.Int32 // so many reads fail
}

func (m *memory) Epoch() chat.Epoch { return epoch }

func (m *memory) Applied() chat.Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied
}

func (m *memory) Read(_ context.Context, from chat.Position, spans []chat.Span, limit int) (events []*chat.Event, through chat.Position, err error) {
	if m.fail.Load() > 0 && m.fail.Add(-1) >= 0 {
		return nil, 0, errors.New("the database is away")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if from < m.floor {
		return nil, 0, chat.ErrCursorExpired
	}
	through = max(from, m.applied)
	for p := from + 1; p <= m.applied; p++ {
		e := m.events[p-1]
		for _, s := range spans {
			if s.Topic == e.Topic && s.Covers(p) {
				events = append(events, e)
				break
			}
		}
		if len(events) == limit {
			return events, p, nil
		}
	}
	return events, through, nil
}

func (m *memory) Reached(_ context.Context, p chat.Position) error {
	if p > m.Applied() {
		return chat.ErrInvalidCursor
	}
	return nil
}

// add appends events and lets them be applied as one batch.
func (m *memory) add(events ...*chat.Event) chat.Position {
	m.publish.Lock()
	defer m.publish.Unlock()
	m.mu.Lock()
	for _, e := range events {
		e.Position = chat.Position(len(m.events) + 1)
		e.At = time.Unix(1800000000+int64(e.Position), 0)
		m.events = append(m.events, e)
	}
	last := chat.Position(len(m.events))
	m.mu.Unlock()
	m.live.Apply(events)
	m.mu.Lock()
	m.applied = last
	m.mu.Unlock()
	return last
}

// stage is a server with stub resolvers over a log in memory.
type stage struct {
	t       testing.TB
	log     *memory
	live    *live.Live
	sockets *socket.Engine
	ws      *ws.Transport
	sse     *sse.Transport
	es      graphql.ExecutableSchema
	handler *handler.Server
	url     string

	mu      sync.Mutex
	members map[chat.ID][]chat.Span // by user
	friends map[chat.ID][]chat.ID
	online  map[chat.ID]bool
	expires map[string]time.Time

	admitting   func()       // called within admit
	unavailable atomic.Int32 // so many renderings fail
	away        atomic.Int32 // so many joins fail
	block       chan struct{}
	here        atomic.Int64 // connected sockets by the presence hooks
}

type option func(*stage, *socket.Config, *live.Config, *ws.Config)

func newStage(t testing.TB, opts ...option) *stage {
	t.Helper()
	s := &stage{t: t, log: &memory{}, members: map[chat.ID][]chat.Span{}, friends: map[chat.ID][]chat.ID{}, online: map[chat.ID]bool{}, expires: map[string]time.Time{}, block: make(chan struct{})}
	s.es = generated.NewExecutableSchema(generated.Config{Resolvers: &root{s: s}})
	sc := socket.Config{Tick: 10 * time.Millisecond, Linger: 500 * time.Millisecond}
	lc := live.Config{Log: s.log, Schema: s.es.Schema(), PerEvent: perEvent}
	wc := ws.Config{
		CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") != "https://evil.example" },
		Authenticate: func(_ context.Context, r *http.Request, token string) (chat.Viewer, time.Time, error) {
			if c, err := r.Cookie("token"); token == "" && err == nil {
				token = c.Value
			}
			if token == "" {
				return chat.Viewer{}, time.Time{}, nil
			}
			v, err := viewerOf(token)
			s.mu.Lock()
			defer s.mu.Unlock()
			return v, s.expires[token], err
		},
		Connected:    func(_, _ chat.ID) { s.here.Add(1) },
		Disconnected: func(_, _ chat.ID) { s.here.Add(-1) },
		MaxPerUser:   -1, MaxPerAddress: -1,
	}
	for _, o := range opts {
		o(s, &sc, &lc, &wc)
	}
	s.sockets = socket.New(sc)
	lc.Sockets = s.sockets
	s.live = live.New(lc)
	s.log.live = s.live
	wc.Live = s.live
	s.ws = ws.New(wc)
	s.sse = sse.New(sse.Config{Live: s.live, PingInterval: 50 * time.Millisecond})
	s.handler = handler.New(s.es)
	s.handler.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	s.handler.SetErrorPresenter(func(ctx context.Context, err error) *gqlError {
		e := graphql.DefaultErrorPresenter(ctx, err)
		var ce *chat.Error
		if errors.As(err, &ce) {
			e.Message = ce.Message
			e.Extensions = map[string]any{"code": string(ce.Code)}
		}
		return e
	})
	s.handler.AddTransport(s.ws)
	s.handler.AddTransport(s.sse)
	must(t, s.sockets.Start(t.Context()))
	must(t, s.live.Start(t.Context()))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, err := viewerOf(r.Header.Get("Authorization")); err == nil {
			r = r.WithContext(chat.WithViewer(r.Context(), v))
		}
		s.handler.ServeHTTP(w, r)
	}))
	s.url = srv.URL
	t.Cleanup(func() {
		s.live.Stop()
		s.live.Stop()
		s.sockets.Stop()
		s.sockets.Stop()
		srv.Close()
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The names of tests are people: user(1), and token(user, session).
func id(k chat.Kind, n int) chat.ID {
	v := chat.ID{Kind: k}
	v.UUID[0], v.UUID[14], v.UUID[15] = 1, byte(n>>8), byte(n)
	return v
}
func user(n int) chat.ID    { return id(chat.KindUser, n) }
func session(n int) chat.ID { return id(chat.KindSession, n) }
func conv(n int) chat.ID    { return id(chat.KindConversation, n) }

func token(u, ses int) string { return fmt.Sprintf("%d/%d", u, ses) }

func viewerOf(token string) (chat.Viewer, error) {
	var u, ses int
	if _, err := fmt.Sscanf(token, "%d/%d", &u, &ses); err != nil {
		return chat.Viewer{}, chat.ErrUnauthenticated
	}
	return chat.Viewer{User: user(u), Session: session(ses)}, nil
}

// in makes users members of a conversation without an event.
func (s *stage) in(c int, users ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range users {
		s.members[user(u)] = append(s.members[user(u)], chat.Span{Topic: chat.ConversationTopic(conv(c))})
	}
}

// say adds a message of a conversation.
func (s *stage) say(c int, body string) chat.Position { return s.log.add(message(c, body)) }

func message(c int, body string) *chat.Event {
	u := &chat.User{ID: user(9), Username: "nine", DisplayName: "Nine"}
	m := &chat.Message{ID: id(chat.KindMessage, 1), Conversation: conv(c), Seq: 1, Body: body, Sender: u.ID, CreatedAt: time.Unix(1800000000, 0)}
	return &chat.Event{Topic: chat.ConversationTopic(conv(c)), Type: chat.MessageAdded, Actor: u.ID, Subject: m.ID, Rows: chat.Rows{Message: m, Actor: u}}
}

// change adds an event of a conversation about a user, and changes the stage's own memberships before it is applied, as
// the database would.
func (s *stage) change(typ chat.EventType, c, u int) chat.Position {
	p := s.log.Applied() + 1
	topic := chat.ConversationTopic(conv(c))
	s.mu.Lock()
	switch typ {
	case chat.MemberAdded:
		s.members[user(u)] = append(s.members[user(u)], chat.Span{Topic: topic, From: p - 1})
	case chat.MemberRemoved, chat.MemberLeft, chat.ConversationDeleted:
		for who, spans := range s.members {
			for i := range spans {
				if spans[i].Topic == topic && spans[i].To == 0 && (who == user(u) || typ == chat.ConversationDeleted) {
					spans[i].To = p
				}
			}
		}
	}
	s.mu.Unlock()
	return s.log.add(s.event(typ, c, u))
}

func (s *stage) event(typ chat.EventType, c, u int) *chat.Event {
	who := &chat.User{ID: user(u), Username: fmt.Sprint("u", u)}
	return &chat.Event{
		Topic: chat.ConversationTopic(conv(c)), Type: typ, Subject: user(u), Detail: chat.Detail{Role: chat.RoleMember},
		Rows: chat.Rows{User: who, Conversation: &chat.Conversation{ID: conv(c), Kind: chat.Group, Title: "Group"}},
	}
}

func (s *stage) spans(u chat.ID, topic *chat.Topic) (spans []chat.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.members[u] {
		if topic == nil || sp.Topic == *topic {
			spans = append(spans, sp)
		}
	}
	return spans
}

// client speaks to the stage.
type client struct {
	t testing.TB
	*websocket.Conn
}

func (s *stage) dial(protocol string) *client {
	s.t.Helper()
	var protocols []string
	if protocol != "" {
		protocols = strings.Split(protocol, ",")
	}
	d := websocket.Dialer{Subprotocols: protocols}
	c, resp, err := d.Dial("ws"+s.url[4:]+"/graphql", nil)
	if err != nil {
		s.t.Fatal(err, resp)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return &client{s.t, c}
}

func (s *stage) connect(token string) *client {
	s.t.Helper()
	c := s.dial(ws.TransportWS)
	c.put(`{"type":"connection_init","payload":{"authorization":%q}}`, token)
	c.want(`{"type":"connection_ack"}`)
	return c
}

func (c *client) put(format string, a ...any) {
	c.t.Helper()
	must(c.t, c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, a...)))
}

func (c *client) read() (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, b, err := c.ReadMessage()
	return string(b), err
}

func (c *client) get() string {
	c.t.Helper()
	m, err := c.read()
	must(c.t, err)
	return m
}

func (c *client) want(w string) {
	c.t.Helper()
	if g := c.get(); g != w {
		c.t.Fatalf("got  %s\nwant %s", g, w)
	}
}

func (c *client) wantClose(code int) {
	c.t.Helper()
	m, err := c.read()
	if !websocket.IsCloseError(err, code) {
		c.t.Fatalf("got %q %v, want close %d", m, err, code)
	}
}

// quiet says that nothing else is on its way.
func (c *client) quiet() {
	c.t.Helper()
	c.put(`{"type":"ping"}`)
	c.want(`{"type":"pong"}`)
}

// sub subscribes and waits for CaughtUp.
func (c *client) sub(id, query string, vars ...any) {
	c.t.Helper()
	c.start(id, query, vars...)
	for {
		m := c.get()
		if strings.Contains(m, `"CaughtUp"`) {
			return
		}
		if strings.Contains(m, `"error"`) {
			c.t.Fatal(m)
		}
	}
}

func (c *client) start(id, query string, vars ...any) {
	c.t.Helper()
	v := map[string]any{}
	for i := 0; i < len(vars); i += 2 {
		v[vars[i].(string)] = vars[i+1]
	}
	b, err := json.Marshal(map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": query, "variables": v}})
	must(c.t, err)
	c.put("%s", b)
}

func at(p chat.Position) string { return chat.Cursor{Epoch: epoch, Position: p}.String() }

// cursorOf finds the position in a message.
func cursorOf(t testing.TB, m string) chat.Position {
	t.Helper()
	_, rest, ok := strings.Cut(m, `"cursor":"`)
	text, _, _ := strings.Cut(rest, `"`)
	c, err := chat.ParseCursor(text)
	if !ok || err != nil {
		t.Fatalf("no cursor in %s", m)
	}
	return c.Position
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("never: " + what)
}

type loaders struct{ used atomic.Int32 }

type loadersKey struct{}

func perEvent(ctx context.Context, _ *chat.Event) context.Context {
	return context.WithValue(ctx, loadersKey{}, &loaders{})
}

var _ model.Event = model.CaughtUp{}
