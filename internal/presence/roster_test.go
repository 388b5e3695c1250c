package presence

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

const step = 50 * time.Millisecond

// sim is some nodes on a bus, in a time of its own.
type sim struct {
	now   time.Time
	rnd   *rand.Rand
	nodes []*simNode
	users []uuid.UUID
	cut   map[[2]int]bool // from, to
	wire  []letter

	drop, double int // percent
	delay        time.Duration
	messages     map[kind]int
	bytes        int
}

type letter struct {
	at   time.Time
	from int
	to   int
	data []byte
}

type simNode struct {
	*roster
	sockets   map[uuid.UUID]int
	down      bool // has died, or stopped
	paused    bool
	connected bool
	soon      bool
	late      bool // runs again, and has not read what has come meanwhile
	changes   map[uuid.UUID]struct{}
	view      map[uuid.UUID]bool
	flips     []flip
	written   []sighting
}

type flip struct {
	at     time.Time
	user   uuid.UUID
	online bool
}

func newSim(nodes, users int, seed uint64) *sim {
	s := &sim{now: time.Unix(1_800_000_000, 0), rnd: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]int]bool{}, messages: map[kind]int{}}
	for range nodes {
		s.start()
	}
	for range users {
		s.users = append(s.users, uuid.New())
	}
	return s
}

func (s *sim) start() int {
	n := &simNode{sockets: map[uuid.UUID]int{}, connected: true, changes: map[uuid.UUID]struct{}{}, view: map[uuid.UUID]bool{}}
	n.roster = newRoster(5*time.Second, false, func(u uuid.UUID) { n.changes[u] = struct{}{} })
	s.nodes = append(s.nodes, n)
	return len(s.nodes) - 1
}

func (s *sim) connect(node int, users ...uuid.UUID) {
	for _, u := range users {
		s.nodes[node].sockets[u]++
		s.nodes[node].roster.connected(u)
	}
}

func (s *sim) disconnect(node int, users ...uuid.UUID) {
	for _, u := range users {
		if s.nodes[node].sockets[u]--; s.nodes[node].sockets[u] == 0 {
			delete(s.nodes[node].sockets, u)
		}
		s.nodes[node].disconnected(u, s.now)
	}
}

func (s *sim) publish(from int, f frame) {
	data := f.encode()
	s.messages[f.kind]++
	s.bytes += len(data)
	for to := range s.nodes {
		if to == from {
			continue
		}
		copies := 1
		if s.rnd.IntN(100) < s.drop {
			copies = 0
		} else if s.rnd.IntN(100) < s.double {
			copies = 2
		}
		for range copies {
			s.wire = append(s.wire, letter{s.now.Add(time.Millisecond + time.Duration(s.rnd.Int64N(int64(s.delay)+1))), from, to, data})
		}
	}
}

// stop takes leave as Service.Stop does.
func (s *sim) stop(node int) {
	n := s.nodes[node]
	n.down = true
	s.publish(node, frame{kind: kindBye, node: n.id})
	n.written = append(n.written, sighting{s.now, slices.Collect(maps.Keys(n.here))})
}

func (s *sim) resume(node int) { s.nodes[node].paused, s.nodes[node].late = false, true }

func (s *sim) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(step)
		slices.SortStableFunc(s.wire, func(a, b letter) int { return a.at.Compare(b.at) })
		var later []letter
		for _, l := range s.wire {
			from, to := s.nodes[l.from], s.nodes[l.to]
			switch {
			case to.paused || to.late || l.at.After(s.now): // the kernel keeps it
				later = append(later, l)
			case to.down || s.cut[[2]int{l.from, l.to}] || !to.connected || !from.connected:
			default:
				f, ok := decode(l.data)
				if !ok {
					panic("a message that cannot be read")
				}
				to.soon = to.hear(f, s.now) || to.soon
			}
		}
		s.wire = later
		for i, n := range s.nodes {
			if n.down || n.paused {
				continue
			}
			slow := n.late || s.now.UnixMilli()%resolution.Milliseconds() == 0
			n.late = false
			if slow {
				last, others := n.due(s.now)
				if len(last) > 0 {
					n.written = append(n.written, sighting{s.now, last})
				}
				n.written = append(n.written, n.seen...)
				n.seen = nil
				n.letGo(last, s.now, true)
				n.letGo(others, s.now, false)
				n.pass(s.now)
			}
			if slow || n.soon || len(n.news) > 0 {
				n.soon = false
				for _, f := range n.beat(s.now, n.connected) {
					s.publish(i, f)
				}
			}
			for u := range n.changes {
				if now := n.online(u); now != n.view[u] {
					n.view[u] = now
					n.flips = append(n.flips, flip{s.now, u, now})
				}
			}
			clear(n.changes)
		}
	}
}

