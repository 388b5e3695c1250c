package ws

import (
	"context"
	"net/http"
	"sync"
	"time"
	"unique"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/live"
)

// Config is what New needs; zero values of what is optional mean the defaults. Who a request is from (token.ClientFrom)
// stands in its context: sockets are counted by address, and their operations find it in theirs.
type Config struct {
	Live *live.Live // required
	// Authenticate says who a connection_init is from, and until when. authorization is what its payload carried, such as
	// "Bearer …"; empty: there was none, and the request may carry a cookie. No viewer and no error is an anonymous
	// socket. An error closes with 4403, unless its code is UNAVAILABLE: 1013. Nil: everybody is anonymous.
	Authenticate func(ctx context.Context, r *http.Request, authorization string) (v chat.Viewer, expires time.Time, err error)
	// CheckOrigin refuses a request before the upgrade, with 403. Nil: gorilla's rule, which is same origin.
	CheckOrigin func(*http.Request) bool

	InitTimeout   time.Duration // 10 s
	PingInterval  time.Duration // 25 s; a peer that is silent for two is given up
	MaxMessage    int           // bytes of one message; 64 KiB
	MaxOperations int           // a socket; 100
	MaxPerUser    int           // sockets; 20, negative: no limit
	MaxPerAddress int           // sockets; 50, negative: no limit

	// Connected and Disconnected are told of sockets that have a viewer. They must not wait.
	Connected, Disconnected func(user, session chat.ID)
}

// Transport is the graphql.Transport.
type Transport struct {
	cfg      Config
	upgrader websocket.Upgrader

	mu        sync.Mutex
	draining  bool
	conns     map[*conn]struct{}
	users     map[chat.ID]int
	addresses map[string]int
	empty     chan struct{} // closed when the last conn has gone; nil: nobody waits
}

var _ graphql.Transport = (*Transport)(nil)

// New makes the transport.
func New(cfg Config) *Transport {
	setDefault(&cfg.InitTimeout, 10*time.Second)
	setDefault(&cfg.PingInterval, 25*time.Second)
	setDefault(&cfg.MaxMessage, 64<<10)
	setDefault(&cfg.MaxOperations, 100)
	setDefault(&cfg.MaxPerUser, 20)
	setDefault(&cfg.MaxPerAddress, 50)
	if cfg.Authenticate == nil {
		cfg.Authenticate = func(context.Context, *http.Request, string) (chat.Viewer, time.Time, error) {
			return chat.Viewer{}, time.Time{}, nil
		}
	}
	return &Transport{
		cfg: cfg, conns: map[*conn]struct{}{}, users: map[chat.ID]int{}, addresses: map[string]int{},
		upgrader: websocket.Upgrader{
			Subprotocols: []string{TransportWS, Legacy}, // in the order of our preference
			// The smallest that gorilla takes: its buffers are dropped after the upgrade.
			ReadBufferSize: 16, WriteBufferSize: 16, CheckOrigin: cfg.CheckOrigin,
		},
	}
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Supports is true for a WebSocket upgrade.
func (t *Transport) Supports(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// Do upgrades the connection and returns: from then on the socket engine serves it.
func (t *Transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	t.cfg.Live.SetExecutor(exec)
	c := &conn{t: t, client: unique.Make(token.ClientFrom(r.Context()))}
	if status := t.enter(c); status != 0 {
		w.Header().Set("Retry-After", "1")
		http.Error(w, http.StatusText(status), status)
		return
	}
	up, err := t.upgrader.Upgrade(w, r, nil) // answers for itself
	if err != nil {
		t.leave(c)
		return
	}
	// From here on nothing of net/http or gorilla is kept: their buffers and, after connection_init, the request go.
	c.open(up.NetConn(), up.Subprotocol(), r)
}

func (t *Transport) enter(c *conn) (status int) {
	addr := c.client.Value().Addr
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.draining:
		return http.StatusServiceUnavailable
	case t.cfg.MaxPerAddress > 0 && t.addresses[addr] >= t.cfg.MaxPerAddress:
		return http.StatusTooManyRequests
	}
	t.addresses[addr]++
	t.conns[c] = struct{}{}
	return 0
}

func (t *Transport) leave(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr := c.client.Value().Addr
	if t.addresses[addr]--; t.addresses[addr] <= 0 {
		delete(t.addresses, addr)
	}
	delete(t.conns, c)
	if len(t.conns) == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// seat counts a socket for its user; false: there are too many.
func (t *Transport) seat(user chat.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg.MaxPerUser > 0 && t.users[user] >= t.cfg.MaxPerUser {
		return false
	}
	t.users[user]++
	return true
}

func (t *Transport) unseat(user chat.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users[user]--; t.users[user] <= 0 {
		delete(t.users, user)
	}
}

// Drain refuses new sockets and closes the others with 1012, each when the queries and mutations that run on it have
// answered and its queue is written. It returns when they are gone, or with the context's error.
func (t *Transport) Drain(ctx context.Context) error {
	t.mu.Lock()
	t.draining = true
	conns := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	if len(conns) == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	empty := t.empty
	t.mu.Unlock()
	for _, c := range conns {
		c.drain()
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
