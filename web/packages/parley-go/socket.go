package parley

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptrace"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Khan/genqlient/graphql"
	"github.com/gorilla/websocket"
)

// Options are what New takes besides the address; all may be left out.
type Options struct {
	// Token returns the access token to connect with, anew for each connection. After the server has refused one, or closed
	// the connection because it has expired, refused is true: get another. An error is tried again later, unless it is
	// ErrSignedOut. Nil: anonymous.
	Token func(ctx context.Context, refused bool) (string, error)
	// Expired is called when the log does not reach back to where a subscription was: query everything anew, and return the
	// cursor of that query to go on from. Nil, or an error, ends the subscription with CURSOR_EXPIRED.
	Expired func(ctx context.Context, operation string) (cursor string, err error)
	// Status is told of each connection, and with an error of each that is lost. It must not wait.
	Status func(connected bool, err error)
	// Skipped is told of what the generated code could not read and so was left out: an event of a type that the server has
	// learned since the code was generated. It must not wait.
	Skipped func(operation string, err error)

	Dialer         *websocket.Dialer // nil: websocket.DefaultDialer
	MinWait        time.Duration     // before the second attempt; each further one waits twice as long, with jitter; 200 ms
	MaxWait        time.Duration     // 20 s
	Ping           time.Duration     // between pings of a connection; 20 s
	Silence        time.Duration     // how long an answer to a ping, or to anything else, may take; 10 s
	Queue          int               // events of a subscription that wait to be taken; 256
	MaxMessageSize int64             // bytes of one message of the server; 1 MiB
}

// ErrSignedOut is for Options.Token to return when there is no session any more: the client gives up.
var ErrSignedOut = errors.New("parley: signed out")

// ErrClosed says that the client was closed, or not started.
var ErrClosed = errors.New("parley: not connected")

// Errors is what the server answers instead of data.
type Errors []struct {
	Message    string
	Extensions struct{ Code string }
}

func (e Errors) Error() string { return fmt.Sprintf("%s: %s", e.code(), e[0].Message) }

func (e Errors) code() string {
	if len(e) == 0 {
		return ""
	}
	return e[0].Extensions.Code
}

// Client is a graphql.WebSocketClient. Its methods may be called from any goroutine.
type Client struct {
	url      string
	o        Options
	life     context.Context // until Close
	stop     context.CancelFunc
	done     chan struct{} // closed when run has ended
	errs     chan error
	starting sync.Mutex // held by Start, outside of mu

	mu      sync.Mutex
	started bool
	over    bool // nothing can be subscribed any more
	next    int
	subs    map[string]*subscription
	conn    *connection // nil: none now
}

var _ graphql.WebSocketClient = (*Client)(nil)

// New makes a client for a server's endpoint, such as wss://chat.example.org/graphql. It does nothing before Start.
func New(url string, o Options) *Client {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.MinWait, 200*time.Millisecond)
	def(&o.MaxWait, 20*time.Second)
	def(&o.Ping, 20*time.Second)
	def(&o.Silence, 10*time.Second)
	if o.Dialer == nil {
		o.Dialer = websocket.DefaultDialer
	}
	if o.Queue <= 0 {
		o.Queue = 256
	}
	if o.MaxMessageSize <= 0 {
		o.MaxMessageSize = 1 << 20
	}
	if o.Token == nil {
		o.Token = func(context.Context, bool) (string, error) { return "", nil }
	}
	if o.Status == nil {
		o.Status = func(bool, error) {}
	}
	if o.Skipped == nil {
		o.Skipped = func(string, error) {}
	}
	c := &Client{url: url, o: o, done: make(chan struct{}), errs: make(chan error, 1), subs: map[string]*subscription{}}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// Start connects. Its error is that of the first attempt, after which Start may be called again; later connections are the
// client's own affair. The channel gets at most one error, the one because of which the client has given up (a session that
// has ended, a protocol that the server does not speak), and is closed by Close. ctx is for the first connection alone; Close
// ends a Start that is under way with ErrClosed.
func (c *Client) Start(ctx context.Context) (chan error, error) {
	c.starting.Lock()
	defer c.starting.Unlock()
	c.mu.Lock()
	idle := !c.started && !c.over
	c.mu.Unlock()
	if !idle {
		return nil, errors.New("parley: started already, or closed")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	conn, err := c.dial(ctx, false)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
		if conn != nil {
			conn.hangUp()
		}
		return nil, ErrClosed
	case err != nil:
		return nil, err
	}
	c.started, c.conn = true, conn
	go c.run(c.life, conn)
	return c.errs, nil
}

