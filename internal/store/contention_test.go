package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// postgres is a store of its own, a connection beside it, and the address for more.
func postgres(t *testing.T) (*store.Store, *pgx.Conn, string) {
	t.Helper()
	url := testkit.PostgresURL(t, "core", func(url string) error {
		s, err := store.Open(context.Background(), store.Config{URL: url})
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = s.Migrate(context.Background())
		return err
	})
	s := testkit.MustOpenStore(t, url)
	return s, connect(t, url), url
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// awaitBlocked returns once somebody in this database waits for a lock.
func awaitBlocked(t *testing.T, c *pgx.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for blocked := false; !blocked; {
		if err := c.QueryRow(ctx, `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&blocked); err != nil {
			t.Fatal(err)
		}
	}
}

// A node whose clock is behind trims while another one does: what is gone stays known to be gone, or else a cursor in it
// would be answered with a gap.
func TestTrimNeverGoesBack(t *testing.T) {
	t.Parallel()
	s, c, url := postgres(t)
	ctx := t.Context()
	for i := range 10 {
		if _, err := s.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
			tx.Now = time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC)
			tx.Emit(chat.Event{Type: chat.ProfileChanged}, chat.UserTopic(chat.NewID(chat.KindUser)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	ahead, err := connect(t, url).Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ahead.Exec(ctx, "DELETE FROM events WHERE position <= 5"); err != nil {
		t.Fatal(err)
	}
	if _, err := ahead.Exec(ctx, "UPDATE event_head SET trimmed = 5"); err != nil {
		t.Fatal(err)
	}
	behind := make(chan error, 1)
	go func() {
		_, err := s.Trim(ctx, time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC), 100)
		behind <- err
	}()
	awaitBlocked(t, c)
	if err := ahead.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-behind; err != nil {
		t.Fatal(err)
	}
	if h, err := s.Head(ctx); err != nil || h.Trimmed != 5 {
		t.Error(h, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

// Noting when users were last seen locks them in the order of their ids, as whoever locks several does.
func TestLastSeenLocksInOrder(t *testing.T) {
	t.Parallel()
	s, c, _ := postgres(t)
	ctx := t.Context()
	low, high := chat.NewID(chat.KindUser), chat.NewID(chat.KindUser)
	for i, u := range []chat.ID{high, low} { // so that the table holds them the other way round
		if _, err := s.Write(ctx, u, func(tx *store.Tx) error {
			_, err := tx.InsertUser(chat.User{ID: u, Username: string(rune('a' + i)), CreatedAt: tx.Now}, "")
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	seen, runs := make(chan error, 1), 0
	if _, err := s.Write(ctx, low, func(tx *store.Tx) error {
		if runs++; runs > 1 {
			return nil
		}
		if _, err := tx.LockUsers(low); err != nil {
			return err
		}
		go func() { seen <- s.SetLastSeen(ctx, []chat.ID{low, high}, time.Now()) }()
		awaitBlocked(t, c)
		_, err := tx.LockUsers(high)
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := <-seen; err != nil || runs != 1 {
		t.Error("deadlock:", runs, "runs,", err)
	}
}
