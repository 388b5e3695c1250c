package cluster_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley/bench/cluster"
)

// mustStart starts a cluster of two nodes.
func mustStart(t *testing.T, failed func(what, process string, node, pid int, how string)) *cluster.Cluster {
	t.Helper()
	p, err := cluster.Build(t.Context(), "../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(t.Context(), cluster.Config{Programs: p, Dir: t.TempDir(), Nodes: 2, Failed: failed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// Everything comes back where it was after it was killed, and PostgreSQL with what it had acknowledged.
func TestRestart(t *testing.T) {
	t.Parallel()
	var failed []string
	c := mustStart(t, func(what, process string, node, _ int, how string) {
		failed = append(failed, fmt.Sprint(what, " ", process, " ", node, " ", how))
	})
	if err := c.Postgres.SlowCommits(true); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := c.Postgres.Exec("parley", "CREATE TABLE kept AS SELECT 1 AS x"); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begun); d < 100*time.Millisecond {
		t.Errorf("a slow commit took %v", d)
	}
	if err := c.Postgres.SlowCommits(false); err != nil {
		t.Fatal(err)
	}
	c.Postgres.Kill()
	if err := c.Postgres.Exec("parley", "SELECT 1"); err == nil {
		t.Error("PostgreSQL is dead, and answers")
	}
	c.NATS.Kill()
	c.Nodes[0].Kill()
	if err := c.Nodes[0].Ready(); err == nil {
		t.Error("a node is dead, and answers")
	}
	for _, start := range []func() error{c.Postgres.Start, c.NATS.Start, c.Nodes[0].Start} {
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Postgres.Exec("parley", "SELECT x FROM kept"); err != nil {
		t.Error(err)
	}
	c.Nodes[1].Pause()
	if err := c.Nodes[1].Ready(); err == nil {
		t.Error("a node is stopped, and answers")
	}
	c.Nodes[1].Resume()
	if err := c.Nodes[1].Ready(); err != nil {
		t.Error(err)
	}
	if !c.Nodes[0].Drain() {
		t.Error("a node does not end when it is asked to")
	}
	if failed != nil {
		t.Errorf("said to have failed: %v", failed)
	}
	c.Nodes[1].Signal(syscall.SIGKILL)
	c.Nodes[1].Wait()
	if want := []string{"died node 2 2 signal: killed"}; !slices.Equal(failed, want) {
		t.Errorf("said to have failed: %v, want %v", failed, want)
	}
}

// The balancer leaves a dead node out and takes it in again.
func TestBalancer(t *testing.T) {
	t.Parallel()
	c := mustStart(t, nil)
	b, err := cluster.Balance("127.0.0.1:0", c.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() {
		t.Helper()
		resp, err := client.Post("http://"+b.Addr()+"/graphql", "application/json", strings.NewReader(`{"query":"{__typename}"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); string(body) != `{"data":{"__typename":"Query"}}` {
			t.Fatalf("%s", body)
		}
	}
	ask()
	c.Nodes[0].Kill()
	for range 4 { // at once, before it has been noticed
		ask()
	}
	if err := c.Nodes[0].Start(); err != nil {
		t.Fatal(err)
	}
	c.Nodes[1].Kill()
	ask()
}

// A cut ends connections on both sides, and leaves the way open for new ones.
func TestCut(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p, err := cluster.Listen("127.0.0.1:0", func() []string { return []string{"127.0.0.1:1", l.Addr().String()} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	pair := func() (client, server net.Conn) {
		t.Helper()
		if client, err = net.Dial("tcp", p.Addr()); err != nil {
			t.Fatal(err)
		}
		if server, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
			_, _ = io.WriteString(from, "x")
			if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		return client, server
	}
	ended := func(conns []net.Conn) {
		t.Helper()
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("still open: %v", err)
			}
		}
	}
	var all, cut []net.Conn
	r, n := rand.New(rand.NewPCG(1, 1)), 0
	for range 8 {
		a, b := pair()
		all = append(all, a, b)
		if r.Float64() < 0.5 { // in the order in which they were made
			cut = append(cut, a, b)
			n++
		}
	}
	if got := p.Cut(0.5, rand.New(rand.NewPCG(1, 1))); got != n {
		t.Errorf("%d cut, want %d", got, n)
	}
	ended(cut)
	if got := p.Cut(1, r); got != 8-n {
		t.Errorf("%d cut, want %d", got, 8-n)
	}
	ended(all)
	pair()
}