// wrong compares what every node shows with who has a socket.
func (s *sim) wrong() error {
	for i, n := range s.nodes {
		if n.down {
			continue
		}
		for j, u := range s.users {
			want := slices.ContainsFunc(s.nodes, func(n *simNode) bool { return !n.down && n.sockets[u] > 0 })
			if n.online(u) != want || n.view[u] != want {
				return fmt.Errorf("node %d takes user %d for online: %v (told: %v)", i, j, n.online(u), n.view[u])
			}
		}
	}
	return nil
}

func (s *sim) mustAgree(t *testing.T) {
	t.Helper()
	if err := s.wrong(); err != nil {
		t.Fatal(err)
	}
}

// offline are the times at which a node told that users went.
func (s *sim) offline(node int) (out []flip) {
	for _, f := range s.nodes[node].flips {
		if !f.online {
			out = append(out, f)
		}
	}
	return out
}

// writes counts how often the last_seen of each user was written.
func (s *sim) writes() map[uuid.UUID]int {
	out := map[uuid.UUID]int{}
	for _, n := range s.nodes {
		for _, w := range n.written {
			for _, u := range w.users {
				out[u]++
			}
		}
	}
	return out
}

func (s *sim) mustStay(t *testing.T) {
	t.Helper()
	for i := range s.nodes {
		if gone := s.offline(i); len(gone) > 0 {
			t.Fatalf("node %d told of %d who went, first %v", i, len(gone), gone[0].at.Sub(time.Unix(1_800_000_000, 0)))
		}
	}
}

// Whatever happens on the way: when it is quiet, every node shows exactly those who have a socket.
func TestConverges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(rapid.IntRange(2, 4).Draw(rt, "nodes"), 12, rapid.Uint64().Draw(rt, "seed"))
		s.drop = rapid.IntRange(0, 40).Draw(rt, "drop")
		s.double = rapid.IntRange(0, 40).Draw(rt, "double")
		s.delay = time.Duration(rapid.IntRange(0, 1500).Draw(rt, "delay")) * time.Millisecond
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			i := s.rnd.IntN(len(s.nodes))
			n := s.nodes[i]
			u := s.users[s.rnd.IntN(len(s.users))]
			switch op := s.rnd.IntN(20); {
			case n.down || n.paused && op != 13:
			case op < 7:
				s.connect(i, u)
			case op < 12:
				if n.sockets[u] > 0 {
					s.disconnect(i, u)
				}
			case op == 12:
				n.paused = true
			case op == 13:
				s.resume(i)
			case op == 14:
				s.cut[[2]int{i, s.rnd.IntN(len(s.nodes))}] = true
			case op == 15:
				clear(s.cut)
			case op == 16:
				if n.connected = !n.connected; n.connected {
					n.reconnected(s.now)
				}
			case op == 17:
				n.down = true
				s.start()
			case op == 18:
				s.stop(i)
				s.start()
			}
			s.run(time.Duration(s.rnd.Int64N(int64(3 * time.Second))))
		}
		s.drop, s.double, s.delay = 0, 0, 0
		clear(s.cut)
		for _, n := range s.nodes {
			if n.paused = false; !n.connected {
				n.connected = true
				n.reconnected(s.now)
			}
		}
		s.run(20 * time.Second)
		if err := s.wrong(); err != nil {
			rt.Fatal(err)
		}
		for i, n := range s.nodes {
			if !n.down && len(n.leaving)+len(n.let)+len(n.closing)+len(n.news) > 0 {
				rt.Fatalf("node %d keeps what is over: %d %d %d %d", i, len(n.leaving), len(n.let), len(n.closing), len(n.news))
			}
		}
	})
}

