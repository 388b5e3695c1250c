package store

import (
	"context"
	"database/sql"
	"fmt"

	"gorm.io/gorm"
)

// invariant is a statement that finds what must not be: each row says where.
type invariant struct {
	what string
	sql  string // its single column tells which row is at fault
}

var invariants = []invariant{
	{"positions in the log have a gap", `SELECT p.position FROM (SELECT position, lag(position) OVER (ORDER BY position) AS before FROM events) p
		WHERE p.position <> p.before + 1 ORDER BY p.position`},
	{"the log does not begin right after what was trimmed", `SELECT h.trimmed FROM event_head h
		WHERE h.position > h.trimmed AND NOT EXISTS (SELECT 1 FROM events WHERE position = h.trimmed + 1)`},
	{"the log does not end at its head", `SELECT h.position FROM event_head h
		WHERE h.position > h.trimmed AND h.position <> (SELECT coalesce(max(position), 0) FROM events)`},
	{"a conversation's seq have a gap", `SELECT c.id FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id
		GROUP BY c.id, c.last_seq HAVING count(m.seq) <> c.last_seq OR coalesce(max(m.seq), 0) <> c.last_seq OR coalesce(min(m.seq), 1) <> 1`},
	{"a conversation's last message is not its newest", `SELECT c.id FROM conversations c LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq = c.last_seq
		WHERE (c.last_seq > 0) <> (c.last_message_id IS NOT NULL) OR (c.last_seq > 0 AND (m.id IS NULL OR m.id <> c.last_message_id))`},
	{"a message has no event of its own", `SELECT m.id FROM messages m JOIN event_head h ON m.position > h.trimmed
		LEFT JOIN events e ON e.position = m.position AND e.subject_id = m.id AND e.topic_id = m.conversation_id AND e.seq = m.seq WHERE e.position IS NULL`},
	{"a message is not of somebody who was a member", `SELECT m.id FROM messages m
		WHERE NOT EXISTS (SELECT 1 FROM memberships x WHERE x.conversation_id = m.conversation_id AND x.user_id = m.sender_id)`},
	{"a member count is wrong", `SELECT c.id FROM conversations c LEFT JOIN memberships m ON m.conversation_id = c.id AND m.left_position IS NULL
		WHERE c.deleted_at IS NULL GROUP BY c.id, c.member_count HAVING count(m.user_id) <> c.member_count`},
	{"an unread count is not what a recount says", `SELECT m.conversation_id FROM memberships m JOIN conversations c ON c.id = m.conversation_id
		WHERE m.left_position IS NULL AND c.last_seq - m.read_seq <>
			(SELECT count(*) FROM messages x WHERE x.conversation_id = m.conversation_id AND x.seq > m.read_seq)`},
	{"a sender has not read their own message", `SELECT m.conversation_id FROM memberships m WHERE m.left_position IS NULL AND EXISTS
		(SELECT 1 FROM messages x WHERE x.conversation_id = m.conversation_id AND x.sender_id = m.user_id AND x.seq > m.read_seq)`},
	{"a membership's span is upside down or unfinished", `SELECT m.conversation_id FROM memberships m, event_head h WHERE m.joined_position < 1
		OR m.joined_position > h.position OR m.left_position < m.joined_position OR m.left_position > h.position`},
	{"a deleted conversation has members", `SELECT c.id FROM conversations c JOIN memberships m ON m.conversation_id = c.id AND m.left_position IS NULL
		WHERE c.deleted_at IS NOT NULL`},
	{"a group does not have exactly one owner", `SELECT c.id FROM conversations c LEFT JOIN memberships m ON m.conversation_id = c.id AND m.left_position IS NULL AND m.role = 'OWNER'
		WHERE c.kind = 'GROUP' AND c.deleted_at IS NULL GROUP BY c.id HAVING count(m.user_id) <> 1`},
	{"a friendship has one side", `SELECT f.user_id FROM friendships f LEFT JOIN friendships g ON g.user_id = f.friend_id AND g.friend_id = f.user_id
		WHERE g.user_id IS NULL OR g.since <> f.since OR g.conversation_id <> f.conversation_id`},
	{"a friendship has no direct conversation", `SELECT f.user_id FROM friendships f LEFT JOIN direct_conversations d
		ON d.conversation_id = f.conversation_id AND (d.low_id = f.user_id OR d.high_id = f.user_id) WHERE d.conversation_id IS NULL`},
	{"a direct conversation does not have its two members", `SELECT d.conversation_id FROM direct_conversations d LEFT JOIN memberships m
		ON m.conversation_id = d.conversation_id AND m.left_position IS NULL AND m.user_id IN (d.low_id, d.high_id) GROUP BY d.conversation_id HAVING count(m.user_id) <> 2`},
	{"a direct conversation's silence is not that of the two", `SELECT d.conversation_id FROM direct_conversations d JOIN conversations c ON c.id = d.conversation_id
		LEFT JOIN friendships f ON f.user_id = d.low_id AND f.friend_id = d.high_id WHERE (f.user_id IS NULL) <> (c.silent IS TRUE)`},
	{"a count of pending deliveries is wrong", `SELECT w.id FROM webhooks w WHERE w.enabled AND w.deleted_at IS NULL
		AND w.pending <> (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.status = 'PENDING')`},
	{"a pair are friends in spite of a block", `SELECT b.blocker_id FROM blocks b JOIN friendships f ON f.user_id = b.blocker_id AND f.friend_id = b.blocked_id`},
}

// Violation is what must not be.
type Violation struct{ What, Where string }

func (v *Violation) Error() string { return v.What + ": " + v.Where }

// Check verifies the log's contiguity and every counter against a recount. The error is the first Violation, or why it could
// not be done.
func (s *Store) Check(ctx context.Context) error { return s.whole(ctx, check) }

// whole reads whole tables, however long it takes.
func (s *Store) whole(ctx context.Context, read func(querier) error) error {
	if s.pool == nil {
		return read(querier{gorm: s.db.gorm.WithContext(ctx)})
	}
	return s.write.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		for _, k := range wholeTables { // which are right here: by index alone a join would take one table times the other
			if _, err := exec(g, "SET LOCAL "+k+" = on"); err != nil {
				return err
			}
		}
		return read(querier{gorm: g})
	}, &sql.TxOptions{ReadOnly: true})
}

func check(db querier) error {
	for _, i := range invariants {
		rows, err := list(db, func(r rows) (string, error) {
			var v any
			err := r.Scan(&v)
			if b, ok := v.([]byte); ok { // an id of SQLite's
				return fmt.Sprintf("%x", b), err
			}
			return fmt.Sprint(v), err
		}, "SELECT * FROM ("+i.sql+") violations LIMIT 1")
		if err != nil {
			return fmt.Errorf("%s: cannot be checked: %w", i.what, err)
		}
		if len(rows) > 0 {
			return &Violation{i.what, rows[0]}
		}
	}
	return nil
}
