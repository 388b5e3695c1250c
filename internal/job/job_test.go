package job_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type greet struct {
	Who string `json:"who"`
}

func (greet) Kind() string            { return "greet" }
func (greet) InsertOpts() job.Options { return job.Options{Queue: job.Notify} }

type nowhere struct{}

func (nowhere) Kind() string { return "nowhere" }

func mustOpen(tb testing.TB, s *store.Store) *job.Client {
	tb.Helper()
	c, err := job.New(s)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// count is how many jobs are in a state.
func count(tb testing.TB, s *store.Store, queue, state string) (n int) {
	tb.Helper()
	stats, err := s.JobStats(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, j := range stats {
		if j.Queue == queue && j.State == state {
			n += j.Count
		}
	}
	return n
}

// A job is there if and only if its cause is.
func TestInsertSharesTheTransaction(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		c := mustOpen(t, s)
		boom := errors.New("boom")
		for i, fails := range []error{boom, nil, boom, nil} {
			p, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
				if err := c.Insert(t.Context(), tx, greet{"Alice"}, nil); err != nil {
					return err
				}
				tx.Emit(chat.Event{Type: chat.ProfileChanged}, chat.UserTopic(chat.NewID(chat.KindUser)))
				return fails
			})
			if !errors.Is(err, fails) || err == nil && p != chat.Position((i+1)/2) {
				t.Fatal(p, err)
			}
			if n := count(t, s, job.Notify, "available"); n != (i+1)/2 {
				t.Errorf("%d jobs after %d commits", n, (i+1)/2)
			}
		}
	})
}

// A change whose client hangs up, or that ends in a panic, gives its connection back.
func TestPanicGivesTheConnectionBack(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		c := mustOpen(t, s)
		for range 20 { // there are eight connections
			func() {
				defer func() { _ = recover() }()
				_, _ = s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
					_ = c.Insert(t.Context(), tx, greet{"Alice"}, nil)
					panic("boom")
				})
			}()
		}
		if n := count(t, s, job.Notify, "available"); n != 0 {
			t.Errorf("%d jobs of what never happened", n)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		c := mustOpen(t, s)
		insert := func(a job.Args, o *job.Options) error {
			_, err := s.Write(context.Background(), chat.ID{}, func(tx *store.Tx) error { return c.Insert(t.Context(), tx, a, o) })
			return err
		}
		unique := &job.Options{Queue: job.Mail, UniqueOpts: job.Unique{ByArgs: true}}
		for _, who := range []string{"Alice", "Bob", "Alice"} {
			if err := insert(greet{who}, unique); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(t, s, job.Mail, "available"); n != 2 {
			t.Errorf("%d jobs, want one for each name", n)
		}
		if err := insert(greet{"Carol"}, &job.Options{ScheduledAt: time.Now().Add(time.Hour), Priority: 4, MaxAttempts: 2}); err != nil {
			t.Fatal(err)
		}
		if n := count(t, s, job.Notify, "scheduled"); n != 1 {
			t.Errorf("%d jobs for later, want one", n)
		}
		for _, o := range []*job.Options{nil, {Queue: "default"}} {
			if err := insert(nowhere{}, o); err == nil {
				t.Errorf("%+v: inserted where no node looks", o)
			}
		}
	})
}
