package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

const notificationColumns = "n.id, n.user_id, n.kind, n.actor_id, n.conversation_id, n.subject_id, n.seq, n.created_at, n.read_at"

func scanNotification(r rows) (n chat.Notification, err error) {
	err = r.Scan(scanID(&n.ID, chat.KindNotification), scanID(&n.User, chat.KindUser), &n.Kind, scanID(&n.Actor, chat.KindUser),
		scanID(&n.Conversation, chat.KindConversation), scanID(&n.Subject, chat.KindSession), &n.Seq, scanTime(&n.CreatedAt), scanTime(&n.ReadAt))
	if !n.Subject.IsZero() {
		n.Subject.Kind = n.Kind.About()
	}
	return n, err
}

// Notifications reads entries by id.
func (r reader) Notifications(ctx context.Context, ids []chat.ID) ([]chat.Notification, error) {
	l, err := list(r.db.WithContext(ctx), scanNotification, "SELECT "+notificationColumns+" FROM notifications n WHERE n.id"+r.ids, r.set(ids))
	return l, translate(err)
}

// NotificationPage reads a page of user's entries, or of those that are not read, the newest first.
func (r reader) NotificationPage(ctx context.Context, user chat.ID, unread bool, p chat.Page) (l chat.List[chat.Notification], err error) {
	q := "SELECT " + notificationColumns + " FROM notifications n WHERE n.user_id = ?"
	if unread {
		q += " AND n.read_at IS NULL"
	}
	q, args, err := r.page(keyset{id: "n.id", desc: true}, p, q, id(user))
	if err != nil {
		return l, err
	}
	found, err := list(r.db.WithContext(ctx), scanNotification, q, args...)
	return chat.NewList(p, found, func(n chat.Notification) string { return place{id: n.ID}.String() }), translate(err)
}

// UnreadNotifications says how many entries of users are not read, counting up to chat.MaxUnread.
func (r reader) UnreadNotifications(ctx context.Context, users []chat.ID) (map[chat.ID]int, error) {
	type count struct {
		user chat.ID
		n    int
	}
	from := "unnest(?::uuid[]) AS t(id)"
	if !r.postgres {
		from = "(SELECT unhex(value) AS id FROM json_each(?)) t"
	}
	l, err := list(r.db.WithContext(ctx), func(r rows) (c count, err error) {
		err = r.Scan(scanID(&c.user, chat.KindUser), &c.n)
		return c, err
	}, "SELECT t.id, (SELECT count(*) FROM (SELECT 1 FROM notifications n WHERE n.user_id = t.id AND n.read_at IS NULL LIMIT ?) a) FROM "+from, chat.MaxUnread, r.set(users))
	out := make(map[chat.ID]int, len(l))
	for _, c := range l {
		out[c.user] = c.n
	}
	return out, translate(err)
}

// Membership names somebody in a conversation.
type Membership struct{ User, Conversation chat.ID }

// MentionsSeen reads the entries of mentions that are not read although their members have read as far.
func (r reader) MentionsSeen(ctx context.Context, members []Membership) ([]chat.Notification, error) {
	q := " FROM unnest(?::uuid[], ?::uuid[]) AS t(user_id, conversation_id) JOIN memberships m"
	var args []any
	if r.postgres {
		users, conversations := make(array[[16]byte], len(members)), make(array[[16]byte], len(members))
		for i, m := range members {
			users[i], conversations[i] = m.User.UUID, m.Conversation.UUID
		}
		args = []any{users, conversations}
	} else {
		q = " FROM (SELECT unhex(value ->> 0) AS user_id, unhex(value ->> 1) AS conversation_id FROM json_each(?)) t CROSS JOIN memberships m"
		pairs := make([][2]string, len(members))
		for i, m := range members {
			pairs[i] = [2]string{hexOf(m.User), hexOf(m.Conversation)}
		}
		args = []any{marshal(pairs)}
	}
	l, err := list(r.db.WithContext(ctx), scanNotification, "SELECT "+notificationColumns+q+` ON m.conversation_id = t.conversation_id AND m.user_id = t.user_id AND m.left_position IS NULL
		JOIN notifications n ON n.user_id = m.user_id AND n.conversation_id = m.conversation_id AND n.seq <= m.read_seq AND n.read_at IS NULL AND n.kind = 'MENTION'`, args...)
	return l, translate(err)
}

// seenMention is whether in a stretch of the log somebody has read what an entry of theirs is about, which is not read; who
// writes has read. (A join PostgreSQL might begin with the entries of everybody.)
const seenMention = `EXISTS (SELECT 1 FROM events e WHERE e.position BETWEEN ? AND ? AND e.type IN ('MESSAGE_ADDED', 'RECEIPT_UPDATED')
	AND e.seq >= (SELECT min(n.seq) FROM notifications n WHERE n.user_id = e.actor_id AND n.conversation_id = e.topic_id AND n.read_at IS NULL AND n.kind = 'MENTION'))`

