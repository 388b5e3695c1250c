package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// PushSubscription is a browser of a session's that is pushed to.
type PushSubscription struct {
	ID, User, Session      chat.ID
	Endpoint, P256DH, Auth string
	Failures               int // refusals in a row
}

const pushColumns = "p.id, p.user_id, p.session_id, p.endpoint, p.p256dh, p.auth, p.failures"

func pushFields(p *PushSubscription) []any {
	return []any{scanID(&p.ID, chat.KindPushSubscription), scanID(&p.User, chat.KindUser), scanID(&p.Session, chat.KindSession),
		&p.Endpoint, &p.P256DH, &p.Auth, &p.Failures}
}

// livePushes begins what is asked about subscriptions: those of sessions that are live.
const livePushes = " FROM push_subscriptions p JOIN sessions s ON s.id = p.session_id AND s.ended_at IS NULL AND s.expires_at > ? "

func endpointHash(endpoint string) string {
	sum := sha256.Sum256([]byte(endpoint))
	return hex.EncodeToString(sum[:])
}

// PutPushSubscription stores a subscription, in place of the one with the same endpoint, and of the oldest if the user has
// more than keep. The user is locked.
func (tx *Tx) PutPushSubscription(p PushSubscription, keep int) error {
	if _, err := tx.exec(`INSERT INTO push_subscriptions (id, user_id, session_id, endpoint, endpoint_hash, p256dh, auth, created_at) VALUES (?,?,?,?,?,?,?,?)
		ON CONFLICT (endpoint_hash) DO UPDATE SET user_id = excluded.user_id, session_id = excluded.session_id, p256dh = excluded.p256dh,
			auth = excluded.auth, created_at = excluded.created_at, failures = 0`,
		id(p.ID), id(p.User), id(p.Session), p.Endpoint, endpointHash(p.Endpoint), p.P256DH, p.Auth, tx.at(tx.Now)); err != nil {
		return err
	}
	_, err := tx.exec(`DELETE FROM push_subscriptions WHERE id IN (SELECT id FROM push_subscriptions WHERE user_id = ?
		ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET ?)`, id(p.User), keep)
	return err
}

// DeletePushEndpoint deletes a user's subscription with an endpoint.
func (tx *Tx) DeletePushEndpoint(user chat.ID, endpoint string) error {
	_, err := tx.exec("DELETE FROM push_subscriptions WHERE endpoint_hash = ? AND user_id = ?", endpointHash(endpoint), id(user))
	return err
}

// DeletePushesOf deletes the subscriptions of a session.
func (tx *Tx) DeletePushesOf(session chat.ID) error {
	_, err := tx.exec("DELETE FROM push_subscriptions WHERE session_id = ?", id(session))
	return err
}

// DeletePush deletes a subscription.
func (tx *Tx) DeletePush(subscription chat.ID) error {
	_, err := tx.exec("DELETE FROM push_subscriptions WHERE id = ?", id(subscription))
	return err
}

// SetPushFailures stores how often in a row a subscription was refused.
func (tx *Tx) SetPushFailures(subscription chat.ID, n int) error {
	_, err := tx.exec("UPDATE push_subscriptions SET failures = ? WHERE id = ?", n, id(subscription))
	return err
}

// HasPushes says whether anybody has a subscription.
func (tx *Tx) HasPushes() (bool, error) {
	return one(tx.db, value[bool], "SELECT EXISTS (SELECT 1 FROM push_subscriptions WHERE endpoint_hash > '')") // all, by an index
}

// LockPushes locks subscriptions, in the order of their ids.
func (tx *Tx) LockPushes(subscriptions []chat.ID) error {
	_, err := list(tx.db, func(r rows) (p chat.ID, err error) {
		err = r.Scan(scanID(&p, chat.KindPushSubscription))
		return p, err
	}, "SELECT id FROM push_subscriptions WHERE id"+tx.ids+"ORDER BY id"+tx.lock, tx.set(subscriptions))
	return err
}

// PushesOf reads the subscriptions of users.
func (r reader) PushesOf(ctx context.Context, users []chat.ID, at time.Time) ([]PushSubscription, error) {
	l, err := list(r.db.WithContext(ctx), scanPush, "SELECT "+pushColumns+livePushes+"WHERE p.user_id"+r.ids, r.at(Micros(at)), r.set(users))
	return l, translate(err)
}

// Push reads a subscription, or chat.ErrNotFound.
func (r reader) Push(ctx context.Context, subscription chat.ID, at time.Time) (PushSubscription, error) {
	p, err := one(r.db.WithContext(ctx), scanPush, "SELECT "+pushColumns+livePushes+"WHERE p.id = ?", r.at(Micros(at)), id(subscription))
	return p, translate(err)
}

