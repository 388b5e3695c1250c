package testkit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	statementTimeout = time.Minute
	databasePrefix   = "parley_test_"
	// ownerLocks is the first half of the advisory lock keys by which a test process says that it is alive.
	ownerLocks = 0x7061726c
)

// PostgresURL gives tb an empty PostgreSQL database of its own that migrate has been applied to, and drops it at the
// end. Every test process migrates once for each key, into a template that its tests' databases are copied from: key
// says what migrate does. A nil migrate leaves the database empty.
//
// The server is the one at $TEST_DATABASE_URL (its user must be allowed to create databases), or else a private one
// started from the installed binaries, which ends with the test process however that ends. Without either tb fails:
// a dialect is never left out silently.
func PostgresURL(tb testing.TB, key string, migrate func(url string) error) string {
	tb.Helper()
	c, err := sharedCluster()
	if err != nil {
		tb.Fatalf("testkit: %v", err)
	}
	template, err := c.template(key, migrate)
	if err != nil {
		tb.Fatalf("testkit: PostgreSQL template %q: %v", key, err)
	}
	name := c.nextName()
	if err := c.copyTemplate(template, name); err != nil {
		tb.Fatalf("testkit: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("testkit: %v", err)
		}
	})
	return c.databaseURL(name)
}

// sharedCluster is the server that all tests of this process use, started by the first that asks.
var sharedCluster = sync.OnceValues(func() (*cluster, error) {
	if admin := os.Getenv("TEST_DATABASE_URL"); admin != "" {
		return newCluster(admin)
	}
	s, err := startServer(throwaway)
	if err != nil {
		return nil, err
	}
	c, err := newCluster(s.admin())
	if err == nil {
		c.server = s
	}
	return c, err
})

// Postgres is a server for one test alone, which may kill it. It keeps what it has acknowledged.
type Postgres struct {
	URL    string // of an empty database; the same after each start
	tb     testing.TB
	server *server
}

// MustStartPostgres starts a server and removes it with the test.
func MustStartPostgres(tb testing.TB, settings ...string) *Postgres {
	tb.Helper()
	s, err := startServer(durable(settings))
	if err != nil {
		tb.Fatalf("testkit: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.remove(); err != nil {
			tb.Errorf("testkit: %v", err)
		}
	})
	return &Postgres{s.admin(), tb, s}
}

// MustKill ends the server with SIGKILL, or with SIGQUIT, of which its sessions tell their clients.
func (p *Postgres) MustKill(sig syscall.Signal) {
	p.tb.Helper()
	if err := p.server.kill(sig); err != nil {
		p.tb.Fatalf("testkit: %v", err)
	}
}

// MustStart starts the server again, on the same address and data.
func (p *Postgres) MustStart(settings ...string) {
	p.tb.Helper()
	if err := p.server.start(durable(settings)); err != nil {
		p.tb.Fatalf("testkit: %v", err)
	}
}

// durable are the settings of a server for tests that keeps its promises; what is asked for comes last.
func durable(settings []string) []string {
	return slices.Concat(throwaway, []string{"fsync=on", "synchronous_commit=on", "full_page_writes=on"}, settings)
}

// cluster is a PostgreSQL server in which this process makes databases named parley_test_<owner>_<n>.
type cluster struct {
	admin    *url.URL
	owner    int32
	strategy string
	server   *server // nil if it is not ours

	mu        sync.Mutex // guards what follows
	databases int
	templates map[string]*template

	// alive holds the advisory lock (ownerLocks, owner) for as long as this process lives.
	alive *pgx.Conn
}

type template struct {
	once sync.Once
	name string
	err  error
}

func newCluster(admin string) (*cluster, error) {
	u, err := url.Parse(admin)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return nil, errors.New("TEST_DATABASE_URL is not a postgres:// address")
	}
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL for tests: %w", err)
	}
	c := &cluster{admin: u, owner: rand.Int32(), templates: map[string]*template{}, alive: conn}
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, pg_advisory_lock($1, $2)::text",
		ownerLocks, c.owner).Scan(&version, nil); err != nil {
		return nil, fmt.Errorf("PostgreSQL for tests: %w", err)
	}
	if version >= 150000 {
		c.strategy = " STRATEGY FILE_COPY" // without fsync several times as fast as the default WAL_LOG
	}
	if err := c.sweep(ctx); err != nil {
		return nil, fmt.Errorf("PostgreSQL for tests: sweep: %w", err)
	}
	return c, nil
}

// sweep drops the databases of test processes that ended without doing so: those whose advisory lock is free.
func (c *cluster) sweep(ctx context.Context) error {
	rows, err := c.alive.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", databasePrefix)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		owner, _, _ := strings.Cut(strings.TrimPrefix(name, databasePrefix), "_")
		id, err := strconv.ParseInt(owner, 10, 32)
		if err != nil || int32(id) == c.owner {
			continue
		}
		var gone bool
		if err := c.alive.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", ownerLocks, id).Scan(&gone); err != nil {
			return err
		}
		if !gone {
			continue
		}
		_, err = c.alive.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		if _, e := c.alive.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", ownerLocks, id); err != nil || e != nil {
			return errors.Join(err, e)
		}
	}
	return nil
}

func (c *cluster) nextName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.databases++
	return fmt.Sprintf("%s%d_%d", databasePrefix, c.owner, c.databases)
}

// template returns the name of the database that migrate made for key.
func (c *cluster) template(key string, migrate func(url string) error) (string, error) {
	c.mu.Lock()
	t := c.templates[key]
	if t == nil {
		t = &template{}
		c.templates[key] = t
	}
	c.mu.Unlock()
	t.once.Do(func() {
		t.name = c.nextName()
		if t.err = c.exec("CREATE DATABASE " + t.name); t.err != nil || migrate == nil {
			return
		}
		if t.err = migrate(c.databaseURL(t.name)); t.err != nil {
			return
		}
		// A connection that migrate forgot to close would make every copy fail.
		t.err = c.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + t.name + "'")
	})
	return t.name, t.err
}

func (c *cluster) copyTemplate(from, to string) error {
	return c.exec("CREATE DATABASE " + to + " TEMPLATE " + from + c.strategy)
}

func (c *cluster) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.admin.String())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func (c *cluster) databaseURL(name string) string {
	u := *c.admin
	u.Path = "/" + name
	return u.String()
}
