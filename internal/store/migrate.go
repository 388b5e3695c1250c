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
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

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

// Migrate brings the schema up to date, the tables of the job queue included, and says how many steps it took. Any number of
// processes may do so at once.
func (s *Store) Migrate(ctx context.Context) (n int, err error) {
	lock := s.lockSQLite
	if s.postgres {
		lock = s.lockPostgres
	}
	unlock, err := lock(ctx)
	if err != nil {
		return 0, fmt.Errorf("waiting for another process that migrates: %w", err)
	}
	defer unlock()
	err = s.migrating(func(p *goose.Provider, queue queueMigrator) error {
		own, err := p.Up(ctx)
		if err != nil {
			return err
		}
		n = len(own)
		theirs, err := queue.Migrate(ctx, rivermigrate.DirectionUp, nil)
		if err != nil {
			return fmt.Errorf("the job queue's tables: %w", err)
		}
		n += len(theirs.Versions)
		return nil
	})
	return n, err
}

// Migrations lists every step and whether it was taken. It changes nothing.
func (s *Store) Migrations(ctx context.Context) (out []Migration, err error) {
	err = s.migrating(func(p *goose.Provider, queue queueMigrator) error {
		own, err := p.Status(ctx)
		if err != nil {
			return err
		}
		for _, m := range own {
			out = append(out, Migration{m.Source.Path, m.State == goose.StateApplied, m.AppliedAt})
		}
		theirs, err := queue.ExistingVersions(ctx)
		if err != nil {
			return err
		}
		applied := map[int]bool{}
		for _, m := range theirs {
			applied[m.Version] = true
		}
		for _, m := range queue.AllVersions() {
			out = append(out, Migration{Name: fmt.Sprintf("river/%04d %s", m.Version, m.Name), Applied: applied[m.Version]})
		}
		return nil
	})
	return out, err
}

// queueMigrator is River's for either database.
type queueMigrator interface {
	Migrate(context.Context, rivermigrate.Direction, *rivermigrate.MigrateOpts) (*rivermigrate.MigrateResult, error)
	ExistingVersions(context.Context) ([]rivermigrate.Migration, error)
	AllVersions() []rivermigrate.Migration
}

func newQueueMigrator[TTx any](d riverdriver.Driver[TTx]) (queueMigrator, error) {
	return rivermigrate.New(d, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
}

func (s *Store) migrating(do func(*goose.Provider, queueMigrator) error) error {
	dir, kind := "sqlite", goose.DialectSQLite3
	var db *sql.DB
	var queue queueMigrator
	var err error
	if s.postgres {
		dir, kind = "postgres", goose.DialectPostgres
		db = stdlib.OpenDBFromPool(s.pool)
		defer db.Close() // not the pool
		queue, err = newQueueMigrator(riverpgxv5.New(s.pool))
	} else if db, err = s.write.DB(); err == nil {
		queue, err = newQueueMigrator(riversqlite.New(db))
	}
	if err != nil {
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
	return do(p, queue)
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
