package feed

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// gather asks in groups: the questions that come while the last ones are being answered are asked together. There is no
// timer: who comes alone waits for nobody, and thousands of clients that come back at once share their round trips.
type gather[Q, A any] struct {
	// ask answers questions, each at its place. An error is everybody's.
	ask func(ctx context.Context, qs ...Q) ([]A, error)

	mu      sync.Mutex
	waiting []*question[Q, A]
	busy    bool
}

type question[Q, A any] struct {
	q    Q
	a    A
	err  error
	done chan struct{}
}

const (
	gatherMax     = 256
	gatherTimeout = 10 * time.Second
)

// get asks one question. Who stops waiting costs the others nothing.
func (g *gather[Q, A]) get(ctx context.Context, q Q) (a A, err error) {
	x := &question[Q, A]{q: q, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, x)
	if !g.busy {
		g.busy = true
		go g.run()
	}
	g.mu.Unlock()
	select {
	case <-x.done:
		return x.a, x.err
	case <-ctx.Done():
		return a, ctx.Err()
	}
}

// run asks until nobody waits.
func (g *gather[Q, A]) run() {
	for {
		g.mu.Lock()
		now := g.waiting[:min(len(g.waiting), gatherMax)]
		if g.waiting = g.waiting[len(now):]; len(g.waiting) == 0 {
			g.waiting = nil // the array holds on to everybody who was answered
		}
		g.busy = len(now) > 0
		g.mu.Unlock()
		if len(now) == 0 {
			return
		}
		g.answer(now)
	}
}

func (g *gather[Q, A]) answer(xs []*question[Q, A]) {
	ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
	defer cancel()
	qs := make([]Q, len(xs))
	for i, x := range xs {
		qs[i] = x.q
	}
	as, err := g.recovered(ctx, qs)
	for i, x := range xs {
		if x.err = err; err == nil {
			x.a = as[i]
		}
		close(x.done)
	}
}

// recovered is ask. Who asks would survive a panic of their own; nobody would survive one here.
func (g *gather[Q, A]) recovered(ctx context.Context, qs []Q) (as []A, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return g.ask(ctx, qs...)
}
