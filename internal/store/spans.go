package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/chat"
)

// SpanQuery asks for the parts of the log that a user may see as a member of conversations: the open ones, and those that
// ended after a position.
type SpanQuery struct {
	User         chat.ID
	Conversation chat.ID // only this one; zero: all
	After        chat.Position
}

// OFFSET 0 keeps the planner from joining any other way than by one look into the index for each query.
const (
	spansInSQL = `SELECT q.n, m.conversation_id, m.joined_position - 1, m.left_position
		FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::uuid[]) AS q(n, user_id, after, conversation_id), LATERAL (
			SELECT * FROM memberships WHERE conversation_id = q.conversation_id AND user_id = q.user_id AND (left_position IS NULL OR left_position > q.after)
			OFFSET 0) m`
	spansSQL = `SELECT q.n, m.conversation_id, m.joined_position - 1, m.left_position
		FROM unnest($1::bigint[], $2::uuid[], $3::bigint[]) AS q(n, user_id, after), LATERAL (
			SELECT * FROM memberships WHERE user_id = q.user_id AND left_position IS NULL
			UNION ALL SELECT * FROM memberships WHERE user_id = q.user_id AND left_position IS NOT NULL AND left_position > q.after
			OFFSET 0) m`
)

// Spans answers queries, each at its place, in one round trip.
func (s *Store) Spans(ctx context.Context, qs ...SpanQuery) ([][]chat.Span, error) {
	answers := make([][]chat.Span, len(qs))
	if s.pool == nil { // no way to go: one after another is as good
		for i, q := range qs {
			var err error
			if answers[i], err = s.spans(ctx, q); err != nil {
				return nil, translate(err)
			}
		}
		return answers, nil
	}
	scan := func(rs pgx.Rows) error {
		var n int64
		var conversation [16]byte
		var from int64
		var to *int64
		_, err := pgx.ForEachRow(rs, []any{&n, &conversation, &from, &to}, func() error {
			s := chat.Span{Topic: chat.ConversationTopic(chat.ID{Kind: chat.KindConversation, UUID: conversation}), From: chat.Position(from)}
			if to != nil {
				s.To = chat.Position(*to)
			}
			answers[n] = append(answers[n], s)
			return nil
		})
		return err
	}
	b := &pgx.Batch{}
	for _, one := range []bool{true, false} {
		var ns, afters []int64
		var users, conversations [][16]byte
		for i, q := range qs {
			if q.Conversation.IsZero() != one {
				ns, users, afters = append(ns, int64(i)), append(users, q.User.UUID), append(afters, int64(q.After))
				conversations = append(conversations, q.Conversation.UUID)
			}
		}
		switch {
		case len(ns) == 0:
		case one:
			b.Queue(spansInSQL, ns, users, afters, conversations).Query(scan)
		default:
			b.Queue(spansSQL, ns, users, afters).Query(scan)
		}
	}
	for _, x := range b.QueuedQueries {
		logStatement(ctx, s.log, x.SQL)
	}
	return answers, translate(s.pool.SendBatch(ctx, b).Close())
}

// spans answers one query.
func (r reader) spans(ctx context.Context, q SpanQuery) ([]chat.Span, error) {
	if !q.Conversation.IsZero() {
		return list(r.db.WithContext(ctx), scanSpan, `SELECT conversation_id, joined_position - 1, left_position FROM memberships
			WHERE conversation_id = ? AND user_id = ? AND (left_position IS NULL OR left_position > ?)`, id(q.Conversation), id(q.User), int64(q.After))
	}
	return list(r.db.WithContext(ctx), scanSpan, `SELECT conversation_id, joined_position - 1, left_position FROM memberships WHERE user_id = ? AND left_position IS NULL
		UNION ALL SELECT conversation_id, joined_position - 1, left_position FROM memberships
		WHERE user_id = ? AND left_position IS NOT NULL AND left_position > ?`, id(q.User), id(q.User), int64(q.After))
}

func scanSpan(r rows) (s chat.Span, err error) {
	s.Topic.Kind = chat.TopicConversation
	err = r.Scan(scanID(&s.Topic.ID, chat.KindConversation), scanPosition(&s.From), scanPosition(&s.To))
	return s, err
}