func scanPush(r rows) (p PushSubscription, err error) {
	err = r.Scan(pushFields(&p)...)
	return p, err
}

// PushTarget is a subscription, and a conversation that has something for its user.
type PushTarget struct {
	Subscription, User, Conversation chat.ID
}

// PushTargets reads whom the messages of a stretch of the log are for: who is in their conversation, has not read as far,
// and has a subscription. The stretch is from … through, both inclusive; the targets are those that follow upon after, if
// that is not zero, and at most limit.
func (r reader) PushTargets(ctx context.Context, from, through chat.Position, at time.Time, after PushTarget, limit int) ([]PushTarget, error) {
	// Whoever sent the newest message has read it, and who joined after it too. SQLite joins in the order of CROSS JOIN.
	q := `SELECT p.id, m.user_id, m.conversation_id
		FROM (SELECT topic_id, max(seq) AS seq FROM events WHERE position BETWEEN ? AND ? AND type = 'MESSAGE_ADDED' GROUP BY topic_id) t
		CROSS JOIN memberships m CROSS JOIN push_subscriptions p CROSS JOIN sessions s
		WHERE m.conversation_id = t.topic_id AND m.left_position IS NULL AND m.read_seq < t.seq AND p.user_id = m.user_id
			AND s.id = p.session_id AND s.ended_at IS NULL AND s.expires_at > ?`
	args := []any{int64(from), int64(through), r.at(Micros(at))}
	if after != (PushTarget{}) {
		q, args = q+" AND (m.conversation_id, p.id) > (?, ?)", append(args, id(after.Conversation), id(after.Subscription))
	}
	l, err := list(r.db.WithContext(ctx), func(r rows) (t PushTarget, err error) {
		err = r.Scan(scanID(&t.Subscription, chat.KindPushSubscription), scanID(&t.User, chat.KindUser), scanID(&t.Conversation, chat.KindConversation))
		return t, err
	}, q+" ORDER BY m.conversation_id, p.id LIMIT ?", append(args, limit)...)
	return l, translate(err)
}

// Unread is what a user has not read in a conversation.
type Unread struct {
	Kind    chat.ConversationKind
	Title   string
	Count   int
	Message chat.Message // the newest that is not of somebody whom the user has blocked
	Sender  chat.User    // its: names alone
}

// unreadLook is how many of a conversation's newest messages are looked at for one to tell of.
const unreadLook = 100

// UnreadPush reads a subscription of a user, and what they have not read in a conversation; chat.ErrNotFound when there is
// no such subscription (any more), when they are not in the conversation, or have read it.
func (r reader) UnreadPush(ctx context.Context, t PushTarget, at time.Time) (PushSubscription, Unread, error) {
	type both struct {
		p PushSubscription
		u Unread
	}
	b, err := one(r.db.WithContext(ctx), func(r rows) (b both, err error) {
		x := &b.u.Message
		err = r.Scan(append(pushFields(&b.p), &b.u.Kind, &b.u.Title, &b.u.Count, scanID(&x.ID, chat.KindMessage), scanID(&x.Conversation, chat.KindConversation),
			&x.Seq, &x.Position, scanID(&x.Sender, chat.KindUser), &x.Body, scanTime(&x.CreatedAt), &b.u.Sender.Username, &b.u.Sender.DisplayName)...)
		b.u.Sender.ID = x.Sender
		return b, err
	}, "SELECT "+pushColumns+", c.kind, c.title, c.last_seq - m.read_seq, x.id, x.conversation_id, x.seq, x.position, x.sender_id, x.body, x.created_at, f.username, f.display_name"+
		livePushes+`JOIN memberships m ON m.conversation_id = ? AND m.user_id = p.user_id AND m.left_position IS NULL
		JOIN conversations c ON c.id = m.conversation_id
		JOIN messages x ON x.conversation_id = m.conversation_id AND x.seq = (SELECT y.seq FROM messages y WHERE y.conversation_id = m.conversation_id AND y.seq > m.read_seq
			AND y.seq > c.last_seq - ? AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = m.user_id AND b.blocked_id = y.sender_id)
			ORDER BY y.seq DESC LIMIT 1)
		JOIN users f ON f.id = x.sender_id WHERE p.id = ? AND p.user_id = ?`,
		r.at(Micros(at)), id(t.Conversation), unreadLook, id(t.Subscription), id(t.User))
	return b.p, b.u, translate(err)
}
