package worker

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
)

// MaintenanceConfig says what is kept, and how often it is looked after.
type MaintenanceConfig struct {
	Retention time.Duration // of the log
	AccessTTL time.Duration // of access tokens
	// CheckEvery is how often the log and every counter are checked; 0 is never.
	CheckEvery time.Duration
	// BackupEvery is how often SQLite's database is copied into BackupDir, in which the newest BackupKeep copies stay;
	// 0 is never.
	BackupEvery time.Duration
	BackupDir   string
	BackupKeep  int
}

const (
	trimEvery = time.Minute
	trimMax   = 10000 // rows in one transaction

	longest = time.Hour // of a check or a backup
)

type trimArgs struct{}

func (trimArgs) Kind() string            { return "trim" }
func (trimArgs) InsertOpts() job.Options { return job.Options{Queue: job.Maintenance} }

type checkArgs struct{}

func (checkArgs) Kind() string            { return "check" }
func (checkArgs) InsertOpts() job.Options { return job.Options{Queue: job.Maintenance} }

type backupArgs struct{}

func (backupArgs) Kind() string            { return "backup" }
func (backupArgs) InsertOpts() job.Options { return job.Options{Queue: job.Maintenance} }

// Maintain has the database looked after, and returns what shows it. What is past its time is deleted every minute.
func (w *Worker) Maintain(c MaintenanceConfig) []prometheus.Collector {
	m := &maintenance{MaintenanceConfig: c, store: w.store, log: w.Log, catchUp: w.catchUp,
		violated: prometheus.NewGauge(prometheus.GaugeOpts{Name: "parley_check_failed", Help: "1 while the last check on this node has found the log or a counter to be wrong."})}
	Handle(w, 0, func(ctx context.Context, _ *job.Job[trimArgs]) error { return m.trim(ctx) })
	w.Every(trimEvery, trimArgs{})
	Handle(w, longest, func(ctx context.Context, _ *job.Job[checkArgs]) error { return m.check(ctx) })
	if c.CheckEvery > 0 {
		w.Every(c.CheckEvery, checkArgs{})
	}
	Handle(w, longest, func(ctx context.Context, j *job.Job[backupArgs]) error { return m.backup(ctx, j.CreatedAt) })
	if c.BackupEvery > 0 && w.store.File() != "" {
		w.Every(c.BackupEvery, backupArgs{})
	}
	return []prometheus.Collector{m.violated}
}

type maintenance struct {
	MaintenanceConfig
	store    *store.Store
	log      *slog.Logger
	catchUp  func(context.Context) error
	violated prometheus.Gauge
}

// trim deletes what is past its time: events after the retention, and the sessions that ended before it (what the log still
// tells of, and tokens that may still be about, need theirs), limits for which nothing counts any more, and the
// tokens of mails.
func (m *maintenance) trim(ctx context.Context) error {
	if err := m.catchUp(ctx); err != nil { // what is deleted tells nothing any more
		return err
	}
	now := time.Now()
	for _, piece := range []func() (int64, error){
		func() (int64, error) { return m.store.Trim(ctx, now.Add(-m.Retention), trimMax) },
		func() (int64, error) {
			return m.store.TrimSessions(ctx, now.Add(-max(m.Retention, m.AccessTTL+trimEvery)), trimMax)
		},
		func() (int64, error) { return m.store.TrimLimits(ctx, trimMax) },
		func() (int64, error) { return m.store.TrimMailTokens(ctx, now, trimMax) },
	} {
		for n := int64(trimMax); n >= trimMax; { // a piece at a time, so that nobody waits long for the lock
			var err error
			if n, err = piece(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maintenance) check(ctx context.Context) error {
	err := m.store.Check(ctx)
	var wrong *store.Violation
	switch {
	case errors.As(err, &wrong): // and stays so, however often it is tried
		m.violated.Set(1)
		m.log.ErrorContext(ctx, "what must always hold does not: keep the database as it is, and report this", "violation", err.Error())
		return river.JobCancel(err)
	case err == nil:
		m.violated.Set(0)
	}
	return err
}

const (
	backupPrefix = "parley-"
	backupTime   = "20060102T150405Z" // UTC
	backupSuffix = ".db"
)

// backup copies the database into a file whose name sorts by time. A copy that is not complete has another name.
func (m *maintenance) backup(ctx context.Context, at time.Time) error {
	if err := os.MkdirAll(m.BackupDir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(m.BackupDir, backupPrefix+at.UTC().Format(backupTime)+backupSuffix)
	partial := name + ".partial"
	if err := os.RemoveAll(partial); err != nil { // of an attempt that was killed
		return err
	}
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // nobody else's to read
	if err != nil {
		return err
	}
	defer f.Close()
	if err := m.store.Backup(ctx, partial); err != nil {
		_ = os.Remove(partial)
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(partial, name); err != nil {
		return err
	}
	m.log.InfoContext(ctx, "the database was backed up", "file", name)
	return m.prune()
}

// prune deletes all copies but the newest.
func (m *maintenance) prune() error {
	copies, err := backups(m.BackupDir)
	if err != nil {
		return err
	}
	for len(copies) > m.BackupKeep {
		if err := os.Remove(filepath.Join(m.BackupDir, copies[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		copies = copies[1:]
	}
	return nil
}

// backups are the names of the copies in a folder, the oldest first.
func backups(dir string) (copies []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), backupPrefix) && strings.HasSuffix(e.Name(), backupSuffix) {
			copies = append(copies, e.Name())
		}
	}
	slices.Sort(copies)
	return copies, err
}

// NewestBackup is when the newest copy in a folder was asked for; zero if there is none.
func NewestBackup(dir string) (time.Time, error) {
	copies, err := backups(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(copies) == 0 {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	return time.Parse(backupPrefix+backupTime+backupSuffix, copies[len(copies)-1])
}
