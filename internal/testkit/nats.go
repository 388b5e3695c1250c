package testkit

import (
	"net"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS is a server in this process, on the loopback address, that can be stopped and started again where it was.
type NATS struct {
	Store  string // folder of what JetStream keeps; empty: there is none
	tb     testing.TB
	port   int
	server *natsserver.Server
}

// MustNATS starts a server and stops it with the test.
func MustNATS(tb testing.TB) *NATS {
	tb.Helper()
	return mustNATS(tb, "")
}

// MustJetStream is MustNATS with JetStream, which keeps what it has from one start to the next.
func MustJetStream(tb testing.TB) *NATS {
	tb.Helper()
	return mustNATS(tb, tb.TempDir())
}

func mustNATS(tb testing.TB, store string) *NATS {
	tb.Helper()
	n := &NATS{tb: tb, port: natsserver.RANDOM_PORT, Store: store}
	n.Start()
	tb.Cleanup(n.Stop)
	return n
}

// MustReachJetStream reaches a server as its operators and other services do.
func MustReachJetStream(tb testing.TB, url string) jetstream.JetStream {
	tb.Helper()
	c, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	js, err := jetstream.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

// EnableJetStream gives a running server without JetStream one.
func (n *NATS) EnableJetStream() {
	n.tb.Helper()
	n.Store = n.tb.TempDir()
	n.tb.Cleanup(n.Stop) // before the folder goes
	if err := n.server.EnableJetStream(&natsserver.JetStreamConfig{StoreDir: n.Store}); err != nil {
		n.tb.Fatal(err)
	}
}

// URL is the server's address, while it runs and while it does not.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Start starts a server that is stopped.
func (n *NATS) Start() {
	n.tb.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: n.port, NoLog: true, NoSigs: true, JetStream: n.Store != "", StoreDir: n.Store})
	if err != nil {
		n.tb.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		n.tb.Fatal("NATS does not start")
	}
	n.server = s
	if n.port == natsserver.RANDOM_PORT {
		n.port = s.Addr().(*net.TCPAddr).Port
	}
}

// Stop ends the server and every connection to it. It may be called twice.
func (n *NATS) Stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}
