package cluster

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Balancer spreads connections over the nodes that are ready. It works on TCP: WebSockets pass like everything else.
type Balancer struct {
	*Proxy
	nodes   []*Node
	next    atomic.Uint64
	ready   []atomic.Bool
	cancel  context.CancelFunc
	running sync.WaitGroup
}

const looksEvery = 500 * time.Millisecond

// Balance starts a balancer before nodes.
func Balance(addr string, nodes []*Node) (b *Balancer, err error) {
	b = &Balancer{nodes: nodes, ready: make([]atomic.Bool, len(nodes))}
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	for i, n := range nodes {
		b.ready[i].Store(n.Ready() == nil)
		b.running.Go(func() { b.watch(ctx, i) })
	}
	if b.Proxy, err = Listen(addr, b.targets); err != nil {
		b.cancel()
		b.running.Wait()
		return nil, err
	}
	return b, nil
}

func (b *Balancer) watch(ctx context.Context, i int) {
	t := time.NewTicker(looksEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			b.ready[i].Store(b.nodes[i].Ready() == nil)
		case <-ctx.Done():
			return
		}
	}
}

// targets are all nodes, by turns, those that are ready first: if none is, any may have become so just now.
func (b *Balancer) targets() []string {
	first := int(b.next.Add(1) % uint64(len(b.nodes))) //nolint:gosec // small
	var ready, others []string
	for k := range b.nodes {
		i := (first + k) % len(b.nodes)
		if b.ready[i].Load() {
			ready = append(ready, b.nodes[i].Addr)
		} else {
			others = append(others, b.nodes[i].Addr)
		}
	}
	return slices.Concat(ready, others)
}

// Close ends the balancer and all its connections.
func (b *Balancer) Close() {
	b.cancel()
	b.running.Wait()
	b.Proxy.Close()
}
