package limit_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)} }

func TestAllow(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(limit.Config{N: 5, Now: c.now})
	for i := range 5 {
		if err := l.Allow("a"); err != nil {
			t.Fatal(i, err)
		}
	}
	err := l.Allow("a")
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != chat.CodeRateLimited || e.RetryAfter != 12*time.Second {
		t.Fatalf("%#v", err)
	}
	if err := l.Allow("b"); err != nil {
		t.Error("one key's limit holds for another:", err)
	}
	c.t = c.t.Add(e.RetryAfter - time.Millisecond)
	if l.Allow("a") == nil {
		t.Error("allowed before RetryAfter")
	}
	c.t = c.t.Add(time.Millisecond)
	if err := l.Allow("a"); err != nil {
		t.Error("refused after RetryAfter:", err)
	}
	if l.Allow("a") == nil {
		t.Error("allowed once too often")
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1} {
		l := limit.New(limit.Config{N: n})
		for range 1000 {
			if err := l.Allow("a"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A limit holds across the change of generations.
func TestGenerations(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(limit.Config{N: 2, Per: time.Minute, Now: c.now})
	allowed := 0
	for range 600 {
		if l.Allow("a") == nil {
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
	l := limit.New(limit.Config{N: 1, Keys: 100, Now: c.now})
	for i := range 10_000 {
		if err := l.Allow(strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if n := l.Keys(); n > 100 {
			t.Fatal(n, "keys are remembered")
		}
	}
	if l.Allow("9999") == nil {
		t.Error("the newest keys are forgotten")
	}
	c.t = c.t.Add(time.Minute)
	_ = l.Allow("a")
	c.t = c.t.Add(time.Minute)
	_ = l.Allow("b")
	if n := l.Keys(); n != 2 {
		t.Errorf("%d keys are remembered, 2 of which can matter", n)
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(limit.Config{N: 10, Now: c.now})
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if l.Allow("a") == nil {
				allowed.Add(1)
			}
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != 10 {
		t.Error(n, "were allowed")
	}
}
