package testkit

import (
	"context"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/store"
)

// Stores runs a test on each database, side by side: a store of its own, migrated and empty.
func Stores(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	URLs(t, func(t *testing.T, url string) { test(t, MustOpenStore(t, url)) })
}

// URLs runs a test on each database, side by side: the address of a migrated and empty database of its own.
func URLs(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLiteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, PostgresURL(t, "core", migrate))
	})
}

// MustOpenStore opens a store, migrates it and closes it with the test.
func MustOpenStore(tb testing.TB, url string) *store.Store {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := store.Open(ctx, store.Config{URL: url, Conns: 8, Unsynced: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	if _, err := s.Migrate(ctx); err != nil {
		tb.Fatal(err)
	}
	return s
}

func migrate(url string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Migrate(ctx)
	return err
}
