package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// A SQLite database that cannot grow refuses changes for now, is read as ever, and grows when it can again.
func TestSQLiteIsFull(t *testing.T) {
	t.Parallel()
	var conns []*sqlite3.Conn
	c := store.Config{URL: testkit.SQLiteURL(t), Unsynced: true}
	c.Trace(nil, func(c *sqlite3.Conn) error { conns = append(conns, c); return nil })
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	write := func() error {
		n++
		_, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
			u := chat.User{ID: chat.NewID(chat.KindUser), Username: fmt.Sprint("user-", n), DisplayName: "User", Bio: strings.Repeat("long ", 1000), CreatedAt: tx.Now}
			tx.Emit(chat.Event{Type: chat.SessionStarted, Subject: u.ID}, chat.UserTopic(u.ID))
			_, err := tx.InsertUser(u, "hash")
			return err
		})
		return err
	}
	pages := func(limit int) {
		t.Helper()
		for _, c := range conns {
			if err := c.Exec(fmt.Sprint("PRAGMA max_page_count = ", limit)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		pages(1) // as many as there are
		before, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stored := 0
		for err = nil; err == nil && stored < 1000; stored++ {
			err = write()
		}
		var told *chat.Error
		if !errors.As(err, &told) || told.Code != chat.CodeUnavailable || told.RetryAfter == 0 {
			t.Fatalf("%v, want UNAVAILABLE with retryAfter", err)
		}
		if h, err := s.Head(t.Context()); err != nil || h.Position != before.Position+chat.Position(stored-1) {
			t.Errorf("the log ends at %d, want %d: %v", h.Position, before.Position+chat.Position(stored-1), err)
		}
		pages(1 << 30)
	}
	if err := write(); err != nil {
		t.Error(err)
	}
	if verdict, err := s.Texts(t.Context(), "PRAGMA integrity_check"); err != nil || len(verdict) != 1 || verdict[0] != "ok" {
		t.Errorf("%q %v", verdict, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A change that takes longer than it may is taken back, and said to be for now, whatever the driver makes of it: also that it
// lost a race.
func TestAChangeThatTakesTooLong(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		s.SetPatience(2 * time.Second) // beginning one is part of it
		before, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		user := chat.NewID(chat.KindUser)
		for _, said := range []error{errors.New("conn busy"), fmt.Errorf("the file: %w", sqlite3.BUSY), &pgconn.PgError{Code: "40001"}} {
			_, err = s.Write(t.Context(), user, func(tx *store.Tx) error {
				tx.Emit(chat.Event{Type: chat.ProfileChanged, Subject: user}, chat.UserTopic(user))
				time.Sleep(2*time.Second + 50*time.Millisecond) // longer than it may
				return said
			})
			var told *chat.Error
			if !errors.As(err, &told) || told.Code != chat.CodeUnavailable || told.RetryAfter == 0 || !errors.Is(told.Cause, said) {
				t.Errorf("%v, want UNAVAILABLE with retryAfter, and why: %v", err, said)
			}
		}
		if h, err := s.Head(t.Context()); err != nil || h.Position != before.Position {
			t.Errorf("the log went from %d to %d, %v", before.Position, h.Position, err)
		}
	})
}
