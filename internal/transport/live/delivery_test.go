package live_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/socket"
	"github.com/parley-chat/parley/internal/transport/ws"
)

const messageQuery = `subscription($c: ID!, $after: Cursor) { messageAdded(conversationId: $c, after: $after) { __typename cursor ... on MessageAdded { message { body sender { username } } } } }`

func TestOneExecutionForAll(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var cs []*client
	queries := []string{ // the same in other words
		messageQuery,
		`subscription Other($after: Cursor $c: ID!) { messageAdded(after: $after conversationId: $c) { ...F } } fragment F on MessageEvent { __typename cursor ... on MessageAdded { message { ...M } } } fragment M on Message { body sender { username } }`,
		strings.ReplaceAll(strings.ReplaceAll(messageQuery, "$c", "$x"), " ", "\n "),
	}
	for i := range 9 {
		s.in(1, i)
		c := s.connect(token(i, i))
		c.sub(fmt.Sprintf(`op"%d`, i), queries[i%3], "c", conv(1), "x", conv(1))
		cs = append(cs, c)
	}
	s.say(1, "hello <&> \u2028")
	for i, c := range cs {
		c.want(fmt.Sprintf(`{"id":"op\"%d","type":"next","payload":{"data":{"messageAdded":{"__typename":"MessageAdded","cursor":%q,"message":{"body":"hello <&> `+"\u2028"+`","sender":{"username":"nine"}}}}}}`, i, at(1)))
	}
	st := s.live.Stats()
	if st.Executions != 1 || st.Groups != 1 || st.Listeners != 9 {
		t.Errorf("%+v", st)
	}
	other := s.connect(token(1, 1))
	other.sub("o", `subscription($c: ID!) { messageAdded(conversationId: $c) { t: __typename cursor } }`, "c", conv(1))
	s.say(1, "two shapes")
	other.get()
	if st := s.live.Stats(); st.Executions != 3 {
		t.Errorf("executions: %d", st.Executions)
	}
}

func TestSharedExecutionsHaveNoViewerAndFreshLoaders(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	c := s.connect(token(1, 1))
	c.sub("1", messageQuery, "c", conv(1))
	for _, body := range []string{"viewer?", "loaders", "loaders again"} {
		s.say(1, body)
		if g := c.get(); strings.Contains(g, "errors") {
			t.Error(g)
		}
	}
	s.say(1, "fail")
	c.want(`{"id":"1","type":"next","payload":{"errors":[{"message":"sender failed","path":["messageAdded","message","sender"]}],"data":null}}`)
	for _, body := range []string{"panic", "project panics"} {
		s.say(1, body)
		if g := c.get(); !strings.Contains(g, "internal") || strings.Contains(g, "boom") || !strings.Contains(g, `"data":null`) {
			t.Error(g)
		}
	}
	s.say(1, "gone") // as in a conversation that is deleted meanwhile: nobody is told of it
	s.say(1, "fine")
	if g := c.get(); !strings.Contains(g, `"body":"fine"`) {
		t.Error(g)
	}
}

// Only the types whose branch selects an @viewer field are executed for each viewer.
func TestViewerFieldsSplitByType(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const q = `subscription { events { __typename cursor ... on ConversationUpdated { conversation { unreadCount } } ... on MessageAdded { message { body } } } }`
	var cs []*client
	for i := range 5 {
		s.in(1, i)
		c := s.connect(token(i, i))
		c.sub("1", q)
		cs = append(cs, c)
	}
	s.say(1, "shared")
	for _, c := range cs {
		c.get()
	}
	if n := s.live.Stats().Executions; n != 1 {
		t.Errorf("a message: %d executions", n)
	}
	s.log.add(s.event(chat.ConversationUpdated, 1, 0))
	for i, c := range cs {
		if g := c.get(); !strings.Contains(g, fmt.Sprintf(`"unreadCount":%d`, i)) {
			t.Error(g)
		}
	}
	if n := s.live.Stats().Executions; n != 6 {
		t.Errorf("an update: %d executions", n-1)
	}
}

