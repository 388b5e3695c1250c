package store

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Digest is when the mail of what a user has not read is due. Days are as in 2026-11-21, by the user's clocks.
type Digest struct {
	User         chat.ID
	Due          time.Time // zero: never
	DueOn        string
	ToldOn       string        // the day of the last one
	ToldPosition chat.Position // messages up to here were in one
}

const digestColumns = "d.user_id, d.due_at, d.due_on, d.told_on, d.told_position"

func scanDigest(r rows) (d Digest, err error) {
	err = r.Scan(scanID(&d.User, chat.KindUser), scanTime(&d.Due), &d.DueOn, &d.ToldOn, &d.ToldPosition)
	return d, err
}

// Digest reads a user's, or chat.ErrNotFound.
func (r reader) Digest(ctx context.Context, user chat.ID) (Digest, error) {
	d, err := one(r.db.WithContext(ctx), scanDigest, "SELECT "+digestColumns+" FROM digests d WHERE d.user_id = ?", id(user))
	return d, translate(err)
}

// LockDueDigests reads up to max that are due, the first first.
func (tx *Tx) LockDueDigests(max int) ([]Digest, error) {
	return list(tx.db, scanDigest, "SELECT "+digestColumns+" FROM digests d WHERE d.due_at <= ? ORDER BY d.due_at LIMIT ?"+tx.lock, tx.at(tx.Now), max)
}

// SetDigest stores when a digest is due, and the day of the last one. What has been told is not changed.
func (tx *Tx) SetDigest(d Digest) error {
	_, err := tx.exec(`INSERT INTO digests (user_id, due_at, due_on, told_on) VALUES (?,?,?,?)
		ON CONFLICT (user_id) DO UPDATE SET due_at = excluded.due_at, due_on = excluded.due_on, told_on = excluded.told_on`, id(d.User), tx.at(d.Due), d.DueOn, d.ToldOn)
	return err
}

// DigestTold notes up to where a user's messages were in a digest.
func (tx *Tx) DigestTold(user chat.ID, through chat.Position) error {
	_, err := tx.exec("UPDATE digests SET told_position = ? WHERE user_id = ? AND told_position < ?", int64(through), id(user), int64(through))
	return err
}

// Missed is a conversation in which a user has not read everything.
type Missed struct {
	Conversation chat.Conversation
	Count        int
	ReadSeq      int64
}

// Missed reads the conversations in which there is something newer than a position that user has not read, of those at the
// level of all messages and not muted: direct ones and then groups, the one with the newest message first, and at most
// limit.
func (r reader) Missed(ctx context.Context, user chat.ID, after chat.Position, at time.Time, limit int) ([]Missed, error) {
	l, err := list(r.db.WithContext(ctx), func(r rows) (m Missed, err error) {
		err = r.Scan(append(conversationFields(&m.Conversation), &m.ReadSeq)...)
		m.Count = int(m.Conversation.LastSeq - m.ReadSeq)
		return m, err
	}, "SELECT "+conversationColumns+`, m.read_seq FROM memberships m JOIN conversations c ON c.id = m.conversation_id
		JOIN messages x ON x.conversation_id = c.id AND x.seq = c.last_seq
		WHERE m.user_id = ? AND m.left_position IS NULL AND c.last_seq > m.read_seq AND x.position > ?
			AND (m.notification_level IS NULL OR m.notification_level = 'ALL') AND (m.muted_until IS NULL OR m.muted_until <= ?)
		ORDER BY c.kind, x.position DESC LIMIT ?`, id(user), int64(after), r.at(Micros(at)), limit)
	return l, translate(err)
}