// HasSeenMentions says whether in a stretch of the log somebody has read what they have an entry of.
func (tx *Tx) HasSeenMentions(from, through chat.Position) (bool, error) {
	return one(tx.db, value[bool], "SELECT "+seenMention, int64(from), int64(through))
}

// HasMentions is HasSeenMentions, and whether a message of the stretch may mention anybody.
func (tx *Tx) HasMentions(from, through chat.Position) (bool, error) {
	return one(tx.db, value[bool], `SELECT EXISTS (SELECT 1 FROM events e CROSS JOIN messages x
		WHERE e.position BETWEEN ? AND ? AND e.type = 'MESSAGE_ADDED' AND x.id = e.subject_id AND x.body LIKE '%@%') OR `+seenMention,
		int64(from), int64(through), int64(from), int64(through))
}

func hexOf(id chat.ID) string { return hex.EncodeToString(id.UUID[:]) }

func marshal(v any) string {
	b, _ := json.Marshal(v) // texts and numbers cannot fail
	return string(b)
}

// Mention is a message that names somebody.
type Mention struct {
	Message *chat.Message
	Name    string // in lower case

	// Who is named, if that is to be told: zero, if it is not a member who was one then and may be told of the sender.
	User  chat.ID
	InApp *bool // what they want of such entries; nil: the default
	Level chat.NotificationLevel
	Muted time.Time // until then
	Seen  bool      // they have read as far
}

// Mentioned finds out who is named by mentions, all in one statement.
func (tx *Tx) Mentioned(mentions []Mention) error {
	q := " FROM unnest(?::bigint[], ?::text[], ?::uuid[], ?::uuid[], ?::bigint[], ?::bigint[]) AS t(i, name, conversation_id, sender_id, position, seq) JOIN users u"
	var args []any
	if tx.postgres {
		is, positions, seqs := make(array[int64], len(mentions)), make(array[int64], len(mentions)), make(array[int64], len(mentions))
		names := make(array[string], len(mentions))
		conversations, senders := make(array[[16]byte], len(mentions)), make(array[[16]byte], len(mentions))
		for i, m := range mentions {
			is[i], names[i], conversations[i], senders[i] = int64(i), m.Name, m.Message.Conversation.UUID, m.Message.Sender.UUID
			positions[i], seqs[i] = int64(m.Message.Position), m.Message.Seq
		}
		args = []any{is, names, conversations, senders, positions, seqs}
	} else {
		q = ` FROM (SELECT key AS i, value ->> 0 AS name, unhex(value ->> 1) AS conversation_id, unhex(value ->> 2) AS sender_id, value ->> 3 AS position, value ->> 4 AS seq
			FROM json_each(?)) t CROSS JOIN users u`
		tuples := make([][5]any, len(mentions))
		for i, m := range mentions {
			tuples[i] = [5]any{m.Name, hexOf(m.Message.Conversation), hexOf(m.Message.Sender), int64(m.Message.Position), m.Message.Seq}
		}
		args = []any{marshal(tuples)}
	}
	type answer struct {
		i int
		Mention
	}
	l, err := list(tx.db, func(r rows) (a answer, err error) {
		err = r.Scan(&a.i, scanID(&a.User, chat.KindUser), &a.InApp, &a.Level, scanTime(&a.Muted), &a.Seen)
		return a, err
	}, "SELECT t.i, u.id, k.in_app, coalesce(m.notification_level, 'ALL'), m.muted_until, m.read_seq >= t.seq"+q+` ON u.username = t.name
		JOIN memberships m ON m.conversation_id = t.conversation_id AND m.user_id = u.id AND m.left_position IS NULL AND m.joined_position <= t.position
		LEFT JOIN notification_kinds k ON k.user_id = u.id AND k.kind = 'MENTION'
		WHERE u.suspended_at IS NULL AND u.id <> t.sender_id
			AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = u.id AND b.blocked_id = t.sender_id)
			AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = t.sender_id AND b.blocked_id = u.id)`, args...)
	for _, a := range l {
		m := &mentions[a.i]
		m.User, m.InApp, m.Level, m.Muted, m.Seen = a.User, a.InApp, a.Level, a.Muted, a.Seen
	}
	return err
}

// NotifiedUser is somebody who may get an entry.
type NotifiedUser struct {
	User  chat.ID
	InApp *bool // what they want of its kind; nil: the default
}

// LockNotified locks users who are about to get entries of a kind, and reads whether they want them. Those who are suspended
// are not there. All changes of a user's entries happen one after another.
func (tx *Tx) LockNotified(kind chat.NotificationKind, users []chat.ID) ([]NotifiedUser, error) {
	lock := tx.lock
	if tx.postgres {
		lock += " OF u"
	}
	return list(tx.db, func(r rows) (u NotifiedUser, err error) {
		err = r.Scan(scanID(&u.User, chat.KindUser), &u.InApp)
		return u, err
	}, "SELECT u.id, k.in_app FROM users u LEFT JOIN notification_kinds k ON k.user_id = u.id AND k.kind = ? WHERE u.suspended_at IS NULL AND u.id"+tx.ids+"ORDER BY u.id"+lock,
		string(kind), tx.set(users))
}

