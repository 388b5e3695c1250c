package worker

import (
	"context"
	"maps"
	"slices"
	"time"
)

// begin and end say what runs here.
func (w *Worker) begin(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[id] = true
}

func (w *Worker) end(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, id)
}

// rescueMax is how many jobs are taken back at once.
const rescueMax = 100

// keep keeps the jobs that run here, and takes back those that nobody keeps, until ctx ends. It takes nothing back before it has
// reached the database for as long as others may be silent: when the database was away, nobody could keep anything.
func (w *Worker) keep(ctx context.Context) {
	for since := time.Now(); sleep(ctx, w.RescueAfter/3); {
		err := w.keepOnce(ctx, time.Since(since) > w.RescueAfter)
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("it cannot be said which jobs are still worked on; some may be run twice", "error", err)
			since = time.Now()
		}
	}
}

func (w *Worker) keepOnce(ctx context.Context, rescue bool) error {
	ctx, cancel := context.WithTimeout(ctx, w.RescueAfter/3)
	defer cancel()
	w.mu.Lock()
	ids := slices.Collect(maps.Keys(w.running))
	w.mu.Unlock()
	if len(ids) > 0 {
		if err := w.store.KeepJobs(ctx, ids); err != nil {
			return err
		}
	}
	for n := rescueMax; rescue && n == rescueMax; {
		jobs, err := w.store.RescueJobs(ctx, w.RescueAfter, rescueMax, "its node was gone")
		if err != nil {
			return err
		}
		for _, j := range jobs {
			log := w.Log.WarnContext
			if j.State == "discarded" {
				w.failures.WithLabelValues(j.Kind).Inc()
				log = w.Log.ErrorContext
			}
			log(ctx, "the node of a job is gone", "kind", j.Kind, "id", j.ID, "queue", j.Queue, "attempt", j.Attempt, "now", j.State)
		}
		n = len(jobs)
	}
	return nil
}
