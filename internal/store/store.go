package store

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/gormlite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/parley-chat/parley/internal/chat"
)

// Config says which database, and how it is used.
type Config struct {
	// URL is postgres://… or sqlite:PATH.
	URL string
	// Conns is the most connections to PostgreSQL; 0 means 20. Besides there are one for batches and jobConns for jobs.
	Conns int
	// Durable refuses a PostgreSQL server that is configured to lose what it has acknowledged.
	Durable bool
	// Unsynced lets SQLite acknowledge before the disk has (synchronous=NORMAL): a power loss may then take back the
	// newest changes, a crash of the program may not.
	Unsynced bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log gets each statement, without its parameters, at the level debug.
	Log *slog.Logger

	tracePostgres pgx.QueryTracer           // for tests
	traceSQLite   func(*sqlite3.Conn) error // for tests: gets each new connection
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	reader
	write     *gorm.DB // SQLite: the one writing connection
	pool      *pgxpool.Pool
	batches   *pgxpool.Pool // one connection with plans of its own
	jobs      *pgxpool.Pool // the queue's, which listens on one
	file      string        // SQLite's
	patience  time.Duration // with a change
	now       func() time.Time
	log       *slog.Logger
	listeners map[chat.EventType][]Listener
	committed func([]*chat.Event)
	stop      []func()
}

// reader has the queries, for use inside and outside of transactions.
type reader struct {
	db querier
	dialect
}

// within is a reader that sees what a transaction has changed.
func (s *Store) within(tx *gorm.DB) reader { return reader{querier{gorm: tx}, s.dialect} }

// Listener is a consequence of an event: it runs in the transaction that emits it, and may change rows and emit more.
type Listener func(ctx context.Context, tx *Tx, e *chat.Event) error

// Open connects; it does not migrate.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Conns == 0 {
		c.Conns = 20
	}
	s := &Store{patience: writeTimeout, now: c.Now, log: c.Log, listeners: map[chat.EventType][]Listener{}, committed: func([]*chat.Event) {}}
	var err error
	if path, ok := strings.CutPrefix(c.URL, "sqlite:"); ok {
		err = s.openSQLite(path, c)
	} else {
		if err = s.openPostgres(ctx, c); err == nil && c.Durable {
			err = s.durable(ctx)
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func gormConfig(log *slog.Logger) *gorm.Config {
	return &gorm.Config{Logger: statementLog(log), SkipDefaultTransaction: true, DisableAutomaticPing: true}
}

// jobConns is how many connections to PostgreSQL the job queue takes at most.
const jobConns = 4

// wholeTables are PostgreSQL's ways to read much at once.
var wholeTables = []string{"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"}

func (s *Store) openPostgres(ctx context.Context, c Config) error {
	pc, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return fmt.Errorf("the database's address cannot be read: it should be postgres://user:password@host:port/name") // err would show the password
	}
	pc.MaxConns = int32(c.Conns) //nolint:gosec // a small setting
	if t := pc.ConnConfig.ConnectTimeout; t == 0 || t > connectTimeout {
		pc.ConnConfig.ConnectTimeout = connectTimeout // one that hangs keeps its place in the pool
	}
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	jc := pc.Copy() // without what follows: it is about the store's own statements
	pc.ConnConfig.Tracer = c.tracePostgres
	// One generic plan for each statement, whatever it is run with, and by index whatever the statistics say: the tables
	// may have been empty when it was made, and a conversation may be a thousand times as long as the next. A bitmap would
	// be sorted, however long it is. No JIT, which what costs "more than anything" would wake.
	for _, k := range append([]string{"jit"}, wholeTables...) {
		pc.ConnConfig.RuntimeParams[k] = "off"
	}
	pc.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return err
	}
	s.stop = append(s.stop, s.pool.Close)
	jc.MaxConns = jobConns
	if s.jobs, err = pgxpool.NewWithConfig(ctx, jc); err != nil {
		return err
	}
	s.stop = append(s.stop, s.jobs.Close)
	bc := pc.Copy()
	bc.MaxConns = 1
	if s.batches, err = pgxpool.NewWithConfig(ctx, bc); err != nil {
		return err
	}
	s.stop = append(s.stop, s.batches.Close)
	db := stdlib.OpenDBFromPool(s.pool)
	s.stop = append(s.stop, func() { _ = db.Close() })
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: pgPool{db}}), gormConfig(c.Log))
	if err != nil {
		return err
	}
	s.reader, s.write = reader{querier{ctx: context.Background(), pool: s.pool, log: c.Log}, pgDialect}, g
	return nil
}

