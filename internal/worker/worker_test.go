package worker_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/worker"
)

// victim names the database that a process works on until it is killed.
const victim = "PARLEY_TEST_VICTIM"

func TestMain(m *testing.M) {
	if url := os.Getenv(victim); url != "" {
		work(url)
		return
	}
	goleak.VerifyTestMain(m)
}

type task struct {
	Name string `json:"name"`
}

func (task) Kind() string            { return "task" }
func (task) InsertOpts() job.Options { return job.Options{Queue: job.Notify} }

// output is a log that tests read.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// mustMake makes a node that is not started.
func mustMake(tb testing.TB, s *store.Store, o *output) (*worker.Worker, *job.Client) {
	tb.Helper()
	c, err := job.New(s)
	if err != nil {
		tb.Fatal(err)
	}
	w := worker.New(s, c, worker.Config{
		Concurrency: map[string]int{job.Notify: 4, job.Maintenance: 2}, Timeout: 2 * time.Second, RescueAfter: 3 * time.Second,
		Log: slogTo(o),
	})
	return w, c
}

func slogTo(o *output) *slog.Logger { return slog.New(slog.NewTextHandler(o, nil)) }

// mustStart makes and starts a node that does do with every task.
func mustStart(tb testing.TB, s *store.Store, do func(context.Context, *job.Job[task]) error) (*worker.Worker, *job.Client, *output) {
	tb.Helper()
	o := &output{}
	w, c := mustMake(tb, s, o)
	worker.Handle(w, 0, do)
	mustRun(tb, w)
	return w, c, o
}

func mustRun(tb testing.TB, w *worker.Worker) {
	tb.Helper()
	if err := w.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Stop)
}

func mustInsert(tb testing.TB, s *store.Store, c *job.Client, name string, opts *job.Options) {
	tb.Helper()
	_, err := s.Write(context.Background(), chat.ID{}, func(tx *store.Tx) error { return c.Insert(tb.Context(), tx, task{name}, opts) })
	if err != nil {
		tb.Fatal(err)
	}
}

const patience = time.Minute

func receive[T any](tb testing.TB, c <-chan T) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		tb.Fatal("nothing came")
	}
	return v
}

func eventually(tb testing.TB, what func() error) {
	tb.Helper()
	limit := time.Now().Add(patience)
	for err := what(); err != nil; err = what() {
		if time.Now().After(limit) {
			tb.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// What fails is logged with its cause and tried again; what fails for the last time stays as failed.
func TestFailures(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		done := make(chan int, 10)
		_, c, log := mustStart(t, s, func(_ context.Context, j *job.Job[task]) error {
			switch {
			case j.Args.Name == "hopeless":
				return errors.New("no mail server")
			case j.Args.Name == "panics":
				panic("out of cheese")
			case j.Attempt == 1:
				return errors.New("not yet")
			}
			done <- j.Attempt
			return nil
		})
		mustInsert(t, s, c, "second time lucky", nil)
		mustInsert(t, s, c, "hopeless", &job.Options{MaxAttempts: 1})
		mustInsert(t, s, c, "panics", &job.Options{MaxAttempts: 1})
		if n := receive(t, done); n != 2 {
			t.Errorf("done at attempt %d", n)
		}
		eventually(t, func() error {
			stats, err := s.JobStats(t.Context())
			if err != nil || len(stats) != 1 || stats[0].Queue != job.Notify || stats[0].State != "discarded" || stats[0].Count != 2 {
				return fmt.Errorf("%+v %w", stats, err)
			}
			return nil
		})
		for _, want := range []string{"not yet", "no mail server", "out of cheese", "worker_test.go", "last=true", "last=false", "kind=task"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log)
			}
		}
		if n := strings.Count(log.String(), `msg="a job `); n != 3 {
			t.Errorf("%d lines for three failures:\n%s", n, log)
		}
	})
}

// A node that is drained finishes what it has begun. One that is stopped gives it to another, as if it had not begun.
func TestDrainAndStop(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		started, finish, finished := make(chan string, 10), make(chan struct{}), make(chan int, 10)
		do := func(ctx context.Context, j *job.Job[task]) error {
			started <- j.Args.Name
			select {
			case <-finish:
				finished <- j.Attempt
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		one, c, log := mustStart(t, s, do)
		mustInsert(t, s, c, "first", nil)
		receive(t, started)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := one.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drained while a job was running: %v", err)
		}
		mustInsert(t, s, c, "second", nil) // nobody takes it
		one.Stop()
		one.Stop()
		if got := len(finished); got != 0 {
			t.Fatal("a job that was cancelled has finished")
		}

		two, _, _ := mustStart(t, s, do)
		names := receive(t, started) + receive(t, started)
		if names != "firstsecond" && names != "secondfirst" {
			t.Errorf("%s were started again", names)
		}
		drained := make(chan error)
		go func() { drained <- two.Drain(t.Context()) }()
		close(finish)
		if err := receive(t, drained); err != nil {
			t.Error(err)
		}
		for range 2 {
			if n := receive(t, finished); n != 1 {
				t.Errorf("being stopped counted as attempt: %d", n)
			}
		}
		if log.String() != "" && strings.Contains(log.String(), "failed") {
			t.Errorf("being stopped was logged as a failure:\n%s", log)
		}
	})
}

