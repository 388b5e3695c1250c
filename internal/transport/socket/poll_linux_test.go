package socket_test

import (
	"io"
	"syscall"
	"testing"

	"github.com/parley-chat/parley/internal/transport/socket"
)

// noFiles lets no file be opened until the test ends, or what it returns is called.
func noFiles(t *testing.T) (again func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	again = func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) }
	t.Cleanup(again)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	return again
}

// An engine that could serve nobody says so.
func TestStartWithoutFiles(t *testing.T) { //nolint:paralleltest // others need files
	noFiles(t)
	e := socket.New(socket.Config{})
	defer e.Stop()
	if err := e.Start(t.Context()); err == nil {
		t.Error("it started")
	}
}

// A connection for which there is no second descriptor is served as it is.
func TestOpenWithoutFiles(t *testing.T) { //nolint:paralleltest // as above
	e := start(t, socket.Config{})
	ours, peer := pair(t)
	again := noFiles(t)
	s := &socket.Socket{}
	s.Init(e, ours)
	if !s.Open(&handler{make(chan struct{})}) {
		t.Fatal("not open")
	}
	again()
	s.Close([]byte("served"))
	if got, err := io.ReadAll(peer); err != nil || string(got) != "served" {
		t.Errorf("%q %v", got, err)
	}
}
