package eventlog_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/eventlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a log in memory that can be out of reach.
type source struct {
	mu      sync.Mutex
	events  []*chat.Event // position i+1
	trimmed chat.Position
	down    bool
	reads   int
	heads   int // times that its end was asked for
	slow    time.Duration
}

var errDown = errors.New("down")

func (s *source) add(topic chat.Topic, n int) []*chat.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.events = append(s.events, &chat.Event{Position: chat.Position(len(s.events) + 1), Topic: topic, Type: chat.MessageAdded})
	}
	return s.events[len(s.events)-n:]
}

func (s *source) Events(_ context.Context, after chat.Position, limit int) ([]*chat.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.down {
		return nil, errDown
	}
	l := s.events[min(int(after), len(s.events)):]
	return l[:min(limit, len(l))], nil
}

func (s *source) EventsOf(_ context.Context, topics []chat.ID, after, through chat.Position, limit int) (out []*chat.Event, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errDown
	}
	for _, e := range s.events[after:through] {
		for _, id := range topics {
			if e.Topic.ID == id && e.Position > s.trimmed && len(out) < limit {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

func (s *source) Bounds(context.Context) (chat.Epoch, chat.Position, chat.Position, error) {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads++
	if s.down {
		return 0, 0, 0, errDown
	}
	return 7, chat.Position(len(s.events)), s.trimmed, nil
}

// follow starts a log over a source, and collects what the consumer gets.
func follow(t *testing.T, s *source, ring int, fill func([]*chat.Event) error) (*eventlog.Log, func() []chat.Position) {
	t.Helper()
	var mu sync.Mutex
	var got []chat.Position
	l := eventlog.New(eventlog.Config{
		Source: s, Ring: ring, Poll: time.Second,
		Fill: func(_ context.Context, es []*chat.Event) error {
			if fill == nil {
				return nil
			}
			return fill(es)
		},
		Apply: func(es []*chat.Event) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range es {
				got = append(got, e.Position)
			}
		},
	})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Start()
	return l, func() []chat.Position {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

func wantThrough(t *testing.T, got []chat.Position, from, to chat.Position) {
	t.Helper()
	if len(got) != int(to-from) {
		t.Fatalf("%d events, want those from %d to %d", len(got), from+1, to)
	}
	for i, p := range got {
		if p != from+1+chat.Position(i) {
			t.Fatalf("event %d is %d", i, p)
		}
	}
}

var topic = chat.ConversationTopic(chat.NewID(chat.KindConversation))

// Doorbells are lost, doubled and out of order; the consumer gets every event once, in order.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		s.add(topic, 10) // before the node: not for it
		l, got := follow(t, s, 100, nil)
		for range 300 {
			batch := s.add(topic, 1+rand.IntN(5))
			switch rand.IntN(4) {
			case 0: // lost
			case 1:
				l.Offer(batch)
				l.Offer(batch)
			case 2:
				l.Offer(batch[len(batch)-1:])
			default:
				l.Offer(batch)
			}
			if rand.IntN(10) == 0 {
				synctest.Wait()
			}
		}
		time.Sleep(2 * time.Second) // the timer finds the last one, in synctest's time
		synctest.Wait()
		wantThrough(t, got(), 10, chat.Position(len(s.events)))
		if l.Applied() != chat.Position(len(s.events)) || l.Epoch() != 7 {
			t.Errorf("applied %d of epoch %d", l.Applied(), l.Epoch())
		}
		l.Stop()
		l.Stop()
	})
}

// What was offered and follows on is not read again.
func TestDoorbellSavesReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l, got := follow(t, s, 100, nil)
		defer l.Stop()
		for range 50 {
			l.Offer(s.add(topic, 2))
			synctest.Wait()
		}
		wantThrough(t, got(), 0, 100)
		if s.reads != 0 {
			t.Errorf("%d reads", s.reads)
		}
	})
}

// While the database is away nothing is applied that cannot be filled, and nothing is lost.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		failing := 3
		l, got := follow(t, s, 100, func([]*chat.Event) error {
			if failing > 0 {
				failing--
				return errDown
			}
			return nil
		})
		defer l.Stop()
		s.down = true
		s.add(topic, 5)
		time.Sleep(5 * time.Second) // in synctest's time: the timer comes, and comes again
		synctest.Wait()
		wantThrough(t, got(), 0, 0)
		s.mu.Lock()
		s.down = false
		s.mu.Unlock()
		time.Sleep(5 * time.Second) // in synctest's time: the timer comes, and comes again
		synctest.Wait()
		wantThrough(t, got(), 0, 5)
	})
}

func TestRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l, _ := follow(t, s, 50, nil)
		defer l.Stop()
		other := chat.ConversationTopic(chat.NewID(chat.KindConversation))
		for range 100 {
			s.add(topic, 1)
			s.add(other, 1)
		}
		l.Offer(s.events)
		synctest.Wait()
		read := func(from chat.Position, spans []chat.Span, limit int) (out []chat.Position, through chat.Position) {
			t.Helper()
			for {
				es, p, err := l.Read(t.Context(), from, spans, limit)
				if err != nil {
					t.Fatal(err)
				}
				if p < from || p == from && len(es) > 0 {
					t.Fatalf("read from %d through %d", from, p)
				}
				for _, e := range es {
					out = append(out, e.Position)
				}
				if p == l.Applied() {
					return out, p
				}
				from = p
			}
		}
		for _, limit := range []int{1, 7, 1000} {
			for _, from := range []chat.Position{0, 1, 20, 110, 199, 200} { // from the database, and from the ring
				got, through := read(from, []chat.Span{{Topic: topic}}, limit)
				var want []chat.Position
				for p := from + 1; p <= 200; p++ {
					if p%2 == 1 {
						want = append(want, p)
					}
				}
				if len(got) != len(want) || through != 200 {
					t.Fatalf("from %d by %d: %v through %d", from, limit, got, through)
				}
				got, _ = read(from, []chat.Span{{Topic: topic, From: 10, To: 21}, {Topic: topic, From: 150, To: 0}, {Topic: other, From: 190, To: 192}}, limit)
				for _, p := range got {
					covered := p%2 == 1 && (p > 10 && p <= 21 || p > 150) || p%2 == 0 && p > 190 && p <= 192
					if !covered {
						t.Fatalf("from %d by %d: %d is in no span", from, limit, p)
					}
				}
			}
		}
		s.trimmed = 30
		if _, _, err := l.Read(t.Context(), 29, []chat.Span{{Topic: topic}}, 10); !errors.Is(err, chat.ErrCursorExpired) {
			t.Errorf("got %v", err)
		}
		if _, _, err := l.Read(t.Context(), 30, []chat.Span{{Topic: topic}}, 10); err != nil {
			t.Error(err)
		}
		s.down = true
		if _, _, err := l.Read(t.Context(), 30, []chat.Span{{Topic: topic}}, 10); !errors.Is(err, errDown) {
			t.Errorf("got %v", err)
		}
		if es, _, err := l.Read(t.Context(), 190, []chat.Span{{Topic: topic}}, 10); err != nil || len(es) != 5 {
			t.Errorf("the ring needs no database: %v", err)
		}
		s.down = false
	})
}

// A deleted conversation's content does not come back from memory.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l, _ := follow(t, s, 50, nil)
		defer l.Stop()
		es := s.add(topic, 2)
		es[0].Rows.Message = &chat.Message{Body: "secret"}
		es[1].Type = chat.ConversationDeleted
		l.Offer(es)
		synctest.Wait()
		got, _, err := l.Read(t.Context(), 0, []chat.Span{{Topic: topic}}, 10)
		if err != nil || len(got) != 2 || got[0].Rows.Message != nil {
			t.Errorf("%+v %v", got, err)
		}
		if es[0].Rows.Message == nil {
			t.Error("a shared event was changed")
		}
	})
}

