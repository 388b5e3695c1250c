package ws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/request"
	"github.com/parley-chat/parley/internal/transport/socket"
)

type state uint8

const (
	fresh        state = iota // waits for connection_init
	initialising              // is being authenticated
	ready
)

// conn is a WebSocket. What is not guarded belongs to Input.
type conn struct {
	t      *Transport
	sock   socket.Socket
	client unique.Handle[token.Client] // most browsers are alike
	legacy bool
	req    *http.Request  // until connection_init
	parser *socket.Parser // nil between two messages
	heard  atomic.Int64   // when anything last came

	binding live.Binding
	// Most sockets have one operation. It stands here and not in memory of its own, because what many short-lived things
	// of the same size lie between cannot be given back when they are gone.
	first operation

	mu       sync.Mutex
	ops      *operation  // each with the next: few
	count    int         // of ops
	until    int64       // fresh: when connection_init is due; later: when the token expires, or 0
	running  int32       // queries and mutations
	viewer   chat.Viewer // set before state ready
	state    state
	seated   bool
	draining bool
	isOpen   bool // sock may be closed
	closed   bool
}

// Times are kept in nanoseconds since the program started: a third of a time.Time, and a step of the clock does not matter.
var started = time.Now()

func nanos(t time.Time) int64 { return int64(t.Sub(started)) }

type operation struct {
	live.Operation
	c    *conn
	id   string
	next *operation // guarded by conn.mu
}

// Ended frees the operation's id.
func (o *operation) Ended() { o.c.forget(o) }

func (c *conn) open(nc net.Conn, subprotocol string, r *http.Request) {
	c.legacy = subprotocol == Legacy
	c.req = r
	now := time.Now()
	due := now.Add(c.t.cfg.InitTimeout)
	c.heard.Store(nanos(now))
	c.until = nanos(due)
	s := &c.sock
	s.Init(c.t.cfg.Live.Sockets(), nc)
	if !s.Open(c) {
		c.t.leave(c)
		return
	}
	c.mu.Lock()
	c.isOpen = true
	draining := c.draining
	c.mu.Unlock()
	switch {
	case subprotocol == "":
		c.close(4406, "Subprotocol not acceptable")
	case draining:
		c.close(1012, "Service restart")
	default:
		s.WakeAt(due)
	}
}

func (c *conn) close(code uint16, reason string) {
	c.sock.Close(socket.CloseError{Code: code, Reason: reason}.Frame())
}

// Revoke closes the socket because its session has ended; nothing queued is sent any more.
func (c *conn) Revoke() {
	c.sock.Revoke(socket.CloseError{Code: 4401, Reason: "Unauthorized"}.Frame())
}

func (c *conn) drain() {
	c.mu.Lock()
	c.draining = true
	now := c.isOpen && c.running == 0 // else open sees to it
	c.mu.Unlock()
	if now {
		c.close(1012, "Service restart")
	}
}

// ran counts the queries and mutations that a drain waits for.
func (c *conn) ran(n int) {
	c.mu.Lock()
	c.running += int32(n) //nolint:gosec // 1 or -1
	over := c.draining && c.running == 0
	c.mu.Unlock()
	if over {
		c.close(1012, "Service restart")
	}
}

// Input takes what was read.
func (c *conn) Input(b []byte) {
	c.heard.Store(nanos(time.Now()))
	if c.parser == nil {
		c.parser = &socket.Parser{MaxMessage: c.t.cfg.MaxMessage}
	}
	err := c.parser.Feed(b, c.frame)
	if err == nil && c.parser.Idle() {
		c.parser = nil
	}
	var ce socket.CloseError
	if errors.As(err, &ce) {
		c.sock.Close(ce.Frame())
	}
}

func (c *conn) frame(op byte, data []byte) error {
	switch op {
	case socket.OpPing:
		c.sock.Send(socket.AppendFrame(nil, socket.OpPong, data))
	case socket.OpClose:
		return socket.CloseReply(data)
	case socket.OpText:
		m, err := parse(data)
		if err != nil {
			return err
		}
		if c.legacy {
			err = c.legacyMessage(m)
		} else {
			err = c.message(m)
		}
		if err == nil && c.sock.Ending() { // nothing after it is listened to
			return errStopped
		}
		return err
	}
	return nil
}

