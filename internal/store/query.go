package store

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"

	"github.com/parley-chat/parley/internal/chat"
)

// querier is where a query runs: in a transaction of gorm's, on gorm's connections to SQLite, or on a connection to
// PostgreSQL without gorm and database/sql between, which cost more than the query's answer. Each prepares a statement
// once for a connection.
type querier struct {
	ctx  context.Context
	gorm *gorm.DB
	pool *pgxpool.Pool // instead of gorm
	log  *slog.Logger
}

// WithContext returns the same querier with another context.
func (q querier) WithContext(ctx context.Context) querier {
	q.ctx = ctx
	return q
}

// rows is the part of *sql.Rows that scanning needs.
type rows interface{ Scan(...any) error }

// found is the part of *sql.Rows that reading needs, and pgx.Rows has too.
type found interface {
	rows
	Next() bool
	Err() error
}

// readTimeout bounds a query, the wait for a connection included.
const readTimeout = 10 * time.Second

func (q querier) query(sql string, args []any) (_ found, closed func(), err error) {
	if q.ctx != nil { // else gorm has one
		ctx, cancel := context.WithTimeout(q.ctx, readTimeout)
		defer func() {
			if err != nil {
				cancel()
				return
			}
			rows := closed
			closed = func() { rows(); cancel() }
		}()
		if q.ctx = ctx; q.gorm != nil {
			q.gorm = q.gorm.WithContext(ctx)
		}
	}
	if q.pool == nil {
		rs, err := q.gorm.Raw(sql, args...).Rows() //nolint:rowserrcheck // list does
		return rs, func() { _ = rs.Close() }, err
	}
	sql = numbered(sql)
	logStatement(q.ctx, q.log, sql)
	for i, a := range args {
		switch a := a.(type) { // pgx would ask each for its driver.Value
		case binary16:
			args[i] = [16]byte(a)
		case array[[16]byte]:
			args[i] = [][16]byte(a)
		}
	}
	for try := 1; ; try++ { // a connection that was closed meanwhile is told by its use alone
		rs, err := q.pool.Query(q.ctx, sql, args...) //nolint:sqlclosecheck // list does
		if err == nil {
			return rs, rs.Close, nil
		}
		if try == 3 || !pgconn.SafeToRetry(err) || q.ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

// numbered is a statement with PostgreSQL's parameters.
func numbered(sql string) string {
	b := make([]byte, 0, len(sql)+32)
	n := int64(0)
	for _, c := range []byte(sql) { // no text within a statement holds a question mark
		if c != '?' {
			b = append(b, c)
			continue
		}
		n++
		b = strconv.AppendInt(append(b, '$'), n, 10)
	}
	return string(b)
}

// list runs a query and scans each row.
func list[T any](q querier, scan func(rows) (T, error), sql string, args ...any) ([]T, error) {
	rs, closed, err := q.query(sql, args)
	if err != nil {
		return nil, err
	}
	defer closed()
	var out []T
	for rs.Next() {
		v, err := scan(rs)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rs.Err()
}

// one is list where exactly one row is looked for; without any it is chat.ErrNotFound.
func one[T any](q querier, scan func(rows) (T, error), sql string, args ...any) (v T, err error) {
	l, err := list(q, scan, sql, args...)
	if err != nil {
		return v, err
	}
	if len(l) == 0 {
		return v, chat.ErrNotFound
	}
	return l[0], nil
}

// value scans a single column.
func value[T any](r rows) (v T, err error) { err = r.Scan(&v); return v, err }

// exec runs a statement that changes something, and says how many rows it changed.
func exec(db *gorm.DB, sql string, args ...any) (int64, error) {
	res := db.Exec(sql, args...)
	return res.RowsAffected, res.Error
}

func (tx *Tx) exec(sql string, args ...any) (int64, error) { return exec(tx.db.gorm, sql, args...) }
