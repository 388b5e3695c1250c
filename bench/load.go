package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// proto is what a client has to say before it is subscribed.
type proto uint8

const (
	plain    proto = iota // the upgrade is the subscription
	graphQL               // graphql-transport-ws
	socketIO              // Engine.IO 4 over WebSocket
)

type stage uint8

const (
	dialing stage = iota
	upgrading
	greeting // waits for the acknowledgement
	settling // waits for the pong that follows the subscription
	ready
)

// conn is one client. Frames are counted, and skipped without being read unless the connection is a sample.
type conn struct {
	fd     int
	n      int // which client
	stage  stage
	sample bool
	rest   []byte // of an incomplete header, or of an incomplete message that is wanted whole
	skip   int    // bytes of a message that is not wanted
	events int64  // heard since the last reset
}

// load is many clients of one server on one thread.
type load struct {
	addr   unix.SockaddrInet4
	host   string
	proto  proto
	token  func(i int) string
	room   string
	ep     int
	conns  []*conn
	byFD   []*conn
	buf    []byte
	events [512]unix.EpollEvent
	failed error

	delivered atomic.Int64
	measuring atomic.Bool
	latencies []time.Duration // of the samples; read when the thread has stopped
	busy      time.Duration   // CPU of the thread while it ran
	stop      atomic.Bool
	done      chan struct{}
	nReady    int
}

const sampleEvery = 20

func newLoad(s *server, token func(i int) string, room string) (*load, error) {
	a, err := net.ResolveTCPAddr("tcp4", s.addr)
	if err != nil {
		return nil, err
	}
	l := &load{proto: s.proto, token: token, room: room, host: s.addr, buf: make([]byte, 256<<10)}
	l.addr.Port = a.Port
	copy(l.addr.Addr[:], a.IP.To4())
	l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return l, err
}

// connect opens n clients, at most window of them half open at any time, and returns when all are subscribed.
func (l *load) connect(n, window int, limit time.Duration) error {
	if err := needFiles(uint64(n) + 200); err != nil {
		return err
	}
	until := time.Now().Add(limit)
	next := 0
	for l.nReady < n {
		for next < n && next-l.nReady < window {
			if err := l.dial(next); err != nil {
				return err
			}
			next++
		}
		if err := l.poll(100); err != nil {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("only %d of %d clients were subscribed within %v", l.nReady, n, limit)
		}
	}
	return nil
}

func (l *load) dial(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err = unix.Connect(fd, &l.addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	c := &conn{fd: fd, n: i, sample: i%sampleEvery == 0}
	for len(l.byFD) <= fd {
		l.byFD = append(l.byFD, nil)
	}
	l.byFD[fd] = c
	l.conns = append(l.conns, c)
	return unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(fd)})
}

// run serves the clients on a thread of its own until halt.
func (l *load) run() {
	l.stop.Store(false)
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		began := threadCPU()
		for !l.stop.Load() && l.failed == nil {
			l.failed = l.poll(20)
		}
		l.busy = threadCPU() - began
	}()
}

func (l *load) halt() error {
	l.stop.Store(true)
	<-l.done
	return l.failed
}

func (l *load) close() {
	for _, c := range l.conns {
		_ = unix.Close(c.fd)
	}
	_ = unix.Close(l.ep)
}

func (l *load) poll(ms int) error {
	n, err := unix.EpollWait(l.ep, l.events[:], ms)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return err
	}
	var heard int64
	for _, e := range l.events[:n] {
		c := l.byFD[e.Fd]
		if c.stage == dialing {
			if err := l.upgrade(c); err != nil {
				return err
			}
			continue
		}
		n, err := unix.Read(c.fd, l.buf)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = errors.New("closed by the server")
		}
		if err == nil {
			var k int64
			k, err = l.take(c, l.buf[:n])
			heard += k
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", c.n, err)
		}
	}
	if heard > 0 {
		l.delivered.Add(heard)
	}
	return nil
}

func (l *load) upgrade(c *conn) error {
	if e, _ := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); e != 0 {
		return unix.Errno(e)
	}
	path, protocol := "/graphql", "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
	if l.proto == socketIO {
		path, protocol = "/socket.io/?EIO=4&transport=websocket", ""
	}
	c.stage = upgrading
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}); err != nil {
		return err
	}
	return c.write([]byte("GET " + path + " HTTP/1.1\r\nHost: " + l.host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + protocol + "\r\n"))
}

func (c *conn) write(b []byte) error {
	n, err := unix.Write(c.fd, b)
	if err == nil && n < len(b) {
		err = errors.New("a short write")
	}
	return err
}

