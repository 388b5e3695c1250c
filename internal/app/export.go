package app

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/config"
)

// openExport prepares the stream of events for other services, unless the settings do without; startExport begins with it.
func (a *App) openExport() []prometheus.Collector {
	if a.nats == nil || a.cfg.EventsStream == config.EventsOff {
		return nil
	}
	stream, subject := a.cfg.Events()
	a.export = natsbus.NewExporter(a.nats, natsbus.ExportConfig{Log: a.events, Stream: stream, Subject: subject, MaxAge: a.cfg.Retention})
	return exportMetrics(a.export.Stats, func() int64 { return int64(a.events.Applied()) })
}

func (a *App) startExport() error {
	if a.export == nil {
		return nil
	}
	a.stop = append(a.stop, a.export.Stop)
	return a.export.Start()
}

// exportMetrics shows how far the stream is behind the log, whichever node writes it.
func exportMetrics(stats func() natsbus.ExportStats, applied func() int64) []prometheus.Collector {
	gauge := func(name, help string, of func(natsbus.ExportStats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return of(stats()) })
	}
	counter := func(name, help string, of func(natsbus.ExportStats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of(stats())) })
	}
	return []prometheus.Collector{
		counter("parley_export_events_total", "Events that this node has written to the stream for other services.", func(s natsbus.ExportStats) int64 { return s.Exported }),
		counter("parley_export_missed_total", "Events that the log had lost before they could be exported.", func(s natsbus.ExportStats) int64 { return s.Missed }),
		gauge("parley_export_lag_events", "Events that the stream does not have yet; NaN while there is no stream.", func(s natsbus.ExportStats) float64 {
			if s.Position < 0 {
				return math.NaN()
			}
			return float64(max(0, applied()-int64(s.Position)))
		}),
		gauge("parley_export_lag_seconds", "How long the oldest of them has been waiting.", func(s natsbus.ExportStats) float64 {
			if s.Waiting.IsZero() {
				return 0
			}
			return time.Since(s.Waiting).Seconds()
		}),
		gauge("parley_export_refused", "1 while nothing is exported because the stream belongs to another log.", func(s natsbus.ExportStats) float64 {
			if s.Refused {
				return 1
			}
			return 0
		}),
	}
}
