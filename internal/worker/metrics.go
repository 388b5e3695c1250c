package worker

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
)

// statsFor is how long a look into the database counts.
const statsFor = 5 * time.Second

// Metrics shows what the queues hold, on all nodes together, and what failed on this one.
func (w *Worker) Metrics() []prometheus.Collector {
	labels := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return []prometheus.Collector{w.failures, &queueMetrics{
		stats: w.store.JobStats, now: time.Now,
		jobs: labels("parley_jobs", "Jobs by queue and state, on all nodes together: waiting, scheduled (for later), running, retrying (failed, and for later), failed (given up).",
			"queue", "state"),
		oldest: labels("parley_jobs_oldest_seconds", "How long the oldest job that is due has been waiting.", "queue"),
	}}
}

type queueMetrics struct {
	stats        func(context.Context) ([]store.JobStat, error)
	now          func() time.Time
	jobs, oldest *prometheus.Desc

	mu   sync.Mutex // guards what follows, and lets one look at a time
	at   time.Time
	last []store.JobStat
}

// states are River's, as operators see them. Completed jobs, of which there are many, are not counted.
var states = map[string]string{"available": "waiting", "scheduled": "scheduled", "running": "running", "retryable": "retrying", "discarded": "failed"}

// Describe is for the registry.
func (m *queueMetrics) Describe(c chan<- *prometheus.Desc) { c <- m.jobs; c <- m.oldest }

// Collect is for the registry.
func (m *queueMetrics) Collect(c chan<- prometheus.Metric) {
	stats, err := m.look()
	if err != nil {
		return // an error would take all other metrics with it
	}
	type key struct{ queue, state string }
	jobs, oldest := map[key]float64{}, map[string]float64{}
	for _, q := range job.Queues { // what is zero is said, too
		oldest[q] = 0
		for _, s := range states {
			jobs[key{q, s}] = 0
		}
	}
	for _, s := range stats {
		jobs[key{s.Queue, states[s.State]}] = float64(s.Count)
		if s.State != "running" && s.State != "discarded" {
			oldest[s.Queue] = max(oldest[s.Queue], s.Oldest.Seconds()) // negative until it is due
		}
	}
	for k, v := range jobs {
		c <- prometheus.MustNewConstMetric(m.jobs, prometheus.GaugeValue, v, k.queue, k.state)
	}
	for q, v := range oldest {
		c <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, v, q)
	}
}

func (m *queueMetrics) look() ([]store.JobStat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() || m.now().Sub(m.at) >= statsFor {
		ctx, cancel := context.WithTimeout(context.Background(), statsFor)
		defer cancel()
		stats, err := m.stats(ctx)
		if err != nil {
			return nil, err
		}
		m.last, m.at = stats, m.now()
	}
	return m.last, nil
}
