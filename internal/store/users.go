package store

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-chat/parley/internal/chat"
)

const userColumns = "id, username, display_name, bio, avatar_id, created_at, last_seen_at, owner_id"

func userFields(u *chat.User) []any {
	return []any{scanID(&u.ID, chat.KindUser), &u.Username, &u.DisplayName, &u.Bio,
		scanID(&u.Avatar, chat.KindFile), scanTime(&u.CreatedAt), scanTime(&u.LastSeenAt), scanID(&u.Owner, chat.KindUser)}
}

func scanUser(r rows) (u chat.User, err error) {
	err = r.Scan(userFields(&u)...)
	return u, err
}

// Users reads users by id.
func (r reader) Users(ctx context.Context, ids []chat.ID) ([]chat.User, error) {
	l, err := list(r.db.WithContext(ctx), scanUser, "SELECT "+userColumns+" FROM users WHERE id"+r.ids, r.set(ids))
	return l, translate(err)
}

// SearchUsers reads a page of the users whose username or display name begins with prefix, by username. Letter case does
// not matter.
func (r reader) SearchUsers(ctx context.Context, prefix string, p chat.Page) (l chat.List[chat.User], err error) {
	// Two range scans: together in one WHERE, or ordered by what has an index, either database would rather walk through all
	// users in order.
	byName, nameArgs := "username >= ?", []any{strings.ToLower(prefix)}
	if to := afterPrefix(strings.ToLower(prefix)); to != "" {
		byName, nameArgs = byName+" AND username < ?", append(nameArgs, to)
	}
	byDisplay, displayArgs := strings.ReplaceAll(byName, "username", "display_key"), slices.Clone(nameArgs)
	for _, bound := range []struct{ place, argument, op string }{{p.After, "after", ">"}, {p.Before, "before", "<"}} {
		if bound.place == "" {
			continue
		}
		name, err := base64.RawURLEncoding.Strict().DecodeString(bound.place)
		if err != nil || !utf8.Valid(name) || strings.ContainsRune(string(name), 0) {
			return l, chat.BadInput("not a place in this list", bound.argument)
		}
		byName, nameArgs = byName+" AND username "+bound.op+" ?", append(nameArgs, string(name))
		byDisplay, displayArgs = byDisplay+" AND username || '' "+bound.op+" ?", append(displayArgs, string(name))
	}
	direction := ""
	if p.Backward {
		direction = " DESC"
	}
	tail := " ORDER BY username" + direction + " LIMIT ?"
	args := slices.Concat(nameArgs, []any{p.Limit + 1}, displayArgs, []any{p.Limit + 1, p.Limit + 1})
	found, err := list(r.db.WithContext(ctx), scanUser,
		"SELECT * FROM (SELECT "+userColumns+" FROM users WHERE "+byName+tail+") a UNION "+
			"SELECT * FROM (SELECT "+userColumns+" FROM users WHERE "+byDisplay+" ORDER BY username || ''"+direction+" LIMIT ?) b"+tail, args...)
	return chat.NewList(p, found, func(u chat.User) string {
		return base64.RawURLEncoding.EncodeToString([]byte(u.Username))
	}), translate(err)
}

// afterPrefix is the least text that sorts after every text with this prefix: both databases compare these columns byte
// by byte, and UTF-8 sorts as its code points do. It is empty when there is none.
func afterPrefix(prefix string) string {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		if r == 0xD7FF { // surrogates, which no text has, follow
			return prefix + "\uE000"
		}
		if r < utf8.MaxRune {
			return prefix + string(r+1)
		}
	}
	return ""
}

// Credentials is what a sign-in is checked against.
type Credentials struct {
	User         chat.ID
	PasswordHash string
}

func scanCredentials(r rows) (c Credentials, err error) {
	err = r.Scan(scanID(&c.User, chat.KindUser), &c.PasswordHash)
	return c, err
}

