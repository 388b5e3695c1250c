package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// The ways in which somebody can lose their rights, done on one node. The first few end a session, the others a membership.
var endings = []struct {
	name    string
	session bool
	kept    bool // another session of theirs goes on
	do      func(r *revoking) error
}{
	{"signOut", true, true, func(r *revoking) error { return r.lost.Do(r.Context(), `mutation { signOut { cursor } }`, nil, nil) }},
	{"revokeSession", true, true, func(r *revoking) error {
		return r.victim.Do(r.Context(), `mutation($s: ID!) { revokeSession(input: {sessionId: $s}) { cursor } }`, client.Vars{"s": r.lost.session}, nil)
	}},
	{"changePassword", true, true, func(r *revoking) error {
		return r.victim.Do(r.Context(), `mutation { changePassword(input: {currentPassword: "correct horse battery", newPassword: "battery horse correct"}) { cursor } }`, nil, nil)
	}},
	{"resetPassword", true, false, func(r *revoking) error {
		return (&client.Client{URL: r.one.URL()}).Do(r.Context(), `mutation($t: String!) { resetPassword(input: {token: $t, newPassword: "battery horse correct"}) { cursor } }`,
			client.Vars{"t": mustForget(r.T, r.db, r.victim.ID)}, nil)
	}},
	{"suspend", true, false, func(r *revoking) error {
		var out bytes.Buffer
		if code := app.Run([]string{"suspend", r.username, "--database-url", r.url}, nil, &out, &out); code != 0 {
			return errors.New(out.String())
		}
		return nil
	}},
	{"removeMember", false, true, func(r *revoking) error {
		return r.owner.Do(r.Context(), `mutation($c: ID!, $u: ID!) { removeMember(input: {conversationId: $c, userId: $u}) { cursor } }`,
			client.Vars{"c": r.room, "u": r.victim.ID}, nil)
	}},
	{"leaveGroup", false, true, func(r *revoking) error {
		return r.victim.Do(r.Context(), `mutation($c: ID!) { leaveGroup(input: {conversationId: $c}) { cursor } }`, client.Vars{"c": r.room}, nil)
	}},
	{"deleteGroup", false, true, func(r *revoking) error {
		return r.owner.Do(r.Context(), `mutation($c: ID!) { deleteGroup(input: {conversationId: $c}) { cursor } }`, client.Vars{"c": r.room}, nil)
	}},
}

// TestRevocation: whoever loses a session or a membership on one node hears nothing of it on another, while messages flow,
// over WebSocket and Server-Sent Events alike. Who had stopped reading finds nothing of what was queued when they read
// again: nothing at all after a session, and what they may see as somebody who has left after a membership. It runs alone:
// it measures time.
func TestRevocation(t *testing.T) { //nolint:paralleltest // see above
	for _, net := range []struct {
		name   string
		down   bool
		within time.Duration
	}{{"NATS up", false, time.Second}, {"NATS down", true, 5 * time.Second}} {
		t.Run(net.name, func(t *testing.T) {
			nats := testkit.MustNATS(t)
			c := testkit.MustCluster(t, nats, 2, "--max-queue", "64MiB", "--max-message-chars", "20000", "--write-timeout", "10m", "--sockets-per-user", "100")
			mustConnect(t, c.Nodes...)
			if net.down {
				nats.Stop()
			}
			var lost []signedIn
			for _, e := range endings {
				t.Run(e.name, func(t *testing.T) {
					r := newRevoking(t, c)
					r.listen()
					r.queue()
					if err := e.do(r); err != nil {
						t.Fatal(err)
					}
					acked := time.Now()
					if e.session {
						r.silentSession(acked.Add(net.within))
						lost = append(lost, r.lost)
					} else {
						r.silentMember(acked.Add(net.within))
					}
					t.Logf("silent after %v", time.Since(acked))
					if e.kept {
						r.goesOn()
					}
				})
			}
			// A node that starts later has not heard of any of it.
			late := testkit.MustRunApp(t, c.URL)
			for _, l := range lost {
				if code := refusal(t, late, l.Token); code != chat.CodeUnauthenticated {
					t.Errorf("a node that has started since says %q to a session that has ended", code)
				}
			}
			mustCheck(t, testkit.MustOpenStore(t, c.URL))
		})
	}
}

// refusal is the code with which a node refuses a token; empty when it does not.
func refusal(t *testing.T, node *app.App, token string) chat.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return chat.Code(client.Code((&client.Client{URL: node.URL(), Token: token}).Do(ctx, `{ sessions { nodes { id } } }`, nil, nil)))
}

