package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// Native is the transaction as the database's own driver has it: one of the two. It is for statements only; Write commits
// or rolls back.
func (tx *Tx) Native() (pgx.Tx, *sql.Tx) {
	switch t := tx.db.gorm.Statement.ConnPool.(type) {
	case *pgTx:
		return pgxTx{t.pgx}, nil
	case *gorm.PreparedStmtTX:
		return nil, t.Tx.(*sql.Tx)
	default:
		panic(fmt.Sprintf("store: %T is not a transaction of this store", t))
	}
}

// Native is where the job queue works: connections to PostgreSQL of its own, so that neither waits for the other's, or
// SQLite's one writing connection, whose transactions must be short.
func (s *Store) Native() (*pgxpool.Pool, *sql.DB) {
	if s.postgres {
		return s.jobs, nil
	}
	db, _ := s.write.DB() // of gormlite's, which has one
	return nil, db
}

// pgPool is gorm's way to PostgreSQL. Its transactions know the connection that they are on.
type pgPool struct{ *sql.DB }

// GetDBConn keeps gorm's DB() working.
func (p pgPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

// BeginTx makes it a gorm.ConnPoolBeginner.
func (p pgPool) BeginTx(ctx context.Context, o *sql.TxOptions) (gorm.ConnPool, error) {
	conn, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	t := &pgTx{conn: conn}
	err = conn.Raw(func(c any) error { t.pgx = c.(*stdlib.Conn).Conn(); return nil })
	if err == nil {
		t.Tx, err = conn.BeginTx(ctx, o)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return t, nil
}

type pgTx struct {
	*sql.Tx
	conn    *sql.Conn
	pgx     *pgx.Conn
	release sync.Once
}

func (t *pgTx) Commit() error   { defer t.done(); return t.Tx.Commit() }
func (t *pgTx) Rollback() error { defer t.done(); return t.Tx.Rollback() }
func (t *pgTx) done()           { t.release.Do(func() { _ = t.conn.Close() }) } // back to the pool

type pgxConn = pgx.Conn // a name that leaves Conn to the method

// pgxTx is a connection within a transaction of somebody else's.
type pgxTx struct{ *pgxConn }

var errNotOwner = errors.New("store: the transaction is begun and ended by Write")

func (t pgxTx) Begin(context.Context) (pgx.Tx, error) { return nil, errNotOwner }
func (t pgxTx) Commit(context.Context) error          { return errNotOwner }
func (t pgxTx) Rollback(context.Context) error        { return errNotOwner }
func (t pgxTx) Conn() *pgx.Conn                       { return t.pgxConn }
func (t pgxTx) LargeObjects() pgx.LargeObjects        { panic(errNotOwner) }
