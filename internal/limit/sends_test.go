package limit_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
)

var ada, grace = chat.NewID(chat.KindUser), chat.NewID(chat.KindUser)

func (c *clock) sent(by chat.ID) *chat.Event {
	return &chat.Event{Type: chat.MessageAdded, Actor: by, At: c.t}
}

func burst(l *limit.Sends, user chat.ID) (n int) {
	for n < 1000 && l.Allow(user) == nil {
		n++
	}
	return n
}

func TestAllow(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.NewSends(limit.Config{N: 5, Per: time.Minute, Now: c.now})
	if n := burst(l, ada); n != 5 {
		t.Fatal(n)
	}
	wait := wantRefused(t, l.Allow(ada))
	if wait != 12*time.Second {
		t.Error(wait)
	}
	if n := burst(l, grace); n != 5 {
		t.Error("one user's limit holds for another:", n)
	}
	c.t = c.t.Add(wait - time.Millisecond)
	wantRefused(t, l.Allow(ada))
	c.t = c.t.Add(time.Millisecond)
	if n := burst(l, ada); n != 1 {
		t.Errorf("%d after RetryAfter", n)
	}
	c.t = c.t.Add(time.Hour)
	if n := burst(l, ada); n != 5 {
		t.Errorf("%d after an hour", n)
	}
}

// What was sent through other nodes counts, and what was sent through this one does not count again.
func TestApplied(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.NewSends(limit.Config{N: 5, Per: time.Second, Now: c.now})
	for range 2 {
		if err := l.Allow(ada); err != nil {
			t.Fatal(err)
		}
	}
	other := &chat.Event{Type: chat.ReceiptUpdated, Actor: ada, At: c.t}
	l.Applied([]*chat.Event{other, c.sent(ada), other, c.sent(grace), c.sent(ada), c.sent(ada)}) // ada's third is not from here
	if n := burst(l, ada); n != 2 {
		t.Errorf("%d more, want 2 of 5", n)
	}
	if n := burst(l, grace); n != 4 {
		t.Errorf("%d more, want 4 of 5", n)
	}

	// A send that came to nothing is not waited for.
	l = limit.NewSends(limit.Config{N: 5, Per: time.Second, Now: c.now})
	_ = l.Allow(ada)
	l.Void(ada)
	l.Applied([]*chat.Event{c.sent(ada)})
	if n := burst(l, ada); n != 3 {
		t.Errorf("%d more, want 3 of 5", n)
	}
}

// What comes late counts from when it was sent; a debt is paid back, and no longer than a minute.
func TestLate(t *testing.T) {
	t.Parallel()
	c := newClock()
	c.t = c.t.Add(time.Hour)
	late := func(n int, from, to time.Duration) (events []*chat.Event) {
		for i := range n {
			e := c.sent(ada)
			e.At = c.t.Add(from + time.Duration(i)*(to-from)/time.Duration(n))
			events = append(events, e)
		}
		return events
	}
	for i, x := range []struct {
		events []*chat.Event
		wait   time.Duration
		left   int
	}{
		{late(3, 0, 0), 0, 7},
		{late(600, -time.Minute, 0), 0, 10}, // 10 a second, all along
		{late(600, -2*time.Minute, -time.Minute), 0, 10},
		{late(30, 0, 0), 2100 * time.Millisecond, 0},
		{late(30, -time.Second, -time.Second), 1100 * time.Millisecond, 0},
		{late(30, time.Hour, time.Hour), 2100 * time.Millisecond, 0}, // a clock that is ahead
		{late(10_000, 0, 0), time.Minute - 900*time.Millisecond, 0},
	} {
		here := newClock()
		l := limit.NewSends(limit.Config{N: 10, Per: time.Second, Now: here.now})
		here.t = c.t
		l.Applied(x.events)
		if n := burst(l, ada); n != x.left {
			t.Errorf("%d: %d more, want %d", i, n, x.left)
		} else if wait := wantRefused(t, l.Allow(ada)); n == 0 && wait != x.wait {
			t.Errorf("%d: wait %v, want %v", i, wait, x.wait)
		}
	}
}

