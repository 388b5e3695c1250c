package store_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"github.com/parley-chat/parley/internal/store"
)

// statement is one that a database was given.
type statement struct {
	sql  string // PostgreSQL: with parameters; SQLite: with values
	args []any
	// SQLite's alone:
	handle *sqlite3.Stmt // of the prepared statement
	work   int           // instructions of its virtual machine
	scans  int           // steps through a whole table
}

// trace sees what a store asks its database.
type trace struct {
	mu   sync.Mutex
	made []*statement
}

// mustTrace opens a store whose statements can be seen. It has one connection to PostgreSQL.
func mustTrace(t *testing.T, url string) (*store.Store, *trace) {
	t.Helper()
	x := &trace{}
	c := store.Config{URL: url, Conns: 1, Unsynced: true}
	c.Trace(x, x.sqlite)
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, x
}

// of lists the statements that f makes.
func (x *trace) of(f func()) []*statement {
	x.mu.Lock()
	x.made = nil
	x.mu.Unlock()
	f()
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.made
}

func (x *trace) note(s *statement) {
	switch verb, _, _ := strings.Cut(strings.TrimSpace(s.sql), " "); strings.ToUpper(verb) {
	case "SELECT", "WITH", "INSERT", "UPDATE", "DELETE":
		x.mu.Lock()
		x.made = append(x.made, s)
		x.mu.Unlock()
	}
}

func (x *trace) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	x.note(&statement{sql: d.SQL, args: d.Args})
	return ctx
}
func (x *trace) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (x *trace) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (x *trace) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	x.note(&statement{sql: d.SQL, args: d.Args})
}
func (x *trace) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (x *trace) sqlite(c *sqlite3.Conn) error {
	return c.Trace(sqlite3.TRACE_PROFILE, func(_ sqlite3.TraceEvent, s, _ any) error {
		p := s.(*sqlite3.Stmt)
		x.note(&statement{sql: p.ExpandedSQL(), handle: p,
			work: p.Status(sqlite3.STMTSTATUS_VM_STEP, true), scans: p.Status(sqlite3.STMTSTATUS_FULLSCAN_STEP, true)})
		return nil
	})
}
