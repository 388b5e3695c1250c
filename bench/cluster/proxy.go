package cluster

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Proxy passes TCP connections on to the first of its targets that accepts them. It holds little, so that the server notices
// a client that does not read.
type Proxy struct {
	listener net.Listener
	targets  func() []string
	relay    func(dst io.Writer, src io.Reader) error // for both directions
	running  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	pairs  map[*pair]struct{}
	closed bool
}

// holds is how much a connection may hold on its way in the kernel, each side, in bytes.
const holds = 32 << 10

// pair is a connection, the n-th: its client's side and its server's.
type pair struct {
	n              int
	client, server *net.TCPConn
}

// Listen starts a proxy. targets is asked for each connection.
func Listen(addr string, targets func() []string) (*Proxy, error) {
	return listen(addr, targets, func(dst io.Writer, src io.Reader) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 8<<10)) // no splice: its pipe is large
		return err
	})
}

func listen(addr string, targets func() []string, relay func(io.Writer, io.Reader) error) (*Proxy, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, targets: targets, relay: relay, pairs: map[*pair]struct{}{}}
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

func (p *Proxy) accept() {
	for n := 0; ; n++ {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no more files: later perhaps
			time.Sleep(10 * time.Millisecond)
			continue
		}
		p.running.Go(func() { p.serve(n, c.(*net.TCPConn)) })
	}
}

func (p *Proxy) serve(n int, client *net.TCPConn) {
	defer client.Close()
	server := p.dial()
	if server == nil {
		_ = client.SetLinger(0) // a reset: nobody listens there
		return
	}
	defer server.Close()
	for _, c := range []*net.TCPConn{client, server} {
		_ = c.SetReadBuffer(holds)
		_ = c.SetWriteBuffer(holds)
	}
	x := &pair{n, client, server}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.pairs[x] = struct{}{}
	p.mu.Unlock()
	ended := make(chan struct{}, 2)
	pass := func(dst, src *net.TCPConn) {
		_ = p.relay(dst, src)
		ended <- struct{}{}
	}
	go pass(client, server)
	go pass(server, client)
	<-ended // neither protocol goes on in one direction alone
	_ = client.Close()
	_ = server.Close()
	<-ended
	p.mu.Lock()
	delete(p.pairs, x)
	p.mu.Unlock()
}

func (p *Proxy) dial() *net.TCPConn {
	for _, t := range p.targets() {
		if c, err := net.DialTimeout("tcp", t, 2*time.Second); err == nil {
			return c.(*net.TCPConn)
		}
	}
	return nil
}

// Cut ends a share of the connections at once, by turns with a reset and properly, and says how many. Which ones follows
// from the order in which they were made.
func (p *Proxy) Cut(share float64, r *rand.Rand) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.SortedFunc(maps.Keys(p.pairs), func(a, b *pair) int { return a.n - b.n })
	for _, x := range all {
		if r.Float64() >= share {
			continue
		}
		delete(p.pairs, x)
		if n++; n%2 == 0 {
			_ = x.client.SetLinger(0)
			_ = x.server.SetLinger(0)
		}
		_ = x.client.Close()
		_ = x.server.Close()
	}
	return n
}

// Close ends the proxy and all its connections. It may be called twice.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for x := range p.pairs {
		_ = x.client.Close()
		_ = x.server.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}