// Credentials reads those of a username, or chat.ErrNotFound.
func (r reader) Credentials(ctx context.Context, username string) (Credentials, error) {
	c, err := one(r.db.WithContext(ctx), scanCredentials, "SELECT id, password_hash FROM users WHERE username = ?", username)
	return c, translate(err)
}

// CredentialsOf reads those of a user, or chat.ErrNotFound.
func (r reader) CredentialsOf(ctx context.Context, user chat.ID) (Credentials, error) {
	c, err := one(r.db.WithContext(ctx), scanCredentials, "SELECT id, password_hash FROM users WHERE id = ?", id(user))
	return c, translate(err)
}

// LockUser locks a user's row and reads it with the password's hash, or chat.ErrNotFound.
func (tx *Tx) LockUser(user chat.ID) (u chat.User, passwordHash string, err error) {
	u, err = one(tx.db, func(r rows) (u chat.User, err error) {
		err = r.Scan(append(userFields(&u), &passwordHash)...)
		return u, err
	}, "SELECT "+userColumns+", password_hash FROM users WHERE id = ?"+tx.lock, id(user))
	return u, passwordHash, err
}

// InsertUser stores a new user and says whether the username was free. Whoever comes second waits for the first.
func (tx *Tx) InsertUser(u chat.User, passwordHash string) (bool, error) {
	n, err := tx.exec(`INSERT INTO users (id, username, display_name, display_key, bio, password_hash, created_at, owner_id) VALUES (?,?,?,?,?,?,?,?)
		ON CONFLICT (username) DO NOTHING`,
		id(u.ID), u.Username, u.DisplayName, strings.ToLower(u.DisplayName), u.Bio, passwordHash, tx.at(u.CreatedAt), id(u.Owner))
	return n > 0, err
}

// UpdateProfile stores what a user shows of themselves.
func (tx *Tx) UpdateProfile(u chat.User) error {
	_, err := tx.exec("UPDATE users SET display_name = ?, display_key = ?, bio = ?, avatar_id = ? WHERE id = ?",
		u.DisplayName, strings.ToLower(u.DisplayName), u.Bio, id(u.Avatar), id(u.ID))
	return err
}

// SetPasswordHash stores a new one.
func (tx *Tx) SetPasswordHash(user chat.ID, hash string) error {
	_, err := tx.exec("UPDATE users SET password_hash = ? WHERE id = ?", hash, id(user))
	return err
}

// Suspend locks a user and notes since when they may not sign in.
func (tx *Tx) Suspend(user chat.ID) error {
	_, err := tx.exec("UPDATE users SET suspended_at = coalesce(suspended_at, ?) WHERE id = ?", tx.at(tx.Now), id(user))
	return err
}

// Restore undoes Suspend.
func (tx *Tx) Restore(user chat.ID) error {
	_, err := tx.exec("UPDATE users SET suspended_at = NULL WHERE id = ?", id(user))
	return err
}

// SetAdmin says whether a user is an administrator.
func (tx *Tx) SetAdmin(user chat.ID, admin bool) error {
	_, err := tx.exec("UPDATE users SET admin = ? WHERE id = ?", admin, id(user))
	return err
}

// IsAdmin says whether a user is an administrator. Who does not exist is none.
func (r reader) IsAdmin(ctx context.Context, user chat.ID) (bool, error) {
	l, err := list(r.db.WithContext(ctx), value[bool], "SELECT admin FROM users WHERE id = ?", id(user))
	return len(l) > 0 && l[0], translate(err)
}

// SetLastSeen notes when users were last connected; an earlier time than the known one changes nothing. It is no event.
func (s *Store) SetLastSeen(ctx context.Context, users []chat.ID, at time.Time) error {
	t := s.at(Micros(at))
	_, err := exec(s.write.WithContext(ctx), "UPDATE users SET last_seen_at = ? WHERE id IN (SELECT id FROM users WHERE id"+s.ids+
		"AND (last_seen_at IS NULL OR last_seen_at < ?) ORDER BY id"+s.lock+")", t, s.set(users), t)
	return translate(err)
}
