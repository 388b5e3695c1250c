package socket

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config has the limits; zero values mean the defaults.
type Config struct {
	Shards       int           // writer goroutines; GOMAXPROCS
	MaxQueued    int           // bytes queued a socket before its streams fall behind; 256 KiB
	WriteTimeout time.Duration // without any progress, until a parked socket is closed; 10 s
	Linger       time.Duration // for the peer to answer a close; 2 s
	Tick         time.Duration // the wheel's resolution; 250 ms
	NoPoll       bool          // a reader goroutine for each socket, as on systems without epoll
}

// Stats counts since the start, but for Sockets and Parked, which are now.
type Stats struct {
	Sockets, Parked int
	Deliveries      int64 // next frames written
	Writes          int64 // write calls
	Behind          int64 // times a stream fell behind
}

// Engine owns the sockets.
type Engine struct {
	cfg     Config
	shards  []*shard
	poller  *poller
	wheel   wheel
	next    atomic.Uint32
	parked  atomic.Int64
	tasks   sync.WaitGroup // whatever sockets started
	loops   sync.WaitGroup
	polling sync.WaitGroup

	mu       sync.Mutex
	running  bool
	stopped  bool
	socks    map[*Socket]struct{}
	empty    chan struct{} // closed when the last socket has gone; nil: nobody waits
	shutdown chan struct{}
}

// New makes an engine; Start starts it.
func New(cfg Config) *Engine {
	if cfg.Shards <= 0 {
		cfg.Shards = runtime.GOMAXPROCS(0)
	}
	if cfg.MaxQueued <= 0 {
		cfg.MaxQueued = 256 << 10
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	if cfg.Linger <= 0 {
		cfg.Linger = 2 * time.Second
	}
	if cfg.Tick <= 0 {
		cfg.Tick = 250 * time.Millisecond
	}
	e := &Engine{cfg: cfg, socks: map[*Socket]struct{}{}, shutdown: make(chan struct{})}
	e.wheel.init(cfg.Tick)
	for i := range cfg.Shards {
		e.shards = append(e.shards, newShard(e, i))
	}
	return e
}

// Start begins to serve. Starting twice, or after Stop, does nothing.
func (e *Engine) Start(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running || e.stopped {
		return nil
	}
	if !e.cfg.NoPoll {
		p, err := newPoller()
		if err != nil {
			return fmt.Errorf("watch sockets: %w", err)
		}
		e.poller = p
	}
	e.running = true
	for _, sh := range e.shards {
		e.loops.Go(sh.run)
	}
	if e.poller != nil {
		e.polling.Go(e.poller.run)
	}
	e.loops.Go(func() { e.wheel.run(e.shutdown) })
	return nil
}

// Stop closes every socket at once and waits until nothing runs any more. Stopping twice, or before Start, is harmless.
func (e *Engine) Stop() {
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		return
	}
	e.stopped = true
	if !e.running {
		e.mu.Unlock()
		return
	}
	e.running = false
	socks := slices.Collect(maps.Keys(e.socks))
	e.mu.Unlock()
	for _, s := range socks {
		s.Kill()
	}
	_ = e.Wait(context.Background())
	if e.poller != nil {
		e.poller.stop()
		e.polling.Wait()
	}
	e.tasks.Wait()
	close(e.shutdown)
	e.loops.Wait()
}

// Wait returns when no socket is open, or with the context's error.
func (e *Engine) Wait(ctx context.Context) error {
	e.mu.Lock()
	if len(e.socks) == 0 {
		e.mu.Unlock()
		return nil
	}
	if e.empty == nil {
		e.empty = make(chan struct{})
	}
	empty := e.empty
	e.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) forget(s *Socket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.socks, s)
	if len(e.socks) == 0 && e.empty != nil {
		close(e.empty)
		e.empty = nil
	}
}

// do runs f in a goroutine that Stop waits for. Only sockets that are open, and the loops, call it.
func (e *Engine) do(f func()) { e.tasks.Go(f) }

// Ring wakes the shards after posts that did not.
func (e *Engine) Ring() {
	for _, sh := range e.shards {
		sh.mu.Lock()
		idle := len(sh.cmds) == 0
		sh.mu.Unlock()
		if !idle {
			sh.ring()
		}
	}
}

// Stats reports the counters.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	st := Stats{Sockets: len(e.socks), Parked: int(e.parked.Load())}
	e.mu.Unlock()
	for _, sh := range e.shards {
		st.Deliveries += sh.deliveries.Load()
		st.Writes += sh.writes.Load()
		st.Behind += sh.behind.Load()
	}
	return st
}