// A user sends through several nodes as fast as they let, and these hear of each other late: the bound holds. Who stays
// below the limit is never refused, however the sends are spread.
func TestNodes(t *testing.T) {
	t.Parallel()
	const n, rate, tick = 4, 10, 5 * time.Millisecond
	for _, delay := range []time.Duration{0, 20 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second} {
		for _, greedy := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v,greedy=%v", delay, greedy), func(t *testing.T) {
				t.Parallel()
				c := newClock()
				begin := c.t
				var nodes []*limit.Sends
				for range n {
					nodes = append(nodes, limit.NewSends(limit.Config{N: rate, Per: time.Second, Now: c.now}))
				}
				var log []*chat.Event
				var applied [n]int
				for c.t.Sub(begin) < 2*time.Minute {
					for i, l := range nodes {
						from := applied[i]
						for applied[i] < len(log) && c.t.Sub(log[applied[i]].At) >= delay {
							applied[i]++
						}
						l.Applied(log[from:applied[i]])
					}
					ask := []int{rand.IntN(n)}
					if greedy {
						ask = rand.Perm(n)
					} else if c.t.Sub(begin)%(time.Second/rate) != 0 {
						ask = nil
					}
					for _, i := range ask {
						switch err := nodes[i].Allow(ada); {
						case err == nil:
							log = append(log, c.sent(ada))
						case !greedy:
							t.Fatal("refused after", c.t.Sub(begin), err)
						}
					}
					c.t = c.t.Add(tick)
				}
				got, most := float64(len(log)), n*rate+((c.t.Sub(begin))+n*delay).Seconds()*rate
				t.Logf("%v messages, at most %v", got, most)
				if got > most || got < rate*2*60-rate {
					t.Errorf("%v messages, at most %v", got, most)
				}
			})
		}
	}
}

// A limit holds across the change of generations.
func TestGenerations(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.NewSends(limit.Config{N: 2, Per: time.Minute, Now: c.now})
	allowed := 0
	for range 600 {
		if l.Allow(ada) == nil {
			allowed++
		}
		c.t = c.t.Add(time.Second)
	}
	if allowed < 20 || allowed > 22 {
		t.Errorf("%d in ten minutes at 2 a minute", allowed)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.NewSends(limit.Config{N: 1, Per: time.Minute, Keys: 100, Now: c.now})
	var last chat.ID
	for range 5000 {
		last = chat.NewID(chat.KindUser)
		if err := l.Allow(last); err != nil {
			t.Fatal(err)
		}
		l.Applied([]*chat.Event{c.sent(chat.NewID(chat.KindUser))})
		if n := l.Users(); n > 100 {
			t.Fatal(n, "users are remembered")
		}
	}
	wantRefused(t, l.Allow(last))
	c.t = c.t.Add(time.Minute)
	_ = l.Allow(ada)
	c.t = c.t.Add(time.Minute)
	_ = l.Allow(grace)
	if n := l.Users(); n != 2 {
		t.Errorf("%d users are remembered, 2 of whom can matter", n)
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	l := limit.NewSends(limit.Config{N: 10, Per: time.Hour})
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if l.Allow(ada) == nil {
				allowed.Add(1)
			}
			l.Applied([]*chat.Event{{Type: chat.MessageAdded, Actor: grace, At: time.Now()}})
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != 10 {
		t.Error(n, "were allowed")
	}
}

// What each event costs the one goroutine that applies the log, in commits of ten.
func BenchmarkApplied(b *testing.B) {
	for _, users := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("sends of %d users", users), func(b *testing.B) {
			l := limit.NewSends(limit.Config{N: 1_000_000, Per: time.Second, Keys: 1 << 20})
			ids := make([]chat.ID, users)
			for i := range ids {
				ids[i] = chat.NewID(chat.KindUser)
			}
			events := make([]*chat.Event, 100_000)
			for i := range events {
				events[i] = &chat.Event{Type: chat.MessageAdded, Actor: ids[i%users], At: time.Now()}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i %= len(events); i%10 == 9 {
					l.Applied(events[i-9 : i+1])
				}
			}
		})
	}
	b.Run("others", func(b *testing.B) {
		l := limit.NewSends(limit.Config{N: 10, Per: time.Second})
		events := []*chat.Event{{Type: chat.ReceiptUpdated}}
		b.ReportAllocs()
		for b.Loop() {
			l.Applied(events)
		}
	})
}
