package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// JobStat is how many jobs of a queue are in a state of River's, and since when the oldest of them could have run.
type JobStat struct {
	Queue, State string
	Count        int
	Oldest       time.Duration
}

// JobStats counts the jobs that are not done.
func (s *Store) JobStats(ctx context.Context) ([]JobStat, error) {
	since := "extract(epoch FROM now() - min(scheduled_at))::float8"
	if !s.postgres {
		since = "(julianday('now') - julianday(min(scheduled_at))) * 86400.0"
	}
	l, err := list(s.db.WithContext(ctx), func(r rows) (j JobStat, err error) {
		var seconds float64
		err = r.Scan(&j.Queue, &j.State, &j.Count, &seconds)
		j.Oldest = time.Duration(seconds * float64(time.Second))
		return j, err
	}, "SELECT queue, state, count(*), "+since+` FROM river_job
		WHERE state IN ('available', 'scheduled', 'running', 'retryable', 'discarded') GROUP BY queue, state`)
	return l, translate(err)
}

// KeepJobs says that jobs which were begun are still being worked on.
func (s *Store) KeepJobs(ctx context.Context, ids []int64) error {
	set, _ := json.Marshal(ids) // numbers cannot fail
	q := "UPDATE river_job SET attempted_at = now() WHERE id = ANY(translate(?, '[]', '{}')::bigint[]) AND state = 'running'"
	if !s.postgres {
		q = "UPDATE river_job SET attempted_at = datetime('now', 'subsec') WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running'"
	}
	_, err := exec(s.write.WithContext(ctx), q, string(set))
	return translate(err)
}

// RescuedJob is one that nobody works on any more.
type RescuedJob struct {
	ID          int64
	Kind, Queue string
	Attempt     int
	State       string // River's: available again, discarded after the last attempt, or cancelled, as somebody had asked
}

// RescueJobs takes back up to max jobs that were begun and have not been kept for a while. what is noted as their error.
func (s *Store) RescueJobs(ctx context.Context, unkept time.Duration, max int, what string) ([]RescuedJob, error) {
	const ends = "metadata -> 'cancel_attempted_at' IS NOT NULL OR attempt >= max_attempts"
	const to = "CASE WHEN metadata -> 'cancel_attempted_at' IS NOT NULL THEN 'cancelled' WHEN attempt >= max_attempts THEN 'discarded' ELSE 'available' END"
	const stale, given = "SELECT id FROM river_job WHERE state = 'running' AND attempted_at < ", " RETURNING id, kind, queue, attempt, state"
	q := "UPDATE river_job SET state = (" + to + ")::river_job_state, finalized_at = CASE WHEN " + ends + ` THEN now() END,
		errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'error', ?::text, 'trace', ''))
		WHERE id = ANY(ARRAY(` + stale + "now() - make_interval(secs => ?) LIMIT ? FOR UPDATE SKIP LOCKED))" + given
	if !s.postgres {
		q = "UPDATE river_job SET state = " + to + ", finalized_at = CASE WHEN " + ends + ` THEN datetime('now', 'subsec') END,
			errors = jsonb(json_insert(json(coalesce(errors, jsonb('[]'))), '$[#]',
				json_object('at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'attempt', attempt, 'error', ?, 'trace', '')))
			WHERE id IN (` + stale + "datetime('now', 'subsec', -? || ' seconds') LIMIT ?)" + given
	}
	l, err := list(querier{gorm: s.write.WithContext(ctx)}, func(r rows) (j RescuedJob, err error) {
		return j, r.Scan(&j.ID, &j.Kind, &j.Queue, &j.Attempt, &j.State)
	}, q, what, unkept.Seconds(), max)
	return l, translate(err)
}

// File is the path of the SQLite database; empty for PostgreSQL.
func (s *Store) File() string { return s.file }

// Backup writes a copy of the SQLite database as it is at this moment to a file that is empty or does not exist yet. Everything goes on
// meanwhile.
func (s *Store) Backup(ctx context.Context, file string) error {
	if s.postgres {
		return errors.New("PostgreSQL is backed up by its own tools")
	}
	_, err := exec(s.db.gorm.WithContext(ctx), "VACUUM INTO ?", file)
	return translate(err)
}