// revoking is a room whose owner speaks on the first node, and its other member with two sessions, one of whom listens on
// the second.
type revoking struct {
	*testing.T
	url           string
	one, two      *app.App
	db            *store.Store
	owner, victim *client.Account
	username      string
	lost          signedIn
	room          string
	taps          []*tap
	sent          atomic.Int64 // the seq of the newest message
	queued        int64        // the seq from which on messages are queued for those who do not read
	quit          chan struct{}
	sending       sync.WaitGroup
}

func newRevoking(t *testing.T, c *testkit.Cluster) *revoking {
	t.Helper()
	r := &revoking{T: t, url: c.URL, one: c.Nodes[0], two: c.Nodes[1], db: testkit.MustOpenStore(t, c.URL), quit: make(chan struct{})}
	people := mustMeet(t, r.one.URL(), 2)
	r.owner, r.victim = people[0], people[1]
	var me struct{ Me struct{ Username string } }
	testkit.MustDo(t, r.victim.Client, `{ me { username } }`, nil, &me)
	r.username = me.Me.Username
	r.lost = signInAs(t, r.one.URL(), r.username, "correct horse battery")
	r.room = mustCreateGroup(t, r.owner, r.victim)
	eventually(t, func() error {
		if code := refusal(t, r.two, r.lost.Token); code != "" { // and the token is one that the node knows
			return fmt.Errorf("the other node says %q", code)
		}
		return nil
	})
	t.Cleanup(r.stop)
	return r
}

func (r *revoking) stop() {
	select {
	case <-r.quit:
	default:
		close(r.quit)
	}
	r.sending.Wait()
	for _, x := range r.taps {
		_ = x.conn.Close()
		if x.done != nil {
			<-x.done
		}
	}
	r.taps = nil
	eventually(r.T, func() error {
		if n := r.two.Sockets().Sockets; n > 0 {
			return fmt.Errorf("%d sockets are still open", n)
		}
		return nil
	})
}

// tapped is what listeners ask for of each event.
type tapped struct {
	Typename string `json:"__typename"`
	Cursor   string
	Message  *struct {
		Seq          int64
		Conversation struct {
			ID    string
			Title *string
		}
	}
}

const eventFields = `{ __typename cursor ... on MessageAdded { message { seq body conversation { id title } } } }`

// tap is a listener on the second node.
type tap struct {
	name    string
	stalled bool
	conn    net.Conn
	next    func() ([]byte, error) // one JSON text

	done   chan struct{} // of who reads: closed at the end, of which err tells
	err    error
	mu     sync.Mutex
	events []tapped
}

// read adds events until the connection ends.
func (x *tap) read() error {
	for {
		b, err := x.next()
		if err != nil {
			return err
		}
		var m struct {
			Type    string
			Data    map[string]tapped
			Payload struct{ Data map[string]tapped }
		}
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		x.mu.Lock()
		for _, data := range []map[string]tapped{m.Data, m.Payload.Data} {
			for _, e := range data {
				x.events = append(x.events, e)
			}
		}
		last := len(x.events) > 0 && x.events[len(x.events)-1].Typename == "CaughtUp" && x.done == nil
		x.mu.Unlock()
		if last || m.Type == "complete" {
			return nil
		}
	}
}

func (x *tap) heard() []tapped {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.events[:len(x.events):len(x.events)]
}

// listen opens the victim's listeners, and waits until all are live.
func (r *revoking) listen() {
	r.Helper()
	feed := `subscription { events ` + eventFields + ` }`
	narrow := `subscription($c: ID!) { messageAdded(conversationId: $c) ` + eventFields + ` }`
	for _, stalled := range []bool{false, true} {
		for name, query := range map[string]string{"feed": feed, "messages": narrow} {
			for protocol, dial := range map[string]func(string, net.Conn) (func() ([]byte, error), error){"WebSocket": r.webSocket, "SSE": r.stream} {
				conn := mustDialSlow(r.T, r.two.Addr(), stalled)
				next, err := dial(query, conn)
				x := &tap{name: fmt.Sprintf("%s over %s, stalled %t", name, protocol, stalled), stalled: stalled, conn: conn, next: next}
				r.taps = append(r.taps, x)
				if err == nil {
					err = x.read()
				}
				if err != nil {
					r.Fatal(x.name, err)
				}
				if !stalled {
					x.done = make(chan struct{})
					go func() {
						defer close(x.done)
						x.err = x.read()
					}()
				}
			}
		}
	}
}

