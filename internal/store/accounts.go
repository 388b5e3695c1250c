package store

import (
	"context"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Accounts reads those of users.
func (r reader) Accounts(ctx context.Context, users []chat.ID) ([]chat.Account, error) {
	l, err := list(r.db.WithContext(ctx), func(r rows) (a chat.Account, err error) {
		err = r.Scan(scanID(&a.User, chat.KindUser), &a.Email, scanTime(&a.EmailVerifiedAt), &a.UnverifiedEmail)
		return a, err
	}, "SELECT id, coalesce(email, ''), email_verified_at, coalesce(unverified_email, '') FROM users WHERE id"+r.ids, r.set(users))
	return l, translate(err)
}

// Mailbox reads a user and their address, empty if they have none that is verified; chat.ErrNotFound while they are suspended.
func (r reader) Mailbox(ctx context.Context, user chat.ID) (u chat.User, address string, err error) {
	u, err = one(r.db.WithContext(ctx), func(r rows) (u chat.User, err error) {
		err = r.Scan(append(userFields(&u), &address)...)
		return u, err
	}, "SELECT "+userColumns+", coalesce(email, '') FROM users WHERE id = ? AND suspended_at IS NULL", id(user))
	return u, address, translate(err)
}

// FindMailbox reads who has a username, or has verified an address, and that address; chat.ErrNotFound when nobody has, or
// has no address.
func (r reader) FindMailbox(ctx context.Context, login string) (user chat.ID, address string, err error) {
	column := "username"
	if strings.Contains(login, "@") {
		column = "email_key"
	}
	user, err = one(r.db.WithContext(ctx), func(r rows) (u chat.ID, err error) {
		err = r.Scan(scanID(&u, chat.KindUser), &address)
		return u, err
	}, "SELECT id, email FROM users WHERE "+column+" = ? AND email IS NOT NULL", login)
	return user, address, translate(err)
}

const mailTokenColumns = "id, kind, user_id, email, created_at, expires_at" //nolint:gosec // of a table

// MailToken reads one, or chat.ErrNotFound.
func (r reader) MailToken(ctx context.Context, token chat.ID) (chat.MailToken, error) {
	t, err := one(r.db.WithContext(ctx), func(r rows) (t chat.MailToken, err error) {
		err = r.Scan(scanID(&t.ID, chat.KindMailToken), &t.Kind, scanID(&t.User, chat.KindUser), &t.Email, scanTime(&t.CreatedAt), scanTime(&t.ExpiresAt))
		return t, err
	}, "SELECT "+mailTokenColumns+" FROM mail_tokens WHERE id = ?", id(token))
	return t, translate(err)
}

// InsertMailToken stores a new one.
func (tx *Tx) InsertMailToken(t chat.MailToken) error {
	_, err := tx.exec("INSERT INTO mail_tokens ("+mailTokenColumns+") VALUES (?,?,?,?,?,?)",
		id(t.ID), string(t.Kind), id(t.User), t.Email, tx.at(t.CreatedAt), tx.at(t.ExpiresAt))
	return err
}

// UseMailToken deletes one and says whether it was there. Of those who try at once, one is told so.
func (tx *Tx) UseMailToken(token chat.ID) (bool, error) {
	n, err := tx.exec("DELETE FROM mail_tokens WHERE id = ?", id(token))
	return n > 0, err
}

// DeleteMailTokens deletes a user's of some kinds. The user is locked.
func (tx *Tx) DeleteMailTokens(user chat.ID, kinds ...chat.MailTokenKind) error {
	for _, k := range kinds {
		if _, err := tx.exec("DELETE FROM mail_tokens WHERE user_id = ? AND kind = ?", id(user), string(k)); err != nil {
			return err
		}
	}
	return nil
}

// TrimMailTokens deletes up to max that have expired, and says how many.
func (s *Store) TrimMailTokens(ctx context.Context, before time.Time, max int) (int64, error) {
	n, err := exec(s.write.WithContext(ctx), "DELETE FROM mail_tokens WHERE id IN (SELECT id FROM mail_tokens WHERE expires_at < ? LIMIT ?)", s.at(Micros(before)), max)
	return n, translate(err)
}

// SetUnverifiedEmail stores the address that a user says is theirs; empty is none. The user is locked.
func (tx *Tx) SetUnverifiedEmail(user chat.ID, email string) error {
	_, err := tx.exec("UPDATE users SET unverified_email = nullif(?, '') WHERE id = ?", email, id(user))
	return err
}

// SetEmail stores the address that a user has shown to be theirs, and says whether nobody else has. The user is locked.
func (tx *Tx) SetEmail(user chat.ID, email string) (free bool, err error) {
	key := strings.ToLower(email)
	n, err := tx.exec(`UPDATE users SET email = ?, email_key = ?, email_verified_at = ?, unverified_email = NULL
		WHERE id = ? AND NOT EXISTS (SELECT 1 FROM users o WHERE o.email_key = ? AND o.id <> ?)`, email, key, tx.at(tx.Now), id(user), key, id(user))
	return n > 0, err
}

// SeeDevice notes that a user signs in from a device, and says whether they have from others, but never from this one. Of
// all devices the most that were seen last are remembered. The user is locked, or new.
func (tx *Tx) SeeDevice(user chat.ID, hash [16]byte, most int) (strange bool, err error) {
	seen, err := tx.exec("UPDATE devices SET seen_at = ? WHERE user_id = ? AND hash = ?", tx.at(tx.Now), id(user), binary16(hash[:]))
	if err != nil || seen > 0 {
		return false, err
	}
	others, err := one(tx.db, value[int], "SELECT count(*) FROM devices WHERE user_id = ?", id(user))
	if err != nil {
		return false, err
	}
	if others >= most {
		if _, err := tx.exec("DELETE FROM devices WHERE user_id = ? AND hash IN (SELECT hash FROM devices WHERE user_id = ? ORDER BY seen_at DESC LIMIT 1000 OFFSET ?)",
			id(user), id(user), most-1); err != nil {
			return false, err
		}
	}
	_, err = tx.exec("INSERT INTO devices (user_id, hash, seen_at) VALUES (?,?,?)", id(user), binary16(hash[:]), tx.at(tx.Now))
	return others > 0, err
}
