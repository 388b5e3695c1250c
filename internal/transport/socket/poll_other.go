//go:build !linux

package socket

import "errors"

const direct = false

func writeNow(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

// poller does not exist here: every socket has a reader goroutine.
type poller struct{}

func newPoller() *poller         { return nil }
func (*poller) stop()            {}
func (*poller) add(*Socket) bool { return false }
func (*poller) remove(*Socket)   {}
func (*poller) run()             {}
