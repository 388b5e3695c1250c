package conversation

import (
	"context"
	"errors"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// OnFriendshipMade is a store.Listener for FRIENDSHIP_MADE: the two have the direct conversation that the event names. It
// is made, or, if they have been friends before, speaks again.
func (s *Service) OnFriendshipMade(_ context.Context, tx *store.Tx, e *chat.Event) error {
	c, err := tx.LockConversation(e.Detail.Conversation)
	switch {
	case err == nil:
		return silence(tx, c, false)
	case !errors.Is(err, chat.ErrNotFound):
		return err
	}
	a, b := e.Topic.ID, e.Subject
	c = chat.Conversation{ID: e.Detail.Conversation, Kind: chat.Direct, CreatedAt: tx.Now, UpdatedAt: tx.Now, MemberCount: 2}
	if err := tx.InsertConversation(c); err != nil {
		return err
	}
	if err := tx.InsertDirect(a, b, c.ID); err != nil {
		return err
	}
	return create(tx, c, []chat.Member{
		{Conversation: c.ID, User: a, Role: chat.RoleMember, JoinedAt: tx.Now},
		{Conversation: c.ID, User: b, Role: chat.RoleMember, JoinedAt: tx.Now},
	})
}

// OnFriendshipEnded is a store.Listener for FRIENDSHIP_ENDED: the direct conversation falls silent.
func (s *Service) OnFriendshipEnded(_ context.Context, tx *store.Tx, e *chat.Event) error {
	c, err := tx.LockConversation(e.Detail.Conversation)
	if err != nil {
		return err
	}
	return silence(tx, c, true)
}

// silence is for the first of an event's two entries; for the second there is nothing left to do.
func silence(tx *store.Tx, c chat.Conversation, silent bool) error {
	if c.Silent == silent {
		return nil
	}
	c.Silent = silent
	return update(tx, c)
}

// create stores the first members of a new conversation and tells them.
func create(tx *store.Tx, c chat.Conversation, members []chat.Member) error {
	if err := tx.InsertMembers(members); err != nil {
		return err
	}
	ids := make([]chat.ID, len(members))
	for i, m := range members {
		ids[i] = m.User
	}
	tx.Emit(chat.Event{Type: chat.ConversationCreated, Detail: chat.Detail{Members: ids}, Rows: chat.Rows{Conversation: &c}}, chat.ConversationTopic(c.ID))
	return nil
}

// update stores a conversation and tells its members.
func update(tx *store.Tx, c chat.Conversation) error {
	if err := tx.UpdateConversation(c); err != nil {
		return err
	}
	tx.Emit(chat.Event{Type: chat.ConversationUpdated, Rows: chat.Rows{Conversation: &c}}, chat.ConversationTopic(c.ID))
	return nil
}
