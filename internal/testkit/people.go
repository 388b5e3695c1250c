package testkit

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// MustAddUsers stores n users who cannot sign in, and returns their ids in order.
func MustAddUsers(tb testing.TB, s *store.Store, n int) []chat.ID {
	tb.Helper()
	ids := make([]chat.ID, n)
	for i := range ids {
		ids[i] = chat.NewID(chat.KindUser)
	}
	_, err := s.Write(context.Background(), chat.ID{}, func(tx *store.Tx) error {
		for i, id := range ids {
			name := fmt.Sprintf("u%x", id.UUID[8:])
			if _, err := tx.InsertUser(chat.User{ID: id, Username: name, DisplayName: fmt.Sprintf("User %d", i), CreatedAt: tx.Now}, "-"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}