// Close ends all subscriptions, whose channels are closed, and the connection, and waits for it. It may be called twice.
func (c *Client) Close() error {
	c.mu.Lock()
	started, conn := c.started, c.conn
	c.over, c.started = true, false
	c.mu.Unlock()
	c.stop()
	if !started {
		return nil
	}
	if conn != nil {
		conn.leave()
	}
	<-c.done
	close(c.errs)
	return nil
}

// Subscribe starts what the generated code asks for. It may be called while there is no connection.
func (c *Client) Subscribe(req *graphql.Request, channel any, forward graphql.ForwardDataFunction) (string, error) {
	variables := map[string]json.RawMessage{}
	if b, err := json.Marshal(req.Variables); err != nil {
		return "", err
	} else if err := json.Unmarshal(b, &variables); err != nil {
		return "", err
	}
	s := &subscription{
		query: req.Query, name: req.OpName, variables: variables, resumes: strings.Contains(req.Query, "$after"),
		channel: reflect.ValueOf(channel), forward: forward,
		queue: make(chan json.RawMessage, c.o.Queue), quit: make(chan struct{}), done: make(chan struct{}),
	}
	c.mu.Lock()
	if !c.started || c.over {
		c.mu.Unlock()
		return "", ErrClosed
	}
	c.next++
	s.id = strconv.Itoa(c.next)
	c.subs[s.id] = s
	conn := c.conn
	c.mu.Unlock()
	go func() {
		defer close(s.done)
		s.deliver(c.o.Skipped)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subs, s.id)
	}()
	if conn != nil {
		_ = conn.subscribe(s) // or with the next connection
	}
	return s.id, nil
}

// Unsubscribe ends a subscription and closes its channel; what nobody has taken yet is thrown away. That it is over already is
// no error.
func (c *Client) Unsubscribe(id string) error {
	c.mu.Lock()
	s, conn := c.subs[id], c.conn
	if s != nil {
		s.unwant() // before the next connection can be there, and ask for it
	}
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	if conn != nil {
		conn.unsubscribe(s)
	}
	s.drain()
	return nil
}

// running are the subscriptions that have not ended, or all.
func (c *Client) running(ended bool) (l []*subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		if ended || !s.ended {
			l = append(l, s)
		}
	}
	return l
}

// fail reports the first error that nothing can be done about.
func (c *Client) fail(err error) {
	select {
	case c.errs <- err:
	default:
	}
}

// run serves one connection after the other, and at the end closes the queues.
func (c *Client) run(ctx context.Context, conn *connection) {
	defer close(c.done)
	wait, refused := c.o.MinWait, false
	for ctx.Err() == nil {
		var err error
		if conn == nil {
			conn, err = c.dial(ctx, refused)
		}
		if conn != nil {
			c.o.Status(true, nil)
			began := time.Now()
			err = c.serve(ctx, conn)
			conn, refused = nil, false
			if time.Since(began) > wait {
				wait = c.o.MinWait
			}
		}
		if ctx.Err() != nil {
			break
		}
		c.o.Status(false, err)
		again, was := retry(err), refused
		refused = websocket.IsCloseError(err, 4401, 4403)
		if !again || errors.Is(err, ErrSignedOut) || refused && was {
			c.fail(err)
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait/2+1)):
		}
		wait = min(2*wait, c.o.MaxWait)
	}
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	for _, s := range c.running(false) {
		c.end(s)
	}
	for _, s := range c.running(true) { // what they have may still be taken, until Close
		select {
		case <-s.done:
		case <-ctx.Done():
			s.unwant()
			s.drain()
		}
	}
}

// retry says whether another connection may fare better: not when the two do not speak the same protocol.
func retry(err error) bool {
	return !errors.Is(err, websocket.ErrBadHandshake) && !websocket.IsCloseError(err, 4400, 4406, 4409, 4429)
}

// serve reads a connection until it is lost.
func (c *Client) serve(ctx context.Context, conn *connection) error {
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		conn.ping(c.o.Ping)
	}()
	defer func() {
		c.mu.Lock()
		c.conn = nil
		c.mu.Unlock()
		conn.hangUp()
		<-pinged
	}()
	if ctx.Err() != nil { // closed before it could be found
		return ctx.Err()
	}
	for _, s := range c.running(false) {
		if err := conn.subscribe(s); err != nil {
			return err
		}
	}
	for {
		f, err := conn.read(c.o.Ping + c.o.Silence)
		if err != nil {
			return err
		}
		c.mu.Lock()
		s := c.subs[f.ID]
		if s != nil && s.ended {
			s = nil
		}
		c.mu.Unlock()
		switch f.Type {
		case "ping":
			err = conn.write(frame{Type: "pong"})
		case "next":
			if s != nil && s.fresh(f.Payload) {
				err = s.push(ctx, f.Payload)
			}
		case "error":
			if s != nil {
				err = c.refused(ctx, conn, s, f.Payload)
			}
		case "complete":
			if s != nil {
				conn.forget(s)
				c.end(s)
			}
		}
		if err != nil {
			return err
		}
	}
}

