package sse

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// framing writes events. JSON has no line breaks of its own, so a payload is one data line.
type framing struct{}

func (framing) Next(b []byte, _ string, payload []byte) []byte {
	b = append(append(b, "event: next\ndata: "...), payload...)
	return append(b, "\n\n"...)
}

func (f framing) Error(b []byte, id string, errs []byte) []byte {
	b = append(append(b, "event: next\ndata: {\"errors\":"...), errs...)
	return f.Complete(append(b, "}\n\n"...), id)
}

// Complete has an empty data field: without one, browsers do not dispatch the event.
func (framing) Complete(b []byte, _ string) []byte {
	return append(b, "event: complete\ndata:\n\n"...)
}

// stream is one request.
type stream struct {
	t       *Transport
	address string
	viewer  chat.Viewer
	known   bool
	expires time.Time
	op      live.Operation
	binding live.Binding
	sock    socket.Socket

	mu       sync.Mutex
	running  bool
	draining bool
	isOpen   bool // sock may be closed
	closed   bool
	bound    bool
}

// statusLine is what net/http would have written. The end of the connection is the end of the body.
func statusLine(h http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	h = h.Clone()
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Del("Content-Length")
	_ = h.Write(&b)
	b.WriteString("\r\n")
	return b.Bytes()
}

func (s *stream) open(ctx context.Context, nc net.Conn, head []byte, params *graphql.RawParams, readOnly bool) {
	sock := &s.sock
	sock.Init(s.t.cfg.Live.Sockets(), nc)
	if !sock.Open(s) {
		s.t.leave(s)
		return
	}
	s.mu.Lock()
	s.isOpen = true
	draining := s.draining
	s.mu.Unlock()
	sock.Send(append(head, ":\n\n"...))
	if draining || s.known && !s.bind() {
		sock.Close(nil)
		return
	}
	sock.WakeAt(s.next(time.Now()))
	f := framing{}
	to := live.Target{Socket: sock, Framing: f, ReadOnly: readOnly, Ender: s}
	if errs := s.t.cfg.Live.Open(ctx, params, to, &s.op, s.ran); len(errs) > 0 {
		sock.Close(f.Error(nil, "", live.Errors(errs)))
	}
}

// Ended ends the connection behind the last message.
func (s *stream) Ended() { s.sock.Close(nil) }

// bind ties the stream to its session; false: that has ended, or the stream has.
func (s *stream) bind() bool {
	if !s.t.cfg.Live.Bind(s.viewer, &s.binding, s) {
		return false
	}
	if s.t.cfg.Connected != nil {
		s.t.cfg.Connected(s.viewer.User, s.viewer.Session)
	}
	s.mu.Lock()
	s.bound = !s.closed
	closed := s.closed
	s.mu.Unlock()
	if closed {
		s.unbind()
	}
	return !closed
}

func (s *stream) unbind() {
	s.t.cfg.Live.Unbind(s.viewer, &s.binding)
	if s.t.cfg.Disconnected != nil {
		s.t.cfg.Disconnected(s.viewer.User, s.viewer.Session)
	}
}

// ran is told of a query or mutation, which a drain waits for.
func (s *stream) ran(n int) {
	s.mu.Lock()
	s.running = n > 0
	s.mu.Unlock()
}

func (s *stream) drain() {
	s.mu.Lock()
	s.draining = true
	now := s.isOpen && !s.running // else open sees to it, or its answer ends it
	s.mu.Unlock()
	if now {
		s.sock.Close(nil)
	}
}

// Revoke cuts the stream because its session has ended; nothing queued is sent any more.
func (s *stream) Revoke() { s.sock.Revoke(nil) }

// Input ignores what a client says after its request.
func (s *stream) Input([]byte) {}

// Tick sends a comment, so that nobody on the way takes the stream for dead, and sees to the token's end.
func (s *stream) Tick(now time.Time) time.Time {
	if !s.expires.IsZero() && !now.Before(s.expires) {
		s.sock.Close(nil)
		return time.Time{}
	}
	s.sock.Send([]byte(":\n\n"))
	return s.next(now)
}

func (s *stream) next(now time.Time) time.Time {
	t := now.Add(s.t.cfg.PingInterval)
	if !s.expires.IsZero() && s.expires.Before(t) {
		return s.expires
	}
	return t
}

// Closed lets go of everything.
func (s *stream) Closed() {
	s.mu.Lock()
	s.closed = true
	bound := s.bound
	s.mu.Unlock()
	s.op.Cancel()
	if bound {
		s.unbind()
	}
	s.t.leave(s)
}
