package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/eventlog"
	"github.com/parley-chat/parley/internal/testkit"
)

// heard is a message as a subscriber gets it.
type heard struct {
	MessageAdded struct {
		Typename string `json:"__typename"`
		Message  struct {
			Seq  int64
			Body string
		}
	}
}

// mustListen subscribes somebody to a conversation through a node, and waits until they are live.
func mustListen(t *testing.T, node *app.App, who *client.Account, conversation string) *client.Subscription {
	t.Helper()
	c := *who.Client
	c.URL = node.URL()
	s, err := c.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	sub, err := s.Subscribe(`subscription($c: ID!) { messageAdded(conversationId: $c) { __typename ... on MessageAdded { message { seq body } } } }`,
		client.Vars{"c": conversation}, 5000)
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	if err := sub.Next(t.Context(), &h); err != nil || h.MessageAdded.Typename != "CaughtUp" {
		t.Fatalf("%+v %v", h, err)
	}
	return sub
}

func mustNext(t *testing.T, sub *client.Subscription) heard {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var h heard
	if err := sub.Next(ctx, &h); err != nil || h.MessageAdded.Typename != "MessageAdded" {
		t.Fatalf("%+v %v", h, err)
	}
	return h
}

// typical is how long it takes a message from its sender to a listener, when nothing else is in the way: other tests run
// beside this one.
func typical(t *testing.T, from *client.Client, conversation string, to *client.Subscription) time.Duration {
	t.Helper()
	var took []time.Duration
	for i := range 9 {
		begin, body := time.Now(), fmt.Sprint("message ", i)
		mustSend(t, from, conversation, body)
		if h := mustNext(t, to); h.MessageAdded.Message.Body != body {
			t.Fatalf("%+v, want %q", h, body)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[2]
}

func mustConnect(t *testing.T, nodes ...*app.App) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, func() error {
			if !n.Connected() {
				return fmt.Errorf("not connected")
			}
			return nil
		})
	}
}

// What is said on one node is heard on the other at once: nobody asks the database.
func TestDoorbell(t *testing.T) {
	t.Parallel()
	c := testkit.MustCluster(t, testkit.MustNATS(t), 2, "--log-poll", "1h", "--max-message-chars", "400000", "--max-body", "8MiB", "--max-queue", "8MiB")
	one, two := c.Nodes[0], c.Nodes[1]
	mustConnect(t, one, two)
	people := mustMeet(t, one.URL(), 2)
	room := mustCreateGroup(t, people[0], people[1])
	sub := mustListen(t, two, people[1], room)
	mustSend(t, people[0].Client, room, "first")
	mustNext(t, sub)
	took := typical(t, people[0].Client, room, sub)
	t.Logf("typically %v", took)
	if took > 100*time.Millisecond {
		t.Errorf("it takes %v", took)
	}
	if n := two.Bell(); n.Doorbells == 0 {
		t.Errorf("%+v", n)
	}
	// What is too large to travel is read.
	large := strings.Repeat("large ", 60_000)
	begin := time.Now()
	mustSend(t, people[0].Client, room, large)
	if h := mustNext(t, sub); len(h.MessageAdded.Message.Body) < len(large)-1 {
		t.Errorf("%d characters", len(h.MessageAdded.Message.Body))
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a large one takes %v", took)
	}
}

// NATS comes and goes, and is away at the start: sends succeed, are heard within 5 s, and fast again when it is back.
func TestOutage(t *testing.T) {
	t.Parallel()
	nats := testkit.MustNATS(t)
	nats.Stop()
	c := testkit.MustCluster(t, nats, 2, "--log-poll", "2s")
	one, two := c.Nodes[0], c.Nodes[1]
	people := mustMeet(t, one.URL(), 2)
	room := mustCreateGroup(t, people[0], people[1])
	eventually(t, func() error { // the other node has to know of the room, by its timer
		return (&client.Client{URL: two.URL(), Token: people[1].Token}).Do(t.Context(), `query($c: ID!) { conversation(id: $c) { id } }`, client.Vars{"c": room}, nil)
	})
	sub := mustListen(t, two, people[1], room)
	for round := range 2 {
		for i := range 3 {
			begin := time.Now()
			mustSend(t, people[0].Client, room, fmt.Sprint(round, i))
			if h := mustNext(t, sub); h.MessageAdded.Message.Body != fmt.Sprint(round, i) {
				t.Fatalf("%+v", h)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("without NATS it takes %v", took)
			}
		}
		nats.Start()
		mustConnect(t, one, two)
		took := typical(t, people[0].Client, room, sub)
		t.Logf("typically %v", took)
		if took > 250*time.Millisecond {
			t.Errorf("with NATS again it takes %v", took)
		}
		nats.Stop()
	}
}

// relay carries what nodes publish, each under a name of its own, to the others, badly.
type relay struct {
	key      []byte
	ends     []*natsbus.Bus
	delays   sync.WaitGroup
	mu       sync.Mutex
	kept     [][]byte // to be replayed
	stopped  bool
	epoch    chat.Epoch
	sabotage map[string]int
}

