// Package worker runs the jobs that package job inserts: on every node, so many of each queue at once.
//
// Whoever has work registers it with Handle, and with Every when it is due again and again, before Start. River's client
// owns all goroutines but two. Of all nodes one is its leader, elected anew within 20 s, which inserts what is due.
//
// A job that was begun is kept by its node: every ten seconds it says in the database that it is still at it. What was not kept
// for half a minute is of a node that is gone, or cut off from the database, and is run again by any other, however long
// it may take. (River would go by the time since the attempt began, which would have to be longer than any job may take.)
//
// Drain lets the jobs that run finish. Stop cancels their contexts; a job that returns because of that is run by another
// node at once, and it does not count as an attempt.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
)

// Config is how jobs are run.
type Config struct {
	// Concurrency is how many jobs of each queue this node runs at once. Queues that are not named, or with 0, are left to others.
	Concurrency map[string]int
	// Timeout is how long an attempt may take unless its handler says otherwise; 0 means a minute.
	Timeout time.Duration
	// RescueAfter is for how long a node may be silent before its jobs are run elsewhere; 0 means half a minute.
	RescueAfter time.Duration
	Log         *slog.Logger
}

// Worker runs jobs.
type Worker struct {
	Config
	store    *store.Store
	jobs     *job.Client
	handlers *river.Workers
	periodic []*river.PeriodicJob
	failures *prometheus.CounterVec

	followers []follower
	followed  []chat.EventType // by any of them, each once
	grown     chan struct{}    // never closed
	stride    atomic.Int64     // events in the next transaction of followers

	mu      sync.Mutex // guards what follows
	runner  job.Runner // nil while it does not run
	stop    func()     // ends the goroutines that are not River's
	running map[int64]bool
}

// New makes a worker that has nothing to do yet.
func New(s *store.Store, jobs *job.Client, c Config) *Worker {
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.RescueAfter == 0 {
		c.RescueAfter = 30 * time.Second
	}
	w := &Worker{Config: c, store: s, jobs: jobs, running: map[int64]bool{}, handlers: river.NewWorkers(), grown: make(chan struct{}, 1), failures: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_job_failures_total", Help: "Attempts of jobs that failed on this node.",
	}, []string{"kind"})}
	w.stride.Store(followMax)
	return w
}

// Handle says what jobs with these arguments do, and how long an attempt may take (0: Config.Timeout). An error is logged,
// and the job is tried again; job.Cancel gives it up, job.Snooze puts it off.
func Handle[T job.Args](w *Worker, timeout time.Duration, do func(context.Context, *job.Job[T]) error) {
	river.AddWorker(w.handlers, handler[T]{worker: w, timeout: timeout, do: do})
}

type handler[T job.Args] struct {
	river.WorkerDefaults[T]
	worker  *Worker
	timeout time.Duration
	do      func(context.Context, *job.Job[T]) error
}

func (h handler[T]) Work(ctx context.Context, j *job.Job[T]) error {
	h.worker.begin(j.ID)
	defer h.worker.end(j.ID)
	return h.do(ctx, j)
}

func (h handler[T]) Timeout(*job.Job[T]) time.Duration { return h.timeout }

// Every has a job inserted once in each period, whatever the number of nodes and however often they start: a period begins
// at a multiple of its length since year 1 (a day's at midnight UTC), and one that began while no node ran is made up for,
// unless it is over. The period is no longer than a day, for which River remembers what was done.
func (w *Worker) Every(period time.Duration, args job.Args) {
	opts := &job.Options{MaxAttempts: attemptsWithin(period), UniqueOpts: job.Unique{ByArgs: true, ByPeriod: period}}
	w.periodic = append(w.periodic, river.NewPeriodicJob(schedule(period), func() (river.JobArgs, *river.InsertOpts) { return args, opts },
		&river.PeriodicJobOpts{RunOnStart: true}))
}

type schedule time.Duration

// Next is the beginning of the next period.
func (s schedule) Next(t time.Time) time.Time {
	return t.UTC().Truncate(time.Duration(s)).Add(time.Duration(s))
}

// attemptsWithin is how often a job may be tried before the next period's takes its place.
func attemptsWithin(period time.Duration) int {
	n, delay := 1, time.Duration(0)
	for ; n < job.MaxAttempts; n++ {
		if delay += time.Duration(n*n*n*n) * time.Second; delay > period {
			break
		}
	}
	return n
}

