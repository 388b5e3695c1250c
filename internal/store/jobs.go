package store

import (
	"context"
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