var errStopped = errors.New("the socket is being closed")

// message is a message of graphql-transport-ws.
func (c *conn) message(m message) error {
	switch m.kind {
	case "connection_init":
		return c.init(m.payload)
	case "ping":
		if !isObject(m.payload) {
			return errMalformed
		}
		pong := []byte(`{"type":"pong"}`)
		if m.payload != nil {
			pong = append(append([]byte(`{"type":"pong","payload":`), m.payload...), '}')
		}
		c.sendText(pong)
		return nil
	case "pong":
		if !isObject(m.payload) {
			return errMalformed
		}
		return nil
	case "subscribe":
		if m.id == "" {
			return errMalformed
		}
		return c.subscribe(m)
	case "complete":
		if m.id == "" {
			return errMalformed
		}
		c.cancel(m.id)
		return nil
	}
	return errMalformed
}

// legacyMessage is a message of the older graphql-ws.
func (c *conn) legacyMessage(m message) error {
	switch m.kind {
	case "connection_init":
		err := c.init(m.payload)
		var ce socket.CloseError
		if errors.As(err, &ce) && ce.Code == 4403 {
			c.sendText([]byte(`{"type":"connection_error","payload":{"message":"Forbidden"}}`))
		}
		return err
	case "start":
		if m.id == "" {
			return errMalformed
		}
		c.cancel(m.id) // the older protocol lets an id be taken over
		return c.subscribe(m)
	case "stop":
		if m.id == "" {
			return errMalformed
		}
		c.cancel(m.id)
		return nil
	case "connection_terminate":
		return socket.CloseError{Code: 1000}
	}
	return errMalformed
}

func (c *conn) sendText(b []byte) { c.sock.Send(socket.AppendFrame(nil, socket.OpText, b)) }

