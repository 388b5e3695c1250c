//go:build !linux

package socket

import (
	"errors"
	"net"
)

// poller has nothing to do here: every socket has a reader goroutine.
type poller struct{}

func newPoller() (*poller, error) { return &poller{}, nil }
func (*poller) stop()             {}
func (*poller) add(*Socket) bool  { return false }
func (*poller) remove(*Socket)    {}
func (*poller) run()              {}

// descriptor takes no connection here.
type descriptor struct{}

func (*descriptor) detach(net.Conn) bool      { return false }
func (*descriptor) write([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (*descriptor) waiting() (waiter, error)  { return nil, errors.ErrUnsupported }
func (*descriptor) closeWrite() bool          { return false }
func (*descriptor) abort()                    {}
func (*descriptor) close()                    {}
