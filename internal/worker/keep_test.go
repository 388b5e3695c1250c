package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/worker"
)

// mustAbandon leaves jobs of tasks behind that a node, which is gone, began a minute ago.
func mustAbandon(tb testing.TB, s *store.Store, c *job.Client, attempts int, set string, names ...string) {
	tb.Helper()
	for _, name := range names {
		mustInsert(tb, s, c, name, &job.Options{MaxAttempts: attempts, ScheduledAt: time.Now().Add(time.Hour)})
	}
	at := "now() - interval '1 minute'"
	if s.File() != "" {
		at = "datetime('now', 'subsec', '-60 seconds')"
	}
	if _, err := s.Write(tb.Context(), chat.ID{}, func(tx *store.Tx) error {
		if n := mustPile(tb, tx, "UPDATE river_job SET state = 'running', attempt = 1, scheduled_at = "+at+", attempted_at = "+at+set+" WHERE state = 'scheduled'"); n != int64(len(names)) {
			tb.Errorf("%d jobs are abandoned, want %d", n, len(names))
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
}

// A job is its node's for as long as that lives, and only then another's: after a while in which nobody can have been cut off
// from the database.
func TestJobsAreKept(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		const rescueAfter = 1500 * time.Millisecond
		s := testkit.MustOpenStore(t, url)
		started, finish := make(chan string, 10), make(chan struct{})
		node := func() *job.Client {
			w, c := mustMake(t, s, &output{})
			w.RescueAfter = rescueAfter
			worker.Handle(w, time.Hour, func(ctx context.Context, j *job.Job[task]) error {
				started <- fmt.Sprint(j.Args.Name, " ", j.Attempt)
				select {
				case <-finish:
				case <-ctx.Done():
				}
				return ctx.Err()
			})
			mustRun(t, w)
			return c
		}
		began := time.Now()
		c := node()
		mustInsert(t, s, c, "long", nil)
		if got := receive(t, started); got != "long 1" {
			t.Error(got)
		}
		mustAbandon(t, s, c, 5, "", "orphan")
		node()
		if got := receive(t, started); got != "orphan 2" || time.Since(began) < rescueAfter {
			t.Error(got, time.Since(began))
		}
		for time.Since(began) < 3*rescueAfter { // rounds in which the long one would be taken, too
			mustAbandon(t, s, c, 5, "", "another")
			if got := receive(t, started); got != "another 2" {
				t.Error(got)
			}
		}
		close(finish)
		eventually(t, func() error {
			if stats, err := s.JobStats(t.Context()); err != nil || len(stats) > 0 {
				return fmt.Errorf("%+v %w", stats, err)
			}
			return nil
		})
		if len(started) > 0 {
			t.Error(<-started)
		}
	})
}

// A job that was being tried for the last time when its node went is given up, with an error in the log and a reason in the list;
// one that somebody had cancelled is not run again.
func TestRescueEnds(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w, c := mustMake(t, s, &output{})
		worker.Handle(w, 0, func(_ context.Context, j *job.Job[task]) error {
			t.Errorf("%s was run", j.Args.Name)
			return nil
		})
		mustAbandon(t, s, c, 1, "", "poison")
		asked := `, metadata = '{"cancel_attempted_at": "2026-01-01T00:00:00Z"}'`
		if s.File() != "" {
			asked = `, metadata = jsonb('{"cancel_attempted_at": "2026-01-01T00:00:00Z"}')`
		}
		mustAbandon(t, s, c, 5, asked, "cancelled")
		log := &output{}
		w.Log = slogTo(log)
		mustRun(t, w)
		eventually(t, func() error {
			if n := strings.Count(log.String(), "the node of a job is gone"); n != 2 {
				return fmt.Errorf("%d: %s", n, log)
			}
			return nil
		})
		for _, want := range []string{"level=ERROR", "level=WARN", "now=discarded", "now=cancelled", "kind=task"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log)
			}
		}
		if stats, err := s.JobStats(t.Context()); err != nil || len(stats) != 1 || stats[0].State != "discarded" || stats[0].Count != 1 {
			t.Errorf("%+v %v", stats, err)
		}
		postgres, sqlite := c.River()
		for id := int64(1); id <= 2; id++ {
			var errs []string
			if postgres != nil {
				j, err := postgres.JobGet(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range j.Errors {
					errs = append(errs, fmt.Sprint(e.Attempt, " ", e.Error, " ", time.Since(e.At) < time.Minute, " ", j.FinalizedAt != nil))
				}
			} else {
				j, err := sqlite.JobGet(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range j.Errors {
					errs = append(errs, fmt.Sprint(e.Attempt, " ", e.Error, " ", time.Since(e.At) < time.Minute, " ", j.FinalizedAt != nil))
				}
			}
			if len(errs) != 1 || errs[0] != "1 its node was gone true true" {
				t.Errorf("%q", errs)
			}
		}
	})
}

// While a new version is rolled out, the old one takes jobs that it does not know: they wait for the new one, and are not lost
// however often that happens.
func TestUnknownKindsAreLeftToOthers(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		older, c := mustMake(t, s, &output{})
		log := &output{}
		older.Log = slogTo(log)
		worker.Handle(older, 0, func(context.Context, *job.Job[stretch]) error { return nil })
		mustInsert(t, s, c, "new", &job.Options{MaxAttempts: 1})
		mustAbandon(t, s, c, 3, "", "abandoned")
		mustRun(t, older)
		eventually(t, func() error {
			if n := strings.Count(log.String(), "does not know"); n < 3 { // the second time for what was new
				return fmt.Errorf("%d times: %s", n, log)
			}
			return nil
		})
		if strings.Contains(log.String(), "level=ERROR") {
			t.Error(log)
		}
		older.Stop()
		done := make(chan string, 10)
		mustStart(t, s, func(_ context.Context, j *job.Job[task]) error {
			done <- j.Args.Name
			return nil
		})
		seen := map[string]int{}
		for range 2 {
			seen[receive(t, done)]++
		}
		if seen["new"] != 1 || seen["abandoned"] != 1 {
			t.Error(seen)
		}
	})
}
