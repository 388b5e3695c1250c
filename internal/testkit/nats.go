package testkit

import (
	"net"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// NATS is a server in this process, on the loopback address, that can be stopped and started again where it was.
type NATS struct {
	tb     testing.TB
	port   int
	server *natsserver.Server
}

// MustNATS starts a server and stops it with the test.
func MustNATS(tb testing.TB) *NATS {
	tb.Helper()
	n := &NATS{tb: tb, port: natsserver.RANDOM_PORT}
	n.Start()
	tb.Cleanup(n.Stop)
	return n
}

// URL is the server's address, while it runs and while it does not.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Start starts a server that is stopped.
func (n *NATS) Start() {
	n.tb.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: n.port, NoLog: true, NoSigs: true})
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