// say sends a text frame with a mask of zeros, which leaves the text as it is.
func (c *conn) say(s string) error { return c.frame(1, s) }

func (c *conn) frame(op byte, s string) error {
	b := []byte{0x80 | op}
	if len(s) < 126 {
		b = append(b, 0x80|byte(len(s)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(s)))
	}
	return c.write(append(append(b, 0, 0, 0, 0), s...))
}

// take reads the frames in b and counts the events.
func (l *load) take(c *conn, b []byte) (events int64, err error) {
	if c.stage == upgrading {
		b = append(c.rest, b...)
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			c.rest = bytes.Clone(b)
			return 0, nil
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
			return 0, fmt.Errorf("the upgrade was refused: %.100q", b)
		}
		c.rest, b = nil, b[end+4:]
		if err := l.upgraded(c); err != nil {
			return 0, err
		}
	}
	if len(c.rest) > 0 {
		b = append(c.rest, b...)
		c.rest = nil
	}
	for len(b) > 0 {
		if c.skip > 0 {
			k := min(c.skip, len(b))
			c.skip, b = c.skip-k, b[k:]
			continue
		}
		h, n := 2, 0
		if len(b) >= 2 {
			n = int(b[1])
		}
		switch n {
		case 126:
			if h = 4; len(b) >= h {
				n = int(binary.BigEndian.Uint16(b[2:]))
			}
		case 127:
			if h = 10; len(b) >= h {
				n = int(binary.BigEndian.Uint64(b[2:]))
			}
		}
		if len(b) < h {
			c.rest = bytes.Clone(b)
			return events, nil
		}
		if isEvent := c.stage == ready && b[0]&15 == 1 && n >= 100; isEvent && !c.sample {
			events++
			c.events++
			c.skip, b = n, b[h:]
			continue
		} else if len(b) < h+n {
			c.rest = bytes.Clone(b)
			return events, nil
		} else if isEvent {
			events++
			c.events++
			l.note(b[h : h+n])
		} else if err := l.control(c, b[0]&15, b[h:h+n]); err != nil {
			return events, err
		}
		b = b[h+n:]
	}
	return events, nil
}

// note takes the time at which an event was published from its text: digits between two @.
func (l *load) note(b []byte) {
	if !l.measuring.Load() {
		return
	}
	i := bytes.IndexByte(b, '@')
	if i < 0 {
		return
	}
	j := bytes.IndexByte(b[i+1:], '@')
	if j < 0 {
		return
	}
	if t, err := strconv.ParseInt(string(b[i+1:i+1+j]), 10, 64); err == nil {
		l.latencies = append(l.latencies, time.Duration(time.Now().UnixNano()-t))
	}
}

func (l *load) upgraded(c *conn) error {
	switch l.proto {
	case graphQL:
		c.stage = greeting
		return c.say(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + l.token(c.n) + `"}}`)
	case socketIO:
		c.stage = greeting
		return nil
	}
	c.stage = ready
	l.nReady++
	return nil
}

const subscription = `subscription($c: ID!) { messageAdded(conversationId: $c) { cursor message { id seq body createdAt sender { id username displayName } } } }`

// control answers everything that is not an event.
func (l *load) control(c *conn, op byte, b []byte) error {
	switch {
	case op == 9:
		return c.frame(10, string(b))
	case op == 8:
		return fmt.Errorf("closed by the server: %.100q", b)
	case op != 1:
		return nil
	case l.proto == socketIO:
		return l.engineIO(c, b)
	case l.proto != graphQL:
		return nil
	case bytes.Contains(b, []byte(`"connection_ack"`)):
		c.stage = settling
		if err := c.say(`{"id":"1","type":"subscribe","payload":{"query":"` + subscription + `","variables":{"c":"` + l.room + `"}}}`); err != nil {
			return err
		}
		return c.say(`{"type":"ping"}`)
	case bytes.Contains(b, []byte(`"type":"ping"`)):
		return c.say(`{"type":"pong"}`)
	case bytes.Contains(b, []byte(`"type":"pong"`)):
		if c.stage == settling {
			c.stage = ready
			l.nReady++
		}
	case bytes.Contains(b, []byte(`"type":"error"`)), bytes.Contains(b, []byte(`"type":"complete"`)):
		return fmt.Errorf("the subscription was refused: %.200q", b)
	}
	return nil
}

func (l *load) engineIO(c *conn, b []byte) error {
	switch {
	case b[0] == '0': // open
		return c.say(`40{"token":"` + l.token(c.n) + `"}`)
	case b[0] == '2': // ping
		return c.say("3")
	case bytes.HasPrefix(b, []byte("40")) && c.stage == greeting:
		c.stage = ready
		l.nReady++
	}
	return nil
}
