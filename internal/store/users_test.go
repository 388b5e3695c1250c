package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestSearchUsers(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		for _, u := range []chat.User{
			{Username: "ada", DisplayName: "Zoë"},
			{Username: "adam", DisplayName: "ADAM"},
			{Username: "b_da", DisplayName: "Ada's friend"},
			{Username: "bxda", DisplayName: "100%"},
			{Username: "c1", DisplayName: "Ädam"},
			{Username: "c2", DisplayName: "\uD7FFx"},
			{Username: "c3", DisplayName: "\uE000x"},
			{Username: "c4", DisplayName: "\U0010FFFF\U0010FFFFx"},
			{Username: "c5", DisplayName: "ÉÉ\U0010FFFF"},
		} {
			insertUser(t, s, &u)
		}
		search := func(prefix string, p chat.Page) ([]string, chat.List[chat.User]) {
			t.Helper()
			if p.Limit == 0 {
				p.Limit = 100
			}
			l, err := s.SearchUsers(t.Context(), prefix, p)
			if err != nil {
				t.Fatal(prefix, err)
			}
			var names []string
			for _, u := range l.Nodes {
				names = append(names, u.Username)
			}
			return names, l
		}
		for prefix, want := range map[string][]string{
			"ada": {"ada", "adam", "b_da"}, "ADA": {"ada", "adam", "b_da"}, "adam": {"adam"}, "zoË": {"ada"}, "zoe": nil,
			"b_": {"b_da"}, "%": nil, "100%": {"bxda"}, "100_": nil, "äD": {"c1"}, "\uD7FF": {"c2"}, "\uE000": {"c3"},
			"\U0010FFFF": {"c4"}, "é": {"c5"}, "éé\U0010FFFF": {"c5"}, "c": {"c1", "c2", "c3", "c4", "c5"}, "da": nil, "'; --": nil,
		} {
			if got, _ := search(prefix, chat.Page{}); !slices.Equal(got, want) {
				t.Errorf("%q finds %q, not %q", prefix, got, want)
			}
		}
		got, l := search("c", chat.Page{Limit: 2})
		if !slices.Equal(got, []string{"c1", "c2"}) || !l.Info.HasNextPage {
			t.Fatal(got, l.Info)
		}
		got, l = search("c", chat.Page{Limit: 2, After: l.Cursors[1]})
		if !slices.Equal(got, []string{"c3", "c4"}) || !l.Info.HasNextPage || !l.Info.HasPreviousPage {
			t.Fatal(got, l.Info)
		}
		got, l = search("c", chat.Page{Limit: 1, Backward: true, Before: l.Cursors[0]})
		if !slices.Equal(got, []string{"c2"}) || !l.Info.HasPreviousPage {
			t.Fatal(got, l.Info)
		}
		for _, bad := range []string{"?", "AA", "_w", "AAAA="} {
			if _, err := s.SearchUsers(t.Context(), "c", chat.Page{Limit: 1, After: bad}); chat.CodeOf(err) != chat.CodeBadInput {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

func TestSetLastSeen(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		u := chat.User{Username: "ada", DisplayName: "Ada"}
		insertUser(t, s, &u)
		at := time.Date(2026, 11, 21, 9, 30, 0, 123_456_789, time.UTC)
		for _, c := range []struct{ set, want time.Time }{{at, store.Micros(at)}, {at.Add(-time.Hour), store.Micros(at)}, {at.Add(time.Hour), store.Micros(at.Add(time.Hour))}} {
			if err := s.SetLastSeen(t.Context(), []chat.ID{u.ID, chat.NewID(chat.KindUser)}, c.set); err != nil {
				t.Fatal(err)
			}
			got, err := s.Users(t.Context(), []chat.ID{u.ID})
			if err != nil || len(got) != 1 || !got[0].LastSeenAt.Equal(c.want) {
				t.Error(got, err)
			}
		}
		if h, err := s.Head(t.Context()); err != nil || h.Position != 0 {
			t.Error("it is an event:", h, err)
		}
	})
}

func TestTrimSessions(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		u := chat.User{Username: "ada", DisplayName: "Ada"}
		insertUser(t, s, &u)
		now := store.Micros(time.Now())
		live, expired, ended := chat.NewID(chat.KindSession), chat.NewID(chat.KindSession), chat.NewID(chat.KindSession)
		_, err := s.Write(t.Context(), u.ID, func(tx *store.Tx) error {
			for id, expires := range map[chat.ID]time.Time{live: now.Add(time.Hour), expired: now.Add(-time.Hour), ended: now.Add(time.Hour)} {
				if err := tx.InsertSession(chat.Session{ID: id, User: u.ID, CreatedAt: now, LastUsedAt: now, ExpiresAt: expires}); err != nil {
					return err
				}
			}
			_, err := tx.EndSession(u.ID, ended)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		left := func() int {
			found, err := s.Sessions(t.Context(), []chat.ID{live, expired, ended})
			if err != nil {
				t.Fatal(err)
			}
			return len(found)
		}
		for _, c := range []struct {
			before        time.Time
			max           int
			trimmed, left int
		}{{now.Add(-2 * time.Hour), 10, 0, 3}, {now, 10, 1, 2}, {now.Add(time.Minute), 10, 1, 1}, {now.Add(time.Minute), 10, 0, 1}} {
			if n, err := s.TrimSessions(t.Context(), c.before, c.max); err != nil || int(n) != c.trimmed || left() != c.left {
				t.Errorf("%d trimmed, %d left, %v", n, left(), err)
			}
		}
	})
}

func insertUser(t *testing.T, s *store.Store, u *chat.User) {
	t.Helper()
	u.ID = chat.NewID(chat.KindUser)
	_, err := s.Write(context.Background(), u.ID, func(tx *store.Tx) error {
		u.CreatedAt = tx.Now
		_, err := tx.InsertUser(*u, "hash of "+u.Username)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
