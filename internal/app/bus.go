package app

import (
	"crypto/hkdf"
	"crypto/sha256"
	"os"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/config"
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
	a.seal = bus.Seal(a.nats, key)
	a.bus = a.seal
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
