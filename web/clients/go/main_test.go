package clients_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Khan/genqlient/graphql"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/web/clients/go/generated"
	parley "github.com/parley-chat/parley/web/packages/parley-go"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a server that can be stopped and started again, and somebody with a group there.
type stage struct {
	*testing.T
	url     string // of the database
	app     *app.App
	http    graphql.Client
	wire    *wire
	token   atomic.Value
	group   string
	began   string // the cursor as of which the group was made
	reached string // the cursor of what was said last
	keys    int
}

var people atomic.Int64

type bearer struct{ s *stage }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.s.token.Load().(string))
	return http.DefaultTransport.RoundTrip(r)
}

// Do sends to where the server is now.
func (s *stage) Do(r *http.Request) (*http.Response, error) {
	r.URL.Host = s.app.Addr()
	c := http.Client{}
	if s.token.Load() != nil {
		c.Transport = bearer{s}
	}
	return c.Do(r)
}

// newStage is a stage with a server of its own.
func newStage(t *testing.T, settings ...string) *stage {
	t.Helper()
	url := testkit.SQLiteURL(t)
	return stageAt(t, url, testkit.MustRunApp(t, url, settings...))
}

func stageAt(t *testing.T, url string, a *app.App) *stage {
	t.Helper()
	s := &stage{T: t, url: url, app: a}
	s.wire = newWire(t, s.app.Addr())
	s.http = graphql.NewClient("http://parley/graphql", s)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	in, err := generated.SignUp(t.Context(), s.http, &generated.SignUpInput{Username: fmt.Sprint("ann-", people.Add(1)), Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	s.token.Store(*in.SignUp.AccessToken)
	made, err := generated.CreateGroup(t.Context(), s.http, &generated.CreateGroupInput{Title: "Group", MemberIds: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	s.group, s.began = made.CreateGroup.Conversation.Id, made.CreateGroup.Cursor
	return s
}

// connect starts a client with a short temper, over the wire.
func (s *stage) connect(o parley.Options) (*parley.Client, chan error) {
	s.Helper()
	if o.Token == nil {
		o.Token = func(context.Context, bool) (string, error) { return s.token.Load().(string), nil }
	}
	o.MinWait, o.MaxWait, o.Ping, o.Silence = 5*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond, 2*time.Second
	c := parley.New("ws://"+s.wire.addr()+"/graphql", o)
	errs, err := c.Start(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = c.Close() })
	return c, errs
}

func (s *stage) say(body string) {
	s.Helper()
	s.keys++
	sent, err := generated.SendMessage(s.Context(), s.http, &generated.SendMessageInput{ConversationId: s.group, Body: body, ClientKey: fmt.Sprint(s.keys)})
	if err != nil {
		s.Fatal(err)
	}
	s.reached = sent.SendMessage.Cursor
}

// listen subscribes to the group from its beginning.
func (s *stage) listen(c *parley.Client) (chan generated.MessagesWsResponse, string) {
	s.Helper()
	items, id, err := generated.Messages(s.Context(), c, s.group, &s.began)
	if err != nil {
		s.Fatal(err)
	}
	return items, id
}

// hear takes what comes until the message that is wanted last, and wants exactly these.
func (s *stage) hear(items chan generated.MessagesWsResponse, want ...string) {
	s.Helper()
	for len(want) > 0 {
		m := s.next(items)
		if m == nil { // CaughtUp
			continue
		}
		if m.Body != want[0] {
			s.Fatalf("%q, want %q", m.Body, want[0])
		}
		want = want[1:]
	}
}

func (s *stage) next(items chan generated.MessagesWsResponse) *generated.MessagesMessageAddedMessageEventMessage {
	s.Helper()
	select {
	case r, ok := <-items:
		if !ok || r.Errors != nil {
			s.Fatalf("%v, %v", ok, r.Errors)
		}
		switch e := r.Data.MessageAdded.(type) {
		case *generated.MessagesMessageAddedCaughtUp:
		case *generated.MessagesMessageAdded:
			return e.Message
		}
		return nil
	case <-time.After(20 * time.Second):
		s.Fatal("nothing came")
		return nil
	}
}

// wire is a cable that can be cut, or go silent.
type wire struct {
	l    net.Listener
	all  sync.WaitGroup
	mu   sync.Mutex
	to   string
	dead bool              // nobody answers
	ends map[net.Conn]bool // true: nothing passes any more, and nobody is told
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{l: l, to: to, ends: map[net.Conn]bool{}}
	w.all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			w.all.Go(func() { w.join(near) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		w.all.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.l.Addr().String() }

func (w *wire) join(near net.Conn) {
	defer near.Close()
	w.mu.Lock()
	to, dead := w.to, w.dead
	w.mu.Unlock()
	if dead {
		return
	}
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	w.mu.Lock()
	w.ends[near], w.ends[far] = false, false
	w.mu.Unlock()
	var both sync.WaitGroup
	for _, p := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(writer{w, p[1]}, p[0])
			_ = near.Close()
			_ = far.Close()
		})
	}
	both.Wait()
	w.mu.Lock()
	delete(w.ends, near)
	delete(w.ends, far)
	w.mu.Unlock()
}

type writer struct {
	w *wire
	c net.Conn
}

func (x writer) Write(b []byte) (int, error) {
	x.w.mu.Lock()
	mute := x.w.ends[x.c]
	x.w.mu.Unlock()
	if mute {
		return len(b), nil
	}
	return x.c.Write(b)
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
	for c := range w.ends {
		_ = c.Close()
	}
}

// silence is for the connections that there are.
func (w *wire) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.ends {
		w.ends[c] = true
	}
}

func (w *wire) mend(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.to = false, to
}

func closeCode(err error) int {
	var c *websocket.CloseError
	if errors.As(err, &c) {
		return c.Code
	}
	return 0
}

// mustTrim forgets all of the log, and starts the server anew, which remembers it.
func mustTrim(s *stage) {
	s.Helper()
	n, err := testkit.MustOpenStore(s, s.url).Trim(s.Context(), time.Now().Add(time.Hour), 10000)
	if err != nil || n == 0 {
		s.Fatal(n, err)
	}
	s.app.Stop()
	s.app = testkit.MustRunApp(s, s.url, "--retention", "1m")
	s.wire.mend(s.app.Addr())
}