func TestMoving(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newSim(3, 10, rapid.Uint64().Draw(rt, "seed"))
		s.delay = 50 * time.Millisecond
		s.double = 30
		s.run(3 * time.Second)
		at := map[uuid.UUID]int{}
		for _, u := range s.users {
			s.connect(0, u)
		}
		for range 40 { // each moves within the grace period, sometimes at its very end
			u := s.users[s.rnd.IntN(len(s.users))]
			s.disconnect(at[u], u)
			s.run(time.Duration(s.rnd.Int64N(int64(5 * time.Second))))
			at[u] = s.rnd.IntN(3)
			if rapid.Bool().Draw(rt, "lost") {
				s.drop = 100 // what the new node says first
				s.connect(at[u], u)
				s.run(step)
				s.drop = 0
				s.run(3 * time.Second) // one loss at a time
			} else {
				s.connect(at[u], u)
			}
		}
		s.run(10 * time.Second)
		if err := s.wrong(); err != nil {
			rt.Fatal(err)
		}
		for i := range s.nodes {
			if gone := s.offline(i); len(gone) > 0 {
				rt.Fatalf("node %d told that somebody went", i)
			}
		}
	})
}

func TestGoing(t *testing.T) {
	t.Parallel()
	s := newSim(3, 3, 1)
	s.connect(0, s.users...)
	s.connect(1, s.users[1:]...)
	s.run(3 * time.Second)
	s.disconnect(0, s.users...) // of the second the other node is the last; of the third each takes the other for it
	s.disconnect(1, s.users[2])
	gone := s.now
	s.run(4 * time.Second)
	s.mustStay(t)
	s.disconnect(1, s.users[1])
	s.run(3500 * time.Millisecond)
	if off := s.offline(2); len(off) != 2 || off[0].at.Sub(gone) < 5*time.Second || off[0].at.Sub(gone) > 7500*time.Millisecond {
		t.Errorf("%v", off)
	}
	s.run(20 * time.Second)
	s.mustAgree(t)
	if w := s.writes(); w[s.users[0]] != 1 || w[s.users[1]] != 1 || w[s.users[2]] < 1 || w[s.users[2]] > 2 {
		t.Errorf("%v", w)
	}
}

func TestDeath(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		s := newSim(4, 20, seed)
		s.delay = 20 * time.Millisecond
		s.connect(0, s.users...)
		s.connect(1, s.users[0])
		s.run(3*time.Second + time.Duration(seed)*step)
		s.nodes[0].down = true
		died := s.now
		s.run(3 * time.Second)
		s.connect(2, s.users[1]) // before the death is noticed
		s.run(4 * time.Second)
		s.connect(3, s.users[2]) // after it
		s.run(10 * time.Second)
		s.mustAgree(t)
		for i := 1; i < 4; i++ {
			off := s.offline(i)
			if len(off) != 17 {
				t.Fatalf("node %d told %d times that somebody went", i, len(off))
			}
			for _, f := range off {
				if d := f.at.Sub(died); d > 10*time.Second || d < 8*time.Second {
					t.Fatalf("noticed after %v", d)
				}
			}
		}
		for u, n := range s.writes() {
			if n != 1 {
				t.Errorf("last seen of %v written %d times", u, n)
			}
		}
		if n := len(s.writes()); n < 17 {
			t.Errorf("last seen of %d written", n)
		}
	}
}

func TestBye(t *testing.T) {
	t.Parallel()
	s := newSim(3, 2, 1)
	s.connect(0, s.users...)
	s.run(2 * time.Second)
	s.stop(0)
	s.publish(0, frame{kind: kindHello, node: s.nodes[0].id, seq: 7, users: 2}) // late
	s.publish(0, frame{kind: kindState, node: s.nodes[0].id, answer: 7, seq: 7, parts: 1, came: s.users})
	at := s.now
	s.run(4500 * time.Millisecond)
	s.connect(1, s.users[0])
	s.run(10 * time.Second)
	s.mustAgree(t)
	for i := 1; i < 3; i++ {
		if off := s.offline(i); len(off) != 1 || off[0].user != s.users[1] || off[0].at.Sub(at) < 5*time.Second || off[0].at.Sub(at) > 5500*time.Millisecond {
			t.Errorf("%v", off)
		}
		if len(s.nodes[i].peers) != 1 {
			t.Error("who took leave is still there")
		}
	}
	if w := s.writes(); w[s.users[0]] != 1 || w[s.users[1]] != 1 {
		t.Errorf("%v", w)
	}
}