// A log that is opened has the newest events in its ring, filled and in order, and goes on from there.
func TestPreload(t *testing.T) {
	for name, c := range map[string]struct {
		events, ring int
		trimmed      chat.Position
		slow         time.Duration // to fill
		fails        int           // which page cannot be filled at first; 0: none
		first        chat.Position // position that needs no database
	}{
		"pages":         {events: 2500, ring: 1700, first: 801},
		"all":           {events: 1500, ring: 1700, first: 1},
		"nothing":       {events: 0, ring: 1700, first: 1},
		"what is left":  {events: 2500, ring: 1700, trimmed: 2000, first: 2001},
		"what is there": {events: 4500, ring: 4500, fails: 3, first: 2501},
		"what is quick": {events: 4500, ring: 4500, slow: 1500 * time.Millisecond, first: 2501},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &source{trimmed: c.trimmed}
				s.add(topic, c.events)
				filled := map[*chat.Event]bool{}
				l, _ := follow(t, s, c.ring, func(es []*chat.Event) error {
					time.Sleep(c.slow)
					if c.fails--; c.fails == 0 {
						return errDown
					}
					for _, e := range es {
						filled[e] = true
					}
					return nil
				})
				defer l.Stop()
				l.Offer(s.add(topic, 10))
				time.Sleep(2 * c.slow)
				synctest.Wait()
				s.down = true
				es, through, err := l.Read(t.Context(), c.first-1, []chat.Span{{Topic: topic}}, 10_000)
				if err != nil || through != chat.Position(c.events+10) || len(es) != int(through-c.first+1) {
					t.Fatalf("%d events through %d, %v", len(es), through, err)
				}
				for i, e := range es {
					if e.Position != c.first+chat.Position(i) || !filled[e] {
						t.Fatalf("event %d is %d, filled: %t", i, e.Position, filled[e])
					}
				}
				if c.first > 1 {
					if _, _, err := l.Read(t.Context(), c.first-2, []chat.Span{{Topic: topic}}, 10); !errors.Is(err, errDown) {
						t.Errorf("before the ring: %v", err)
					}
				}
				s.down = false
			})
		})
	}
}

func TestReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		l, _ := follow(t, s, 50, nil)
		defer l.Stop()
		s.add(topic, 3)
		if err := l.Reached(t.Context(), 3); err != nil { // no doorbell was rung: the timer finds it
			t.Error(err)
		}
		if err := l.Reached(t.Context(), 4); !errors.Is(err, chat.ErrInvalidCursor) {
			t.Errorf("got %v", err)
		}
		s.add(topic, 100)
		s.heads, s.slow = 0, time.Millisecond
		var all sync.WaitGroup
		for range 1000 { // who come at once share an answer
			all.Go(func() {
				if err := l.Reached(t.Context(), 100); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if s.heads != 1 {
			t.Errorf("the end was asked for %d times", s.heads)
		}
		s.heads = 0
		for range 1000 { // also of an answer that is no
			all.Go(func() {
				if err := l.Reached(t.Context(), 200); !errors.Is(err, chat.ErrInvalidCursor) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if s.heads > 2 {
			t.Errorf("a position that does not exist was asked for %d times", s.heads)
		}
		s.down = true
		if err := l.Reached(t.Context(), 300); !errors.Is(err, errDown) {
			t.Error(err)
		}
		s.down = false
		s.add(topic, 200)
		if err := l.Reached(t.Context(), 300); err != nil {
			t.Error(err)
		}
	})
}

// Until the consumer has applied a batch, nobody reads of it: it may change what the reader may see.
func TestReadStopsAtApplied(t *testing.T) {
	t.Parallel()
	s := &source{}
	s.add(topic, 3)
	var l *eventlog.Log
	type reading struct {
		n             int
		through, want chat.Position
	}
	during := make(chan reading, 1)
	l = eventlog.New(eventlog.Config{
		Source: s, Poll: time.Hour, Fill: func(context.Context, []*chat.Event) error { return nil },
		Apply: func([]*chat.Event) {
			events, through, err := l.Read(t.Context(), l.Applied(), []chat.Span{{Topic: topic}}, 10)
			if err != nil {
				t.Error(err)
			}
			during <- reading{len(events), through, l.Applied()}
		},
	})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Start()
	defer l.Stop()
	for range 2 { // with an empty ring before, and with one that has something
		l.Offer(s.add(topic, 2))
		if r := <-during; r.n != 0 || r.through != r.want {
			t.Errorf("%d events through %d are read while only %d is applied", r.n, r.through, r.want)
		}
	}
}

// A bare doorbell, and a reader who knows of more, have the log read at once.
func TestBareDoorbell(t *testing.T) {
	t.Parallel()
	s := &source{}
	l := eventlog.New(eventlog.Config{
		Source: s, Poll: time.Hour, Fill: func(context.Context, []*chat.Event) error { return nil }, Apply: func([]*chat.Event) {},
	})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Start()
	defer l.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s.add(topic, 3)
	if err := l.Reached(ctx, 3); err != nil {
		t.Fatal(err)
	}
}