func (c *conn) init(payload []byte) error {
	if !isObject(payload) {
		return errMalformed
	}
	c.mu.Lock()
	again := c.state != fresh
	c.state = initialising
	c.mu.Unlock()
	if again {
		return socket.CloseError{Code: 4429, Reason: "Too many initialisation requests"}
	}
	r := c.req
	c.req = nil
	forbidden := socket.CloseError{Code: 4403, Reason: "Forbidden"}
	bearer, ok := authorization(payload)
	if !ok {
		return forbidden
	}
	v, expires, err := c.t.cfg.Authenticate(c.context(), r, bearer)
	switch {
	case err != nil && chat.CodeOf(err) == chat.CodeUnavailable:
		return socket.CloseError{Code: 1013, Reason: "Try again later"}
	case err != nil, !expires.IsZero() && !time.Now().Before(expires):
		return forbidden
	}
	if v != (chat.Viewer{}) {
		if err := c.admit(v); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.state, c.until = ready, 0
	if !expires.IsZero() {
		c.until = nanos(expires)
	}
	c.mu.Unlock()
	c.sendText([]byte(`{"type":"connection_ack"}`))
	if c.legacy {
		c.sendText([]byte(`{"type":"ka"}`))
	}
	c.sock.WakeAt(c.nextTick(time.Now()))
	return nil
}

// context is what operations run in: made for each, because most sockets are idle.
func (c *conn) context() context.Context {
	ctx := token.WithCarrier(context.Background(), &token.Carrier{Client: c.client.Value()})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seated {
		ctx = chat.WithViewer(ctx, c.viewer)
	}
	return ctx
}

// admit lets a viewer in, unless the socket has closed meanwhile: then nothing of it stays.
func (c *conn) admit(v chat.Viewer) error {
	if !c.t.seat(v.User) {
		return socket.CloseError{Code: 1013, Reason: "Too many connections"}
	}
	if !c.t.cfg.Live.Bind(v, &c.binding, c) {
		c.t.unseat(v.User)
		return socket.CloseError{Code: 4401, Reason: "Unauthorized"}
	}
	if c.t.cfg.Connected != nil {
		c.t.cfg.Connected(v.User, v.Session)
	}
	c.mu.Lock()
	c.viewer, c.seated = v, !c.closed
	gone := c.closed
	c.mu.Unlock()
	if gone {
		c.dismiss(v)
		return errStopped
	}
	return nil
}

func (c *conn) dismiss(v chat.Viewer) {
	c.t.cfg.Live.Unbind(v, &c.binding)
	c.t.unseat(v.User)
	if c.t.cfg.Disconnected != nil {
		c.t.cfg.Disconnected(v.User, v.Session)
	}
}

func (c *conn) subscribe(m message) error {
	o := &c.first
	if o.c != nil {
		o = &operation{}
	}
	o.c, o.id = c, m.id
	c.mu.Lock()
	st, draining, full, taken := c.state, c.draining, c.count >= c.t.cfg.MaxOperations, c.find(m.id) != nil
	if st == ready && !draining && !full && !taken {
		o.next, c.ops = c.ops, o
		c.count++
	}
	c.mu.Unlock()
	switch {
	case st != ready:
		return socket.CloseError{Code: 4401, Reason: "Unauthorized"}
	case draining: // the close frame is on its way
		return nil
	case taken:
		return socket.CloseError{Code: 4409, Reason: "Subscriber for " + m.rawID + " already exists"}
	}
	params, err := request.Parse(m.payload)
	if err != nil {
		c.forget(o)
		return errMalformed
	}
	f := modernFraming
	if c.legacy {
		f = legacyFraming
	}
	if full {
		c.fail(o, f, gqlerror.List{{Message: "too many operations on one socket", Extensions: map[string]any{"code": string(chat.CodeRateLimited)}}})
		return nil
	}
	to := live.Target{Socket: &c.sock, ID: o.id, Framing: f, Ender: o}
	if errs := c.t.cfg.Live.Open(c.context(), params, to, &o.Operation, c.ran); len(errs) > 0 {
		c.fail(o, f, errs)
	}
	return nil
}

// fail answers an operation that never began. It ends like one that did: its id is free when the error is written.
func (c *conn) fail(o *operation, f socket.Framing, errs gqlerror.List) {
	c.forget(o)
	c.sock.Send(f.Error(nil, o.id, live.Errors(errs)))
}

// find finds an operation. c.mu is held.
func (c *conn) find(id string) *operation {
	o := c.ops
	for o != nil && o.id != id {
		o = o.next
	}
	return o
}

// forget frees an operation's id.
func (c *conn) forget(o *operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := &c.ops; *at != nil; at = &(*at).next {
		if *at == o {
			*at, o.next = o.next, nil
			c.count--
			return
		}
	}
}

// cancel ends an operation because the client says so.
func (c *conn) cancel(id string) {
	c.mu.Lock()
	o := c.find(id)
	c.mu.Unlock()
	if o != nil {
		o.Cancel()
		c.forget(o)
	}
}

// Tick sees to the time limits.
func (c *conn) Tick(now time.Time) time.Time {
	c.mu.Lock()
	st, until := c.state, c.until
	c.mu.Unlock()
	over := until != 0 && nanos(now) >= until
	switch {
	case st == fresh && over:
		c.close(4408, "Connection initialisation timeout")
		return time.Time{}
	case st == fresh:
		return started.Add(time.Duration(until))
	case st == ready && over:
		c.close(4403, "Forbidden")
		return time.Time{}
	}
	silent := time.Duration(nanos(now) - c.heard.Load())
	switch {
	case silent > 2*c.t.cfg.PingInterval:
		c.sock.Kill() // nobody is there to read a reason
		return time.Time{}
	case silent >= c.t.cfg.PingInterval/2:
		c.sock.Send(socket.AppendFrame(nil, socket.OpPing, nil))
	}
	if c.legacy && st == ready {
		c.sendText([]byte(`{"type":"ka"}`))
	}
	return c.nextTick(now)
}

func (c *conn) nextTick(now time.Time) time.Time {
	next := now.Add(c.t.cfg.PingInterval)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == ready && c.until != 0 && c.until < nanos(next) {
		next = started.Add(time.Duration(c.until))
	}
	return next
}

// Closed lets go of everything.
func (c *conn) Closed() {
	c.mu.Lock()
	c.closed = true
	ops, v, seated := c.ops, c.viewer, c.seated
	c.ops, c.count = nil, 0
	c.mu.Unlock()
	for o := ops; o != nil; o = o.next {
		o.Cancel()
	}
	if seated {
		c.dismiss(v)
	}
	c.t.leave(c)
}