// Who has lost the bus knows nothing new of the others, and so changes nothing.
func TestBusDown(t *testing.T) {
	t.Parallel()
	s := newSim(3, 3, 1)
	for i, u := range s.users {
		s.connect(i, u)
	}
	s.run(3 * time.Second)
	s.mustAgree(t)
	for _, n := range s.nodes {
		n.connected = false
	}
	s.run(time.Minute)
	s.mustStay(t)
	s.connect(0, s.users[1]) // they move while nobody can say so
	s.disconnect(1, s.users[1])
	s.run(time.Second)
	for _, n := range s.nodes {
		n.connected = true
	}
	s.run(5 * step) // one beat before they are told
	for _, n := range s.nodes {
		n.reconnected(s.now)
	}
	states := s.messages[kindState]
	s.run(2 * time.Second)
	if s.messages[kindState] != states {
		t.Error("what was kept for later follows on, and no state is needed")
	}
	s.run(20 * time.Second)
	s.mustStay(t)
	s.mustAgree(t)
	s.nodes[2].down = true
	s.nodes[0].connected = false
	s.run(20 * time.Second)
	if !s.nodes[0].online(s.users[2]) || s.nodes[1].online(s.users[2]) {
		t.Error("frozen where there is no bus, and only there")
	}
	s.nodes[0].connected = true
	s.nodes[0].reconnected(s.now)
	at := s.now
	s.run(10 * time.Second)
	if off := s.offline(0); len(off) != 1 || off[0].at.Sub(at) < 9*time.Second {
		t.Errorf("%v", off)
	}
	s.mustAgree(t)
}

func TestPartition(t *testing.T) {
	t.Parallel()
	s := newSim(2, 2, 1)
	s.connect(0, s.users[0])
	s.connect(1, s.users[1])
	s.run(3 * time.Second)
	s.cut[[2]int{0, 1}], s.cut[[2]int{1, 0}] = true, true
	s.run(20 * time.Second)
	if len(s.offline(0)) != 1 || len(s.offline(1)) != 1 {
		t.Errorf("%v %v", s.offline(0), s.offline(1))
	}
	clear(s.cut)
	s.run(2 * time.Second)
	s.mustAgree(t)
}

func TestPause(t *testing.T) {
	t.Parallel()
	s := newSim(3, 3, 1)
	for i, u := range s.users {
		s.connect(i, u)
	}
	s.run(3 * time.Second)
	s.nodes[0].paused = true
	s.run(3 * time.Second) // short: nobody notices
	s.resume(0)
	s.run(10 * time.Second)
	s.mustStay(t)
	s.nodes[0].paused = true
	s.run(7 * time.Second) // its users have begun to leave
	s.resume(0)
	s.run(10 * time.Second)
	s.mustStay(t)
	s.mustAgree(t)
	s.nodes[0].paused = true
	s.run(30 * time.Second)
	s.resume(0)
	s.run(10 * time.Second)
	s.mustAgree(t)
	if len(s.offline(0)) != 0 || len(s.offline(1)) != 1 || len(s.offline(2)) != 1 {
		t.Error("who stood still does not blame the others")
	}
	if w := s.writes(); w[s.users[0]] != 2 || w[s.users[1]]+w[s.users[2]] != 0 { // it was dead twice
		t.Errorf("%v", w)
	}
	// Somebody comes back, elsewhere, while this node stands still.
	s = newSim(2, 1, 1)
	s.run(2 * time.Second)
	s.connect(1, s.users...)
	s.run(time.Second)
	s.disconnect(1, s.users...)
	s.run(6 * time.Second)
	s.nodes[0].paused = true
	s.connect(1, s.users...)
	s.run(10 * time.Second)
	s.resume(0)
	s.run(10 * time.Second)
	s.mustStay(t)
}

// What comes in another order is put in order: nobody has to ask.
func TestReordered(t *testing.T) {
	t.Parallel()
	s := newSim(2, 200, 1)
	s.delay = 140 * time.Millisecond
	s.double = 50
	s.run(3 * time.Second)
	clear(s.messages)
	for _, u := range s.users {
		s.connect(0, u)
		s.run(step)
	}
	s.run(2 * time.Second)
	s.mustAgree(t)
	if s.messages[kindDelta] < 150 || s.messages[kindAsk] != 0 {
		t.Errorf("%v", s.messages)
	}
}

