package store

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/parley-chat/parley/internal/chat"
)

// commitSQLite takes the items one after another: in one process and on one connection a statement costs microseconds, and
// BEGIN IMMEDIATE stands for the locks.
func (s *Store) commitSQLite(ctx context.Context, b *Batch) error {
	return s.write.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		tx := &Tx{reader: s.within(g), Now: b.At}
		head, err := one(tx.db, value[chat.Position], "SELECT position FROM event_head")
		if err != nil {
			return err
		}
		appended := head
		for _, x := range b.Sends {
			if err := tx.send(x, &appended); err != nil {
				return err
			}
		}
		for _, x := range b.Reads {
			if err := tx.read(x, &appended); err != nil {
				return err
			}
		}
		if appended == head {
			return nil
		}
		for _, e := range b.events() {
			q, args := tx.insertEvents([]*chat.Event{e})
			if _, err := tx.exec(q, args...); err != nil {
				return err
			}
		}
		_, err = tx.exec("UPDATE event_head SET position = ?", int64(appended))
		return err
	})
}

func (tx *Tx) send(x *Send, appended *chat.Position) error {
	x.Err, x.Stored = nil, false
	user, err := one(tx.db, func(r rows) (u chat.User, err error) {
		err = r.Scan(&u.Username, &u.DisplayName, &u.Bio, scanID(&u.Avatar, chat.KindFile), scanTime(&u.CreatedAt), scanID(&u.Owner, chat.KindUser))
		return u, err
	}, "SELECT username, display_name, bio, avatar_id, created_at, owner_id FROM users WHERE id = ?", id(x.Sender))
	if err != nil {
		return err
	}
	user.ID = x.Sender
	x.User = user
	old, err := one(tx.db, scanMessage, "SELECT "+messageColumns+" FROM messages m WHERE m.sender_id = ? AND m.client_key = ?", id(x.Sender), x.Key)
	switch {
	case err == nil && (old.Conversation != x.Conversation || old.Body != x.Body):
		x.Err = errKeyTaken
		return nil
	case err == nil:
		x.Message = old
		return nil
	case !errors.Is(err, chat.ErrNotFound):
		return err
	}
	type room struct {
		seq    int64
		silent bool
	}
	c, err := one(tx.db, func(r rows) (c room, err error) {
		err = r.Scan(&c.seq, &c.silent)
		return c, err
	}, `SELECT c.last_seq, c.silent FROM conversations c JOIN memberships m ON m.conversation_id = c.id AND m.user_id = ? AND m.left_position IS NULL
		WHERE c.id = ?`, id(x.Sender), id(x.Conversation))
	if errors.Is(err, chat.ErrNotFound) {
		x.Err = chat.ErrNotFound
		return nil
	} else if err != nil {
		return err
	}
	if c.silent {
		x.Err = errSilent
		return nil
	}
	seq, p, at := c.seq+1, *appended+1, tx.at(tx.Now)
	if _, err := tx.exec(`INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at) VALUES (?,?,?,?,?,?,?,?)`,
		id(x.ID), id(x.Conversation), seq, int64(p), id(x.Sender), x.Key, x.Body, at); err != nil {
		return err
	}
	if _, err := tx.exec("UPDATE conversations SET last_seq = ?, last_message_id = ?, updated_at = ? WHERE id = ?", seq, id(x.ID), at, id(x.Conversation)); err != nil {
		return err
	}
	if _, err := tx.exec("UPDATE memberships SET read_seq = ?, read_at = ? WHERE conversation_id = ? AND user_id = ? AND left_position IS NULL",
		seq, at, id(x.Conversation), id(x.Sender)); err != nil {
		return err
	}
	x.answer(x.ID, seq, p, tx.Now)
	x.Stored, *appended = true, p
	return nil
}

func (tx *Tx) read(x *Read, appended *chat.Position) error {
	type mark struct {
		last, old int64
		at        time.Time
	}
	m, err := one(tx.db, func(r rows) (m mark, err error) {
		err = r.Scan(&m.last, &m.old, scanTime(&m.at))
		return m, err
	}, `SELECT c.last_seq, m.read_seq, m.read_at FROM conversations c JOIN memberships m ON m.conversation_id = c.id AND m.user_id = ? AND m.left_position IS NULL
		WHERE c.id = ?`, id(x.User), id(x.Conversation))
	if err != nil && !errors.Is(err, chat.ErrNotFound) {
		return err
	}
	member := err == nil
	var position *int64
	if member && x.Seq > m.old && x.Seq <= m.last {
		if _, err := tx.exec("UPDATE memberships SET read_seq = ?, read_at = ? WHERE conversation_id = ? AND user_id = ? AND left_position IS NULL",
			x.Seq, tx.at(tx.Now), id(x.Conversation), id(x.User)); err != nil {
			return err
		}
		*appended++
		p := int64(*appended)
		position = &p
	}
	x.answer(tx.Now, member, m.last, m.old, &m.at, position)
	return nil
}
