package pushing

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/worker"
)

// Pushes wait for servers that users have named. What the queue does besides does not wait for all of them.
func TestPushesGoLast(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "a.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	jobs, err := job.New(s)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 10)
	w := worker.New(s, jobs, worker.Config{Concurrency: map[string]int{job.Notify: 1}, Log: slog.New(slog.DiscardHandler)})
	worker.Handle(w, 0, func(_ context.Context, j *job.Job[deliverArgs]) error { done <- j.Kind; return nil })
	worker.Handle(w, 0, func(_ context.Context, j *job.Job[noticeArgs]) error { done <- j.Kind; return nil })
	worker.Handle(w, 0, func(_ context.Context, j *job.Job[spreadArgs]) error { done <- j.Kind; return nil })
	if _, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
		all := []job.Insertion{{Args: noticeArgs{}}, {Args: deliverArgs{}}, {Args: spreadArgs{From: 1, Through: 2}}}
		return jobs.InsertMany(t.Context(), tx, all)
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	select {
	case first := <-done:
		if first != (spreadArgs{}).Kind() {
			t.Error(first, "went first")
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was done")
	}
}