// work runs jobs that never end.
func work(url string) {
	s, err := store.Open(context.Background(), store.Config{URL: url, Conns: 2, Unsynced: true})
	if err != nil {
		panic(err)
	}
	c, err := job.New(s)
	if err != nil {
		panic(err)
	}
	w := worker.New(s, c, worker.Config{Concurrency: map[string]int{job.Notify: 1}, Log: slog.New(slog.DiscardHandler)})
	worker.Handle(w, 0, func(context.Context, *job.Job[task]) error {
		fmt.Println("running")
		select {}
	})
	if err := w.Start(); err != nil {
		panic(err)
	}
	select {}
}

// The jobs of a process that was killed are run by another one.
func TestRescue(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		s := testkit.MustOpenStore(t, url)
		c, err := job.New(s)
		if err != nil {
			t.Fatal(err)
		}
		mustInsert(t, s, c, "the one", nil)
		p := exec.CommandContext(t.Context(), os.Args[0])
		p.Env = append(os.Environ(), victim+"="+url)
		p.Stderr = os.Stderr
		out, err := p.StdoutPipe()
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || line != "running\n" {
			t.Error(line, err)
		}
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.Wait()

		killed, done := time.Now(), make(chan int, 10)
		mustStart(t, s, func(_ context.Context, j *job.Job[task]) error { done <- j.Attempt; return nil })
		if n := receive(t, done); n != 2 {
			t.Errorf("rescued at attempt %d", n)
		}
		t.Logf("rescued after %v", time.Since(killed))
	})
}

// What is due is done once in each period, whatever the number of nodes and however often they start.
func TestEveryIsOnceAcrossNodes(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		const period = 2 * time.Second
		var mu sync.Mutex
		done := map[time.Time]int{}
		node := func() *worker.Worker {
			w, _ := mustMake(t, testkit.MustOpenStore(t, url), &output{})
			worker.Handle(w, 0, func(_ context.Context, j *job.Job[task]) error {
				mu.Lock()
				defer mu.Unlock()
				done[j.ScheduledAt.UTC().Truncate(period)]++
				return nil
			})
			w.Every(period, task{"due"})
			mustRun(t, w)
			return w
		}
		periods := func(n int) {
			t.Helper()
			eventually(t, func() error {
				mu.Lock()
				defer mu.Unlock()
				if len(done) < n {
					return fmt.Errorf("%d periods so far", len(done))
				}
				return nil
			})
		}
		one := node()
		periods(1)
		node()
		periods(3)
		one.Stop() // and with it the leader
		node()
		periods(5)
		mu.Lock()
		defer mu.Unlock()
		for p, n := range done {
			if n != 1 {
				t.Errorf("done %d times in the period of %v", n, p)
			}
		}
	})
}

// Of a burst each job is run once, at most so many at a time.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		var running, most atomic.Int64
		done := make(chan string, 100)
		_, c, _ := mustStart(t, s, func(_ context.Context, j *job.Job[task]) error {
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			done <- j.Args.Name
			return nil
		})
		for i := range 20 {
			mustInsert(t, s, c, fmt.Sprint(i), nil)
		}
		seen := map[string]int{}
		for range 20 {
			seen[receive(t, done)]++
		}
		if len(seen) != 20 || most.Load() > 4 {
			t.Errorf("%v, %d at a time", seen, most.Load())
		}
	})
}

// A handler may give a job up: it is not tried again, and nobody is alarmed.
func TestCancel(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		tried := make(chan int, 10)
		_, c, log := mustStart(t, s, func(_ context.Context, j *job.Job[task]) error {
			tried <- j.Attempt
			return fmt.Errorf("greet: %w", job.Cancel(errors.New("the account is gone")))
		})
		mustInsert(t, s, c, "in vain", nil)
		receive(t, tried)
		eventually(t, func() error {
			if stats, err := s.JobStats(t.Context()); err != nil || len(stats) != 0 {
				return fmt.Errorf("%+v %w", stats, err)
			}
			return nil
		})
		if log.String() != "" {
			t.Errorf("logged as a failure:\n%s", log)
		}
	})
}