func mustRelay(t *testing.T, nats *testkit.NATS, names []string, epoch chat.Epoch) *relay {
	t.Helper()
	key, err := app.BusKey([]byte("a secret of the tests, and of them alone"))
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{key: key, epoch: epoch, sabotage: map[string]int{}}
	for _, name := range names {
		b, err := natsbus.Open(natsbus.Config{URL: nats.URL(), Cluster: name})
		if err != nil {
			t.Fatal(err)
		}
		r.ends = append(r.ends, b)
	}
	for i, b := range r.ends {
		b.Subscribe(bus.Log, func(data []byte) {
			for j := range r.ends {
				if j != i {
					r.carry(j, data)
				}
			}
		})
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		r.mu.Lock()
		r.stopped = true
		r.mu.Unlock()
		r.delays.Wait()
		for _, b := range r.ends {
			b.Stop()
		}
	})
	return r
}

func (r *relay) carry(to int, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	if len(r.kept) < 1000 {
		r.kept = append(r.kept, data)
	}
	send := func(data []byte) { r.ends[to].Publish(bus.Log, data) }
	later := func(data []byte, most time.Duration) {
		r.delays.Add(1)
		time.AfterFunc(rand.N(most), func() { defer r.delays.Done(); send(data) })
	}
	forge := func(key, data []byte) { bus.Seal(r.ends[to], key).Publish(bus.Log, data) }
	what := []string{"drop", "double", "delay", "reorder", "forge", "invent", "replay", "pass", "pass", "pass"}[rand.IntN(10)]
	r.sabotage[what]++
	switch what {
	case "drop":
	case "double":
		send(data)
		send(data)
	case "delay":
		later(data, 300*time.Millisecond)
	case "reorder":
		later(data, 5*time.Millisecond)
	case "forge": // without the key
		changed := slices.Clone(data)
		changed[rand.IntN(len(changed))] ^= 1 << rand.IntN(8)
		send(changed)
		forge([]byte("another"), invented(r.epoch, 9))
		later(data, 5*time.Millisecond)
	case "invent": // with it
		forge(r.key, []byte{1})
		forge(r.key, invented(1, chat.Position(rand.IntN(3000))))
		forge(r.key, invented(r.epoch, chat.Position(1<<40+rand.IntN(9))))
		forge(r.key, invented(r.epoch, 2))
		send(data)
	case "replay":
		send(data)
		send(r.kept[rand.IntN(len(r.kept))])
	default:
		send(data)
	}
}

// known is where a log ends that nobody has.
type known struct {
	eventlog.Source
	epoch chat.Epoch
}

func (k known) Bounds(context.Context) (chat.Epoch, chat.Position, chat.Position, error) {
	return k.epoch, 0, 0, nil
}

// captured keeps what is published.
type captured struct{ data []byte }

func (c *captured) Publish(_ string, data []byte)       { c.data = slices.Clone(data) }
func (c *captured) Subscribe(string, func(data []byte)) {}

// invented is a doorbell of an event that never was.
func invented(epoch chat.Epoch, p chat.Position) []byte {
	var c captured
	l := eventlog.New(eventlog.Config{Source: known{epoch: epoch}})
	if err := l.Open(context.Background()); err != nil {
		panic(err) // known does not fail
	}
	l.Connect(&c, bus.Log)
	l.Ring([]*chat.Event{{Position: p, Topic: chat.ConversationTopic(chat.NewID(chat.KindConversation)), Type: chat.MessageAdded}})
	return c.data
}

// Whatever happens to doorbells on their way, each subscriber on each node hears each message once and in order.
func TestBadBus(t *testing.T) {
	t.Parallel()
	nats, url := testkit.MustNATS(t), testkit.MigratedPostgresURL(t)
	names := []string{"a", "b", "c"}
	head, err := testkit.MustOpenStore(t, url).Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := mustRelay(t, nats, names, head.Epoch)
	var nodes []*app.App
	for _, name := range names {
		nodes = append(nodes, testkit.MustRunApp(t, url, "--nats-url", nats.URL(), "--cluster", name))
	}
	mustConnect(t, nodes...)
	people := mustMeet(t, nodes[0].URL(), 6)
	room := mustCreateGroup(t, people[0], people[1:]...)
	subs := make([]*client.Subscription, len(people))
	for i, p := range people {
		eventually(t, func() error {
			return (&client.Client{URL: nodes[i%3].URL(), Token: p.Token}).Do(t.Context(), `query($c: ID!) { conversation(id: $c) { id } }`, client.Vars{"c": room}, nil)
		})
		subs[i] = mustListen(t, nodes[i%3], p, room)
	}
	const senders, each = 8, 250
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			p := people[i%len(people)]
			c := &client.Client{URL: nodes[i%3].URL(), Token: p.Token, HTTP: p.HTTP}
			for j := range each {
				if _, err := send(t.Context(), c, room, fmt.Sprintf("%d %d", i, j), fmt.Sprintf("%d %d", i, j)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for i, sub := range subs {
		next := [senders]int{}
		for seq := range int64(senders * each) {
			m := mustNext(t, sub).MessageAdded.Message
			var who, n int
			if _, err := fmt.Sscanf(m.Body, "%d %d", &who, &n); err != nil || m.Seq != seq+1 || n != next[who] {
				t.Fatalf("subscriber %d got %+v as number %d", i, m, seq+1)
			}
			next[who]++
		}
	}
	for i, n := range nodes {
		t.Logf("node %s: %+v, bus %+v", names[i], n.Bell(), n.BusStats())
		if b := n.Bell(); b.Doorbells < 100 || b.Gaps < 10 {
			t.Errorf("node %s: %+v: nothing was put to the test", names[i], b)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Log(r.sabotage)
}