// Shared bytes are those of an execution for the listener alone: random operations, replayed with nobody else.
func TestSharedEqualsIndividual(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1, 2)
	fields := []string{"cursor", "at", "actor { id username }", "__typename", "... on MessageAdded { conversationId message { id seq body createdAt sender { displayName } } }", "... on ConversationUpdated { conversation { id title unreadCount } }", "... on MemberLeft { user { username relationship } }"}
	rnd := rand.New(rand.NewPCG(1, 2))
	var ops []string
	for range 6 {
		q := "subscription($after: Cursor) { events(after: $after) { __typename"
		for range 1 + rnd.IntN(4) {
			q += " " + fields[rnd.IntN(len(fields))]
		}
		ops = append(ops, q+" } }")
	}
	a, b := s.connect(token(1, 1)), s.connect(token(2, 2))
	for i, q := range ops {
		for _, c := range []*client{a, b} {
			c.sub(fmt.Sprint(i), q)
		}
	}
	s.say(1, "one")
	s.log.add(s.event(chat.ConversationUpdated, 1, 0))
	s.log.add(s.event(chat.MemberLeft, 1, 7))
	for who, c := range map[string]*client{token(1, 3): a, token(2, 4): b} {
		shared := map[string][]string{}
		for range 3 * len(ops) {
			g := c.get()
			shared[g[:8]] = append(shared[g[:8]], g)
		}
		for i, q := range ops {
			alone := s.connect(who)
			alone.start(fmt.Sprint(i), q+strings.Repeat(" ", 1), "after", at(0))
			for n := range 3 {
				g := alone.get()
				if want := shared[g[:8]][n]; g != want {
					t.Errorf("alone  %s\nshared %s", g, want)
				}
			}
			_ = alone.Close()
		}
	}
}

// Clients that lose their sockets at random moments of a stream get each event once, in order.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, noPoll := range []bool{false, true} {
		t.Run(fmt.Sprintf("noPoll=%v", noPoll), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, func(_ *stage, c *socket.Config, _ *live.Config, _ *ws.Config) { c.NoPoll = noPoll })
			const n, readers = 5000, 6
			s.in(1, 0, 1, 2, 3, 4, 5)
			var wg sync.WaitGroup
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(3, 4))
				for i := 0; i < n; {
					var batch []*chat.Event
					for range 1 + rnd.IntN(20) {
						if i < n {
							batch = append(batch, message(1+rnd.IntN(2)*0, fmt.Sprint(i)))
							i++
						}
					}
					s.log.add(batch...)
				}
			})
			for r := range readers {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(r), 5))
					var last chat.Position
					for last < n {
						c := s.connect(token(r, r))
						c.start("1", messageQuery, "c", conv(1), "after", at(last))
						caught := false
						for life := rnd.IntN(700); life >= 0 && last < n; life-- {
							g := c.get()
							p := cursorOf(t, g)
							if strings.Contains(g, "CaughtUp") {
								if caught || p < last {
									t.Errorf("second or early CaughtUp: %s", g)
								}
								caught = true
								continue
							}
							if p != last+1 {
								t.Errorf("reader %d: %d after %d", r, p, last)
								return
							}
							last = p
						}
						_ = c.Close()
					}
				})
			}
			wg.Wait()
			eventually(t, "all listeners are gone", func() bool { return s.live.Stats().Listeners == 0 && s.sockets.Stats().Sockets == 0 })
			if st := s.live.Stats(); st.Groups != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *stage, c *socket.Config, _ *live.Config, _ *ws.Config) { c.MaxQueued = 64 << 10 })
	s.in(1, 1, 2)
	slow, fast := s.connect(token(1, 1)), s.connect(token(2, 2))
	slow.sub("1", messageQuery, "c", conv(1))
	fast.sub("1", messageQuery, "c", conv(1))
	text := strings.Repeat("x", 20000)
	const n = 1000 // 20 MB: more than the kernel's buffers and ours
	for i := range n {
		s.say(1, text)
		if p := cursorOf(t, fast.get()); p != chat.Position(i+1) {
			t.Fatalf("fast: %d at %d", p, i+1)
		}
	}
	if st := s.sockets.Stats(); st.Behind == 0 || st.Parked != 1 {
		t.Errorf("%+v", st)
	}
	for i := range n {
		g := slow.get()
		if p := cursorOf(t, g); p != chat.Position(i+1) || strings.Contains(g, "CaughtUp") {
			t.Fatalf("slow: %.100s at %d", g, i+1)
		}
	}
	slow.quiet()
	s.say(1, "live again")
	if g := slow.get(); !strings.Contains(g, "live again") {
		t.Error(g)
	}
}

