package socket_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/transport/socket"
)

// The kernel takes little of a peer that does not read: what it would take by itself is megabytes a socket.
func TestKernelQueueIsBounded(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	if err := theirs.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	e := start(t, socket.Config{})
	s, h := &socket.Socket{}, &handler{make(chan struct{})}
	s.Init(e, ours)
	if !s.Open(h) {
		t.Fatal("not open")
	}
	st := newStream(s, "", plain{}, owner{})
	taken := 0
	for end := time.Now().Add(10 * time.Second); e.Stats().Parked == 0; {
		written := e.Stats().Writes
		st.Reply(make([]byte, 16<<10))
		for e.Stats().Writes == written && e.Stats().Parked == 0 {
			if time.Now().After(end) {
				t.Fatalf("still not parked after %d bytes", taken)
			}
			runtime.Gosched()
		}
		taken += 16 << 10
	}
	if taken > 512<<10 {
		t.Errorf("the kernel took %d bytes of a peer that does not read", taken)
	}
	t.Logf("%d bytes", taken)
}

// A revocation that finds a socket that does not read leaves nothing for it, in the kernel either.
func TestRevokeWhileParked(t *testing.T) {
	t.Parallel()
	e := start(t, socket.Config{})
	s, h, peer := open(t, e)
	newStream(s, "", plain{}, owner{}).Reply(make([]byte, 64<<20))
	for e.Stats().Parked == 0 {
		runtime.Gosched()
	}
	s.Revoke([]byte("revoked"))
	<-h.closed
	e.Stop() // no write is under way any more
	n, err := io.Copy(io.Discard, peer)
	if n >= 64<<20 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes, %v", n, err)
	}
	t.Logf("%d bytes had arrived", n)
}
