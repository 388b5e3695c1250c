package app

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/eventlog"
	"github.com/parley-chat/parley/internal/transport/live"
)

// gauge and counter make metrics of what stats says when they are looked at.
func gauge[S any](stats func() S, name, help string, of func(S) float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return of(stats()) })
}

func counter[S any](stats func() S, name, help string, of func(S) float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return of(stats()) })
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// liveMetrics shows the registry's counters: what the live path does, and for how many.
func liveMetrics(stats func() live.Stats, applied func() int64) []prometheus.Collector {
	return []prometheus.Collector{
		gauge(stats, "parley_sockets", "Open WebSockets and event streams.", func(s live.Stats) float64 { return float64(s.Sockets) }),
		gauge(stats, "parley_subscriptions", "Running subscriptions.", func(s live.Stats) float64 { return float64(s.Listeners) }),
		gauge(stats, "parley_subscription_groups", "Distinct operations among the running subscriptions: an event is executed once for each.", func(s live.Stats) float64 { return float64(s.Groups) }),
		counter(stats, "parley_event_executions_total", "Events executed, for however many listeners.", func(s live.Stats) float64 { return float64(s.Executions) }),
		counter(stats, "parley_event_deliveries_total", "Messages written to sockets.", func(s live.Stats) float64 { return float64(s.Deliveries) }),
		counter(stats, "parley_catch_ups_total", "Chunks of the log read for listeners that resumed or were too slow.", func(s live.Stats) float64 { return float64(s.CatchUps) }),
		counter(stats, "parley_event_retries_total", "Executions and reads of the log that found the database unavailable.", func(s live.Stats) float64 { return float64(s.Retries) }),
		gauge(applied, "parley_log_applied_position", "Newest position of the log that this node has applied.", func(p int64) float64 { return float64(p) }),
	}
}

// busMetrics shows how the nodes hear from each other.
func busMetrics(n *natsbus.Bus, seal *bus.Sealed, log func() eventlog.Stats) []prometheus.Collector {
	return []prometheus.Collector{
		gauge(n.Connected, "parley_bus_connected", "1 while the other nodes are reached over NATS.", truth),
		counter(n.Stats, "parley_bus_received_total", "Messages from other nodes.", func(s natsbus.Stats) float64 { return float64(s.In) }),
		counter(n.Stats, "parley_bus_sent_total", "Messages to other nodes.", func(s natsbus.Stats) float64 { return float64(s.Out) }),
		counter(n.Stats, "parley_bus_dropped_total", "Messages to other nodes that there was no way for.", func(s natsbus.Stats) float64 { return float64(s.Dropped) }),
		counter(seal.Refused, "parley_bus_refused_total", "Messages dropped because they were not sealed with this cluster's key.", func(n int64) float64 { return float64(n) }),
		counter(log, "parley_doorbells_total", "Commits of other nodes that a doorbell told of first.", func(s eventlog.Stats) float64 { return float64(s.Doorbells) }),
		counter(log, "parley_log_gaps_total", "Gaps in what doorbells told, closed by reading the database.", func(s eventlog.Stats) float64 { return float64(s.Gaps) }),
	}
}

// exportMetrics shows how far the stream is behind the log, whichever node writes it.
func exportMetrics(stats func() natsbus.ExportStats, applied func() int64) []prometheus.Collector {
	return []prometheus.Collector{
		counter(stats, "parley_export_events_total", "Events that this node has written to the stream for other services.", func(s natsbus.ExportStats) float64 { return float64(s.Exported) }),
		counter(stats, "parley_export_missed_total", "Events that the log had lost before they could be exported.", func(s natsbus.ExportStats) float64 { return float64(s.Missed) }),
		gauge(stats, "parley_export_lag_events", "Events that the stream does not have yet; NaN while there is no stream.", func(s natsbus.ExportStats) float64 {
			if s.Position < 0 {
				return math.NaN()
			}
			return float64(max(0, applied()-int64(s.Position)))
		}),
		gauge(stats, "parley_export_lag_seconds", "How long the oldest of them has been waiting.", func(s natsbus.ExportStats) float64 {
			if s.Waiting.IsZero() {
				return 0
			}
			return time.Since(s.Waiting).Seconds()
		}),
		gauge(stats, "parley_export_refused", "1 while nothing is exported because the stream belongs to another log.", func(s natsbus.ExportStats) float64 { return truth(s.Refused) }),
	}
}
