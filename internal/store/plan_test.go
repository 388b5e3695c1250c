package store

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
)

// Every page but that of conversations, whose order changes with each message, is read off an index: no scan, no sort. So
// is what every node trims every minute.
func TestPagesAreReadOffAnIndex(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, err := Open(ctx, Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "p.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	u := id(chat.NewID(chat.KindUser))
	at := place{1, chat.NewID(chat.KindUser)}.String()
	for _, c := range []struct {
		keyset keyset
		query  string
		args   []any
	}{
		{keyset{first: "since", id: "friend_id", time: true, desc: true}, "SELECT " + friendshipColumns + " FROM friendships WHERE user_id = ?", []any{u}},
		{keyset{id: "id", desc: true}, "SELECT " + requestColumns + " FROM friend_requests WHERE from_id = ? AND status = ?", []any{u, "PENDING"}},
		{keyset{id: "id", desc: true}, "SELECT " + requestColumns + " FROM friend_requests WHERE to_id = ? AND status = ?", []any{u, "PENDING"}},
		{keyset{first: "created_at", id: "blocked_id", time: true, desc: true}, "SELECT created_at, blocked_id FROM blocks WHERE blocker_id = ?", []any{u}},
		{keyset{first: "m.joined_position", id: "m.user_id"}, "SELECT " + memberColumns + " FROM memberships m WHERE m.conversation_id = ? AND m.left_position IS NULL", []any{u}},
	} {
		for _, p := range []chat.Page{{Limit: 50}, {Limit: 50, After: at}, {Limit: 50, Backward: true, Before: at}, {Limit: 50, Backward: true}} {
			q, args, err := s.page(c.keyset, p, c.query, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			wantIndex(t, s, q, args...)
		}
	}
	wantIndex(t, s, trimSessionsSQL, 1, 1, 1)
}

func wantIndex(t *testing.T, s *Store, q string, args ...any) {
	t.Helper()
	plan, err := list(s.db, func(r rows) (detail string, err error) {
		var skip int
		err = r.Scan(&skip, &skip, &skip, &detail)
		return detail, err
	}, "EXPLAIN QUERY PLAN "+q, args...)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(plan, "; "); strings.Contains(got, "SCAN") || strings.Contains(got, "TEMP") {
		t.Errorf("%s: %s", q, got)
	}
}
