package sse

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/request"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// Config is what New needs; zero values of what is optional mean the defaults. Who a request is from, and until when its
// token is good (token.Carrier), stands in its context.
type Config struct {
	Live          *live.Live    // required
	PingInterval  time.Duration // between comments; 25 s
	MaxBody       int64         // bytes; 1 MiB
	MaxPerAddress int           // streams; 50, negative: no limit

	// Connected and Disconnected are told of streams that have a viewer. They must not wait.
	Connected, Disconnected func(user, session chat.ID)
}

// Transport is the graphql.Transport.
type Transport struct {
	cfg Config

	mu        sync.Mutex
	draining  bool
	streams   map[*stream]struct{}
	addresses map[string]int
	empty     chan struct{} // closed when the last stream has gone; nil: nobody waits
}

var _ graphql.Transport = (*Transport)(nil)

// New makes the transport.
func New(cfg Config) *Transport {
	if cfg.PingInterval == 0 {
		cfg.PingInterval = 25 * time.Second
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.MaxPerAddress == 0 {
		cfg.MaxPerAddress = 50
	}
	return &Transport{cfg: cfg, streams: map[*stream]struct{}{}, addresses: map[string]int{}}
}

// Supports is true for a POST or GET that accepts a stream of events.
func (t *Transport) Supports(r *http.Request) bool {
	return (r.Method == http.MethodPost || r.Method == http.MethodGet) && r.Header.Get("Upgrade") == "" && request.WantsStream(r.Header.Values("Accept"))
}

// Do opens the stream. It returns at once when the connection could be hijacked, and at its end otherwise.
func (t *Transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	t.cfg.Live.SetExecutor(exec)
	params, err := read(r, t.cfg.MaxBody)
	if err != nil {
		ctx := graphql.StartOperationTrace(r.Context())
		resp := exec.DispatchError(graphql.WithOperationContext(ctx, &graphql.OperationContext{}), gqlerror.List{gqlerror.Wrap(chat.BadInput(err.Error()))})
		body, _ := json.Marshal(map[string]any{"errors": resp.Errors})
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(body)
		return
	}
	params.Headers = r.Header
	client := token.ClientFrom(r.Context())
	s := &stream{t: t, address: client.Addr}
	if status := t.enter(s); status != 0 {
		w.Header().Set("Retry-After", "1")
		http.Error(w, http.StatusText(status), status)
		return
	}
	ctx := token.WithCarrier(context.Background(), &token.Carrier{Client: client}) // the request's own context ends
	if v, ok := chat.ViewerFrom(r.Context()); ok {
		s.viewer, s.known = v, true
		ctx = chat.WithViewer(ctx, v)
	}
	if c := token.CarrierFrom(r.Context()); c != nil {
		s.expires = c.Expires
	}
	head := w.Header()
	head.Set("Content-Type", "text/event-stream; charset=utf-8")
	head.Set("Cache-Control", "no-cache, no-transform")
	head.Set("X-Accel-Buffering", "no")
	if hj, ok := w.(http.Hijacker); ok && r.ProtoMajor == 1 {
		if nc, _, err := hj.Hijack(); err == nil {
			_ = nc.SetDeadline(time.Time{}) // those of net/http would still run
			s.open(ctx, nc, statusLine(head), params, r.Method == http.MethodGet)
			return
		}
	}
	t.pipe(ctx, w, r, s, params)
}

func (t *Transport) enter(s *stream) (status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.draining:
		return http.StatusServiceUnavailable
	case t.cfg.MaxPerAddress > 0 && t.addresses[s.address] >= t.cfg.MaxPerAddress:
		return http.StatusTooManyRequests
	}
	t.addresses[s.address]++
	t.streams[s] = struct{}{}
	return 0
}

func (t *Transport) leave(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.addresses[s.address]--; t.addresses[s.address] <= 0 {
		delete(t.addresses, s.address)
	}
	delete(t.streams, s)
	if len(t.streams) == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// Drain refuses new streams and cuts the others, each when a query or mutation that runs on it has answered and its queue
// is written. It returns when they are gone, or with the context's error.
func (t *Transport) Drain(ctx context.Context) error {
	t.mu.Lock()
	t.draining = true
	streams := make([]*stream, 0, len(t.streams))
	for s := range t.streams {
		streams = append(streams, s)
	}
	if len(streams) == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	empty := t.empty
	t.mu.Unlock()
	for _, s := range streams {
		s.drain()
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pipe serves a stream whose connection cannot be taken over.
func (t *Transport) pipe(ctx context.Context, w http.ResponseWriter, r *http.Request, s *stream, params *graphql.RawParams) {
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	stop := context.AfterFunc(r.Context(), func() { _ = ours.Close() })
	defer stop()
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	s.open(ctx, theirs, nil, params, r.Method == http.MethodGet)
	b := make([]byte, 4096)
	for {
		n, err := ours.Read(b)
		if n > 0 {
			if _, werr := w.Write(b[:n]); werr != nil {
				return
			}
			_ = rc.Flush()
		}
		if err != nil {
			return
		}
	}
}

var _ socket.Handler = (*stream)(nil)
