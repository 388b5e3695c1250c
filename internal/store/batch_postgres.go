package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/chat"
)

// batchLockSQL goes first and alone: the snapshot of the statements after it then sees what the last holder committed.
// In id order, so that the batches of two nodes cannot deadlock. Whoever changes memberships holds the same locks.
const batchLockSQL = `SELECT id FROM conversations WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE`

// sendSQL does the rest of the sends. Every insert needs h, so that no message is written before the head is held: a key
// that two nodes store at once is a unique violation, and retried, never a wait. (ON CONFLICT would leave holes in seq.)
// LATERAL with LIMIT keeps the planner from anything but one look into the index for each item, even where the statistics
// say that a table is empty when the one plan for all batches is made.
const sendSQL = `WITH r AS MATERIALIZED (
  SELECT r.*, o.id AS old_id, o.seq AS old_seq, o.position AS old_position, o.created_at AS old_at,
    o.conversation_id = r.conversation_id AND o.body = r.body AS same, m.user_id IS NOT NULL AS member, c.silent, c.last_seq
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[]) AS r(id, conversation_id, sender_id, client_key, body)
  LEFT JOIN LATERAL (SELECT * FROM messages WHERE sender_id = r.sender_id AND client_key = r.client_key LIMIT 1) o ON true
  LEFT JOIN LATERAL (SELECT user_id FROM memberships
    WHERE conversation_id = r.conversation_id AND user_id = r.sender_id AND left_position IS NULL LIMIT 1) m ON true
  LEFT JOIN conversations c ON c.id = r.conversation_id
), fresh AS MATERIALIZED (
  SELECT r.*, last_seq + row_number() OVER (PARTITION BY conversation_id ORDER BY id) AS seq,
    row_number() OVER (ORDER BY id) - count(*) OVER () AS back, $6::timestamptz AS at
  FROM r WHERE old_id IS NULL AND member AND NOT silent
), u AS (
  UPDATE conversations c SET last_seq = l.seq, last_message_id = l.id, updated_at = l.at
  FROM (SELECT DISTINCT ON (conversation_id) * FROM fresh ORDER BY conversation_id, seq DESC) l WHERE c.id = l.conversation_id
  RETURNING 1
), own AS (
  UPDATE memberships m SET read_seq = f.seq, read_at = $6
  FROM (SELECT conversation_id, sender_id, max(seq) AS seq FROM fresh GROUP BY conversation_id, sender_id) f
  WHERE m.conversation_id = f.conversation_id AND m.user_id = f.sender_id AND m.left_position IS NULL
  RETURNING 1
), h AS MATERIALIZED (
  UPDATE event_head SET position = position + (SELECT count(*) FROM fresh)
  WHERE (SELECT count(*) FROM u) > 0 AND (SELECT count(*) FROM own) > 0 RETURNING position
), m AS (
  INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at)
  SELECT id, conversation_id, seq, h.position + back, sender_id, client_key, body, at FROM fresh, h ORDER BY id
), e AS (
  INSERT INTO events (position, topic_kind, topic_id, type, actor_id, subject_id, seq, at)
  SELECT h.position + back, 2, conversation_id, 'MESSAGE_ADDED', sender_id, id, seq, at FROM fresh, h ORDER BY id
)
SELECT r.id, coalesce(r.old_id, f.id), coalesce(r.old_seq, f.seq), coalesce(r.old_position, h.position + f.back),
  coalesce(r.old_at, f.at), r.same, r.member, coalesce(r.silent, false),
  coalesce(s.username, ''), coalesce(s.display_name, ''), coalesce(s.bio, ''), s.avatar_id, coalesce(s.created_at, $6), s.owner_id
FROM r LEFT JOIN fresh f ON f.id = r.id LEFT JOIN h ON true LEFT JOIN users s ON s.id = r.sender_id`

// readSQL moves read marks forward.
const readSQL = `WITH r AS MATERIALIZED (
  SELECT r.*, m.user_id IS NOT NULL AS member, c.last_seq, m.read_seq AS old_seq, m.read_at AS old_at,
    m.user_id IS NOT NULL AND r.seq > m.read_seq AND r.seq <= c.last_seq AS moves
  FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::bigint[]) AS r(n, conversation_id, user_id, seq)
  LEFT JOIN LATERAL (SELECT user_id, read_seq, read_at FROM memberships
    WHERE conversation_id = r.conversation_id AND user_id = r.user_id AND left_position IS NULL LIMIT 1) m ON true
  LEFT JOIN conversations c ON c.id = r.conversation_id
), u AS (
  UPDATE memberships m SET read_seq = r.seq, read_at = $5 FROM r
  WHERE r.moves AND m.conversation_id = r.conversation_id AND m.user_id = r.user_id AND m.left_position IS NULL
  RETURNING 1
), h AS MATERIALIZED (
  UPDATE event_head SET position = position + (SELECT count(*) FROM u) WHERE (SELECT count(*) FROM u) > 0 RETURNING position
), p AS MATERIALIZED (
  SELECT r.n, h.position + row_number() OVER (ORDER BY r.n) - count(*) OVER () AS position FROM r, h WHERE r.moves
), e AS (
  INSERT INTO events (position, topic_kind, topic_id, type, actor_id, subject_id, seq, at)
  SELECT p.position, 2, r.conversation_id, 'RECEIPT_UPDATED', r.user_id, r.user_id, r.seq, $5 FROM p JOIN r ON r.n = p.n ORDER BY p.position
)
SELECT r.n, r.member, coalesce(r.last_seq, 0), coalesce(r.old_seq, 0), r.old_at, p.position FROM r LEFT JOIN p ON p.n = r.n`

