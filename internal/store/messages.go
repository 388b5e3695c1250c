package store

import (
	"cmp"
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
	q, args, err := messagesOf("?", id(conversation), p)
	if err != nil {
		return l, err
	}
	rs, err := list(r.db.WithContext(ctx), scanMessage, "SELECT "+messageColumns+q, args...)
	return chat.NewList(p, rs, messagePlace), translate(err)
}

// MessagePages is MessagePage of several conversations.
func (r reader) MessagePages(ctx context.Context, conversations []chat.ID, p chat.Page) (map[chat.ID]chat.List[chat.Message], error) {
	q, args, err := messagesOf("t.id", r.set(conversations), p)
	if err != nil {
		return nil, err
	}
	q = r.each(messageColumns, "messages m WHERE ", "m.position", q)
	rs, err := list(r.db.WithContext(ctx), scanMessage, q, args...)
	return lists(p, conversations, rs, func(m chat.Message) chat.ID { return m.Conversation },
		func(a, b chat.Message) int { return cmp.Compare(a.Seq, b.Seq) }, messagePlace), translate(err)
}

// messagesOf ends a query of a page of a conversation's messages.
func messagesOf(conversation string, arg any, p chat.Page) (q string, args []any, err error) {
	after, before := int64(0), int64(1)<<62
	if p.After != "" {
		if after, err = parseSeq(p.After, "after"); err != nil {
			return "", nil, err
		}
	}
	if p.Before != "" {
		if before, err = parseSeq(p.Before, "before"); err != nil {
			return "", nil, err
		}
	}
	order := ""
	if p.Backward {
		order = " DESC"
	}
	return " FROM messages m WHERE m.conversation_id = " + conversation + " AND m.seq > ? AND m.seq < ? ORDER BY m.seq" + order + " LIMIT ?",
		[]any{arg, after, before, p.Limit + 1}, nil
}

func messagePlace(m chat.Message) string { return strconv.FormatInt(m.Seq, 10) }

func parseSeq(s, arg string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, chat.BadInput("not a place in this list", arg)
	}
	return n, nil
}