func (s *Store) openSQLite(path string, c Config) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	s.file = path
	sync := "FULL"
	if c.Unsynced {
		sync = "NORMAL"
	}
	open := func(txlock string, conns int) (*gorm.DB, error) {
		q := url.Values{"_txlock": {txlock}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + sync + ")", "foreign_keys(1)"}}
		db, err := driver.Open("file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode(), c.traceSQLite)
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		s.stop = append(s.stop, func() { _ = db.Close() })
		cfg := gormConfig(c.Log)
		cfg.PrepareStmt = true // the driver keeps no statements of its own
		// Ten years is what gorm takes for ever: it then starts no goroutine, which nothing could stop.
		cfg.PrepareStmtTTL = 10 * 365 * 24 * time.Hour
		return gorm.Open(gormlite.OpenDB(db), cfg)
	}
	w, err := open("immediate", 1)
	if err != nil {
		return err
	}
	r, err := open("deferred", 8)
	if err != nil {
		return err
	}
	s.reader, s.write = reader{querier{gorm: r}, sqliteDialect}, w
	return nil
}

// Close lets go of every connection.
func (s *Store) Close() {
	for i := len(s.stop) - 1; i >= 0; i-- {
		s.stop[i]()
	}
	s.stop = nil
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Head(ctx)
	return err
}

// On registers a listener for events of one type. All of them are registered before the first Write.
func (s *Store) On(t chat.EventType, l Listener) { s.listeners[t] = append(s.listeners[t], l) }

// AfterCommit sets who is told what was appended, right after the commit and in no particular order between commits. It
// is set before the first Write, must not block, and gets the events for keeps.
func (s *Store) AfterCommit(f func([]*chat.Event)) { s.committed = f }

// Tx is a transaction that changes something. It is used by one goroutine, inside Write.
type Tx struct {
	reader
	Now    time.Time // of every change in this transaction; microseconds, as the databases keep them
	Actor  chat.ID   // who makes the change; zero: the system
	events []*chat.Event
}

// Emit adds an event to the transaction, once for each topic. Position, At and Actor are filled in at the end.
func (tx *Tx) Emit(e chat.Event, topics ...chat.Topic) {
	for _, t := range topics {
		c := e
		c.Topic = t
		tx.events = append(tx.events, &c)
	}
}

// Emitted are the events of a type so far: a listener that does its work at the last of them does it once for all.
func (tx *Tx) Emitted(t chat.EventType) []*chat.Event {
	return slices.DeleteFunc(slices.Clone(tx.events), func(e *chat.Event) bool { return e.Type != t })
}

// Run are the events of a type of which e is the first, and that follow each other; none if e is within a run. A listener that
// does its work for a run does it once for all that were emitted together.
func (tx *Tx) Run(e *chat.Event) (run []*chat.Event) {
	at := slices.Index(tx.events, e)
	if at > 0 && tx.events[at-1].Type == e.Type {
		return nil
	}
	for _, next := range tx.events[at:] {
		if next.Type != e.Type {
			break
		}
		run = append(run, next)
	}
	return run
}

const (
	writeTimeout   = 10 * time.Second
	connectTimeout = 5 * time.Second
)

// Write runs fn and the listeners of what it emits in one transaction, and appends the events last. It returns the
// position of the last event; without any, the head as of the change. fn may run more than once, and must not keep
// anything of a run that failed. Errors of fn roll everything back and are returned as they are.
//
// A change that has begun is carried through even if ctx ends meanwhile (a client that hung up half-way would otherwise
// never know whether it happened, and cost PostgreSQL a connection), but for no longer than writeTimeout: what fails then,
// unless fn has refused it (*chat.Error), is UNAVAILABLE.
func (s *Store) Write(ctx context.Context, actor chat.ID, fn func(*Tx) error) (chat.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
	defer cancel()
	for try := 1; ; try++ {
		pos, err := s.writeOnce(ctx, actor, fn)
		if s.lostRace(err) && try < 10 {
			select {
			case <-time.After(time.Duration(try) * 5 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		if err != nil && ctx.Err() != nil { // then that is why, whatever the driver says: that it is busy rolling back, for one
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return pos, translate(err)
	}
}

func (s *Store) writeOnce(ctx context.Context, actor chat.ID, fn func(*Tx) error) (pos chat.Position, err error) {
	var tx *Tx
	err = s.write.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		tx = &Tx{reader: s.within(g), Now: Micros(s.now()), Actor: actor}
		if err := fn(tx); err != nil {
			return err
		}
		for i := 0; i < len(tx.events); i++ { // listeners may emit more
			e := tx.events[i]
			e.Actor, e.At = actor, tx.Now
			for _, l := range s.listeners[e.Type] {
				if err := l(ctx, tx, e); err != nil {
					return err
				}
			}
		}
		pos, err = tx.appendEvents()
		return err
	})
	if err == nil && len(tx.events) > 0 {
		s.committed(tx.events)
	}
	return pos, err
}

// Micros is t as the databases keep it.
func Micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