// mustDialSlow connects; the kernels keep little of what somebody slow does not read.
func mustDialSlow(t *testing.T, addr string, slow bool) net.Conn {
	t.Helper()
	d := net.Dialer{}
	if slow {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400)
			})
		}
	}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (r *revoking) request(query string) []byte {
	b, _ := json.Marshal(map[string]any{"query": query, "variables": client.Vars{"c": r.room}})
	return b
}

func (r *revoking) webSocket(query string, conn net.Conn) (func() ([]byte, error), error) {
	d := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, NetDialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	s, _, err := d.DialContext(r.Context(), "ws://"+r.two.Addr()+"/graphql", nil)
	if err != nil {
		return nil, err
	}
	return func() ([]byte, error) { _, b, err := s.ReadMessage(); return b, err }, errors.Join(
		s.WriteJSON(map[string]any{"type": "connection_init", "payload": client.Vars{"authorization": "Bearer " + r.lost.Token}}),
		s.WriteJSON(map[string]any{"type": "subscribe", "id": "1", "payload": json.RawMessage(r.request(query))}))
}

func (r *revoking) stream(query string, conn net.Conn) (func() ([]byte, error), error) {
	body := r.request(query)
	_, err := fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		r.two.Addr(), r.lost.Token, len(body), body)
	lines := bufio.NewReader(conn)
	return func() ([]byte, error) {
		for {
			line, err := lines.ReadString('\n')
			switch {
			case err != nil:
				return nil, err
			case line == "event: complete\n":
				return []byte(`{"type": "complete"}`), nil
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				return []byte(data), nil
			}
		}
	}, err
}

