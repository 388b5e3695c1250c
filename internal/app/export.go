package app

import (
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
