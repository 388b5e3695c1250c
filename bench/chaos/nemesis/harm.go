package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/parley-chat/parley/bench/chaos/history"
	"github.com/parley-chat/parley/bench/cluster"
)

// nemesis carries out faults. Each has a goroutine; those that are about the same thing wait for each other.
type nemesis struct {
	c      *cluster.Cluster
	w      *history.Writer
	random *rand.Rand // for the one goroutine that cuts sockets at a time

	nodes                              []sync.Mutex
	postgres, nats, doorbells, sockets sync.Mutex
}

// harm does what the schedule says, and returns when all is mended that can be. A cancelled context ends the harm, and
// mends it.
func harm(ctx context.Context, c *cluster.Cluster, w *history.Writer, all []fault, seed uint64) {
	n := &nemesis{c: c, w: w, nodes: make([]sync.Mutex, len(c.Nodes)), random: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // not a secret
	var doing sync.WaitGroup
	for i, begun := 0, time.Now(); i < len(all) && wait(ctx, all[i].At-time.Since(begun)); i++ {
		doing.Go(func() { n.do(ctx, i+1, all[i]) })
	}
	doing.Wait()
}

// wait says whether the time has passed without the end of ctx.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *nemesis) do(ctx context.Context, number int, f fault) {
	guard, deed, mend := n.plan(f)
	guard.Lock()
	defer guard.Unlock()
	r := history.Record{K: "fault", N: number, Phase: "begin", Name: f.Name, Node: f.Node, Text: f.Text}
	relieve := func() {}
	if f.Burden != none { // part of the run-up: what is under way when the node dies is what counts
		begun := time.Now()
		if relieve = n.burden(f); relieve == nil {
			relieve, r.Text = func() {}, ""
		} else {
			wait(ctx, f.Burdened)
		}
		if f.Burden == nodeStopped {
			r.For = time.Since(begun).Nanoseconds()
		}
	}
	n.w.Write(r)
	deed()
	relieve()
	wait(ctx, f.For)
	if err := mend(); err != nil {
		n.w.Write(history.Record{K: "startfailed", Name: cmp.Or(nodeName(f.Node), f.Name), Node: f.Node, Text: err.Error()})
		return
	}
	r.Phase, r.For = "heal", 0
	n.w.Write(r)
}

func nodeName(node int) string {
	if node == 0 {
		return ""
	}
	return fmt.Sprint("node ", node)
}

// burden has a node be at a loss before it is killed. The node itself needs no relief; PostgreSQL is left alone while it has
// a fault of its own, and the result is nil.
func (n *nemesis) burden(f fault) (relieve func()) {
	if f.Burden == nodeStopped {
		n.c.Nodes[f.Node-1].Pause()
		return func() {}
	}
	if !n.postgres.TryLock() {
		return nil
	}
	pg := n.c.Postgres
	if f.Burden == postgresStopped {
		pg.Pause()
		return func() {
			pg.Resume()
			n.postgres.Unlock()
		}
	}
	if err := pg.SlowCommits(true); err != nil { // it is not there: it is not for this fault to say so
		n.postgres.Unlock()
		return nil
	}
	return func() {
		_ = pg.SlowCommits(false)
		n.postgres.Unlock()
	}
}

// plan says how a fault is done and mended, and what no other may touch meanwhile.
func (n *nemesis) plan(f fault) (guard *sync.Mutex, deed func(), mend func() error) {
	c := n.c
	resume := func(p interface{ Resume() }) func() error {
		return func() error { p.Resume(); return nil }
	}
	if f.Node > 0 {
		node := c.Nodes[f.Node-1]
		guard = &n.nodes[f.Node-1]
		switch f.Name {
		case "kill":
			return guard, node.Kill, func() error { return revive(node) }
		case "stop":
			return guard, node.Pause, resume(node)
		case "restart":
			return guard, func() { node.Drain() } /* says itself that it failed */, func() error { return revive(node) }
		}
	}
	switch f.Name {
	case "postgres":
		return &n.postgres, c.Postgres.Kill, c.Postgres.Start
	case "nats":
		return &n.nats, c.NATS.Kill, c.NATS.Start
	case "nats stopped":
		return &n.nats, c.NATS.Pause, resume(c.NATS)
	case "doorbells":
		return &n.doorbells, func() { n.mischief(f.Mischief) }, func() error { n.mischief(cluster.Mischief{}); return nil }
	case "sockets":
		return &n.sockets, func() {
			for _, node := range c.Nodes {
				node.Front.Cut(f.Share, n.random)
			}
		}, func() error { return nil }
	}
	panic("no such fault: " + f.Name)
}

func (n *nemesis) mischief(m cluster.Mischief) {
	for _, node := range n.c.Nodes {
		node.Doorbells.Set(m)
	}
}

// revive starts a node until it stays up, as whatever supervises it would: it does not start without its database.
func revive(n *cluster.Node) error {
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = n.Start(); err == nil {
			return nil
		}
	}
	return err
}