func TestUnavailableIsRetriedAndNeverDelivered(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	c := s.connect(token(1, 1))
	c.sub("1", messageQuery, "c", conv(1))
	s.unavailable.Store(3)
	s.log.fail.Store(1)
	for i := range 5 {
		s.say(1, fmt.Sprint(i))
	}
	for i := range 5 {
		if g := c.get(); !strings.Contains(g, fmt.Sprintf(`"body":"%d"`, i)) {
			t.Fatal(g)
		}
	}
	if s.live.Stats().Retries == 0 {
		t.Error("nothing was retried")
	}
}

// Who subscribes while the database is away waits for it, and the socket goes on meanwhile.
func TestUnavailableJoin(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *stage, _ *socket.Config, c *live.Config, _ *ws.Config) { c.JoinTimeout = time.Second })
	s.in(1, 1)
	s.say(1, "before")
	c := s.connect(token(1, 1))
	s.away.Store(2)
	c.start("1", messageQuery, "c", conv(1), "after", at(0))
	c.quiet()
	for _, want := range []string{"before", "CaughtUp"} {
		if g := c.get(); !strings.Contains(g, want) {
			t.Fatal(g)
		}
	}
	s.away.Store(1 << 30)
	c.start("2", `subscription($c: ID!) { typingChanged(conversationId: $c) { conversationId } }`, "c", conv(1))
	if g := c.get(); !strings.Contains(g, `"error"`) || !strings.Contains(g, "UNAVAILABLE") {
		t.Error(g)
	}
	c.start("2", messageQuery, "c", conv(1)) // its id is free
	c.put(`{"type":"complete","id":"2"}`)
	c.start("3", messageQuery, "c", conv(1))
	c.quiet()
	_ = c.Close()
	eventually(t, "everything is gone", func() bool {
		st := s.live.Stats()
		return st.Listeners == 0 && st.Sockets == 0 && st.Groups == 0
	})
}

// However many wait for the database, a few at a time ask for it.
func TestUnavailableJoins(t *testing.T) {
	t.Parallel()
	const joins = 500
	s := newStage(t, func(_ *stage, _ *socket.Config, c *live.Config, w *ws.Config) {
		c.JoinTimeout, c.CatchUps = time.Minute, 2
		w.MaxOperations = joins
	})
	s.in(1, 1)
	const away = 1 << 30
	s.away.Store(away)
	c := s.connect(token(1, 1))
	began := time.Now()
	for i := range joins {
		c.start(fmt.Sprint(i), messageQuery, "c", conv(1))
	}
	c.quiet()
	again := func() int { return int(away - s.away.Load() - joins) }
	eventually(t, "asked again", func() bool { return again() >= 10 })
	if n, d := again(), time.Since(began); n > 2*(1+int(d/(200*time.Millisecond))) {
		t.Errorf("asked %d times more in %v", n, d)
	}
	s.away.Store(0)
	for range joins {
		if g := c.get(); !strings.Contains(g, "CaughtUp") {
			t.Fatal(g)
		}
	}
	c.quiet()
}

func TestCursors(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	for range 10 {
		s.say(1, "x")
	}
	s.log.mu.Lock()
	s.log.floor = 5
	s.log.mu.Unlock()
	c := s.connect(token(1, 1))
	for after, code := range map[string]string{at(3): "CURSOR_EXPIRED", at(99): "INVALID_CURSOR", chat.Cursor{Epoch: 8, Position: 7}.String(): "INVALID_CURSOR"} {
		c.start("1", messageQuery, "c", conv(1), "after", after)
		if g := c.get(); !strings.Contains(g, `"type":"error"`) || !strings.Contains(g, code) {
			t.Error(g)
		}
	}
	c.start("1", messageQuery, "c", conv(1), "after", at(8))
	for _, p := range []chat.Position{9, 10, 10} {
		if g := cursorOf(t, c.get()); g != p {
			t.Errorf("%d, want %d", g, p)
		}
	}
	c.quiet()
	if st := s.live.Stats(); st.Listeners != 1 {
		t.Errorf("%+v", st)
	}
}

func TestConnectsAndDrops(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 25 {
				c := s.connect(token(1, i))
				c.start("1", messageQuery, "c", conv(1), "after", at(0))
				if i%2 == 0 {
					c.get()
				}
				_ = c.Close()
			}
		})
	}
	for range 200 {
		s.say(1, "x")
	}
	wg.Wait()
	eventually(t, "everything is gone", func() bool {
		st := s.live.Stats()
		return st.Listeners == 0 && st.Sockets == 0 && st.Groups == 0 && s.here.Load() == 0
	})
}
