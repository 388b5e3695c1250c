package socket

import (
	"syscall"
	"unsafe"
)

const direct = true // descriptors can be written and read without waiting

// writeNow is one write(2) on a non-blocking socket: 0 and no error where it would block. RawSyscall, because it cannot
// block and the scheduler need not be told.
func writeNow(fd uintptr, b []byte) (int, error) {
	for len(b) > 0 {
		n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch e {
		case 0:
			return int(n), nil
		case syscall.EAGAIN:
			return 0, nil
		case syscall.EINTR:
		default:
			return 0, e
		}
	}
	return 0, nil
}