// notificationsAtOnce is how many entries one statement inserts.
const notificationsAtOnce = 100

// InsertNotifications stores new entries and returns them; of what was told already there is none. Their users are locked.
func (tx *Tx) InsertNotifications(ns []chat.Notification) (fresh []chat.Notification, err error) {
	for some := range slices.Chunk(ns, notificationsAtOnce) {
		args := make([]any, 0, 9*len(some))
		for _, n := range some {
			args = append(args, id(n.ID), id(n.User), string(n.Kind), id(n.Actor), id(n.Conversation), id(n.Subject), n.Seq, tx.at(n.CreatedAt), tx.at(n.ReadAt))
		}
		l, err := list(tx.db, scanNotification, "INSERT INTO notifications AS n (id, user_id, kind, actor_id, conversation_id, subject_id, seq, created_at, read_at) VALUES "+
			strings.Repeat("(?,?,?,?,?,?,?,?,?),", len(some)-1)+"(?,?,?,?,?,?,?,?,?) ON CONFLICT (user_id, kind, subject_id) DO NOTHING RETURNING "+
			strings.ReplaceAll(notificationColumns, "n.", ""), args...)
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, l...)
	}
	slices.SortFunc(fresh, func(a, b chat.Notification) int { return bytes.Compare(a.ID.UUID[:], b.ID.UUID[:]) })
	return fresh, nil
}

// DropNotifications deletes of each of some users all entries but the newest keep.
func (tx *Tx) DropNotifications(users []chat.ID, keep int) error {
	q := `DELETE FROM notifications WHERE id IN (SELECT d.id FROM unnest(?::uuid[]) AS t(id), LATERAL (SELECT n.id FROM notifications n
		WHERE n.user_id = t.id ORDER BY n.id DESC LIMIT 100 OFFSET ?) d)`
	if !tx.postgres {
		q = `DELETE FROM notifications WHERE id IN (SELECT d.id FROM (SELECT unhex(value) AS id FROM json_each(?)) t CROSS JOIN notifications d
			WHERE d.user_id = t.id AND d.id <= (SELECT n.id FROM notifications n WHERE n.user_id = t.id ORDER BY n.id DESC LIMIT 1 OFFSET ?))`
	}
	_, err := tx.exec(q, tx.set(users), keep)
	return err
}

// ReadNotifications marks those entries of a user as read, by id, that are not. It returns them.
func (tx *Tx) ReadNotifications(ids []chat.ID) ([]chat.Notification, error) {
	return tx.readNotifications("id"+tx.ids, tx.set(ids))
}

// ReadNotificationAbout marks a user's entry about something as read. It returns it, if there is one that is not.
func (tx *Tx) ReadNotificationAbout(user chat.ID, kind chat.NotificationKind, subject chat.ID) ([]chat.Notification, error) {
	return tx.readNotifications("user_id = ? AND kind = ? AND subject_id = ?", id(user), string(kind), id(subject))
}

// ReadNotificationsThrough marks a user's entries up to one of them as read. It returns those that were not.
func (tx *Tx) ReadNotificationsThrough(user, through chat.ID) ([]chat.Notification, error) {
	return tx.readNotifications("user_id = ? AND id <= ?", id(user), id(through))
}

func (tx *Tx) readNotifications(which string, args ...any) ([]chat.Notification, error) {
	l, err := list(tx.db, scanNotification, "UPDATE notifications SET read_at = ? WHERE read_at IS NULL AND "+which+" RETURNING "+strings.ReplaceAll(notificationColumns, "n.", ""),
		append([]any{tx.at(tx.Now)}, args...)...)
	slices.SortFunc(l, func(a, b chat.Notification) int { return bytes.Compare(a.ID.UUID[:], b.ID.UUID[:]) })
	return l, err
}

// OldNotifications reads up to max entries that were made before a time, the oldest first.
func (r reader) OldNotifications(ctx context.Context, before time.Time, max int) ([]chat.Notification, error) {
	var first chat.ID                                                          // of those that begin with this time
	binary.BigEndian.PutUint64(first.UUID[:8], uint64(before.UnixMilli())<<16) //nolint:gosec // after 1970
	l, err := list(r.db.WithContext(ctx), scanNotification, "SELECT "+notificationColumns+" FROM notifications n WHERE n.id < ? ORDER BY n.id LIMIT ?", id(first), max)
	return l, translate(err)
}

// DeleteNotifications deletes entries by id.
func (tx *Tx) DeleteNotifications(ids []chat.ID) error {
	_, err := tx.exec("DELETE FROM notifications WHERE id"+tx.ids, tx.set(ids))
	return err
}