// refused answers the end of a subscription in error: it is begun anew, or its end delivered.
func (c *Client) refused(ctx context.Context, conn *connection, s *subscription, payload json.RawMessage) error {
	var errs Errors
	_ = json.Unmarshal(payload, &errs)
	switch errs.code() {
	case "CURSOR_EXPIRED":
		if c.o.Expired == nil {
			break
		}
		if cursor, err := c.o.Expired(ctx, s.name); err == nil && cursor != s.last() {
			s.goOn(cursor)
			conn.forget(s)
			return conn.subscribe(s)
		}
	case "UNAVAILABLE", "RATE_LIMITED": // with the next connection, which waits
		return errs
	}
	err := s.push(ctx, json.RawMessage(`{"data":null,"errors":`+string(payload)+`}`))
	conn.forget(s)
	c.end(s)
	return err
}

// end lets deliver come to an end.
func (c *Client) end(s *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.ended = true
	close(s.queue)
}

func (c *Client) dial(ctx context.Context, refused bool) (conn *connection, err error) {
	token, err := c.o.Token(ctx, refused)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Silence)
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // rather than that the connection is closed
		}
	}()
	// Once there is a connection the dialer does not look at the context any more.
	stop := func() bool { return false }
	defer func() { stop() }()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		stop = context.AfterFunc(ctx, func() { _ = i.Conn.Close() })
	}})
	d := *c.o.Dialer
	d.Subprotocols = []string{"graphql-transport-ws"}
	ws, resp, err := d.DialContext(ctx, c.url, nil)
	if err != nil {
		if resp != nil && (resp.StatusCode >= 500 || resp.StatusCode == 429) {
			err = fmt.Errorf("parley: the server answers %s", resp.Status)
		}
		return nil, err
	}
	conn = &connection{ws: ws, silence: c.o.Silence, quit: make(chan struct{}), known: map[*subscription]bool{}}
	ws.SetReadLimit(c.o.MaxMessageSize)
	init := frame{Type: "connection_init"}
	if token != "" {
		init.Payload, _ = json.Marshal(map[string]string{"authorization": "Bearer " + token})
	}
	if err = conn.write(init); err == nil {
		var f frame
		for f.Type != "connection_ack" && err == nil {
			f, err = conn.read(c.o.Silence)
		}
	}
	if err != nil {
		conn.hangUp()
		return nil, err
	}
	ws.SetPongHandler(func(string) error { return ws.SetReadDeadline(time.Now().Add(c.o.Ping + c.o.Silence)) })
	return conn, nil
}

type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// connection is one WebSocket. One goroutine reads it.
type connection struct {
	ws      *websocket.Conn
	silence time.Duration
	once    sync.Once
	quit    chan struct{}

	mu    sync.Mutex // writes
	known map[*subscription]bool
}

func (c *connection) read(within time.Duration) (f frame, err error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(within))
	err = c.ws.ReadJSON(&f)
	return f, err
}

func (c *connection) write(f frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.locked(f)
}

func (c *connection) locked(f frame) error {
	_ = c.ws.SetWriteDeadline(time.Now().Add(c.silence))
	return c.ws.WriteJSON(f)
}

// subscribe asks for a subscription, once, and not for what nobody wants any more.
func (c *connection) subscribe(s *subscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[s] || s.unwanted() {
		return nil
	}
	c.known[s] = true
	payload, err := s.payload()
	if err != nil {
		return err
	}
	return c.locked(frame{ID: s.id, Type: "subscribe", Payload: payload})
}

// unsubscribe ends what was asked for. If it fails, the connection is lost and the subscription with it.
func (c *connection) unsubscribe(s *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[s] {
		delete(c.known, s)
		_ = c.locked(frame{ID: s.id, Type: "complete"})
	}
}

func (c *connection) forget(s *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, s)
}

// ping asks for a sign of life every so often. Whatever comes moves the deadline of the reader.
func (c *connection) ping(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-t.C:
			if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.silence)); err != nil && !errors.Is(err, net.ErrClosed) {
				_ = c.ws.Close() // which the reader notices
			}
		}
	}
}

func (c *connection) hangUp() {
	c.once.Do(func() { close(c.quit) })
	_ = c.ws.Close()
}

// leave says goodbye.
func (c *connection) leave() {
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	c.hangUp()
}
