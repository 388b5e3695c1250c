package store

import (
	"context"
	"strconv"

	"github.com/parley-chat/parley/internal/chat"
)

const messageColumns = "m.id, m.conversation_id, m.seq, m.position, m.sender_id, m.body, m.created_at"

func scanMessage(r rows) (m chat.Message, err error) {
	err = r.Scan(scanID(&m.ID, chat.KindMessage), scanID(&m.Conversation, chat.KindConversation), &m.Seq, &m.Position,
		scanID(&m.Sender, chat.KindUser), &m.Body, scanTime(&m.CreatedAt))
	return m, err
}

// Messages reads messages by id. Those of deleted conversations are not there.
func (r reader) Messages(ctx context.Context, ids []chat.ID) ([]chat.Message, error) {
	l, err := list(r.db.WithContext(ctx), scanMessage, "SELECT "+messageColumns+` FROM messages m
		JOIN conversations c ON c.id = m.conversation_id AND c.deleted_at IS NULL WHERE m.id`+r.ids, r.set(ids))
	return l, translate(err)
}

// MessagePage reads a page of a conversation's messages by seq.
func (r reader) MessagePage(ctx context.Context, conversation chat.ID, p chat.Page) (l chat.List[chat.Message], err error) {
	after, before := int64(0), int64(1)<<62
	if p.After != "" {
		if after, err = parseSeq(p.After, "after"); err != nil {
			return l, err
		}
	}
	if p.Before != "" {
		if before, err = parseSeq(p.Before, "before"); err != nil {
			return l, err
		}
	}
	order := ""
	if p.Backward {
		order = " DESC"
	}
	rs, err := list(r.db.WithContext(ctx), scanMessage, "SELECT "+messageColumns+` FROM messages m
		WHERE m.conversation_id = ? AND m.seq > ? AND m.seq < ? ORDER BY m.seq`+order+" LIMIT ?", id(conversation), after, before, p.Limit+1)
	return chat.NewList(p, rs, func(m chat.Message) string { return strconv.FormatInt(m.Seq, 10) }), translate(err)
}

func parseSeq(s, arg string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, chat.BadInput("not a place in this list", arg)
	}
	return n, nil
}
