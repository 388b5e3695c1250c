package friend

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// OnAccepted is a store.Listener for FRIEND_REQUEST_ACCEPTED: it makes the friendship. FRIENDSHIP_MADE names the direct
// conversation of the two; who listens to that makes the conversation, unless it exists. Errors: CONFLICT when one of the
// two has as many friends as anybody may have.
func (s *Service) OnAccepted(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	f := e.Rows.Request
	if e.Topic != chat.UserTopic(f.From) { // there is an entry for each side
		return nil
	}
	for _, u := range []chat.ID{f.From, f.To} {
		if n, err := tx.CountFriends(u, s.MaxFriends); err != nil {
			return err
		} else if n >= s.MaxFriends {
			return chat.Conflict("one of you has as many friends as anybody may have")
		}
	}
	direct, err := tx.DirectConversation(ctx, f.From, f.To)
	if exists, err := absent(err); err != nil {
		return err
	} else if !exists {
		direct = chat.NewID(chat.KindConversation)
	}
	if err := tx.InsertFriendship(chat.Friendship{Of: f.From, User: f.To, Since: tx.Now, Conversation: direct}); err != nil {
		return err
	}
	tell(tx, chat.FriendshipMade, f.From, f.To, direct)
	return nil
}

// Remove ends a friendship. Errors: NOT_FOUND when the two are not friends.
func (s *Service) Remove(ctx context.Context, viewer, user chat.ID) (chat.Position, error) {
	if user == viewer || user.Kind != chat.KindUser {
		return 0, chat.ErrNotFound
	}
	return s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if err := pair(tx, viewer, user); err != nil {
			return err
		}
		ended, err := end(ctx, tx, viewer, user)
		if err == nil && !ended {
			return chat.ErrNotFound
		}
		return err
	})
}

// end ends the friendship of two users whose rows are locked, and says whether there was one.
func end(ctx context.Context, tx *store.Tx, a, b chat.ID) (bool, error) {
	f, err := tx.Friendship(ctx, a, b)
	if friends, err := absent(err); err != nil || !friends {
		return false, err
	}
	tell(tx, chat.FriendshipEnded, a, b, f.Conversation)
	return true, tx.DeleteFriendship(a, b)
}

// tell tells each of two users about the other.
func tell(tx *store.Tx, t chat.EventType, a, b, direct chat.ID) {
	d := chat.Detail{Conversation: direct}
	tx.Emit(chat.Event{Type: t, Subject: b, Detail: d}, chat.UserTopic(a))
	tx.Emit(chat.Event{Type: t, Subject: a, Detail: d}, chat.UserTopic(b))
}

// Block blocks a user: it ends the friendship and the request between the two, which viewer takes back or rejects: being
// blocked is never shown. A second time it changes nothing.
// Errors: BAD_USER_INPUT for oneself, NOT_FOUND for an unknown user.
func (s *Service) Block(ctx context.Context, viewer, user chat.ID) (chat.Position, error) {
	if err := another(viewer, user, "you cannot block yourself"); err != nil {
		return 0, err
	}
	return s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if err := pair(tx, viewer, user); err != nil {
			return err
		}
		if fresh, err := tx.InsertBlock(viewer, user); err != nil || !fresh {
			return err
		}
		f, err := tx.PendingRequest(viewer, user)
		if pending, err := absent(err); err != nil {
			return err
		} else if pending {
			status := chat.RequestCancelled
			if f.To == viewer {
				status = chat.RequestRejected
			}
			if err := answer(tx, &f, status); err != nil {
				return err
			}
		}
		if _, err := end(ctx, tx, viewer, user); err != nil {
			return err
		}
		tx.Emit(chat.Event{Type: chat.UserBlocked, Subject: user}, chat.UserTopic(viewer))
		return nil
	})
}

// Unblock takes a block back. A second time, or without a block, it changes nothing. Errors: as those of Block.
func (s *Service) Unblock(ctx context.Context, viewer, user chat.ID) (chat.Position, error) {
	if err := another(viewer, user, "you cannot block yourself"); err != nil {
		return 0, err
	}
	return s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if err := pair(tx, viewer, user); err != nil {
			return err
		}
		if gone, err := tx.DeleteBlock(viewer, user); err != nil || !gone {
			return err
		}
		tx.Emit(chat.Event{Type: chat.UserUnblocked, Subject: user}, chat.UserTopic(viewer))
		return nil
	})
}
