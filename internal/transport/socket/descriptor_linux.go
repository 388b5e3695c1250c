package socket

import (
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// descriptor is a connection that was taken from net: nothing of Go's runtime belongs to it, which would hold half a
// kilobyte for each, and wake up for each packet besides the poller.
type descriptor struct {
	mu sync.Mutex // held during each call: the number must not be closed, and used anew, under it
	fd int        // -1: closed
}

// What the kernel takes of a peer that does not read (tcp(7), TCP_NOTSENT_LOWAT; the option's number is linux/tcp.h's): its
// own bound is megabytes, which no limit of ours would know of.
const (
	tcpNotSentLowAt = 25
	maxNotSent      = 128 << 10
)

// detach takes a connection from net; c is closed where that succeeds. false: c is no socket of the system's own (TLS), or
// there are too many files.
func (d *descriptor) detach(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	n, errno := uintptr(0), syscall.EBADF
	if rc.Control(func(fd uintptr) { n, errno = duplicate(fd) }) != nil || errno != 0 {
		return false
	}
	_ = c.Close()
	d.fd = int(n)
	_ = syscall.SetsockoptInt(d.fd, syscall.IPPROTO_TCP, tcpNotSentLowAt, maxNotSent)
	return true
}

func duplicate(fd uintptr) (uintptr, syscall.Errno) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	return n, errno
}

// use calls f with the number; false: it is closed.
func (d *descriptor) use(f func(fd int)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd < 0 {
		return false
	}
	f(d.fd)
	return true
}

// write is one write(2): 0 and no error where it would block. RawSyscall, because it cannot block and the scheduler need
// not be told.
func (d *descriptor) write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.fd >= 0 && len(b) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(d.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EAGAIN:
			return 0, nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
	return 0, nil
}

// read takes what is there, without waiting. more: there may be more. The end of the connection is an error.
func (d *descriptor) read(b []byte) (n int, more bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.fd >= 0 {
		n, err = syscall.Read(d.fd, b)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, false, nil
		case err == nil && n == 0:
			return 0, false, net.ErrClosed
		default:
			return n, n == len(b), err
		}
	}
	return 0, false, net.ErrClosed
}

// waiting is a writer that may wait, for the same connection.
func (d *descriptor) waiting() (waiter, error) {
	n, errno := uintptr(0), syscall.EBADF
	d.use(func(fd int) { n, errno = duplicate(uintptr(fd)) })
	if errno != 0 {
		return nil, errno
	}
	return os.NewFile(n, "socket"), nil // it does not block, so Go's runtime polls it
}

// closeWrite signals the end; false: the peer cannot be told any more.
func (d *descriptor) closeWrite() bool {
	err := net.ErrClosed
	return d.use(func(fd int) { err = syscall.Shutdown(fd, syscall.SHUT_WR) }) && err == nil
}

// abort has close throw away what the peer has not received.
func (d *descriptor) abort() {
	d.use(func(fd int) {
		_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	})
}

// close also ends what a waiting writer is at. It may be called once.
func (d *descriptor) close() {
	d.use(func(fd int) {
		_ = syscall.Shutdown(fd, syscall.SHUT_RDWR)
		_ = syscall.Close(fd)
		d.fd = -1 // before anybody else gets the lock: the number may be another connection's already
	})
}
