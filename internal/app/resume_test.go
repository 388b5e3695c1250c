package app_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

const (
	streamed  = 5000
	groups    = 3
	residents = 4 // of six people; the others come and go
)

// Subscribers lose their network at random moments of a stream of 5,000 events, and come back with their last cursor, on
// either of two nodes. Nothing is lost, doubled or out of order, and nobody sees what happened while they were out.
func TestResume(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		nodes := []*app.App{testkit.MustRunApp(t, url), testkit.MustRunApp(t, url)}
		db := testkit.MustOpenStore(t, url)
		people := mustMeet(t, nodes[0].URL(), 6)
		rooms := make([]string, groups)
		for i := range rooms {
			rooms[i] = mustCreateGroup(t, people[0], people[1:residents]...)
		}
		begin := mustSend(t, people[0].Client, rooms[0], "the first").SendMessage.Cursor

		var all []*subscriber
		var wg sync.WaitGroup
		written := make(chan struct{})
		follow := func(who *client.Account, seed uint64, room string, at ...*app.App) {
			s := &subscriber{who: who, room: room, cursor: begin, random: rand.New(rand.NewPCG(seed, 1))}
			for _, n := range at {
				s.urls = append(s.urls, n.URL())
			}
			all = append(all, s)
			wg.Go(func() { s.follow(t, written) })
		}
		for i, p := range people {
			follow(p, uint64(i), "", nodes...)
		}
		follow(people[5], 10, "", nodes[1])
		for i, room := range rooms {
			follow(people[1+i%2], uint64(20+i), room, nodes[i%2], nodes[1])
		}
		stream(t, people, rooms, nodes, position(t, begin))
		close(written)
		wg.Wait()

		log := mustEvents(t, db)
		ctx, cancel := context.WithTimeout(t.Context(), patience/2)
		defer cancel()
		for i, s := range all {
			s.finish(ctx, t, expected(s, entitled(t, db, log, mustID(t, s.who.ID), position(t, begin))))
			t.Logf("subscriber %d: %d events, %d subscriptions", i, len(s.seen), s.joins)
		}
		mustCheck(t, db)
	})
}