// A state counts when all of its pages are there, and is newer than what is known.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newSim(1, 4, 1)
	n, id, u := s.nodes[0], uuid.New(), s.users
	want := func(users ...uuid.UUID) {
		t.Helper()
		if p := n.peers[id]; len(p.users) != len(users) {
			t.Fatalf("%d users, want %d", len(p.users), len(users))
		}
		for _, u := range users {
			if _, ok := n.peers[id].users[u]; !ok || !n.online(u) {
				t.Fatal("somebody is missing")
			}
		}
	}
	page := func(answer, seq, part uint64, users ...uuid.UUID) {
		n.hear(frame{kind: kindState, node: id, answer: answer, seq: seq, part: part, parts: 2, came: users}, s.now)
	}
	asks := 0
	for range 200 {
		s.now = s.now.Add(step)
		n.hear(frame{kind: kindHello, node: id, seq: 5, users: 3}, s.now)
		for _, f := range n.beat(s.now, true) {
			if f.kind == kindAsk {
				asks++
			}
		}
	}
	if asks < 9 || asks > 11 {
		t.Errorf("asked %d times in 10 s", asks)
	}
	page(1, 5, 0, u[0])
	page(2, 5, 1, u[1]) // of another answer
	want()
	page(1, 5, 1, u[1]) // late
	want()
	page(2, 5, 1, u[1]) // twice
	want()
	n.hear(frame{kind: kindDelta, node: id, seq: 6, went: u[:1]}, s.now) // before what it follows
	page(2, 5, 0, u[0], u[2])
	want(u[1], u[2])
	page(3, 4, 0, u[0])
	page(3, 4, 1, u[3])
	want(u[1], u[2])
	n.hear(frame{kind: kindDelta, node: id, seq: 6, came: u}, s.now)
	want(u[1], u[2])
}

func TestTypingBounds(t *testing.T) {
	t.Parallel()
	changes := 0
	now := time.Unix(1_800_000_000, 0)
	y := newTyping(6*time.Second, false, func(uuid.UUID) { changes++ })
	full := uuid.New()
	for range 2 * maxTypists {
		y.hear([]typed{{full, uuid.New(), 6000}}, now)
	}
	if y.n != maxTypists || changes != maxTypists {
		t.Errorf("%d type in one conversation", y.n)
	}
	for range 2 * maxTyping {
		y.hear([]typed{{uuid.New(), uuid.New(), 1 << 60}}, now)
	}
	if y.n != maxTyping {
		t.Errorf("%d type in all", y.n)
	}
	mine := typist{uuid.New(), uuid.New()}
	y.begin(mine, now.Add(6*time.Second)) // the bound is for others
	if y.n != maxTyping+1 {
		t.Error("somebody here does not count")
	}
	y.hear([]typed{{mine.conversation, mine.user, 0}}, now)
	if y.n != maxTyping {
		t.Error("taken back, and still there")
	}
	y.pass(now.Add(6*time.Second + 1))
	if y.n != 0 || len(y.who) != 0 {
		t.Errorf("%d left", y.n)
	}
	for range 2*maxTyped + 1 {
		y.tell(typist{uuid.New(), uuid.New()})
	}
	for i, want := range []int{maxTyped, maxTyped, 1} {
		if f, ok := y.say(uuid.New(), true); !ok || len(f.typed) != want || f.seq != uint64(i)+1 { //nolint:gosec // small
			t.Error(len(f.typed))
		}
	}
	y.tell(mine)
	if _, ok := y.say(uuid.New(), false); ok || y.more() {
		t.Error("what cannot be told now is kept")
	}
}

// Ten thousand users lose their node and come back on another one: few messages, and nobody is told anything.
func TestStorm(t *testing.T) {
	t.Parallel()
	s := newSim(3, 10_000, 1)
	s.connect(0, s.users...)
	s.run(5 * time.Second)
	s.nodes[0].down = true
	s.run(2 * time.Second)
	clear(s.messages)
	s.bytes = 0
	for i := 0; i < len(s.users); i += 200 { // within 2.5 s
		s.connect(1, s.users[i:i+200]...)
		s.run(step)
	}
	s.run(10 * time.Second)
	s.mustStay(t)
	s.mustAgree(t)
	t.Logf("10,000 users come back: %v (hello, delta, ask, state) and %d bytes, %.1f a user", s.messages, s.bytes, float64(s.bytes)/1e4)
	if s.messages[kindDelta] > 51 || s.messages[kindAsk] != 0 || s.bytes > 17*10_000 {
		t.Errorf("%v, %d bytes", s.messages, s.bytes)
	}
	clear(s.messages)
	s.bytes = 0
	s.start() // a node that knows nothing asks once
	s.run(3 * time.Second)
	s.mustAgree(t)
	t.Logf("a new node learns 10,000 users: %v, %d bytes", s.messages, s.bytes)
	if s.messages[kindAsk] != 1 || s.messages[kindState] != 5 || s.bytes > 17*10_000 {
		t.Errorf("%v, %d bytes", s.messages, s.bytes)
	}
	clear(s.messages)
	s.disconnect(1, s.users...)
	s.run(20 * time.Second)
	s.mustAgree(t)
	if s.messages[kindDelta] != 5 {
		t.Errorf("%v", s.messages)
	}
}

