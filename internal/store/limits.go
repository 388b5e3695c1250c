package store

import (
	"context"
	"errors"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// TakeLimit counts once for a key of which n are allowed within per, all at once or spread; or it says how long it is until
// the next one may be counted, and counts nothing. Of those who try at once, on whichever nodes, no more than n succeed.
//
// It is a transaction of its own, so that nothing which happens later takes the count back, and goes by the database's
// clock: those of the nodes may differ. The row is the generic cell rate algorithm's: n steps of per/n fit between now and
// full_at.
func (s *Store) TakeLimit(ctx context.Context, key [16]byte, n int, per time.Duration) (wait time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	// What has begun is carried through, as Write does it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
	defer cancel()
	db := s.db
	if !s.postgres {
		db = querier{gorm: s.write}
	}
	db = db.WithContext(ctx)
	step := per.Microseconds() / int64(n)
	room := step * int64(n-1)
	// No count is so far ahead, also of one that has begun a little later elsewhere: the clock was wrong, and would refuse the
	// key for as long as it was ahead.
	never := 2 * per.Microseconds()
	_, err = one(db, value[int], "INSERT INTO limits AS l (key, full_at) VALUES (?, "+s.clock+" + ?) ON CONFLICT (key) DO UPDATE SET full_at = CASE WHEN l.full_at > "+
		s.clock+" AND l.full_at <= "+s.clock+" + ? THEN l.full_at ELSE "+s.clock+" END + ? WHERE l.full_at <= "+s.clock+" + ? OR l.full_at > "+s.clock+" + ? RETURNING 1",
		binary16(key[:]), step, never, step, room, never)
	if !errors.Is(err, chat.ErrNotFound) {
		return 0, translate(err)
	}
	until, err := one(db, value[int64], "SELECT full_at - "+s.clock+" FROM limits WHERE key = ?", binary16(key[:]))
	if err != nil && !errors.Is(err, chat.ErrNotFound) { // trimmed meanwhile
		return 0, translate(err)
	}
	return time.Duration(max(1, until-room)) * time.Microsecond, nil
}

// TrimLimits deletes up to about max keys for which nothing counts any more, and says how many.
func (s *Store) TrimLimits(ctx context.Context, max int) (int64, error) {
	// By a range, which PostgreSQL looks at again when it had to wait for a row: somebody may have counted in it. And in one
	// order, so that two nodes cannot deadlock.
	n, err := exec(s.write.WithContext(ctx), "DELETE FROM limits WHERE full_at <= (SELECT max(full_at) FROM (SELECT full_at FROM limits WHERE full_at < "+
		s.clock+" ORDER BY full_at LIMIT ?) o)", max)
	return n, translate(err)
}
