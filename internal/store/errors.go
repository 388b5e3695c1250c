package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"

	"github.com/parley-chat/parley/internal/chat"
)

// isDuplicate says that a unique key is taken.
func isDuplicate(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505" // unique_violation
	}
	return errors.Is(err, sqlite3.CONSTRAINT_UNIQUE) || errors.Is(err, sqlite3.CONSTRAINT_PRIMARYKEY)
}

// lostRace says that the same transaction may succeed when it is run again.
func (s *Store) lostRace(err error) bool {
	var own *chat.Error
	if err == nil || errors.As(err, &own) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "23505" // serialization_failure, deadlock_detected
	}
	return errors.Is(err, sqlite3.BUSY) || isDuplicate(err)
}

// translate makes UNAVAILABLE of what will pass: no connection, a database that is starting, stopping, full or slow.
func translate(err error) error {
	var own *chat.Error
	if err == nil || errors.As(err, &own) || errors.Is(err, context.Canceled) {
		return err
	}
	message := "the database cannot be reached; try again"
	switch {
	case errors.Is(err, context.DeadlineExceeded): // readTimeout or writeTimeout, or the caller's own
		message = "the database does not answer in time; try again"
	case !unavailable(err):
		return err
	}
	return &chat.Error{Code: chat.CodeUnavailable, Message: message, RetryAfter: time.Second, Cause: err}
}

func unavailable(err error) bool {
	var connect *pgconn.ConnectError // before pgconn.PgError, which may be why: a wrong password does not come from who asks
	if errors.As(err, &connect) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:min(2, len(pg.Code))] {
		case "08", "53", "57", "58": // connection exception, insufficient resources, operator intervention, system error
			return true
		}
		return pg.Code == "25006" // read_only_sql_transaction: another server has become the primary
	}
	var lite sqlite3.ErrorCode // before net.Error, whose methods it has
	if errors.As(err, &lite) {
		switch lite {
		case sqlite3.FULL, sqlite3.IOERR, sqlite3.CANTOPEN, sqlite3.NOMEM, sqlite3.BUSY, sqlite3.PROTOCOL, sqlite3.INTERRUPT:
			return true
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		strings.HasSuffix(err.Error(), "conn closed")
}
