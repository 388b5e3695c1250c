package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"
)

// Trace lets a test see each statement as the database gets it.
func (c *Config) Trace(postgres pgx.QueryTracer, sqlite func(*sqlite3.Conn) error) {
	c.tracePostgres, c.traceSQLite = postgres, sqlite
}

// SetPatience replaces writeTimeout.
func (s *Store) SetPatience(with time.Duration) { s.patience = with }

// Texts runs a query that reads one text a row, on one of the store's own connections.
func (s *Store) Texts(ctx context.Context, sql string, args ...any) ([]string, error) {
	return list(s.db.WithContext(ctx), value[string], sql, args...)
}
