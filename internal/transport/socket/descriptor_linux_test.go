package socket

import (
	"syscall"
	"testing"
)

// The number of a closed descriptor is the next connection's: at no moment does anybody get it.
func TestClosedDescriptorIsNotUsed(t *testing.T) { //nolint:paralleltest // others would take the number at once
	for range 5000 {
		var fds [2]int
		if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
			t.Fatal(err)
		}
		d, began, stale := &descriptor{fd: fds[0]}, make(chan struct{}), make(chan bool)
		go func() {
			close(began)
			closed := false
			for d.use(func(fd int) {
				_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
				closed = closed || errno == syscall.EBADF
			}) {
			}
			stale <- closed
		}()
		<-began
		d.close()
		_ = syscall.Close(fds[1])
		if <-stale {
			t.Fatal("a closed descriptor was used")
		}
	}
}
