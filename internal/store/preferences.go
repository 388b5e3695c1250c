package store

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// StoredPreferences is what is stored of a user's preferences: what differs from the defaults. The rest is nil.
type StoredPreferences struct {
	User       chat.ID
	QuietHours *chat.QuietHours
	TimeZone   *string
	Digest     *bool
	DigestHour *int
	Kinds      []chat.NotificationPreference
}

// NotificationPreferences reads what is stored of the preferences of users. Who does not exist is not there.
func (r reader) NotificationPreferences(ctx context.Context, users []chat.ID) ([]StoredPreferences, error) {
	type row struct {
		StoredPreferences
		kind *chat.NotificationKind
		chat.NotificationPreference
	}
	l, err := list(r.db.WithContext(ctx), func(r rows) (x row, err error) {
		var start, end *chat.ClockTime
		err = r.Scan(scanID(&x.User, chat.KindUser), &start, &end, &x.TimeZone, &x.Digest, &x.DigestHour, &x.kind, &x.InApp, &x.Push, &x.Mail)
		x.QuietHours = quietHours(start, end)
		return x, err
	}, `SELECT u.id, s.quiet_start, s.quiet_end, s.time_zone, s.digest, s.digest_hour, k.kind, k.in_app, k.push, k.mail
		FROM users u LEFT JOIN notification_settings s ON s.user_id = u.id LEFT JOIN notification_kinds k ON k.user_id = u.id WHERE u.id`+r.ids, r.set(users))
	at := make(map[chat.ID]int, len(l))
	var out []StoredPreferences
	for _, x := range l {
		i, seen := at[x.User]
		if !seen {
			i = len(out)
			at[x.User], out = i, append(out, x.StoredPreferences)
		}
		if x.kind != nil {
			x.NotificationPreference.Kind = *x.kind
			out[i].Kinds = append(out[i].Kinds, x.NotificationPreference)
		}
	}
	return out, translate(err)
}

func quietHours(start, end *chat.ClockTime) *chat.QuietHours {
	if start == nil || end == nil {
		return nil
	}
	return &chat.QuietHours{Start: *start, End: *end}
}

// SetNotificationPreferences stores what differs from the defaults, but for the kinds. The user is locked.
func (tx *Tx) SetNotificationPreferences(p StoredPreferences) error {
	var start, end *int
	if q := p.QuietHours; q != nil {
		start, end = new(int(q.Start)), new(int(q.End))
	}
	_, err := tx.exec(`INSERT INTO notification_settings (user_id, quiet_start, quiet_end, time_zone, digest, digest_hour) VALUES (?,?,?,?,?,?)
		ON CONFLICT (user_id) DO UPDATE SET quiet_start = excluded.quiet_start, quiet_end = excluded.quiet_end, time_zone = excluded.time_zone,
		digest = excluded.digest, digest_hour = excluded.digest_hour`, id(p.User), start, end, p.TimeZone, p.Digest, p.DigestHour)
	return err
}

// SetNotificationKind stores what differs from the defaults of one kind. The user is locked.
func (tx *Tx) SetNotificationKind(user chat.ID, p chat.NotificationPreference) error {
	_, err := tx.exec(`INSERT INTO notification_kinds (user_id, kind, in_app, push, mail) VALUES (?,?,?,?,?)
		ON CONFLICT (user_id, kind) DO UPDATE SET in_app = excluded.in_app, push = excluded.push, mail = excluded.mail`, id(user), string(p.Kind), p.InApp, p.Push, p.Mail)
	return err
}

// LockMembership locks user's membership in a conversation that they are in now, and reads it, or chat.ErrNotFound.
func (tx *Tx) LockMembership(conversation, user chat.ID) (chat.Member, error) {
	return one(tx.db, scanMember, "SELECT "+memberColumns+` FROM memberships m
		WHERE m.conversation_id = ? AND m.user_id = ? AND m.left_position IS NULL`+tx.lock, id(conversation), id(user))
}

// SetConversationNotifications stores what a member, whose membership is locked, wants to be told of the conversation.
func (tx *Tx) SetConversationNotifications(m chat.Member) error {
	var level *string
	if m.Level != chat.LevelAll {
		level = new(string(m.Level))
	}
	_, err := tx.exec("UPDATE memberships SET notification_level = ?, muted_until = ? WHERE conversation_id = ? AND user_id = ? AND left_position IS NULL",
		level, tx.at(m.MutedUntil), id(m.Conversation), id(m.User))
	return err
}

// PushWish is what a user has said that decides about one push. What is nil is as the defaults say.
type PushWish struct {
	User       chat.ID
	Push       *bool // of the kind
	QuietHours *chat.QuietHours
	TimeZone   *string
	Level      chat.NotificationLevel // of the conversation
	MutedUntil time.Time
}

// PushWishes reads what users have said about pushes of a kind, all in one statement. Those who are suspended, who are not in
// the conversation (if there is one), and between whom and from (if there is somebody) there is a block are not there.
func (r reader) PushWishes(ctx context.Context, kind chat.NotificationKind, conversation, from chat.ID, users []chat.ID) ([]PushWish, error) {
	membership, where := "'ALL', NULL", ""
	join, args := "", []any{string(kind)}
	if !conversation.IsZero() {
		membership = "coalesce(m.notification_level, 'ALL'), m.muted_until"
		join, args = " JOIN memberships m ON m.conversation_id = ? AND m.user_id = u.id AND m.left_position IS NULL", append([]any{id(conversation)}, args...)
	}
	args = append(args, r.set(users))
	if !from.IsZero() {
		where = ` AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = u.id AND b.blocked_id = ?)
			AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = ? AND b.blocked_id = u.id)`
		args = append(args, id(from), id(from))
	}
	l, err := list(r.db.WithContext(ctx), func(r rows) (w PushWish, err error) {
		var start, end *chat.ClockTime
		err = r.Scan(scanID(&w.User, chat.KindUser), &w.Push, &start, &end, &w.TimeZone, &w.Level, scanTime(&w.MutedUntil))
		w.QuietHours = quietHours(start, end)
		return w, err
	}, "SELECT u.id, k.push, s.quiet_start, s.quiet_end, s.time_zone, "+membership+" FROM users u"+join+
		" LEFT JOIN notification_kinds k ON k.user_id = u.id AND k.kind = ? LEFT JOIN notification_settings s ON s.user_id = u.id WHERE u.suspended_at IS NULL AND u.id"+r.ids+where, args...)
	return l, translate(err)
}
