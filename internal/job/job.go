// Package job is how work is asked for that is done after the request: by River, in the same database, in the transaction
// of its cause. What runs the jobs is package worker.
//
// The arguments of a kind of job are a type that is declared where the work is, with a Kind, a name that is never changed,
// and JSON tags. They hold ids and small facts: what is done when the job runs is up to the state then, and what was
// deleted meanwhile stays deleted. Their InsertOpts method names the queue, unless every insertion does.
//
// A job runs at least once after its transaction has committed, and again after an error, until it has been tried as often
// as it may be (MaxAttempts): the delays grow with the fourth power of the number of attempts. It may run twice, also at
// the same time, when its node was killed or did not answer. So whoever does the work sees to it that twice does no harm.
package job

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
)

// The queues. Each has its own number of jobs that run at once, so that a slow one does not hold up the others.
const (
	Mail        = "mail"
	Notify      = "notify"
	Webhooks    = "webhooks"
	Maintenance = "maintenance"
	Files       = "files"
)

// Queues are all of them.
var Queues = []string{Mail, Notify, Webhooks, Maintenance, Files}

// MaxAttempts is how often a job is tried unless its options say otherwise. The last attempt is about a day after the first.
const MaxAttempts = 14

type (
	// Args says what to do.
	Args = river.JobArgs
	// Options say in which queue (Queue), how urgent (Priority, 1 to 4), when (ScheduledAt), how often (MaxAttempts) and
	// whether only if there is no such job yet (UniqueOpts). What is zero is as the InsertOpts method of the arguments says.
	Options = river.InsertOpts
	// Unique are the conditions of Options.UniqueOpts.
	Unique = river.UniqueOpts
	// Insertion is one of many: Args, and their InsertOpts, which may be nil.
	Insertion = river.InsertManyParams
	// Job is one that runs.
	Job[T Args] = river.Job[T]
)

// DB is the database: a store.Store.
type DB interface {
	Native() (*pgxpool.Pool, *sql.DB)
}

// Tx is a transaction in that database: a store.Tx.
type Tx interface {
	Native() (pgx.Tx, *sql.Tx)
}

// Client inserts jobs. It is safe for concurrent use, and has no goroutines.
type Client struct {
	db       DB
	postgres *river.Client[pgx.Tx] // or
	sqlite   *river.Client[*sql.Tx]
}

// New makes the client of a database.
func New(db DB) (*Client, error) {
	return open(db, &river.Config{Logger: slog.New(slog.DiscardHandler)})
}

func open(db DB, config *river.Config) (c *Client, err error) {
	config.MaxAttempts = MaxAttempts
	c = &Client{db: db}
	if pool, lite := db.Native(); pool != nil {
		c.postgres, err = river.NewClient(riverpgxv5.New(pool), config)
	} else {
		config.PollOnly = true // SQLite tells nobody of anything, and River would ask it twenty times a second
		c.sqlite, err = river.NewClient(riversqlite.New(lite), config)
	}
	return c, err
}

// Insert adds a job to a transaction: it exists if and when that commits. Where there is one already that Options.UniqueOpts
// forbid, nothing is added. opts may be nil.
func (c *Client) Insert(ctx context.Context, tx Tx, args Args, opts *Options) (err error) {
	if err := check(args, opts); err != nil {
		return err
	}
	postgres, sqlite := tx.Native()
	if c.postgres != nil {
		_, err = c.postgres.InsertTx(ctx, postgres, args, opts)
	} else {
		_, err = c.sqlite.InsertTx(ctx, sqlite, args, opts)
	}
	if err != nil {
		return fmt.Errorf("insert a job of kind %s: %w", args.Kind(), err)
	}
	return nil
}

// InsertMany is Insert for many jobs at once.
func (c *Client) InsertMany(ctx context.Context, tx Tx, jobs []Insertion) (err error) {
	for _, j := range jobs {
		if err := check(j.Args, j.InsertOpts); err != nil {
			return err
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	postgres, sqlite := tx.Native()
	if c.postgres != nil {
		_, err = c.postgres.InsertManyTx(ctx, postgres, jobs)
	} else {
		_, err = c.sqlite.InsertManyTx(ctx, sqlite, jobs)
	}
	if err != nil {
		return fmt.Errorf("insert %d jobs: %w", len(jobs), err)
	}
	return nil
}

// Hurry is Insert of a job that is Unique while it is Undone; if there is one that waits for its time, it is run now.
func (c *Client) Hurry(ctx context.Context, tx Tx, args Args, opts *Options) (err error) {
	if err := check(args, opts); err != nil {
		return err
	}
	var r *rivertype.JobInsertResult
	postgres, sqlite := tx.Native()
	if c.postgres != nil {
		r, err = c.postgres.InsertTx(ctx, postgres, args, opts)
	} else {
		r, err = c.sqlite.InsertTx(ctx, sqlite, args, opts)
	}
	if err == nil && r.UniqueSkippedAsDuplicate {
		if c.postgres != nil {
			_, err = c.postgres.JobRetryTx(ctx, postgres, r.Job.ID)
		} else {
			_, err = c.sqlite.JobRetryTx(ctx, sqlite, r.Job.ID)
		}
	}
	if err != nil {
		return fmt.Errorf("hurry a job of kind %s: %w", args.Kind(), err)
	}
	return nil
}

// check refuses a job that no node would ever run.
func check(args Args, opts *Options) error {
	queue := ""
	if a, ok := args.(river.JobArgsWithInsertOpts); ok {
		queue = a.InsertOpts().Queue
	}
	if opts != nil && opts.Queue != "" {
		queue = opts.Queue
	}
	if !slices.Contains(Queues, queue) {
		return fmt.Errorf("job: %q is not a queue; the InsertOpts of %s (or the options) must name one of %v", queue, args.Kind(), Queues)
	}
	return nil
}

// Runner is a client that also works: what river.Client can be told.
type Runner interface {
	Start(context.Context) error
	Stop(context.Context) error
	StopAndCancel(context.Context) error
	Stopped() <-chan struct{}
}

// Runner makes one for the same database. Its config names queues and workers.
func (c *Client) Runner(config *river.Config) (Runner, error) {
	r, err := open(c.db, config)
	if err != nil {
		return nil, err
	}
	if r.postgres != nil {
		return r.postgres, nil
	}
	return r.sqlite, nil
}

// Cancel makes of an error one that gives a job up at once.
func Cancel(err error) error { return river.JobCancel(err) }

// Snooze is the error that puts a job off for a while. It counts as no attempt, and is not logged.
func Snooze(d time.Duration) error { return river.JobSnooze(d) }

// Undone are the states of jobs that are still to be done, for Unique.ByState: there may be a new one once the last is done.
var Undone = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// Complete has a running job done if and when a transaction commits. A job that is Unique while it is Undone ends so that
// nothing falls between its last look and its end: both who asks for such a job and who completes it lock the same row first.
func Complete[T Args](ctx context.Context, tx Tx, j *Job[T]) (err error) {
	if postgres, sqlite := tx.Native(); postgres != nil {
		_, err = river.JobCompleteTx[*riverpgxv5.Driver](ctx, postgres, j)
	} else {
		_, err = river.JobCompleteTx[*riversqlite.Driver](ctx, sqlite, j)
	}
	return err
}

// River gives the client itself, of one of the two databases, to what shows the queue to operators.
func (c *Client) River() (*river.Client[pgx.Tx], *river.Client[*sql.Tx]) { return c.postgres, c.sqlite }
