package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/transport/live"
)

// liveMetrics shows the registry's counters: what the live path does, and for how many.
func liveMetrics(stats func() live.Stats, applied func() int64) []prometheus.Collector {
	gauge := func(name, help string, of func(live.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(of(stats())) })
	}
	counter := func(name, help string, of func(live.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of(stats())) })
	}
	return []prometheus.Collector{
		gauge("parley_sockets", "Open WebSockets and event streams.", func(s live.Stats) int { return s.Sockets }),
		gauge("parley_subscriptions", "Running subscriptions.", func(s live.Stats) int { return s.Listeners }),
		gauge("parley_subscription_groups", "Distinct operations among the running subscriptions: an event is executed once for each.", func(s live.Stats) int { return s.Groups }),
		counter("parley_event_executions_total", "Events executed, for however many listeners.", func(s live.Stats) int64 { return s.Executions }),
		counter("parley_event_deliveries_total", "Messages written to sockets.", func(s live.Stats) int64 { return s.Deliveries }),
		counter("parley_catch_ups_total", "Chunks of the log read for listeners that resumed or were too slow.", func(s live.Stats) int64 { return s.CatchUps }),
		counter("parley_event_retries_total", "Executions and reads of the log that found the database unavailable.", func(s live.Stats) int64 { return s.Retries }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "parley_log_applied_position", Help: "Newest position of the log that this node has applied."},
			func() float64 { return float64(applied()) }),
	}
}
