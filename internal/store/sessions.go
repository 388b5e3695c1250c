package store

import (
	"context"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

const sessionColumns = "id, user_id, created_at, last_used_at, expires_at, user_agent, address"

func scanSession(r rows) (s chat.Session, err error) {
	err = r.Scan(scanID(&s.ID, chat.KindSession), scanID(&s.User, chat.KindUser), scanTime(&s.CreatedAt), scanTime(&s.LastUsedAt), scanTime(&s.ExpiresAt), &s.UserAgent, &s.Address)
	return s, err
}

// Sessions reads sessions by id, ended ones too.
func (r reader) Sessions(ctx context.Context, ids []chat.ID) ([]chat.Session, error) {
	l, err := list(r.db.WithContext(ctx), scanSession, "SELECT "+sessionColumns+" FROM sessions WHERE id"+r.ids, r.set(ids))
	return l, translate(err)
}

// SessionPage reads a page of the sessions of a user that are live at a time, the newest first. API keys are none.
func (r reader) SessionPage(ctx context.Context, user chat.ID, at time.Time, p chat.Page) (l chat.List[chat.Session], err error) {
	q, args, err := r.page(keyset{id: "id", desc: true}, p,
		"SELECT "+sessionColumns+" FROM sessions WHERE user_id = ? AND ended_at IS NULL AND expires_at > ? AND key_id IS NULL", id(user), r.at(Micros(at)))
	if err != nil {
		return l, err
	}
	found, err := list(r.db.WithContext(ctx), scanSession, q, args...)
	return chat.NewList(p, found, func(s chat.Session) string { return place{id: s.ID}.String() }), translate(err)
}

// Holder says whose a session is that is live at a time and whose newest refresh token is of a generation.
func (r reader) Holder(ctx context.Context, session chat.ID, generation int64, at time.Time) (user chat.ID, err error) {
	user, err = one(r.db.WithContext(ctx), func(r rows) (u chat.ID, err error) { err = r.Scan(scanID(&u, chat.KindUser)); return u, err },
		"SELECT user_id FROM sessions WHERE id = ? AND generation = ? AND ended_at IS NULL AND expires_at > ?", id(session), generation, r.at(Micros(at)))
	return user, translate(err)
}

// EndedSession is a session and when it was ended.
type EndedSession struct {
	ID chat.ID
	At time.Time
}

// SessionsEndedSince reads the sessions that were ended at or after a time. (Those that expired were not ended.)
func (r reader) SessionsEndedSince(ctx context.Context, since time.Time) ([]EndedSession, error) {
	l, err := list(r.db.WithContext(ctx), func(r rows) (s EndedSession, err error) {
		err = r.Scan(scanID(&s.ID, chat.KindSession), scanTime(&s.At))
		return s, err
	}, "SELECT id, ended_at FROM sessions WHERE ended_at IS NOT NULL AND ended_at >= ? ORDER BY ended_at", r.at(Micros(since)))
	return l, translate(err)
}

// InsertSession stores a new session, whose refresh token is of generation 1. The user is locked, and must not be
// suspended: FORBIDDEN.
func (tx *Tx) InsertSession(s chat.Session) error {
	n, err := tx.exec("INSERT INTO sessions ("+sessionColumns+") SELECT ?,?,?,?,?,?,? WHERE EXISTS (SELECT 1 FROM users WHERE id = ? AND suspended_at IS NULL)",
		id(s.ID), id(s.User), tx.at(s.CreatedAt), tx.at(s.LastUsedAt), tx.at(s.ExpiresAt), s.UserAgent, s.Address, id(s.User))
	if err == nil && n == 0 {
		err = chat.Forbidden("this account is suspended")
	}
	return err
}

// RotateSession takes a live session from a generation to the next, or returns chat.ErrNotFound when that is not its
// newest. Of two that try at once, one succeeds.
func (tx *Tx) RotateSession(session chat.ID, generation int64, expires time.Time) (chat.Session, error) {
	return one(tx.db, scanSession, `UPDATE sessions SET generation = generation + 1, last_used_at = ?, expires_at = ?
		WHERE id = ? AND generation = ? AND ended_at IS NULL AND expires_at > ? RETURNING `+sessionColumns,
		tx.at(tx.Now), tx.at(expires), id(session), generation, tx.at(tx.Now))
}

// IsLive says whether a session of a user is neither ended nor expired.
func (tx *Tx) IsLive(user, session chat.ID) (bool, error) {
	n, err := one(tx.db, value[int], "SELECT count(*) FROM sessions WHERE id = ? AND user_id = ? AND ended_at IS NULL AND expires_at > ?", id(session), id(user), tx.at(tx.Now))
	return n > 0, err
}

// EndSession ends a live session of a user. It returns what it has ended: one or none.
func (tx *Tx) EndSession(user, session chat.ID) ([]chat.Session, error) {
	return tx.endSessions("user_id = ? AND id = ?", id(user), id(session))
}

// EndReusedSession ends a live session whose newest generation is later than the given one.
func (tx *Tx) EndReusedSession(session chat.ID, generation int64) ([]chat.Session, error) {
	return tx.endSessions("id = ? AND generation > ?", id(session), generation)
}

// EndOtherSessions ends every live session of a user but one. The user is locked.
func (tx *Tx) EndOtherSessions(user, keep chat.ID) ([]chat.Session, error) {
	return tx.endSessions("user_id = ? AND id <> ?", id(user), id(keep))
}

// EndSessions ends every live session of a user and of their bots. The user is locked.
func (tx *Tx) EndSessions(user chat.ID) ([]chat.Session, error) {
	return tx.endSessions("user_id IN (SELECT id FROM users WHERE id = ? UNION ALL SELECT id FROM users WHERE owner_id = ?)", id(user), id(user))
}

// EndSurplusSessions ends all live sessions of a user except for the keep that were used last. The user is locked.
func (tx *Tx) EndSurplusSessions(user chat.ID, keep int) ([]chat.Session, error) {
	return tx.endSessions(`id IN (SELECT id FROM sessions WHERE user_id = ? AND ended_at IS NULL AND expires_at > ?
		ORDER BY last_used_at DESC, id DESC LIMIT 1000000 OFFSET ?)`, id(user), tx.at(tx.Now), keep)
}

func (tx *Tx) endSessions(which string, args ...any) ([]chat.Session, error) {
	now := tx.at(tx.Now)
	l, err := list(tx.db, scanSession, "UPDATE sessions SET ended_at = ? WHERE ended_at IS NULL AND expires_at > ? AND "+which+" RETURNING "+sessionColumns,
		append([]any{now, now}, args...)...)
	slices.SortFunc(l, func(a, b chat.Session) int { return slices.Compare(a.ID.UUID[:], b.ID.UUID[:]) })
	return l, err
}

// TrimSessions deletes up to max sessions that were ended or have expired before a time, and says how many.
func (s *Store) TrimSessions(ctx context.Context, before time.Time, max int) (int64, error) {
	t := s.at(Micros(before))
	n, err := exec(s.write.WithContext(ctx), `DELETE FROM sessions WHERE id IN (SELECT id FROM (SELECT id FROM sessions WHERE ended_at < ? LIMIT ?) a
		UNION SELECT id FROM (SELECT id FROM sessions WHERE expires_at < ? LIMIT ?) b LIMIT ?)`, t, max, t, max, max)
	return n, translate(err)
}
