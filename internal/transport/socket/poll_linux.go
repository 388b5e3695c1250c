package socket

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// poller watches all sockets for input with one goroutine. Its own epoll descriptor waits in the Go runtime's poller, so
// that no thread is held.
type poller struct {
	file *os.File
	ep   syscall.RawConn
	epfd int

	work chan *Socket // to a worker that is free
	quit chan struct{}

	mu    sync.RWMutex
	socks []*Socket // by descriptor
	gen   int32     // tells a socket from an earlier one with the same descriptor
}

const readable = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err = syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), epfd: fd, work: make(chan *Socket), quit: make(chan struct{})}
	if p.ep, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

func (p *poller) stop() {
	_ = p.file.Close()
	close(p.quit)
}

// add watches a socket; false: it was closed meanwhile, or the system has no room for it.
func (p *poller) add(s *Socket) bool {
	err := net.ErrClosed
	s.d.use(func(fd int) {
		p.mu.Lock()
		for len(p.socks) <= fd {
			p.socks = append(p.socks, nil)
		}
		p.gen++
		s.gen, p.socks[fd] = p.gen, s
		p.mu.Unlock()
		err = p.arm(fd, s.gen, syscall.EPOLL_CTL_ADD)
	})
	return err == nil
}

func (p *poller) arm(fd int, gen int32, op int) error {
	return syscall.EpollCtl(p.epfd, op, fd, &syscall.EpollEvent{Events: readable, Fd: int32(fd), Pad: gen}) //nolint:gosec // a descriptor
}

// remove comes before the descriptor is closed.
func (p *poller) remove(s *Socket) {
	s.d.use(func(fd int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if fd < len(p.socks) && p.socks[fd] == s {
			p.socks[fd] = nil
		}
	})
}

func (p *poller) run() {
	events := make([]syscall.EpollEvent, 256)
	for {
		n := 0
		if p.ep.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events, 0)
			return n > 0
		}) != nil {
			return
		}
		for _, e := range events[:n] {
			p.mu.RLock()
			s := p.socks[e.Fd]
			p.mu.RUnlock()
			if s != nil && s.gen == e.Pad { // one at a time for each socket: one-shot
				select {
				case p.work <- s:
				default:
					s.e.do(func() { p.worker(s) })
				}
			}
		}
	}
}

// workerIdle is how long a worker waits for more. Its stack has grown to what executing an operation needs: a new
// goroutine for each input would copy it, page by page, every time.
const workerIdle = 250 * time.Millisecond

// worker serves a socket, and then others as long as there are any. There are as many as sockets wait for their turn:
// handling an input may take a while.
func (p *poller) worker(s *Socket) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		p.serve(s)
		idle.Reset(workerIdle)
		select {
		case s = <-p.work:
		case <-idle.C:
			return
		case <-p.quit:
			return
		}
	}
}

// serve reads what is there, has it handled in order, and arms the socket again.
func (p *poller) serve(s *Socket) {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	for more := true; more; {
		var n int
		var err error
		if n, more, err = s.d.read(*b); err != nil {
			s.Kill()
			return
		}
		if n > 0 {
			s.input((*b)[:n])
		}
	}
	err := net.ErrClosed
	if s.d.use(func(fd int) { err = p.arm(fd, s.gen, syscall.EPOLL_CTL_MOD) }); err != nil {
		s.Kill()
	}
}