// A handler may put a job off, more often than it may fail, and nobody is alarmed.
func TestSnooze(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		const times, pause = 4, 50 * time.Millisecond
		type try struct {
			attempt int
			at      time.Time
		}
		tried := make(chan try, 10)
		var n atomic.Int64
		w, c, log := mustStart(t, s, func(_ context.Context, j *job.Job[task]) error {
			tried <- try{j.Attempt, time.Now()}
			if n.Add(1) <= times {
				return fmt.Errorf("greet: %w", job.Snooze(pause))
			}
			return nil
		})
		mustInsert(t, s, c, "later", &job.Options{MaxAttempts: 1})
		last := receive(t, tried)
		for range times {
			next := receive(t, tried)
			if next.attempt != 1 || next.at.Sub(last.at) < pause {
				t.Errorf("tried again after %v, as attempt %d", next.at.Sub(last.at), next.attempt)
			}
			last = next
		}
		eventually(t, func() error {
			if stats, err := s.JobStats(t.Context()); err != nil || len(stats) != 0 {
				return fmt.Errorf("%+v %w", stats, err)
			}
			return nil
		})
		if err := w.Drain(t.Context()); err != nil || log.String() != "" || len(tried) > 0 {
			t.Errorf("%v, tried %d times more, log:\n%s", err, len(tried), log)
		}
	})
}

// Piles that grow while they are worked off, each by one job at a time, have nothing left when the last job has ended.
func TestCompleteLeavesNothingUndone(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		const piles, adders, rounds, each = 4, 2, 6, 6 // adders of each pile
		var jobs atomic.Int64
		running := make([]atomic.Int64, piles)
		node := func() (*store.Store, *job.Client) {
			s := testkit.MustOpenStore(t, url)
			_, c, _ := mustStart(t, s, func(ctx context.Context, j *job.Job[task]) error {
				jobs.Add(1)
				pile, err := strconv.Atoi(j.Args.Name)
				if err != nil {
					return job.Cancel(err)
				}
				if n := running[pile].Add(1); n != 1 {
					t.Errorf("%d at a time", n)
				}
				leave := sync.OnceFunc(func() { running[pile].Add(-1) })
				defer leave() // after an error
				for done := false; !done && err == nil; {
					_, err = s.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
						mustPile(t, tx, "UPDATE piles SET todo = todo WHERE id = "+j.Args.Name) // locks it
						if mustPile(t, tx, "UPDATE piles SET todo = todo - 1, done = done + 1 WHERE todo > 0 AND id = "+j.Args.Name) == 1 {
							return nil
						}
						done = true
						leave()
						time.Sleep(10 * time.Millisecond) // somebody who adds has to wait
						return job.Complete(ctx, tx, j)
					})
				}
				return err
			})
			return s, c
		}
		s1, c1 := node()
		s2, c2 := node()
		pile := func(statement string) (n int64) {
			t.Helper()
			if _, err := s1.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
				n = mustPile(t, tx, statement)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		pile("CREATE TABLE piles (id int PRIMARY KEY, todo int, done int)")
		for i := range piles {
			pile(fmt.Sprintf("INSERT INTO piles VALUES (%d, 0, 0)", i))
		}
		for round := range rounds {
			var wg sync.WaitGroup
			for a := range piles * adders {
				s, c := s1, c1
				if a%2 == 1 {
					s, c = s2, c2
				}
				wg.Go(func() {
					for range each {
						if _, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
							mustPile(t, tx, fmt.Sprintf("UPDATE piles SET todo = todo + 1 WHERE id = %d", a/adders))
							return c.Insert(t.Context(), tx, task{strconv.Itoa(a / adders)}, &job.Options{UniqueOpts: job.Unique{ByArgs: true, ByState: job.Undone}})
						}); err != nil {
							t.Error(err)
						}
						time.Sleep(rand.N(60 * time.Millisecond)) // at times the job ends meanwhile
					}
				})
			}
			wg.Wait()
			eventually(t, func() error {
				if stats, err := s1.JobStats(t.Context()); err != nil || len(stats) > 0 {
					return fmt.Errorf("%+v %w", stats, err)
				}
				return nil
			})
			if n := pile(fmt.Sprintf("UPDATE piles SET todo = todo WHERE todo = 0 AND done = %d", adders*each*(round+1))); n != piles {
				t.Fatalf("%d piles of %d are worked off, and nobody is at work", n, piles)
			}
		}
		t.Logf("%d jobs", jobs.Load())
	})
}

// mustPile makes a statement about what a test piles up, and says how many rows it changed.
func mustPile(tb testing.TB, tx *store.Tx, statement string) (n int64) {
	tb.Helper()
	var err error
	if postgres, sqlite := tx.Native(); postgres != nil {
		var tag pgconn.CommandTag
		tag, err = postgres.Exec(context.Background(), statement)
		n = tag.RowsAffected()
	} else {
		var r sql.Result
		if r, err = sqlite.ExecContext(context.Background(), statement); err == nil {
			n, err = r.RowsAffected()
		}
	}
	if err != nil {
		tb.Error(statement, err)
	}
	return n
}

// A node that is gone may have kept its jobs just before, and one that comes must have reached the database for as long; it
// looks three times meanwhile.
func TestRescueIsWithinThreeMinutes(t *testing.T) {
	t.Parallel()
	if w := worker.New(nil, nil, worker.Config{}); 2*w.RescueAfter+w.RescueAfter/3 > 3*time.Minute {
		t.Errorf("jobs are rescued after %v", w.RescueAfter)
	}
}
