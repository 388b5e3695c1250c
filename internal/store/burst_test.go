package store_test

import (
	"context"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// One change may tell as many as anybody can have friends: more values than one statement takes.
func TestManyEventsAtOnce(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		const n = 10_001
		ctx := context.Background()
		pos, err := s.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
			for range n {
				tx.Emit(chat.Event{Type: chat.ProfileChanged}, chat.UserTopic(chat.NewID(chat.KindUser)))
			}
			return nil
		})
		if err != nil || pos != n {
			t.Fatal(pos, err)
		}
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}
