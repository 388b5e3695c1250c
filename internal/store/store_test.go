package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { testkit.MustOpenStore(t, url) })
		}
		wg.Wait()
		steps, err := testkit.MustOpenStore(t, url).Migrations(context.Background())
		if err != nil || len(steps) == 0 {
			t.Fatal(steps, err)
		}
		queue := 0
		for _, s := range steps {
			if !s.Applied {
				t.Errorf("%s was not applied", s.Name)
			}
			if strings.HasPrefix(s.Name, "river/") {
				queue++
			}
		}
		if queue == 0 {
			t.Error("the job queue's steps are not told")
		}
	})
}

// The log has no hole and no double, whatever fails and whoever writes at the same time.
func TestPositionsAreContiguous(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		actor := chat.NewID(chat.KindUser)
		boom := errors.New("boom")
		var mu sync.Mutex
		told := map[chat.Position]bool{}
		s.AfterCommit(func(es []*chat.Event) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range es {
				if told[e.Position] {
					t.Errorf("%d was told twice", e.Position)
				}
				told[e.Position] = true
			}
		})
		s.On(chat.UserUnblocked, func(_ context.Context, tx *store.Tx, _ *chat.Event) error {
			tx.Emit(chat.Event{Type: chat.ProfileChanged, Subject: actor}, chat.UserTopic(actor))
			return nil
		})
		const writers, writes = 8, 20
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range writes {
					_, err := s.Write(ctx, actor, func(tx *store.Tx) error {
						tx.Emit(chat.Event{Type: chat.UserBlocked, Subject: actor, Detail: chat.Detail{Role: chat.RoleOwner}}, chat.UserTopic(actor))
						tx.Emit(chat.Event{Type: chat.UserUnblocked, Subject: actor}, chat.UserTopic(actor))
						if (w+i)%3 == 0 {
							return boom
						}
						return nil
					})
					if (w+i)%3 == 0 != errors.Is(err, boom) {
						t.Errorf("got %v", err)
					}
				}
			})
		}
		wg.Wait()
		es, err := s.Events(ctx, 0, 10000)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range es {
			if e.Position != chat.Position(i+1) {
				t.Fatalf("event %d has position %d", i, e.Position)
			}
			if e.Actor != actor || e.Subject != actor || e.At.IsZero() || e.Topic != chat.UserTopic(actor) {
				t.Fatalf("read back %+v", e)
			}
			if !told[e.Position] {
				t.Errorf("%d was not told", e.Position)
			}
		}
		h, err := s.Head(ctx)
		if err != nil || int(h.Position) != len(es) || len(es) != len(told) || len(es)%3 != 0 || len(es) == 0 {
			t.Fatalf("head %+v, %d events, %d told, %v", h, len(es), len(told), err)
		}
	})
}

func TestCheckFindsNothingInAnEmptyStore(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		if err := s.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
