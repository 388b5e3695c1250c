package store

import (
	"context"
	"errors"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Made is how much was made in a stretch of time.
type Made struct{ Users, Bots, Conversations, Messages int }

// Made counts it by ids, which sort by time. What was deleted for good meanwhile is not counted.
func (r reader) Made(ctx context.Context, from, until time.Time) (Made, error) {
	first, end := id(idsUntil(from)), id(idsUntil(until))
	m, err := one(r.db.WithContext(ctx), func(r rows) (m Made, err error) {
		return m, r.Scan(&m.Users, &m.Bots, &m.Conversations, &m.Messages)
	}, `SELECT (SELECT count(*) FROM users WHERE id >= ? AND id < ? AND owner_id IS NULL),
		(SELECT count(*) FROM users WHERE id >= ? AND id < ? AND owner_id IS NOT NULL),
		(SELECT count(*) FROM conversations WHERE id >= ? AND id < ?), (SELECT count(*) FROM messages WHERE id >= ? AND id < ?)`,
		first, end, first, end, first, end, first, end)
	return m, translate(err)
}

// Health is how an installation is doing, as far as the database knows.
type Health struct {
	Users          int // people, not bots
	Active         int // of them, those who sent something, or used a session then or since
	DeadDeliveries int // to webhooks, given up then
	Jobs           []JobTrouble
	Check          CheckResult
	Size           int64 // of the database, in bytes
}

// JobTrouble is what went wrong with the jobs of a kind.
type JobTrouble struct {
	Kind    string
	GivenUp int // then
	Waiting int // now, for another attempt after one that failed
	Error   string
}

// CheckResult is how the last check ended: zero if none is known.
type CheckResult struct {
	At     time.Time
	Passed bool
	Error  string
}

// Health looks at whole tables: it is for once a day.
func (s *Store) Health(ctx context.Context, from, until time.Time) (h Health, err error) {
	err = s.whole(ctx, func(db querier) error {
		q := healthQueries[s.postgres]
		first, end := s.at(Micros(from)), s.at(Micros(until))
		count := func(to *int, sql string, args ...any) {
			if err == nil {
				*to, err = one(db, value[int], sql, args...)
			}
		}
		count(&h.Users, "SELECT count(*) FROM users WHERE owner_id IS NULL")
		count(&h.Active, `SELECT count(*) FROM (SELECT user_id FROM sessions WHERE last_used_at >= ?
			UNION SELECT sender_id FROM messages WHERE id >= ? AND id < ?) a JOIN users u ON u.id = a.user_id WHERE u.owner_id IS NULL`,
			first, id(idsUntil(from)), id(idsUntil(until)))
		count(&h.DeadDeliveries, "SELECT count(*) FROM webhook_deliveries WHERE status = 'DEAD' AND attempted_at >= ? AND attempted_at < ?", first, end)
		if err != nil {
			return err
		}
		if h.Jobs, err = list(db, func(r rows) (j JobTrouble, err error) {
			return j, r.Scan(&j.Kind, &j.GivenUp, &j.Waiting, &j.Error)
		}, q.jobs, from.Unix(), until.Unix()); err != nil {
			return err
		}
		h.Check, err = one(db, func(r rows) (c CheckResult, err error) {
			var at int64
			err = r.Scan(&at, &c.Passed, &c.Error)
			c.At = time.Unix(at, 0).UTC()
			return c, err
		}, q.check)
		if err != nil && !errors.Is(err, chat.ErrNotFound) {
			return err
		}
		h.Size, err = one(db, value[int64], q.size)
		return err
	})
	return h, translate(err)
}

// healthQueries are those that differ, by whether it is PostgreSQL. The times of jobs are River's, in whole seconds here.
var healthQueries = map[bool]struct{ jobs, check, size string }{
	true:  {troubles(jobEndPostgres, jobErrorPostgres), lastCheck(jobEndPostgres, jobErrorPostgres), "SELECT pg_database_size(current_database())"},
	false: {troubles(jobEndSQLite, jobErrorSQLite), lastCheck(jobEndSQLite, jobErrorSQLite), "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"},
}

const (
	jobEndPostgres   = "CAST(floor(extract(epoch FROM finalized_at)) AS bigint)"
	jobEndSQLite     = "unixepoch(finalized_at)"
	jobErrorPostgres = "coalesce(errors[array_upper(errors, 1)] ->> 'error', '')"
	jobErrorSQLite   = "coalesce(json_extract(errors, '$[#-1].error'), '')"
)

// troubles are kinds of jobs, those first of which the most were given up, each with the newest job's last error. Jobs that
// somebody cancelled before they had failed are none.
func troubles(finalized, failure string) string {
	return `SELECT kind, given_up, waiting, error FROM (SELECT kind, error, row_number() OVER (PARTITION BY kind ORDER BY id DESC) AS newest,
			sum(CASE WHEN state = 'retryable' THEN 0 ELSE 1 END) OVER (PARTITION BY kind) AS given_up,
			sum(CASE WHEN state = 'retryable' THEN 1 ELSE 0 END) OVER (PARTITION BY kind) AS waiting
		FROM (SELECT id, kind, state, ` + failure + ` AS error FROM river_job
			WHERE state = 'retryable' OR state IN ('discarded', 'cancelled') AND ` + finalized + ` >= ? AND ` + finalized + ` < ?) j WHERE error <> '') k
		WHERE newest = 1 ORDER BY given_up DESC, waiting DESC, kind`
}

func lastCheck(finalized, failure string) string {
	return "SELECT " + finalized + ", state = 'completed', CASE WHEN state = 'completed' THEN '' ELSE " + failure + ` END FROM river_job
		WHERE kind = 'check' AND state IN ('completed', 'cancelled', 'discarded') ORDER BY id DESC LIMIT 1`
}

// Administrators reads up to max administrators who have a verified address and are not suspended.
func (s *Store) Administrators(ctx context.Context, max int) (ids []chat.ID, err error) {
	err = s.whole(ctx, func(db querier) error {
		ids, err = list(db, func(r rows) (u chat.ID, err error) {
			return u, r.Scan(scanID(&u, chat.KindUser))
		}, "SELECT id FROM users WHERE admin AND email IS NOT NULL AND suspended_at IS NULL ORDER BY id LIMIT ?", max)
		return err
	})
	return ids, translate(err)
}
