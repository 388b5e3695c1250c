package limit_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-chat/parley/internal/limit"
)

// What is refused is asked about once, until it may be tried again.
func TestShared(t *testing.T) {
	t.Parallel()
	c := newClock()
	asked := map[[16]byte]int{}
	var wait time.Duration
	var away error
	l := limit.NewShared(limit.Config{N: 5, Now: c.now}, func(_ context.Context, key [16]byte, n int, per time.Duration) (time.Duration, error) {
		if n != 5 || per != time.Minute {
			t.Error(n, per)
		}
		asked[key]++
		return wait, away
	})
	for range 100 {
		if err := l.Allow(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	wait = 12 * time.Second
	for range 100 {
		if got := wantRefused(t, l.Allow(t.Context(), "a")); got != wait {
			t.Fatal(got)
		}
	}
	c.t = c.t.Add(5 * time.Second)
	if got := wantRefused(t, l.Allow(t.Context(), "a")); got != 7*time.Second {
		t.Error(got)
	}
	wait = 0
	if err := l.Allow(t.Context(), "b"); err != nil {
		t.Error("one key's limit holds for another:", err)
	}
	wantRefused(t, l.Allow(t.Context(), "a"))
	c.t = c.t.Add(7 * time.Second)
	if err := l.Allow(t.Context(), "a"); err != nil {
		t.Error("refused after RetryAfter:", err)
	}
	if len(asked) != 2 || asked[first(asked, 102)] != 102 {
		t.Error(asked)
	}
	away = errors.New("away")
	if err := l.Allow(t.Context(), "a"); !errors.Is(err, away) {
		t.Error(err)
	}
}

func first(asked map[[16]byte]int, n int) (key [16]byte) {
	for k, v := range asked {
		if v == n {
			return k
		}
	}
	return key
}

// Whoever makes up keys makes it forget refusals, which are then asked about again.
func TestSharedMemory(t *testing.T) {
	t.Parallel()
	asked := 0
	l := limit.NewShared(limit.Config{N: 5, Keys: 100}, func(context.Context, [16]byte, int, time.Duration) (time.Duration, error) {
		asked++
		return time.Minute, nil
	})
	for i := range 1000 {
		wantRefused(t, l.Allow(t.Context(), strconv.Itoa(i)))
	}
	wantRefused(t, l.Allow(t.Context(), "999"))
	if asked != 1000 {
		t.Error(asked)
	}
	if wantRefused(t, l.Allow(t.Context(), "0")); asked != 1001 {
		t.Error("more is remembered than 100 keys")
	}
}

// A flood of attempts leaves the database to others.
func TestSharedFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked, now, most atomic.Int64
		l := limit.NewShared(limit.Config{N: 5}, func(context.Context, [16]byte, int, time.Duration) (time.Duration, error) {
			asked.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(2 * time.Millisecond)
			now.Add(-1)
			return time.Minute, nil
		})
		var all sync.WaitGroup
		for range 2000 {
			all.Go(func() { wantRefused(t, l.Allow(t.Context(), "a")) })
		}
		all.Wait()
		if asked.Load() > 4 || most.Load() > 4 {
			t.Errorf("%d were counted, %d at once", asked.Load(), most.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 4 {
			all.Go(func() { _ = l.Allow(t.Context(), "b") })
		}
		synctest.Wait()
		cancel()
		if err := l.Allow(ctx, "c"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		all.Wait()
	})
}
