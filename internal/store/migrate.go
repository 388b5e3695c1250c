package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/pressly/goose/v3"

	"github.com/parley-chat/parley/migrations"
)

// migrationLock is PostgreSQL's advisory lock for migrating: "parl".
const migrationLock = 0x7061726c

// Migration is one numbered step of the schema.
type Migration struct {
	Name      string
	Applied   bool
	AppliedAt time.Time
}

// Migrate brings the schema up to date and says how many steps it took. Any number of processes may do so at once.
func (s *Store) Migrate(ctx context.Context) (int, error) {
	n := 0
	err := s.migrating(ctx, true, func(p *goose.Provider) error {
		done, err := p.Up(ctx)
		n = len(done)
		return err
	})
	return n, err
}

// Migrations lists every step and whether it was taken. It changes nothing.
func (s *Store) Migrations(ctx context.Context) (out []Migration, err error) {
	err = s.migrating(ctx, false, func(p *goose.Provider) error {
		steps, err := p.Status(ctx)
		for _, m := range steps {
			out = append(out, Migration{m.Source.Path, m.State == goose.StateApplied, m.AppliedAt})
		}
		return err
	})
	return out, err
}

func (s *Store) migrating(ctx context.Context, exclusive bool, do func(*goose.Provider) error) error {
	dir, kind := "sqlite", goose.DialectSQLite3
	var db *sql.DB
	var err error
	lock := s.lockSQLite
	if s.postgres {
		dir, kind, lock = "postgres", goose.DialectPostgres, s.lockPostgres
		db = stdlib.OpenDBFromPool(s.pool)
		defer db.Close() // not the pool
	} else if db, err = s.write.DB(); err != nil {
		return err
	}
	files, err := fs.Sub(migrations.Files, dir)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(kind, db, files, goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	if exclusive {
		unlock, err := lock(ctx)
		if err != nil {
			return fmt.Errorf("waiting for another process that migrates: %w", err)
		}
		defer unlock()
	}
	return do(p)
}

// lockPostgres polls: a process blocked inside pg_advisory_lock would hold a snapshot, for which a CREATE INDEX
// CONCURRENTLY of the process that migrates waits for ever.
func (s *Store) lockPostgres(ctx context.Context) (func(), error) {
	c, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig) // the pool may have no more than the one that migrates
	if err != nil {
		return nil, err
	}
	release := func() { _ = c.Close(context.WithoutCancel(ctx)) } // and with it the lock
	for {
		var got bool
		if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", migrationLock).Scan(&got); err != nil {
			release()
			return nil, err
		}
		if got {
			return release, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
}

// lockSQLite holds an exclusive transaction on a file beside the database: goose has no lock for SQLite, and looks at the
// version outside of its transactions.
func (s *Store) lockSQLite(ctx context.Context) (func(), error) {
	db, err := driver.Open("file:" + s.file + ".migrate-lock?_pragma=busy_timeout(60000)")
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err == nil {
		if _, err = c.ExecContext(ctx, "BEGIN EXCLUSIVE"); err == nil {
			return func() {
				_, _ = c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
				_ = c.Close()
				_ = db.Close()
			}, nil
		}
	}
	_ = db.Close()
	return nil, err
}
