package socket

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Handler gives a socket its meaning.
type Handler interface {
	// Input gets what was read, in order, one call at a time. b may be changed and is valid only during the call.
	Input(b []byte)
	// Tick is called when the time that was last asked for has come, and says when it wants to be called again; zero:
	// when Socket.WakeAt asks for it.
	Tick(now time.Time) (next time.Time)
	// Closed is called once, when the connection is gone.
	Closed()
}

// Socket is all that is kept of a connection. It stands inside of what its Handler keeps: one piece of memory for each
// connection instead of several that lie apart.
type Socket struct {
	e    *Engine
	sh   *shard
	h    Handler
	conn net.Conn // written and read by goroutines; nil: d is, without waiting
	d    descriptor
	gen  int32 // the poller's

	tick   atomic.Int64 // the wheel's: when Tick is due; 0: not
	ending atomic.Bool  // input is no longer listened to
	dead   atomic.Bool

	// The shard's:
	items  []item
	late   []*Stream // wait for the socket to drain
	queued int
	rest   int // of queued: what is being written while parked
	raw    int // of queued: what answers no operation
	parked bool
	last   bool // what closes the socket is queued or written: nothing may follow
}

// Init makes a socket of a connection, which it owns from now on. Open starts it; nothing is sent before.
func (s *Socket) Init(e *Engine, c net.Conn) {
	s.e, s.conn, s.sh = e, c, e.shards[int(e.next.Add(1))%len(e.shards)]
}

// Open begins reading. false: the engine has stopped, and the connection is closed without a call of Closed.
func (s *Socket) Open(h Handler) bool {
	s.h = h
	e := s.e
	if !e.cfg.NoPoll && s.d.detach(s.conn) {
		s.conn = nil
	}
	e.mu.Lock()
	running := e.running
	if running {
		e.socks[s] = struct{}{}
	}
	e.mu.Unlock()
	switch {
	case !running:
		s.release()
		return false
	case s.conn != nil:
		e.do(s.readLoop)
	case !e.poller.add(s):
		s.Kill()
	}
	return true
}

// release closes the connection.
func (s *Socket) release() {
	if s.conn == nil {
		s.d.close()
		return
	}
	_ = s.conn.Close()
}

// waiter writes to the connection and may wait.
type waiter interface {
	io.WriteCloser
	SetWriteDeadline(time.Time) error
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 4096); return &b }}

func (s *Socket) readLoop() {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	for {
		n, err := s.conn.Read(*b)
		if n > 0 {
			s.input((*b)[:n])
		}
		if err != nil {
			s.Kill()
			return
		}
	}
}

func (s *Socket) input(b []byte) {
	if !s.ending.Load() { // what still comes is read, so that closing does not turn into a reset
		s.h.Input(b)
	}
}

// Send queues bytes as they are (a control frame, a header).
func (s *Socket) Send(b []byte) { s.sh.postRing(command{op: opRaw, sock: s, bytes: b}) }

// Close ends the socket in good order: what is queued is written, then b, then the end is signalled and the peer is given
// a moment to answer. Nothing is sent after it.
func (s *Socket) Close(b []byte) {
	s.ending.Store(true)
	s.sh.postRing(command{op: opLast, sock: s, bytes: b})
}

// Revoke ends the socket without what is queued: only b is still sent, and not even that when a frame is half written.
func (s *Socket) Revoke(b []byte) {
	s.ending.Store(true)
	s.sh.postRing(command{op: opRevoke, sock: s, bytes: b})
}

// Kill closes the connection at once.
func (s *Socket) Kill() {
	s.ending.Store(true)
	s.sh.postRing(command{op: opKill, sock: s})
}

// close lets go of everything; the shard has seen to it that it is called once.
func (s *Socket) close() {
	if s.conn == nil && s.e.poller != nil {
		s.e.poller.remove(s)
	}
	s.release()
	s.h.Closed()
	s.e.forget(s)
}

// WakeAt asks for a call of Tick at a time, instead of the one asked for before if that is later.
func (s *Socket) WakeAt(at time.Time) { s.e.wheel.set(s, at, true) }

// Ending says that the socket has been told to close.
func (s *Socket) Ending() bool { return s.ending.Load() }
