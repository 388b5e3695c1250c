package testkit

import (
	"testing"

	"github.com/parley-chat/parley/internal/app"
)

// Cluster is nodes of one system: on one PostgreSQL, with NATS between them.
type Cluster struct {
	URL   string // of the database
	NATS  *NATS
	Nodes []*app.App
}

// MustCluster starts n nodes with the settings, as MustRunApp does, on a NATS server that may be stopped.
func MustCluster(tb testing.TB, nats *NATS, n int, settings ...string) *Cluster {
	tb.Helper()
	c := &Cluster{URL: MigratedPostgresURL(tb), NATS: nats}
	for range n {
		c.Nodes = append(c.Nodes, MustRunApp(tb, c.URL, append([]string{"--nats-url", nats.URL()}, settings...)...))
	}
	return c
}

// MigratedPostgresURL gives tb a PostgreSQL database of its own that is migrated and empty.
func MigratedPostgresURL(tb testing.TB) string {
	tb.Helper()
	return PostgresURL(tb, "core", migrate)
}
