package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

func mustTake(t *testing.T, s *store.Store, key string, n int) time.Duration {
	t.Helper()
	wait, err := s.TakeLimit(t.Context(), limitKey(key), n, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func limitKey(text string) (key [16]byte) {
	copy(key[:], text)
	return key
}

func TestTakeLimit(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		s := testkit.MustOpenStore(t, url)
		begin := time.Now()
		for i := range 4 {
			if wait := mustTake(t, s, "a", 4); wait != 0 {
				t.Fatal(i, wait)
			}
		}
		for range 2 { // what is refused does not count
			if wait, most := mustTake(t, s, "a", 4), 15*time.Minute; wait > most || wait < most-time.Since(begin)-time.Second {
				t.Fatal(wait)
			}
		}
		if wait := mustTake(t, s, "b", 4); wait != 0 {
			t.Error("one key's limit holds for another:", wait)
		}

		// Others count in the same place: a node that has just started, and one whose clock is wrong.
		for _, off := range []time.Duration{0, -24 * time.Hour, 24 * time.Hour} {
			other, err := store.Open(t.Context(), store.Config{URL: url, Unsynced: true, Now: func() time.Time { return time.Now().Add(off) }})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if wait, most := mustTake(t, other, "a", 4), 15*time.Minute; wait > most || wait < most-time.Since(begin)-time.Second {
				t.Errorf("%v off: %v", off, wait)
			}
		}

		// A quarter of an hour later there is room for one more.
		mustFill(t, url, "UPDATE limits SET full_at = full_at - 900000000")
		if wait := mustTake(t, s, "a", 4); wait != 0 {
			t.Error("refused after the time to wait:", wait)
		}
		if wait := mustTake(t, s, "a", 4); wait == 0 {
			t.Error("allowed once too often")
		}
		// However long nobody tries, there is no more room than that.
		mustFill(t, url, "UPDATE limits SET full_at = full_at - 60000000000")
		for i := range 5 {
			if wait := mustTake(t, s, "a", 4); wait == 0 != (i < 4) {
				t.Error(i, wait)
			}
		}

		// The database's clock was a day ahead once.
		mustFill(t, url, "UPDATE limits SET full_at = full_at + 86400000000")
		for i := range 5 {
			if wait := mustTake(t, s, "a", 4); wait == 0 != (i < 4) || wait > 15*time.Minute {
				t.Error(i, wait)
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.TakeLimit(ctx, limitKey("c"), 1, time.Hour); err == nil {
			t.Error("it may be done, and has not been counted")
		}
	})
}

// However many try at once, on however many nodes.
func TestTakeLimitTogether(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		var allowed, waits atomic.Int64
		var all sync.WaitGroup
		for range 3 {
			s := testkit.MustOpenStore(t, url)
			for range 50 {
				all.Go(func() {
					wait, err := s.TakeLimit(t.Context(), limitKey("a"), 7, time.Hour)
					switch {
					case err != nil:
						t.Error(err)
					case wait == 0:
						allowed.Add(1)
					default:
						waits.Add(1)
					}
				})
			}
		}
		all.Wait()
		if allowed.Load() != 7 || waits.Load() != 143 {
			t.Errorf("%d were allowed and %d not", allowed.Load(), waits.Load())
		}
	})
}

func TestTrimLimits(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		s := testkit.MustOpenStore(t, url)
		mustTake(t, s, "a", 1)
		mustFill(t, url, "INSERT INTO limits (key, full_at) SELECT u(n), n FROM series(250)")
		for _, want := range []int64{100, 100, 50, 0} {
			if n, err := s.TrimLimits(t.Context(), 100); err != nil || n != want {
				t.Errorf("%d were deleted, want %d: %v", n, want, err)
			}
		}
		if wait := mustTake(t, s, "a", 1); wait == 0 {
			t.Error("what counts was deleted")
		}
	})
}

// Somebody counts in a row that has just been found to be past its time.
func TestTrimLimitsLooksAgain(t *testing.T) {
	t.Parallel()
	s, c, url := postgres(t)
	ctx := t.Context()
	mustTake(t, s, "a", 1)
	mustFill(t, url, "UPDATE limits SET full_at = 1")
	counting, err := connect(t, url).Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := counting.Exec(ctx, "UPDATE limits SET full_at = (extract(epoch FROM now()) * 1000000)::bigint + 3600000000"); err != nil {
		t.Fatal(err)
	}
	trimmed := make(chan error, 1)
	go func() {
		n, err := s.TrimLimits(ctx, 100)
		if n > 0 && err == nil {
			err = chat.Conflict("an attempt was forgotten")
		}
		trimmed <- err
	}()
	awaitBlocked(t, c)
	if err := counting.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-trimmed; err != nil {
		t.Error(err)
	}
	if wait := mustTake(t, s, "a", 1); wait == 0 {
		t.Error("allowed once too often")
	}
}