// stream appends 5,000 events after begin: messages and read marks of everybody, while the last two come and go.
func stream(t *testing.T, people []*client.Account, rooms []string, nodes []*app.App, begin chat.Position) {
	var head atomic.Int64
	end := int64(begin) + streamed
	reached := func(cursor string) {
		for p := int64(position(t, cursor)); ; {
			if old := head.Load(); old >= p || head.CompareAndSwap(old, p) {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for w := range 12 {
		random := rand.New(rand.NewPCG(uint64(w), 2))
		p := *people[w%len(people)].Client
		p.URL = nodes[w/11].URL() // the last one writes on the other node
		wg.Go(func() {
			for head.Load() < end {
				room := rooms[random.IntN(len(rooms))]
				s, err := send(t.Context(), &p, room, "a message", fmt.Sprintf("%d-%x", w, random.Uint64()))
				if err != nil {
					if w%len(people) < residents || client.Code(err) != "NOT_FOUND" {
						t.Error(err)
						return
					}
					continue
				}
				reached(s.SendMessage.Cursor)
				if random.IntN(10) == 0 {
					who := people[random.IntN(residents)]
					if err := who.Do(t.Context(), `mutation($c: ID!, $s: Int!) { markRead(input: {conversationId: $c, seq: $s}) { cursor } }`,
						client.Vars{"c": room, "s": s.SendMessage.Message.Seq}, nil); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i, room := range rooms {
		wg.Go(func() {
			guest, in := people[residents+i%2], false
			for n := 0; head.Load() < end; n++ {
				text := `mutation($c: ID!, $u: ID!) { addMembers(input: {conversationId: $c, userIds: [$u]}) { cursor } }`
				if in {
					text = `mutation($c: ID!, $u: ID!) { removeMember(input: {conversationId: $c, userId: $u}) { cursor } }`
				}
				if err := people[0].Do(t.Context(), text, client.Vars{"c": room, "u": guest.ID}, nil); err != nil {
					t.Error(err)
					return
				}
				in = !in
				for i := range 5 { // let some messages pass
					s, err := send(t.Context(), people[0].Client, room, "meanwhile", fmt.Sprint(room, n, i))
					if err != nil {
						t.Error(err)
						return
					}
					reached(s.SendMessage.Cursor)
				}
			}
		})
	}
	wg.Wait()
}

// seen is an event as a subscriber got it.
type seen struct {
	position chat.Position
	typ      string
	seq      int64
}

// subscriber follows the feed, or the messages of one room, through one lost connection after the other.
type subscriber struct {
	who    *client.Account
	room   string // empty: the feed
	urls   []string
	random *rand.Rand
	cursor string
	seen   []seen
	joins  int
}

type delivered struct {
	Typename string `json:"__typename"`
	Cursor   string
	Message  struct{ Seq int64 }
}

func (s *subscriber) subscribe(ctx context.Context, buffer int) (*client.Socket, *client.Subscription, error) {
	c := *s.who.Client
	c.URL = s.urls[s.random.IntN(len(s.urls))]
	sock, err := c.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.joins++
	text, vars := `subscription($after: Cursor) { e: events(after: $after) { __typename cursor ... on MessageAdded { message { seq } } } }`, client.Vars{"after": s.cursor}
	if s.room != "" {
		text, vars["c"] = `subscription($c: ID!, $after: Cursor) { e: messageAdded(conversationId: $c, after: $after) { __typename cursor message { seq } } }`, s.room
	}
	sub, err := sock.Subscribe(text, vars, buffer)
	return sock, sub, err
}

// take reads one item. caught says that it was the end of the replay.
func (s *subscriber) take(ctx context.Context, sub *client.Subscription) (caught bool, err error) {
	var d struct{ E delivered }
	if err := sub.Next(ctx, &d); err != nil {
		return false, err
	}
	return d.E.Typename == "CaughtUp", s.took(d.E)
}

func (s *subscriber) took(d delivered) error {
	c, err := chat.ParseCursor(d.Cursor)
	if err != nil {
		return err
	}
	s.cursor = d.Cursor
	if d.Typename != "CaughtUp" {
		s.seen = append(s.seen, seen{c.Position, d.Typename, d.Message.Seq})
	}
	return nil
}

// follow listens through cuts at random moments until everything is written.
func (s *subscriber) follow(t *testing.T, written <-chan struct{}) {
	for {
		select {
		case <-written:
			return
		default:
		}
		sock, sub, err := s.subscribe(t.Context(), s.random.IntN(64))
		if err != nil {
			t.Error(err)
			return
		}
		cut := time.AfterFunc(time.Duration(s.random.Int64N(int64(120*time.Millisecond))), sock.Cut)
		caught := 0
		for err == nil {
			var now bool
			if now, err = s.take(t.Context(), sub); now {
				caught++
			}
		}
		cut.Stop()
		sock.Cut()
		if caught > 1 {
			t.Errorf("%d CaughtUp in one subscription", caught)
		}
		if refused := (client.Errors)(nil); errors.As(err, &refused) || errors.Is(err, client.ErrComplete) || client.CloseCode(err) != 0 && client.CloseCode(err) != 1006 {
			t.Errorf("the subscription ended by itself: %v", err)
			return
		}
	}
}

// finish comes back once more, for what is left, and compares.
func (s *subscriber) finish(ctx context.Context, t *testing.T, want []seen) {
	t.Helper()
	sock, sub, err := s.subscribe(ctx, 64)
	if err != nil {
		t.Error(err)
		return
	}
	defer sock.Close()
	caught := 0
	for err == nil && (caught == 0 || len(s.seen) < len(want)) {
		var now bool
		if now, err = s.take(ctx, sub); now {
			caught++
		}
	}
	if err != nil || caught != 1 || len(sub.C) > 0 {
		t.Errorf("the last subscription: %v, %d CaughtUp, %d events too many", err, caught, len(sub.C))
	}
	for i := range max(len(want), len(s.seen)) {
		if i >= len(want) || i >= len(s.seen) || s.seen[i] != want[i] {
			t.Errorf("%d events, want %d; they differ from number %d on: %v, want %v", len(s.seen), len(want), i, s.seen[i:min(i+3, len(s.seen))], want[i:min(i+3, len(want))])
			return
		}
	}
}

// expected is what a subscriber is to see of the events that the viewer is entitled to.
func expected(s *subscriber, events []*chat.Event) (want []seen) {
	for _, e := range events {
		w := seen{e.Position, typeName(e.Type), 0}
		if e.Type == chat.MessageAdded {
			w.seq = e.Seq
		}
		if s.room == "" || e.Type == chat.MessageAdded && e.Topic.ID.String() == s.room {
			want = append(want, w)
		}
	}
	return want
}
