package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// Friendships that were made in the same microsecond are told apart by the friend's id, and bounds cut on both sides.
func TestKeysetsBreakTies(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		p := testkit.MustAddUsers(t, s, 8)
		_, err := s.Write(ctx, p[0], func(tx *store.Tx) error {
			for _, u := range p[1:] {
				if err := tx.InsertFriendship(chat.Friendship{Of: p[0], User: u, Since: tx.Now, Conversation: chat.NewID(chat.KindConversation)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.FriendshipPage(ctx, p[0], chat.Page{Limit: 100})
		if err != nil || len(all.Nodes) != 7 || all.Info.HasNextPage || all.Info.HasPreviousPage {
			t.Fatal(all, err)
		}
		for i := range all.Nodes {
			for j := i + 1; j < len(all.Nodes); j++ {
				for _, backward := range []bool{false, true} {
					l, err := s.FriendshipPage(ctx, p[0], chat.Page{Limit: 100, Backward: backward, After: all.Cursors[i], Before: all.Cursors[j]})
					if err != nil || fmt.Sprint(l.Nodes) != fmt.Sprint(all.Nodes[i+1:j]) {
						t.Errorf("between %d and %d, backward %v: %v %v", i, j, backward, l.Nodes, err)
					}
				}
			}
		}
	})
}
