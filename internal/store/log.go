package store

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Head is where the log stands.
type Head struct {
	Epoch    chat.Epoch
	Position chat.Position // of the newest event
	Trimmed  chat.Position // events up to here are gone
}

// Head reads where the log stands.
func (s *Store) Head(ctx context.Context) (Head, error) {
	h, err := one(s.db.WithContext(ctx), func(r rows) (h Head, err error) {
		err = r.Scan(&h.Epoch, &h.Position, &h.Trimmed)
		return h, err
	}, "SELECT epoch, position, trimmed FROM event_head")
	return h, translate(err)
}

// NewEpoch makes the log another one: cursors of before are refused from now on. Nodes read the epoch when they start.
func (s *Store) NewEpoch(ctx context.Context) error {
	h, err := s.Head(ctx)
	if err != nil {
		return err
	}
	epoch := h.Epoch + 1 + chat.Epoch(rand.Uint32N(1<<32-1)) //nolint:gosec // no secret, and any but the one before
	_, err = exec(s.write.WithContext(ctx), "UPDATE event_head SET epoch = ?", int64(epoch))
	return translate(err)
}

// appendEvents is the end of every Write. Nothing is locked after the head.
func (tx *Tx) appendEvents() (chat.Position, error) {
	n := len(tx.events)
	head, err := one(tx.db, value[chat.Position], headSQL(n), n)
	if err != nil || n == 0 {
		return head, err
	}
	for i, e := range tx.events {
		e.Position = head - chat.Position(n-1-i)
		if err := tx.stamp(e); err != nil {
			return 0, err
		}
	}
	for some := range slices.Chunk(tx.events, eventsAtOnce) {
		q, args := tx.insertEvents(some)
		if _, err := tx.exec(q, args...); err != nil {
			return 0, err
		}
	}
	return head, nil
}

// eventsAtOnce is how many events one statement inserts: SQLite takes 32,766 values, PostgreSQL 65,535, and every number of
// events is a statement of its own to keep prepared.
const eventsAtOnce = 100

func headSQL(n int) string {
	if n == 0 {
		return "SELECT position + ? FROM event_head" // nothing to append: no lock
	}
	return "UPDATE event_head SET position = position + ? RETURNING position"
}

// stamp tells the memberships that begin or end with an event its position. The rows are this transaction's already.
func (tx *Tx) stamp(e *chat.Event) (err error) {
	c, p := id(e.Topic.ID), int64(e.Position)
	switch e.Type {
	case chat.ConversationCreated:
		_, err = tx.exec("UPDATE memberships SET joined_position = ? WHERE conversation_id = ? AND joined_position = -1", p, c)
	case chat.MemberAdded:
		_, err = tx.exec("UPDATE memberships SET joined_position = ? WHERE conversation_id = ? AND user_id = ? AND joined_position = -1", p, c, id(e.Subject))
	case chat.MemberRemoved, chat.MemberLeft:
		_, err = tx.exec("UPDATE memberships SET left_position = ? WHERE conversation_id = ? AND user_id = ? AND left_position = -1", p, c, id(e.Subject))
	case chat.ConversationDeleted:
		_, err = tx.exec("UPDATE memberships SET left_position = ? WHERE conversation_id = ? AND left_position = -1", p, c)
	}
	return err
}

const eventColumns = "position, topic_kind, topic_id, type, actor_id, subject_id, seq, detail, at"

func (d dialect) insertEvents(events []*chat.Event) (string, []any) {
	b := []byte("INSERT INTO events (" + eventColumns + ") VALUES ")
	var args []any
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "(?,?,?,?,?,?,?,?,?)"...)
		args = append(args, int64(e.Position), int64(e.Topic.Kind), id(e.Topic.ID), string(e.Type), id(e.Actor), id(e.Subject), e.Seq, detail(e.Detail), d.at(e.At))
	}
	return string(b), args
}

func detail(d chat.Detail) string {
	if d.Conversation.IsZero() && d.Members == nil && d.Role == "" && d.Count == 0 && d.Level == "" && d.Until.IsZero() {
		return ""
	}
	b, _ := json.Marshal(d) // ids and texts cannot fail
	return string(b)
}

