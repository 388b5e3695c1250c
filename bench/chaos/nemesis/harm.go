package main

import (
	"context"
	"errors"
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

// harm does what the schedule says, and returns when all is mended. A cancelled context ends the harm, and mends it.
func harm(ctx context.Context, c *cluster.Cluster, w *history.Writer, all []fault, seed uint64) error {
	n := &nemesis{c: c, w: w, nodes: make([]sync.Mutex, len(c.Nodes)), random: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // not a secret
	var doing sync.WaitGroup
	failed := make([]error, len(all))
	for i, begun := 0, time.Now(); i < len(all) && wait(ctx, all[i].At-time.Since(begun)); i++ {
		doing.Go(func() { failed[i] = n.do(ctx, i+1, all[i]) })
	}
	doing.Wait()
	return errors.Join(failed...)
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

func (n *nemesis) do(ctx context.Context, number int, f fault) error {
	guard, deed, mend := n.plan(f)
	guard.Lock()
	defer guard.Unlock()
	thaw := func() {}
	if f.Frozen > 0 { // part of the run-up: what is under way when the node dies is what counts
		thaw = n.freeze(f)
		wait(ctx, f.Frozen)
	}
	r := history.Record{K: "fault", N: number, Phase: "begin", Name: f.Name, Node: f.Node, Text: f.Text}
	n.w.Write(r)
	deed()
	thaw()
	wait(ctx, f.For)
	if err := mend(); err != nil {
		return fmt.Errorf("fault %d (%s): %w", number, f.Name, err)
	}
	r.Phase = "heal"
	n.w.Write(r)
	return nil
}

// freeze stops what a kill is preceded by. The node needs no thaw; PostgreSQL is left alone while it has a fault of its own.
func (n *nemesis) freeze(f fault) (thaw func()) {
	if !f.Database {
		n.c.Nodes[f.Node-1].Pause()
		return func() {}
	}
	if !n.postgres.TryLock() {
		return func() {}
	}
	n.c.Postgres.Pause()
	return func() {
		n.c.Postgres.Resume()
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
			return guard, func() { node.Drain() }, func() error { return revive(node) }
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
