package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"
)

// servePeer is a server that writes what is posted to /publish to every socket: "bare" with one write(2) each, as nothing
// that joins no writes can do with less; "gorilla" with a prepared message in a loop, as tutorials do.
func servePeer(kind, addr string) error {
	p := &peer{bare: kind == "bare"}
	up := websocket.Upgrader{Subprotocols: []string{"graphql-transport-ws"}}
	http.HandleFunc("/graphql", func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err == nil {
			p.add(c)
		}
	})
	http.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = p.publish(b)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return http.Serve(l, nil) //nolint:gosec // loopback, for minutes
}

type peer struct {
	bare  bool
	mu    sync.Mutex
	conns []*websocket.Conn
	fds   []int
}

func (p *peer) add(c *websocket.Conn) {
	rc, err := c.NetConn().(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = rc.Control(func(fd uintptr) { p.fds = append(p.fds, int(fd)) })
	p.conns = append(p.conns, c)
	go func() {
		for {
			if _, _, err := c.NextReader(); err != nil {
				break
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := range p.conns {
			if p.conns[i] == c {
				last := len(p.conns) - 1
				p.conns[i], p.fds[i] = p.conns[last], p.fds[last]
				p.conns, p.fds = p.conns[:last], p.fds[:last]
				break
			}
		}
		_ = c.Close()
	}()
}

func (p *peer) publish(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bare {
		frame := append([]byte{0x81, 126, byte(len(b) >> 8), byte(len(b))}, b...)
		for _, fd := range p.fds {
			writeAll(fd, frame)
		}
		return nil
	}
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, b)
	if err != nil {
		return err
	}
	for _, c := range p.conns {
		_ = c.WritePreparedMessage(m) // a reader notices who has gone
	}
	return nil
}

func writeAll(fd int, b []byte) {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch {
		case errors.Is(err, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 1000)
		case err != nil:
			return
		default:
			b = b[n:]
		}
	}
}
