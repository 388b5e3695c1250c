package conversation

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// CreateGroup makes a group that viewer owns. Errors: BAD_USER_INPUT for the title, and for more than MaxAdded members;
// NOT_FOUND when one of them is not a friend of viewer's; CONFLICT when the group would be too large.
func (s *Service) CreateGroup(ctx context.Context, viewer chat.ID, title string, members []chat.ID) (c chat.Conversation, _ chat.Position, err error) {
	if title, err = cleanTitle(title); err != nil {
		return c, 0, err
	}
	if len(members) > MaxAdded {
		return c, 0, chat.BadInput("at most 100 members at once", "input", "memberIds")
	}
	others := others(viewer, members)
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if _, err := tx.LockUsers(append(others, viewer)...); err != nil { // so that the friends stay friends
			return err
		}
		if err := friendsOnly(ctx, tx, viewer, others, "memberIds"); err != nil {
			return err
		}
		if len(others)+1 > s.MaxMembers {
			return s.full()
		}
		c = chat.Conversation{ID: chat.NewID(chat.KindConversation), Kind: chat.Group, Title: title, CreatedAt: tx.Now, UpdatedAt: tx.Now, MemberCount: len(others) + 1}
		if err := tx.InsertConversation(c); err != nil {
			return err
		}
		rows := []chat.Member{{Conversation: c.ID, User: viewer, Role: chat.RoleOwner, JoinedAt: tx.Now}}
		return create(tx, c, append(rows, newcomers(tx, c, others)...))
	})
	return c, pos, err
}

// UpdateGroup changes a group's title. Errors: BAD_USER_INPUT for the title; NOT_FOUND, FORBIDDEN.
func (s *Service) UpdateGroup(ctx context.Context, viewer, group chat.ID, title string) (c chat.Conversation, _ chat.Position, err error) {
	if title, err = cleanTitle(title); err != nil {
		return c, 0, err
	}
	pos, err := s.change(ctx, viewer, group, func(tx *store.Tx, g chat.Conversation, me chat.Member) error {
		if err := Check(g.Kind, me.Role, Update, ""); err != nil {
			return err
		}
		c = g
		if c.Title == title {
			return nil
		}
		c.Title = title
		return update(tx, c)
	})
	return c, pos, err
}

// DeleteGroup deletes a group for everybody. Errors: NOT_FOUND, FORBIDDEN.
func (s *Service) DeleteGroup(ctx context.Context, viewer, group chat.ID) (chat.Position, error) {
	return s.change(ctx, viewer, group, func(tx *store.Tx, g chat.Conversation, me chat.Member) error {
		if err := Check(g.Kind, me.Role, Delete, ""); err != nil {
			return err
		}
		return remove(tx, g)
	})
}

func remove(tx *store.Tx, g chat.Conversation) error {
	tx.Emit(chat.Event{Type: chat.ConversationDeleted}, chat.ConversationTopic(g.ID))
	if err := forget(tx, g); err != nil {
		return err
	}
	return tx.DeleteConversation(g.ID)
}

// change runs fn with a conversation that is locked, and viewer's membership in it. Errors: NOT_FOUND when viewer is not a
// member, and those of fn.
func (s *Service) change(ctx context.Context, viewer, conversation chat.ID, fn func(*store.Tx, chat.Conversation, chat.Member) error) (chat.Position, error) {
	if conversation.Kind != chat.KindConversation {
		return 0, chat.ErrNotFound
	}
	return s.store.Write(ctx, viewer, func(tx *store.Tx) error { return locked(ctx, tx, viewer, conversation, fn) })
}

func locked(ctx context.Context, tx *store.Tx, viewer, conversation chat.ID, fn func(*store.Tx, chat.Conversation, chat.Member) error) error {
	c, err := tx.LockConversation(conversation)
	if err != nil {
		return err
	}
	me, err := tx.CurrentMembership(ctx, conversation, viewer)
	if err != nil {
		return err
	}
	return fn(tx, c, me)
}

func cleanTitle(title string) (string, error) {
	title = strings.TrimSpace(title)
	switch n := utf8.RuneCountInString(title); {
	case n < 1 || n > 100:
		return "", chat.BadInput("1 to 100 characters", "input", "title")
	case !utf8.ValidString(title) || strings.ContainsRune(title, 0):
		return "", chat.BadInput("not text", "input", "title")
	}
	return title, nil
}