// never is when River finds a job to be stuck: it would discard what this version does not know. See keep.
const never = 1000 * time.Hour

// Start begins to run jobs.
func (w *Worker) Start() error {
	queues := map[string]river.QueueConfig{}
	for q, n := range w.Concurrency {
		if n > 0 {
			queues[q] = river.QueueConfig{MaxWorkers: n}
		}
	}
	r, err := w.jobs.Runner(&river.Config{
		Queues: queues, Workers: w.handlers, PeriodicJobs: w.periodic,
		JobTimeout: w.Timeout, RescueStuckJobsAfter: never,
		ErrorHandler: failures{w}, Logger: slog.New(onlyWarnings{w.Log.Handler()}),
	})
	if err != nil {
		return err
	}
	if err = r.Start(context.Background()); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var own sync.WaitGroup
	own.Go(func() { w.keep(ctx) })
	if len(w.followed) > 0 {
		own.Go(func() { w.follow(ctx) })
	}
	w.runner, w.stop = r, func() { cancel(); own.Wait() }
	return nil
}

// Drain begins no more jobs and waits for those that run, until ctx ends. Stop comes after it.
func (w *Worker) Drain(ctx context.Context) error {
	w.mu.Lock()
	r := w.runner
	w.mu.Unlock()
	if r == nil {
		return nil
	}
	if err := r.Stop(ctx); err != nil {
		return errors.Join(errors.New("jobs are still running; they are run elsewhere"), err)
	}
	return nil
}

// stopTimeout is how long jobs may take to notice that their context is cancelled.
const stopTimeout = 5 * time.Second

// Stop cancels the jobs that run. It may be called twice, and without Start.
func (w *Worker) Stop() {
	w.mu.Lock()
	r, end := w.runner, w.stop
	w.runner = nil
	w.mu.Unlock()
	if r == nil {
		return
	}
	end()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := r.StopAndCancel(ctx); err != nil {
		w.Log.Error("jobs do not stop; they are run again after a while", "error", err)
	}
}

// failures logs and counts what went wrong.
type failures struct{ *Worker }

func (f failures) failed(ctx context.Context, message string, j *rivertype.JobRow, attrs ...any) *river.ErrorHandlerResult {
	f.failures.WithLabelValues(j.Kind).Inc()
	f.Log.ErrorContext(ctx, message, append([]any{"kind", j.Kind, "id", j.ID, "queue", j.Queue, "attempt", j.Attempt, "last", j.Attempt >= j.MaxAttempts}, attrs...)...)
	return nil
}

// HandleError is called by River.
func (f failures) HandleError(ctx context.Context, j *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	if unknown := (*rivertype.UnknownJobKindError)(nil); errors.As(err, &unknown) {
		j.MaxAttempts = j.Attempt + 1 // River looks at it next: this was not the last
		f.Log.WarnContext(ctx, "a job is of a kind that this version does not know; it is left to one that does", "kind", j.Kind, "id", j.ID, "queue", j.Queue)
		return nil
	}
	return f.failed(ctx, "a job failed", j, "error", err)
}

// HandlePanic is called by River.
func (f failures) HandlePanic(ctx context.Context, j *rivertype.JobRow, v any, trace string) *river.ErrorHandlerResult {
	return f.failed(ctx, "a job panicked", j, "error", v, "stack", trace)
}

// onlyWarnings leaves out what River tells of every start, of every failure and every unknown kind, which are logged here, and
// of what it was doing when it was stopped.
type onlyWarnings struct{ slog.Handler }

func (h onlyWarnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h onlyWarnings) Handle(ctx context.Context, r slog.Record) error {
	skip := strings.HasSuffix(r.Message, ": Unhandled job kind")
	r.Attrs(func(a slog.Attr) bool {
		skip = skip || a.Value.String() == context.Canceled.Error()
		return !skip
	})
	if skip {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h onlyWarnings) WithAttrs(a []slog.Attr) slog.Handler {
	return onlyWarnings{h.Handler.WithAttrs(a)}
}
func (h onlyWarnings) WithGroup(name string) slog.Handler {
	return onlyWarnings{h.Handler.WithGroup(name)}
}
