package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/parley-chat/parley/web/clients/go/generated"
	parley "github.com/parley-chat/parley/web/packages/parley-go"
)

// frame is one message of graphql-transport-ws.
type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// actor is a server that says what a test has it say. It acknowledges each connection and hands what comes after to heard,
// which may answer, until the connection ends or heard returns false. What nobody reads within 200 ms cannot be said.
func actor(t *testing.T, heard func(connection int, f frame, say func(frame) error) bool) (url string) {
	t.Helper()
	var connections atomic.Int64
	var all sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Add(1)
		defer all.Done()
		u := websocket.Upgrader{Subprotocols: []string{"graphql-transport-ws"}}
		ws, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		say := func(f frame) error {
			_ = ws.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			return ws.WriteJSON(f)
		}
		n := int(connections.Add(1))
		for {
			var f frame
			if err := ws.ReadJSON(&f); err != nil {
				return
			}
			if f.Type == "connection_init" {
				_ = say(frame{Type: "connection_ack"})
			} else if !heard(n, f, say) {
				return
			}
		}
	}))
	t.Cleanup(func() {
		s.Close()
		all.Wait()
	})
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func event(id, typename, cursor string) frame {
	return frame{ID: id, Type: "next", Payload: json.RawMessage(fmt.Sprintf(`{"data":{"messageAdded":{"__typename":%q,"cursor":%q}}}`, typename, cursor))}
}

func mustStart(t *testing.T, url string, o parley.Options) (*parley.Client, chan error) {
	t.Helper()
	o.MinWait, o.MaxWait = time.Millisecond, 10*time.Millisecond
	c := parley.New(url, o)
	errs, err := c.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustEnd(t, "Close", c.Close) })
	return c, errs
}

// mustEnd fails when something takes longer than it may.
func mustEnd(t *testing.T, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(3 * time.Second):
		t.Fatalf("%s does not come to an end", what)
	}
}

// TestCloseUnread: nobody takes the events, and the client reads no more of them.
func TestCloseUnread(t *testing.T) {
	stuck := make(chan struct{})
	url := actor(t, func(_ int, f frame, say func(frame) error) bool {
		if f.Type != "subscribe" {
			return true
		}
		long := strings.Repeat("x", 64<<10)
		for i := 0; say(event(f.ID, "MessageAdded", fmt.Sprint(i, long))) == nil; i++ {
		}
		close(stuck)
		return false
	})
	c, _ := mustStart(t, url, parley.Options{Queue: 1})
	if _, _, err := generated.Messages(t.Context(), c, "c", nil); err != nil {
		t.Fatal(err)
	}
	<-stuck
	mustEnd(t, "Close", c.Close)
}

// TestCloseWhileDialling: what is dialled takes the connection and says nothing.
func TestCloseWhileDialling(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan net.Conn)
	var all sync.WaitGroup
	all.Go(func() {
		for range 2 {
			if c, err := l.Accept(); err == nil {
				taken <- c
			}
		}
	})
	defer func() {
		_ = l.Close()
		all.Wait()
	}()
	var mute atomic.Bool
	dialer := &websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if mute.Load() {
			addr = l.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	url := actor(t, func(int, frame, func(frame) error) bool { return false }) // hangs up when it is asked for anything

	c, _ := mustStart(t, url, parley.Options{Dialer: dialer})
	mute.Store(true)
	if _, _, err := generated.Messages(t.Context(), c, "c", nil); err != nil {
		t.Fatal(err)
	}
	first := <-taken
	defer first.Close()
	mustEnd(t, "Close", c.Close)

	c = parley.New(url, parley.Options{Dialer: dialer})
	started := make(chan error, 1)
	go func() {
		_, err := c.Start(t.Context())
		started <- err
	}()
	second := <-taken
	defer second.Close()
	mustEnd(t, "Close", c.Close)
	mustEnd(t, "Start", func() error {
		if err := <-started; !errors.Is(err, parley.ErrClosed) {
			return fmt.Errorf("started: %w", err)
		}
		return nil
	})
}

// TestUnknownEvent: the server is newer than the client, and tells of what the client has no type for.
func TestUnknownEvent(t *testing.T) {
	url := actor(t, func(_ int, f frame, say func(frame) error) bool {
		if f.Type == "subscribe" {
			for i, typename := range []string{"MessageAdded", "MessageSung", "MessageAdded"} {
				_ = say(event(f.ID, typename, fmt.Sprint(i+1)))
			}
		}
		return true
	})
	skipped := make(chan string, 10)
	c, errs := mustStart(t, url, parley.Options{Skipped: func(operation string, err error) { skipped <- operation + ": " + err.Error() }})
	items, _, err := generated.Messages(t.Context(), c, "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "3"} {
		if e := (<-items).Data.MessageAdded; e.GetCursor() != want {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	if what := <-skipped; !strings.HasPrefix(what, "Messages: ") || !strings.Contains(what, "MessageSung") {
		t.Errorf("skipped %q", what)
	}
	mustEnd(t, "Close", c.Close)
	if err := <-errs; err != nil {
		t.Errorf("given up: %v", err)
	}
}

// TestUnsubscribeWhileReconnecting: the server never goes on with a subscription that nobody wants any more.
func TestUnsubscribeWhileReconnecting(t *testing.T) {
	var mu sync.Mutex
	open, newest := map[string]bool{}, 0 // on the newest connection
	asked := make(chan struct{}, 100)
	url := actor(t, func(n int, f frame, _ func(frame) error) bool {
		var p struct{ OperationName string }
		_ = json.Unmarshal(f.Payload, &p)
		mu.Lock()
		defer mu.Unlock()
		if n > newest {
			newest = n
			clear(open)
		}
		switch {
		case n < newest:
		case f.Type == "complete":
			delete(open, f.ID)
		case p.OperationName == "Typing": // what comes after the others
			asked <- struct{}{}
		case p.OperationName == "Events": // the cut
			return false
		case f.Type == "subscribe":
			open[f.ID] = true
		}
		return true
	})
	back := make(chan struct{}, 10)
	c, _ := mustStart(t, url, parley.Options{Status: func(connected bool, _ error) {
		if connected {
			back <- struct{}{}
		}
	}})
	<-back
	for round := range 30 {
		var ids []string
		for range 20 {
			_, id, err := generated.Messages(t.Context(), c, "c", nil)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		_, cut, err := generated.Events(t.Context(), c, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		mustEnd(t, "Unsubscribe", func() error { return c.Unsubscribe(cut) })
		<-back
		for _, id := range ids {
			mustEnd(t, "Unsubscribe", func() error { return c.Unsubscribe(id) })
		}
		_, last, err := generated.Typing(t.Context(), c, "c")
		if err != nil {
			t.Fatal(err)
		}
		<-asked
		mu.Lock()
		if len(open) > 0 {
			t.Fatalf("round %d: the server goes on with %d of them", round, len(open))
		}
		mu.Unlock()
		mustEnd(t, "Unsubscribe", func() error { return c.Unsubscribe(last) })
	}
}
