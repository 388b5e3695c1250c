package store

import (
	"context"
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

// translate makes UNAVAILABLE of what will pass: no connection, a database that is starting, stopping or full.
func translate(err error) error {
	var own *chat.Error
	if err == nil || errors.As(err, &own) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if unavailable(err) {
		return &chat.Error{Code: chat.CodeUnavailable, Message: "the database cannot be reached; try again", RetryAfter: time.Second, Cause: err}
	}
	return err
}

func unavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57P"):
			return true // connection exception, insufficient resources, operator intervention
		}
		return false
	}
	var lite *sqlite3.Error // before net.Error, whose methods it has
	if errors.As(err, &lite) {
		return errors.Is(err, sqlite3.FULL) || errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.BUSY)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || strings.HasSuffix(err.Error(), "conn closed") ||
		errors.Is(err, sqlite3.FULL) || errors.Is(err, sqlite3.IOERR) || errors.Is(err, sqlite3.BUSY)
}
