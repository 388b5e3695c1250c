package app_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
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
	"github.com/parley-chat/parley/internal/token"
)

var fullStorm = flag.Bool("storm", false, "run TestStorm in full size, and hold it to its time; without -race, on a quiet machine")

// crowding is how many come back at once.
type crowding struct {
	sockets, users, rooms int
	each                  int // rooms of a user
	missed                int // messages that are sent while all are away
}

// All sockets of a node are cut at once, and come back at once: to the same node, to another one, or to one that has just
// been started. Each resumes after its last cursor, and hears everything once and in order. The database is asked who is
// in which conversation, for many sockets at a time, and nothing else for any of them: what they missed is in memory.
func TestStorm(t *testing.T) {
	size := crowding{sockets: 600, users: 200, rooms: 20, each: 3, missed: 50}
	if *fullStorm {
		size = crowding{sockets: 5000, users: 1000, rooms: 100, each: 3, missed: 500}
	} else {
		t.Parallel()
	}
	mustAllowFiles(t, max(5000, uint64(2*size.sockets+1000))) // both ends
	test := func(t *testing.T, url string, settings ...string) {
		s := mustBrew(t, size, url, settings)
		s.come(s.one)
		s.strike("cut, back on the same node", s.one, s.cut)
		s.strike("cut, back on another node", s.two, s.cut)
		s.strike("their node ends, back on another one", s.one, func() { s.two.Stop(); s.gone() })
		s.strike("their node starts anew", nil, s.cut)
		s.settle()
	}
	t.Run("sqlite", func(t *testing.T) {
		if !*fullStorm {
			t.Parallel()
		}
		test(t, testkit.SQLiteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		if !*fullStorm {
			t.Parallel()
		}
		test(t, testkit.MigratedPostgresURL(t), "--nats-url", testkit.MustNATS(t).URL())
	})
}

type storm struct {
	*testing.T
	crowding
	url      string   // of the database
	settings []string // of the nodes
	counted  *statements
	one, two *app.App
	people   []resident
	rooms    []string
	clients  []*returning
	reading  sync.WaitGroup
	sent     []int64 // messages by room
}

type resident struct {
	id    chat.ID
	token string
}

// mustBrew makes two nodes, users, conversations and clients.
func mustBrew(t *testing.T, size crowding, url string, settings []string) *storm {
	t.Helper()
	s := &storm{T: t, crowding: size, url: url, settings: append(settings, "--sockets-per-user", "1000", "--check-every", "0s"), counted: &statements{}, sent: make([]int64, size.rooms)}
	s.one, s.two = s.start(), s.start()
	db := testkit.MustOpenStore(t, s.url)
	tokens, err := token.New(token.Config{Secret: []byte("a secret of the tests, and of them alone"), AccessTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	members := make([][]chat.Member, size.rooms)
	for i, u := range testkit.MustAddUsers(t, db, size.users) {
		access, _, err := tokens.Access(chat.Viewer{User: u, Session: chat.NewID(chat.KindSession)}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s.people = append(s.people, resident{u, access})
		for k := range size.each {
			role := chat.RoleMember
			if r := (i + k) % size.rooms; len(members[r]) == 0 {
				role = chat.RoleOwner
			}
			members[(i+k)%size.rooms] = append(members[(i+k)%size.rooms], chat.Member{User: u, Role: role})
		}
	}
	for _, of := range members {
		id := chat.NewID(chat.KindConversation)
		if _, err := db.Write(t.Context(), of[0].User, func(tx *store.Tx) error {
			users := make([]chat.ID, len(of))
			for i := range of {
				of[i].Conversation, of[i].JoinedAt, users[i] = id, tx.Now, of[i].User
			}
			if err := tx.InsertConversation(chat.Conversation{ID: id, Kind: chat.Group, Title: "A group", CreatedAt: tx.Now, UpdatedAt: tx.Now, MemberCount: len(of)}); err != nil {
				return err
			}
			tx.Emit(chat.Event{Type: chat.ConversationCreated, Detail: chat.Detail{Members: users}}, chat.ConversationTopic(id))
			return tx.InsertMembers(of)
		}); err != nil {
			t.Fatal(err)
		}
		s.rooms = append(s.rooms, id.String())
	}
	h, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin := chat.Cursor{Epoch: h.Epoch, Position: h.Position}.String()
	for i := range size.sockets {
		c := &returning{token: s.people[i%size.users].token, cursor: begin, room: -1, seqs: map[int]*int64{}}
		for k := range size.each {
			c.seqs[(i%size.users+k)%size.rooms] = new(int64)
		}
		if i%3 == 0 {
			c.room = i % size.users % size.rooms
			c.seqs = map[int]*int64{c.room: new(int64)}
		}
		s.clients = append(s.clients, c)
	}
	return s
}

// start starts a node whose statements are counted.
func (s *storm) start() *app.App {
	s.Helper()
	a, err := app.Start(context.Background(), testkit.MustConfig(s, s.url, s.settings...), slog.New(s.counted))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(a.Stop)
	return a
}

// returning is a client that comes back.
type returning struct {
	token  string
	room   int // listens to this one; -1: to the feed
	conn   *websocket.Conn
	cursor string
	caught chan error     // the first CaughtUp, or what came instead
	seqs   map[int]*int64 // the last message by room
}

// connect subscribes after the last cursor.
func (c *returning) connect(ctx context.Context, address string, rooms []string) error {
	d := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, ReadBufferSize: 2 << 10, WriteBufferSize: 512}
	conn, resp, err := d.DialContext(ctx, "ws://"+address+"/graphql", nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	c.conn = conn
	if err := conn.WriteJSON(map[string]any{"type": "connection_init", "payload": client.Vars{"authorization": "Bearer " + c.token}}); err != nil {
		return err
	}
	var ack struct{ Type string }
	if err := conn.ReadJSON(&ack); err != nil || ack.Type != "connection_ack" {
		return fmt.Errorf("%s: %w", ack.Type, err)
	}
	text, vars := `subscription($after: Cursor) { e: events(after: $after) { __typename cursor ... on MessageAdded { message { seq body sender { displayName } } } } }`, client.Vars{"after": c.cursor}
	if c.room >= 0 {
		text, vars["c"] = `subscription($c: ID!, $after: Cursor) { e: messageAdded(conversationId: $c, after: $after) { __typename cursor message { seq body } } }`, rooms[c.room]
	}
	return conn.WriteJSON(map[string]any{"id": "1", "type": "subscribe", "payload": map[string]any{"query": text, "variables": vars}})
}

// listen reads until the connection ends. Each message is the next one of its conversation.
func (c *returning) listen() error {
	for first := true; ; {
		var m struct {
			Type    string
			Payload struct {
				Data struct {
					E struct {
						Typename string `json:"__typename"`
						Cursor   string
						Message  struct {
							Seq  int64
							Body string
						}
					}
				}
			}
		}
		if err := c.conn.ReadJSON(&m); err != nil {
			return err
		}
		e := m.Payload.Data.E
		switch {
		case m.Type == "ping":
			continue
		case m.Type != "next":
			return fmt.Errorf("%w: %+v", errForeign, m)
		case e.Typename == "CaughtUp" && first:
			first = false
			c.caught <- nil
		case e.Typename != "MessageAdded":
			return fmt.Errorf("%w: %+v", errForeign, m)
		default:
			var room int
			_, _ = fmt.Sscan(e.Message.Body, &room)
			if seq := c.seqs[room]; seq == nil || e.Message.Seq != atomic.AddInt64(seq, 1) {
				return fmt.Errorf("%w: after message %+v of room %d: %+v", errForeign, c.seqs, room, m)
			}
		}
		c.cursor = e.Cursor
	}
}

// come has all clients connect at once, and says how long each took to be caught up.
func (s *storm) come(node *app.App) []time.Duration {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	took := make([]time.Duration, len(s.clients))
	begun := time.Now()
	atOnce(len(s.clients), func(i int) {
		c := s.clients[i]
		c.caught = make(chan error, 1)
		for {
			if err := c.connect(ctx, node.Addr(), s.rooms); err == nil {
				break
			} else if ctx.Err() != nil {
				s.Errorf("client %d: %v", i, err)
				return
			}
		}
		s.reading.Go(func() {
			err := c.listen()
			if errors.Is(err, errForeign) {
				s.Errorf("client %d: %v", i, err)
			}
			select {
			case c.caught <- err:
			default:
			}
		})
		select {
		case err := <-c.caught:
			if err != nil {
				s.Errorf("client %d: %v", i, err)
			}
		case <-ctx.Done():
			s.Errorf("client %d is not caught up", i)
		}
		took[i] = time.Since(begun)
	})
	slices.Sort(took)
	return took
}

// gone waits until every client has lost its connection.
func (s *storm) gone() {
	s.reading.Wait()
	for _, c := range s.clients {
		_ = c.conn.Close()
	}
}

func (s *storm) cut() {
	for _, c := range s.clients {
		_ = c.conn.NetConn().(*net.TCPConn).SetLinger(0)
		_ = c.conn.Close()
	}
	s.gone()
}

// strike has all sockets end, and come back to a node; nil: to one that starts only now.
func (s *storm) strike(how string, node *app.App, end func()) {
	s.Helper()
	end()
	h := &http.Client{Transport: &http.Transport{}}
	defer h.CloseIdleConnections()
	from := node
	if from == nil {
		from = s.one
	}
	var next atomic.Int64
	say := func(to *app.App) time.Duration { // whoever has a turn
		n := int(next.Add(1)) - 1
		r := n % s.crowding.rooms
		who := s.people[r]
		begin := time.Now()
		if _, err := send(s.Context(), &client.Client{URL: "http://" + to.Addr(), Token: who.token, HTTP: h}, s.rooms[r], fmt.Sprint(r, " ", how), fmt.Sprint(how, n)); err != nil {
			s.Error(err)
		}
		atomic.AddInt64(&s.sent[r], 1)
		return time.Since(begin)
	}
	for range s.missed {
		say(from)
	}
	if node == nil {
		s.one.Stop()
		begun := time.Now()
		s.one = s.start()
		s.Logf("a node starts within %v", time.Since(begun).Round(time.Millisecond))
		node = s.one
	}
	over := make(chan struct{})
	var sends histogram
	var talking sync.WaitGroup
	if *fullStorm { // what a storm does to others
		talking.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					sends.add(say(node))
				case <-over:
					return
				}
			}
		})
	}
	var took []time.Duration
	made := s.counted.of(func() { took = s.come(node) })
	close(over)
	talking.Wait()
	if s.Failed() {
		s.FailNow()
	}
	s.Logf("%s: %d sockets are caught up within %v (p50), %v (p95), %v (all)", how, s.sockets, ms(took[len(took)/2]), ms(took[len(took)*95/100]), ms(took[len(took)-1]))
	if sends.count() > 0 {
		s.Logf("  %d sends meanwhile: p50 %v, p99 %v", sends.count(), sends.quantile(0.5), sends.quantile(0.99))
	}
	var spans int
	var others []string
	for _, q := range made {
		switch {
		case strings.Contains(q, "FROM memberships"):
			spans++
		case strings.Contains(q, "last_seen_at ="), strings.Contains(q, "FROM sessions"), strings.Contains(q, "max(position)"), strings.Contains(q, "position + "),
			strings.Contains(q, "job_cursor"), strings.Contains(q, "FROM limits"):
			// who went for good, and what is past its time: now and then, whoever comes
		default:
			others = append(others, q)
		}
	}
	s.Logf("  %d look-ups of who is where; the heap is %s", spans, mib(liveHeap()))
	if many := strings.HasPrefix(s.url, "postgres"); many && spans > s.sockets/4 { // in SQLite, which is no way away, each has its own
		s.Errorf("%d look-ups of who is where for %d sockets", spans, s.sockets)
	}
	// A node that has not heard of the last messages yet reads them once; in full size there are the sends' besides.
	if !*fullStorm && len(others) > s.crowding.rooms {
		s.Errorf("%d statements besides:\n%s", len(others), strings.Join(slices.Compact(others), "\n"))
	}
	if p95, most := took[len(took)*95/100], 10*time.Second; *fullStorm && p95 > most {
		s.Errorf("95 %% were caught up after %v, want %v", p95, most)
	}
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// settle waits until everybody has heard everything.
func (s *storm) settle() {
	eventually(s, func() error {
		for i, c := range s.clients {
			for r, seq := range c.seqs {
				if heard := atomic.LoadInt64(seq); heard != s.sent[r] {
					return fmt.Errorf("client %d has heard %d of %d messages of room %d", i, heard, s.sent[r], r)
				}
			}
		}
		return nil
	})
	s.cut()
}

// mustAllowFiles lets the process have as many files open, or fails.
func mustAllowFiles(t *testing.T, n uint64) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur = max(l.Cur, min(l.Max, n)); l.Cur < n {
		t.Fatalf("%d open files are needed, and the system allows %d; raise the limit (ulimit -n)", n, l.Max)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
}
