package store

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
)

const conversationColumns = "c.id, c.kind, c.title, c.created_at, c.updated_at, c.member_count, c.silent, c.last_seq, c.last_message_id, c.avatar_id"

func conversationFields(c *chat.Conversation) []any {
	return []any{scanID(&c.ID, chat.KindConversation), &c.Kind, &c.Title, scanTime(&c.CreatedAt), scanTime(&c.UpdatedAt),
		&c.MemberCount, &c.Silent, &c.LastSeq, scanID(&c.LastMessage, chat.KindMessage), scanID(&c.Avatar, chat.KindFile)}
}

func scanConversation(r rows) (c chat.Conversation, err error) {
	err = r.Scan(conversationFields(&c)...)
	return c, err
}

// Conversations reads conversations by id. Deleted ones are not there.
func (r reader) Conversations(ctx context.Context, ids []chat.ID) ([]chat.Conversation, error) {
	l, err := list(r.db.WithContext(ctx), scanConversation, "SELECT "+conversationColumns+" FROM conversations c WHERE c.deleted_at IS NULL AND c.id"+r.ids, r.set(ids))
	return l, translate(err)
}

// ConversationOf reads a conversation that user is in now, or chat.ErrNotFound.
func (r reader) ConversationOf(ctx context.Context, user, conversation chat.ID) (chat.Conversation, error) {
	c, _, err := r.ConversationAndMembership(ctx, user, conversation)
	return c, err
}

// ConversationAndMembership reads a conversation that user is in now, and their membership, or chat.ErrNotFound.
func (r reader) ConversationAndMembership(ctx context.Context, user, conversation chat.ID) (chat.Conversation, chat.Member, error) {
	type both struct {
		c chat.Conversation
		m chat.Member
	}
	b, err := one(r.db.WithContext(ctx), func(r rows) (b both, err error) {
		err = r.Scan(append(conversationFields(&b.c), memberFields(&b.m)...)...)
		return b, err
	}, "SELECT "+conversationColumns+", "+memberColumns+` FROM conversations c
		JOIN memberships m ON m.conversation_id = c.id AND m.user_id = ? AND m.left_position IS NULL WHERE c.id = ?`, id(user), id(conversation))
	return b.c, b.m, translate(err)
}

// ConversationPage reads a page of the conversations that user is in now, the one with the newest message first. It looks
// at all of them: their order changes with every message, and is kept nowhere.
func (r reader) ConversationPage(ctx context.Context, user chat.ID, p chat.Page) (l chat.List[chat.Conversation], err error) {
	q, args, err := r.page(keyset{first: "c.updated_at", id: "c.id", time: true, desc: true}, p, "SELECT "+conversationColumns+` FROM memberships m
		JOIN conversations c ON c.id = m.conversation_id WHERE m.user_id = ? AND m.left_position IS NULL`, id(user))
	if err != nil {
		return l, err
	}
	rs, err := list(r.db.WithContext(ctx), scanConversation, q, args...)
	return chat.NewList(p, rs, func(c chat.Conversation) string { return timePlace(c.UpdatedAt, c.ID) }), translate(err)
}

// LockConversation reads a conversation that is about to change, or chat.ErrNotFound when there is none or it is deleted.
// It is locked before its members, as it is by sends.
func (tx *Tx) LockConversation(conversation chat.ID) (chat.Conversation, error) {
	return one(tx.db, scanConversation, "SELECT "+conversationColumns+" FROM conversations c WHERE c.id = ? AND c.deleted_at IS NULL"+tx.lock, id(conversation))
}

// DirectConversation reads the id of the direct conversation of two users; chat.ErrNotFound when they have never been
// friends.
func (r reader) DirectConversation(ctx context.Context, a, b chat.ID) (chat.ID, error) {
	low, high := order(a, b)
	c, err := one(r.db.WithContext(ctx), func(r rows) (c chat.ID, err error) {
		err = r.Scan(scanID(&c, chat.KindConversation))
		return c, err
	}, "SELECT conversation_id FROM direct_conversations WHERE low_id = ? AND high_id = ?", id(low), id(high))
	return c, translate(err)
}

// InsertConversation stores a new conversation, without its members.
func (tx *Tx) InsertConversation(c chat.Conversation) error {
	_, err := tx.exec("INSERT INTO conversations (id, kind, title, created_at, updated_at, member_count, silent) VALUES (?,?,?,?,?,?,?)",
		id(c.ID), string(c.Kind), c.Title, tx.at(c.CreatedAt), tx.at(c.UpdatedAt), c.MemberCount, c.Silent)
	return err
}

// InsertDirect makes a conversation the one of two users.
func (tx *Tx) InsertDirect(a, b, conversation chat.ID) error {
	low, high := order(a, b)
	_, err := tx.exec("INSERT INTO direct_conversations (low_id, high_id, conversation_id) VALUES (?,?,?)", id(low), id(high), id(conversation))
	return err
}

// UpdateConversation stores title, avatar, member count and silence of a conversation that this transaction has locked.
func (tx *Tx) UpdateConversation(c chat.Conversation) error {
	_, err := tx.exec("UPDATE conversations SET title = ?, avatar_id = ?, member_count = ?, silent = ? WHERE id = ?",
		c.Title, id(c.Avatar), c.MemberCount, c.Silent, id(c.ID))
	return err
}

// DeleteConversation marks a conversation as deleted and ends every membership in it. The event CONVERSATION_DELETED gives
// them their last position.
func (tx *Tx) DeleteConversation(conversation chat.ID) error {
	if _, err := tx.exec("UPDATE conversations SET deleted_at = ?, member_count = 0 WHERE id = ?", tx.at(tx.Now), id(conversation)); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE memberships SET left_position = -1 WHERE conversation_id = ? AND left_position IS NULL", id(conversation))
	return err
}