// However many ask, the answer comes once a second.
func TestAskedOften(t *testing.T) {
	t.Parallel()
	s := newSim(2, 1, 1)
	s.connect(0, s.users...)
	s.run(2 * time.Second)
	clear(s.messages)
	for range 400 {
		s.nodes[0].hear(frame{kind: kindAsk, node: uuid.New(), to: s.nodes[0].id}, s.now)
		s.nodes[0].soon = true
		s.run(step)
	}
	if n := s.messages[kindState]; n < 19 || n > 21 {
		t.Errorf("%d answers in 20 s", n)
	}
	if len(s.nodes[0].peers) != 1 {
		t.Error("who only asks is no node")
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	s := newSim(1, 0, 1)
	n := s.nodes[0]
	for range 2 * maxPeers {
		id := uuid.New()
		for seq := range uint64(2 * maxAhead) {
			n.hear(frame{kind: kindDelta, node: id, seq: seq + 2}, s.now)
		}
		n.hear(frame{kind: kindState, node: id, answer: 1, seq: 1, parts: 2}, s.now)
	}
	if len(n.peers) != maxPeers {
		t.Error(len(n.peers))
	}
	for _, p := range n.peers {
		if len(p.ahead) > maxAhead || len(p.users) > 0 {
			t.Fatal(len(p.ahead))
		}
	}
	s.run(5 * time.Second)
	if len(n.peers) != 0 {
		t.Error("strangers who fall silent are forgotten")
	}
}

// What a remote user costs, in memory and on the wire. Not parallel: it looks at the heap.
func TestMemory(t *testing.T) { //nolint:paralleltest // see above
	s := newSim(2, 10_000, 1)
	s.run(step)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	other := s.nodes[0]
	n := s.nodes[1]
	for _, f := range []frame{{kind: kindHello, node: other.id, seq: 1, users: 10_000}} {
		n.hear(f, s.now)
	}
	for i := range uint64(5) {
		f := frame{kind: kindState, node: other.id, answer: 1, seq: 1, part: i, parts: 5, came: s.users[i*maxPage : (i+1)*maxPage]}
		got, ok := decode(f.encode())
		if !ok {
			t.Fatal("a state that cannot be read")
		}
		n.hear(got, s.now)
	}
	n.changes = map[uuid.UUID]struct{}{}
	each := float64(heap()-before) / 1e4
	page := frame{kind: kindState, node: other.id, answer: 1, seq: 1, parts: 1, came: s.users[:maxPage]}
	asJSON, err := json.Marshal(userIDs(page.came))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a remote user: %.0f bytes in memory, %.2f on the wire (%.2f as JSON)", each, float64(len(page.encode()))/maxPage, float64(len(asJSON))/maxPage)
	if len(n.peers[other.id].users) != 10_000 || each > 60 {
		t.Errorf("%d users, %.0f bytes each", len(n.peers[other.id].users), each)
	}
	runtime.KeepAlive(s)
}

func FuzzDecode(f *testing.F) {
	id := uuid.New()
	for _, m := range []frame{
		{kind: kindHello, node: id, seq: 300, users: 2, fresh: true},
		{kind: kindDelta, node: id, seq: 1, came: []uuid.UUID{id}, went: []uuid.UUID{id, id}},
		{kind: kindAsk, node: id, to: id},
		{kind: kindState, node: id, answer: 3, seq: 1, part: 1, parts: 2, came: []uuid.UUID{id}},
		{kind: kindBye, node: id},
		{kind: kindTyping, node: id, seq: 9, typed: []typed{{id, id, 6000}, {id, id, 0}}},
	} {
		b := m.encode()
		if got, ok := decode(b); !ok || fmt.Sprint(got) != fmt.Sprint(m) {
			f.Fatalf("%v became %v", m, got)
		}
		for i := range b { // cut short, and with more
			if _, ok := decode(b[:i]); ok {
				f.Fatalf("kind %d was read from %d bytes of %d", m.kind, i, len(b))
			}
		}
		if _, ok := decode(append(slices.Clone(b), 0)); ok {
			f.Fatal("read with a byte too many")
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := decode(b)
		if !ok {
			return
		}
		again, ok := decode(m.encode())
		if !ok || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("%v became %v", m, again)
		}
	})
}