// queue sends messages, and does not stop, until several are queued in the server for those who do not read.
func (r *revoking) queue() {
	r.Helper()
	r.sending.Go(func() {
		body := strings.Repeat("x", 20000)
		for i := 0; ; i++ {
			s, err := send(context.WithoutCancel(r.Context()), r.owner.Client, r.room, body, fmt.Sprint("load ", i))
			switch {
			case err == nil:
				r.sent.Store(s.SendMessage.Message.Seq)
			case client.Code(err) == "NOT_FOUND": // the group was deleted
				return
			default:
				r.Error(err)
				return
			}
			select {
			case <-r.quit:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	stalled := 0
	for _, x := range r.taps {
		if x.stalled {
			stalled++
		}
	}
	for seen := 0; seen < 10; time.Sleep(10 * time.Millisecond) { // for good: those who read may be parked for a moment
		if seen++; r.two.Sockets().Parked < stalled {
			seen = 0
		}
	}
	// What is committed from now on is queued.
	const several = 8
	r.queued = r.sent.Load() + 2 // one may be on its way
	eventually(r.T, func() error {
		for _, x := range r.taps {
			if all := x.heard(); !x.stalled && (len(all) == 0 || all[len(all)-1].Message == nil || all[len(all)-1].Message.Seq < r.queued+several) {
				return fmt.Errorf("%s has not heard message %d", x.name, r.queued+several)
			}
		}
		return nil
	})
}

// last is the event that ended the rights.
func (r *revoking) last(is func(e *chat.Event) bool) *chat.Event {
	r.Helper()
	log := mustEvents(r.T, r.db)
	for i := len(log) - 1; i >= 0; i-- {
		if is(log[i]) {
			return log[i]
		}
	}
	r.Fatal("the log does not tell")
	return nil
}

// ended waits for the end of a listener that reads.
func (r *revoking) ended(x *tap, by time.Time) {
	r.Helper()
	select {
	case <-x.done:
	case <-time.After(time.Until(by)):
		r.Fatalf("%s is not silent in time", x.name)
	}
}

func (r *revoking) silentSession(by time.Time) {
	r.Helper()
	for refusal(r.T, r.two, r.lost.Token) != chat.CodeUnauthenticated {
		if time.Now().After(by) {
			r.Fatal("the other node still takes the token")
		}
	}
	end := r.last(func(e *chat.Event) bool { return e.Type == chat.SessionEnded && e.Subject.String() == r.lost.session }).Position
	for _, x := range r.taps {
		if x.stalled {
			continue
		}
		r.ended(x, by)
		_ = x.conn.Close() // the server would wait for it
		if code := client.CloseCode(x.err); strings.Contains(x.name, "WebSocket") && code != 4401 {
			r.Errorf("%s ended with %v", x.name, x.err)
		}
		if all := x.heard(); position(r.T, all[len(all)-1].Cursor) > end {
			r.Errorf("%s heard of %d after the end at %d", x.name, position(r.T, all[len(all)-1].Cursor), end)
		}
	}
	eventually(r.T, func() error {
		if n := r.two.Sockets().Sockets; n > 0 {
			return fmt.Errorf("%d sockets are still open", n)
		}
		return nil
	})
	if time.Now().After(by) {
		r.Error("sockets were open for too long")
	}
	for _, x := range r.taps {
		if !x.stalled {
			continue
		}
		x.done = make(chan struct{})
		close(x.done)
		err := x.read()
		for _, e := range x.heard() {
			if e.Message != nil && e.Message.Seq >= r.queued {
				r.Fatalf("%s reads message %d, and from %d on all were queued", x.name, e.Message.Seq, r.queued)
			}
		}
		if err == nil || errors.Is(err, io.EOF) {
			r.Errorf("%s ended in order: %v", x.name, err)
		}
	}
}

func (r *revoking) silentMember(by time.Time) {
	r.Helper()
	if err := (&client.Client{URL: r.two.URL(), Token: r.lost.Token}).Do(r.Context(), `query($c: ID!) { conversation(id: $c) { id } }`,
		client.Vars{"c": r.room}, nil); client.Code(err) != "NOT_FOUND" {
		r.Errorf("the other node shows the conversation: %v", err)
	}
	room := chat.ConversationTopic(mustID(r.T, r.room))
	last := r.last(func(e *chat.Event) bool {
		return e.Topic == room && (e.Type == chat.MemberRemoved || e.Type == chat.MemberLeft || e.Type == chat.ConversationDeleted)
	})
	end, deleted := last.Position, last.Type == chat.ConversationDeleted // the messages with it
	if n := r.sent.Load() + 5; !deleted {                                // which are not theirs
		eventually(r.T, func() error {
			if sent := r.sent.Load(); sent < n {
				return fmt.Errorf("%d messages are sent, not %d", sent, n)
			}
			return nil
		})
	}
	testkit.MustDo(r.T, r.victim.Client, `mutation { updateProfile(input: {bio: "later"}) { cursor } }`, nil, nil)
	var before, after []*chat.Event
	for _, e := range mustEvents(r.T, r.db) {
		if e.Topic == room && e.Position > end {
			after = append(after, e)
		} else if e.Topic == room && e.Type == chat.MessageAdded {
			before = append(before, e)
		}
	}
	r.Logf("%d messages before the end, %d events after it", len(before), len(after))
	for _, x := range r.taps {
		feed := strings.HasPrefix(x.name, "feed")
		if x.stalled {
			x.done = make(chan struct{})
			go func() {
				defer close(x.done)
				x.err = x.read()
			}()
			by = time.Now().Add(patience)
		}
		if feed {
			for all := x.heard(); all[len(all)-1].Typename != "ProfileChanged"; all = x.heard() {
				if time.Now().After(by) {
					r.Fatalf("%s does not go on after %s", x.name, all[len(all)-1].Typename)
				}
				time.Sleep(time.Millisecond) // held to `by`, which is not as patient as eventually
			}
		} else {
			r.ended(x, by)
		}
		var seqs []int64
		for _, e := range x.heard() {
			if p := position(r.T, e.Cursor); p > end && e.Typename != "ProfileChanged" {
				r.Errorf("%s heard of %s at %d, after the end at %d", x.name, e.Typename, p, end)
			}
			if e.Message == nil {
				continue
			}
			seqs = append(seqs, e.Message.Seq)
			if x.stalled && e.Message.Seq >= r.queued && (deleted || e.Message.Conversation.Title != nil) {
				r.Errorf("%s reads message %d as a member does", x.name, e.Message.Seq)
			}
		}
		// Of a group's messages those may be left out that are being executed when it is deleted, while others overtake them.
		missing, most := int64(0), int64(0)
		if deleted {
			most = int64(runtime.GOMAXPROCS(0)) - 1
		}
		for i, seq := range seqs {
			if now := seq - int64(i+1); now < missing || now > most {
				r.Fatalf("%s heard message %d as number %d", x.name, seq, i+1)
			} else {
				missing = now
			}
		}
		if len(seqs) != len(before) && !deleted {
			r.Errorf("%s heard %d of %d messages", x.name, len(seqs), len(before))
		}
	}
}

// goesOn checks that the victim's first session is still good.
func (r *revoking) goesOn() {
	r.Helper()
	if code := refusal(r.T, r.two, r.victim.Token); code != "" {
		r.Errorf("their other session is refused: %s", code)
	}
}
