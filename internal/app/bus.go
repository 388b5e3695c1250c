package app

import (
	"crypto/hkdf"
	"crypto/sha256"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/eventlog"
)

// openBus prepares the way to the other nodes where the settings name one; startBus goes it.
func (a *App) openBus(c config.Config, secret []byte) (err error) {
	if c.NatsURL == "" {
		return nil
	}
	host, _ := os.Hostname()
	if a.nats, err = natsbus.Open(natsbus.Config{URL: c.NatsURL, Name: "parley " + host, Cluster: c.Cluster,
		Creds: c.NatsCreds, CA: c.NatsCA, Cert: c.NatsCert, Key: c.NatsKey, Log: a.log}); err != nil {
		return err
	}
	key, err := busKey(secret)
	a.bus = bus.Seal(a.nats, key)
	return err
}

// busKey is what nodes know each other by. What is sealed with it may carry events: whoever has it can invent them.
func busKey(secret []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, "parley bus v1", sha256.Size)
}

// startBus begins to listen. The log is open, and all others who listen have said so.
func (a *App) startBus() error {
	if a.bus == nil {
		return nil
	}
	a.events.Connect(a.bus, bus.Log)
	a.bus.OnConnect(func() { a.events.Offer(nil) })
	a.stop = append(a.stop, a.nats.Stop)
	return a.nats.Start()
}

// busMetrics shows how the nodes hear from each other.
func busMetrics(n *natsbus.Bus, refused func() int64, log func() eventlog.Stats) []prometheus.Collector {
	counter := func(name, help string, of func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of()) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "parley_bus_connected", Help: "1 while the other nodes are reached over NATS."}, func() float64 {
			if n.Connected() {
				return 1
			}
			return 0
		}),
		counter("parley_bus_received_total", "Messages from other nodes.", func() int64 { return n.Stats().In }),
		counter("parley_bus_sent_total", "Messages to other nodes.", func() int64 { return n.Stats().Out }),
		counter("parley_bus_dropped_total", "Messages to other nodes that there was no way for.", func() int64 { return n.Stats().Dropped }),
		counter("parley_bus_refused_total", "Messages dropped because they were not sealed with this cluster's key.", refused),
		counter("parley_doorbells_total", "Commits of other nodes that a doorbell told of first.", func() int64 { return log().Doorbells }),
		counter("parley_log_gaps_total", "Gaps in what doorbells told, closed by reading the database.", func() int64 { return log().Gaps }),
	}
}
