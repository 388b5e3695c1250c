package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/worker"
)

// metric is the value of a gauge with these labels.
func metric(tb testing.TB, r *prometheus.Registry, name string, labels ...string) float64 {
	tb.Helper()
	families, err := r.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				if !hasLabel(m, want) {
					continue next
				}
			}
			return m.GetGauge().GetValue()
		}
	}
	tb.Fatalf("there is no %s %v", name, labels)
	return 0
}

func hasLabel(m *dto.Metric, want string) bool {
	for _, l := range m.GetLabel() {
		if l.GetName()+"="+l.GetValue() == want {
			return true
		}
	}
	return false
}

// Copies are made while everything goes on, are whole, and no more are kept than were asked for.
func TestBackups(t *testing.T) {
	t.Parallel()
	s := testkit.MustOpenStore(t, testkit.SQLiteURL(t))
	users := testkit.MustAddUsers(t, s, 3)
	dir := filepath.Join(t.TempDir(), "backups")
	log := &output{}
	w, _ := mustMake(t, s, log)
	w.Maintain(worker.MaintenanceConfig{Retention: time.Hour, AccessTTL: time.Minute, BackupEvery: time.Second, BackupDir: dir, BackupKeep: 2})
	mustRun(t, w)
	seen := map[string]bool{}
	eventually(t, func() error {
		found, err := filepath.Glob(filepath.Join(dir, "parley-*Z.db"))
		if err != nil {
			return err
		}
		for _, f := range found {
			seen[f] = true
		}
		if len(found) > 4 { // two may be made at once, and each takes away what is too many
			t.Fatal(found)
		}
		if n := strings.Count(log.String(), "was backed up"); n < 4 {
			return fmt.Errorf("%d copies so far: %s", n, log)
		}
		return nil
	})
	w.Stop()
	copies, err := filepath.Glob(filepath.Join(dir, "parley-*Z.db"))
	if err != nil || len(copies) == 0 || len(copies) > 2 || len(seen) <= 2 {
		t.Fatalf("%v of %v, %v", copies, seen, err)
	}
	if info, err := os.Stat(copies[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	c := testkit.MustOpenStore(t, "sqlite:"+copies[len(copies)-1])
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if l, err := c.Users(t.Context(), users); err != nil || len(l) != 3 {
		t.Error(l, err)
	}
}

// A counter that is wrong is an error in the log, and a metric.
func TestCheck(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		log, r := &output{}, prometheus.NewRegistry()
		w, _ := mustMake(t, s, log)
		r.MustRegister(w.Maintain(worker.MaintenanceConfig{Retention: time.Hour, AccessTTL: time.Minute, CheckEvery: time.Second})...)
		mustRun(t, w)
		if n := metric(t, r, "parley_check_failed"); n != 0 {
			t.Error(n)
		}
		if _, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
			return tx.InsertConversation(chat.Conversation{ID: chat.NewID(chat.KindConversation), Kind: chat.Group, CreatedAt: tx.Now, UpdatedAt: tx.Now})
		}); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if metric(t, r, "parley_check_failed") != 1 || !strings.Contains(log.String(), "exactly one owner") {
				return fmt.Errorf("nothing was noticed: %s", log)
			}
			return nil
		})
		if !strings.Contains(log.String(), "level=ERROR") {
			t.Error(log)
		}
	})
}

// What is past its time is deleted as soon as a node runs.
func TestTrim(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		user := testkit.MustAddUsers(t, s, 1)[0]
		if _, err := s.Write(t.Context(), user, func(tx *store.Tx) error {
			tx.Emit(chat.Event{Type: chat.ProfileChanged, Subject: user}, chat.UserTopic(user))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		w, _ := mustMake(t, s, &output{})
		w.Maintain(worker.MaintenanceConfig{Retention: time.Microsecond, AccessTTL: time.Minute})
		mustRun(t, w)
		eventually(t, func() error {
			h, err := s.Head(t.Context())
			if err == nil && h.Trimmed != h.Position {
				err = fmt.Errorf("%+v", h)
			}
			return err
		})
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w, c := mustMake(t, s, &output{})
		mustInsert(t, s, c, "waits", nil)
		mustInsert(t, s, c, "overdue", &job.Options{ScheduledAt: time.Now().Add(-time.Hour)})
		mustInsert(t, s, c, "later", &job.Options{ScheduledAt: time.Now().Add(time.Hour)})
		r := prometheus.NewRegistry()
		r.MustRegister(w.Metrics()...)
		for _, m := range []struct {
			queue, state string
			n            float64
		}{{job.Notify, "waiting", 1}, {job.Notify, "scheduled", 2}, {job.Notify, "running", 0}, {job.Notify, "failed", 0}, {job.Mail, "waiting", 0}} {
			if n := metric(t, r, "parley_jobs", "queue="+m.queue, "state="+m.state); n != m.n {
				t.Errorf("%s %s: %v, want %v", m.queue, m.state, n, m.n)
			}
		}
		if age := metric(t, r, "parley_jobs_oldest_seconds", "queue="+job.Notify); age < 3599 || age > 3700 {
			t.Errorf("the oldest is %v s old", age)
		}
		if age := metric(t, r, "parley_jobs_oldest_seconds", "queue="+job.Mail); age != 0 {
			t.Errorf("the oldest of none is %v s old", age)
		}
		mustInsert(t, s, c, "not looked at again", nil)
		if n := metric(t, r, "parley_jobs", "queue="+job.Notify, "state=waiting"); n != 1 {
			t.Errorf("%v: each scrape looks into the database", n)
		}
		s.Close() // the other metrics stay
		w2, _ := mustMake(t, s, &output{})
		r2 := prometheus.NewRegistry()
		r2.MustRegister(w2.Metrics()...)
		if _, err := r2.Gather(); err != nil {
			t.Error(err)
		}
	})
}