func scanEvent(r rows) (*chat.Event, error) {
	e := &chat.Event{}
	var detail string
	err := r.Scan(&e.Position, &e.Topic.Kind, scanID(&e.Topic.ID, 0), &e.Type, scanID(&e.Actor, chat.KindUser), scanID(&e.Subject, 0), &e.Seq, &detail, scanTime(&e.At))
	if err != nil {
		return nil, err
	}
	e.Topic.ID.Kind = chat.KindConversation
	if e.Topic.Kind == chat.TopicUser {
		e.Topic.ID.Kind = chat.KindUser
	}
	if e.Subject.UUID != (chat.ID{}).UUID {
		e.Subject.Kind = subjectKind(e.Type)
	}
	if detail != "" {
		err = json.Unmarshal([]byte(detail), &e.Detail)
	}
	return e, err
}

func subjectKind(t chat.EventType) chat.Kind {
	switch t {
	case chat.FriendRequestSent, chat.FriendRequestAccepted, chat.FriendRequestRejected, chat.FriendRequestCancelled:
		return chat.KindFriendRequest
	case chat.SessionStarted, chat.SessionEnded:
		return chat.KindSession
	case chat.MessageAdded:
		return chat.KindMessage
	case chat.NotificationAdded, chat.NotificationRead, chat.NotificationsRead:
		return chat.KindNotification
	}
	return chat.KindUser
}

// Events reads up to limit events after a position, in order, of all topics.
func (s *Store) Events(ctx context.Context, after chat.Position, limit int) ([]*chat.Event, error) {
	l, err := list(s.db.WithContext(ctx), scanEvent, "SELECT "+eventColumns+" FROM events WHERE position > ? ORDER BY position LIMIT ?", int64(after), limit)
	return l, translate(err)
}

// EventsOf reads up to limit events with after < position ≤ through of the given topics, in order.
func (s *Store) EventsOf(ctx context.Context, topics []chat.ID, after, through chat.Position, limit int) (l []*chat.Event, err error) {
	// Of many topics not far at once: where much happens in each, all but limit of what they give would be read for nothing.
	for step := chat.Position(8 * limit); len(l) < limit && after < through; step *= 16 {
		to := through
		if len(topics) > 16 && step < through-after {
			to = after + step
		}
		more, err := s.eventsOf(ctx, topics, after, to, limit-len(l))
		if err != nil {
			return nil, err
		}
		l, after = append(l, more...), to
	}
	return l, nil
}

func (s *Store) eventsOf(ctx context.Context, topics []chat.ID, after, through chat.Position, limit int) ([]*chat.Event, error) {
	// The next events of each topic, merged: by one range of the whole log, a viewer of quiet conversations would read what
	// everybody else has said.
	q := "SELECT e.* FROM unnest(?::uuid[]) AS t(id), LATERAL (SELECT " + eventColumns + ` FROM events
		WHERE topic_id = t.id AND position > ? AND position <= ? ORDER BY position LIMIT ?) e ORDER BY e.position LIMIT ?`
	if !s.postgres {
		q = "SELECT " + eventColumns + ` FROM (SELECT unhex(value) AS topic FROM json_each(?)) t CROSS JOIN events WHERE position IN (SELECT x.position FROM events x
			WHERE x.topic_id = t.topic AND x.position > ? AND x.position <= ? ORDER BY x.position LIMIT ?) ORDER BY position LIMIT ?`
	}
	l, err := list(s.db.WithContext(ctx), scanEvent, q, s.set(topics), int64(after), int64(through), limit, limit)
	return l, translate(err)
}

// Trim deletes events that are older than before, oldest first and at most max of them, and says how many.
func (s *Store) Trim(ctx context.Context, before time.Time, max int) (n int64, err error) {
	_, err = s.Write(ctx, chat.ID{}, func(tx *Tx) error {
		// The first event to stay. Positions follow commits and At is set before them, so that At may step back by a
		// transaction's length: irrelevant against a retention of hours.
		keep, err := one(tx.db, func(r rows) (p chat.Position, err error) {
			err = r.Scan(scanPosition(&p))
			return p, err
		}, "SELECT max(position) FROM (SELECT position, at FROM events ORDER BY position LIMIT ?) o WHERE at < ?", max, tx.at(before))
		if err != nil || keep == 0 {
			return err
		}
		if n, err = tx.exec("DELETE FROM events WHERE position <= ?", int64(keep)); err != nil {
			return err
		}
		_, err = tx.exec("UPDATE event_head SET trimmed = ? WHERE trimmed < ?", int64(keep), int64(keep)) // another node may have trimmed further
		return err
	})
	return n, err
}

// Bounds is Head in parts.
func (s *Store) Bounds(ctx context.Context) (chat.Epoch, chat.Position, chat.Position, error) {
	h, err := s.Head(ctx)
	return h.Epoch, h.Position, h.Trimmed, err
}