// commitPostgres sends all statements and the commit in one round trip: a pgx.Batch is one implicit transaction.
func (s *Store) commitPostgres(ctx context.Context, b *Batch) error {
	// [16]byte, because pgx asks a uuid.UUID for its driver.Value, and formats and parses a text for each.
	var locks [][16]byte
	q := &pgx.Batch{}
	lock := q.Queue(batchLockSQL, nil)
	if n := len(b.Sends); n > 0 {
		ids, convs, senders := make([][16]byte, n), make([][16]byte, n), make([][16]byte, n)
		keys, bodies := make([]string, n), make([]string, n)
		for i, x := range b.Sends {
			ids[i], convs[i], senders[i], keys[i], bodies[i] = x.ID.UUID, x.Conversation.UUID, x.Sender.UUID, x.Key, x.Body
		}
		locks = append(locks, convs...)
		q.Queue(sendSQL, ids, convs, senders, keys, bodies, b.At).Query(b.scanSends)
	}
	if n := len(b.Reads); n > 0 {
		ns, convs, users, seqs := make([]int64, n), make([][16]byte, n), make([][16]byte, n), make([]int64, n)
		for i, x := range b.Reads {
			ns[i], convs[i], users[i], seqs[i] = int64(i), x.Conversation.UUID, x.User.UUID, x.Seq
		}
		locks = append(locks, convs...)
		q.Queue(readSQL, ns, convs, users, seqs, b.At).Query(b.scanReads)
	}
	lock.Arguments = []any{locks}
	for _, x := range q.QueuedQueries {
		logStatement(ctx, s.log, x.SQL)
	}
	return s.batches.SendBatch(ctx, q).Close() // Close waits for the commit
}

func (b *Batch) scanSends(rs pgx.Rows) error {
	byID := make(map[uuid.UUID]*Send, len(b.Sends))
	for _, x := range b.Sends {
		byID[x.ID.UUID] = x
	}
	for rs.Next() { // in no particular order
		var asked [16]byte
		var stored *[16]byte
		var seq, position *int64
		var at *time.Time
		var same *bool
		var member, silent bool
		var u chat.User
		if err := rs.Scan(&asked, &stored, &seq, &position, &at, &same, &member, &silent, &u.Username, &u.DisplayName, &u.Bio, scanID(&u.Avatar, chat.KindFile), &u.CreatedAt,
			scanID(&u.Owner, chat.KindUser)); err != nil {
			return err
		}
		x := byID[asked]
		u.ID, u.CreatedAt = x.Sender, u.CreatedAt.UTC()
		x.Err, x.User = nil, u
		switch {
		case same != nil && !*same:
			x.Err = errKeyTaken
		case stored != nil:
			x.answer(chat.ID{Kind: chat.KindMessage, UUID: *stored}, *seq, chat.Position(*position), at.UTC())
			x.Stored = same == nil
		case !member:
			x.Err = chat.ErrNotFound
		case silent:
			x.Err = errSilent
		}
	}
	return rs.Err()
}

func (x *Send) answer(id chat.ID, seq int64, p chat.Position, at time.Time) {
	x.Message = chat.Message{ID: id, Conversation: x.Conversation, Seq: seq, Position: p, Sender: x.Sender, Body: x.Body, CreatedAt: at}
}

func (b *Batch) scanReads(rs pgx.Rows) error {
	for rs.Next() {
		var n, last, old int64
		var member bool
		var at *time.Time
		var position *int64
		if err := rs.Scan(&n, &member, &last, &old, &at, &position); err != nil {
			return err
		}
		b.Reads[n].answer(b.At, member, last, old, at, position)
	}
	return rs.Err()
}

func (x *Read) answer(now time.Time, member bool, last, old int64, oldAt *time.Time, position *int64) {
	x.Receipt = chat.Receipt{Conversation: x.Conversation, User: x.User, Seq: old}
	if oldAt != nil {
		x.Receipt.At = oldAt.UTC()
	}
	x.Err, x.Moved = nil, false
	switch {
	case !member:
		x.Err = chat.ErrNotFound
	case x.Seq > last:
		x.Err = errNotYet
	case position != nil:
		x.Moved, x.Position = true, chat.Position(*position)
		x.Receipt.Seq, x.Receipt.At = x.Seq, now
	}
}
