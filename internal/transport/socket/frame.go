package socket

import (
	"encoding/binary"
	"strings"
)

// Frame is a payload that is shared by all streams that get it.
type Frame struct {
	Pos     int64 // its place in the log; 0: ephemeral, and may be dropped
	Payload []byte
}

// Framing puts a stream's envelope around payloads. Each method appends to b.
type Framing interface {
	Next(b []byte, id string, payload []byte) []byte
	Error(b []byte, id string, errs []byte) []byte // ends the stream; errs is a JSON list
	Complete(b []byte, id string) []byte           // ends the stream
}

// The opcodes of RFC 6455 §5.2 that are used.
const (
	OpText  = 1
	OpClose = 8
	OpPing  = 9
	OpPong  = 10
)

// AppendHeader appends the header of an unmasked, final WebSocket frame with n bytes of payload.
func AppendHeader(b []byte, op byte, n int) []byte {
	b = append(b, 0x80|op)
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return append(b, 126, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
}

// AppendFrame appends a whole WebSocket frame.
func AppendFrame(b []byte, op byte, payload []byte) []byte {
	return append(AppendHeader(b, op, len(payload)), payload...)
}

// CloseError is a reason to close a WebSocket, with its code.
type CloseError struct {
	Code   uint16
	Reason string
}

func (e CloseError) Error() string { return e.Reason }

// Frame is the close frame. A code of 0 makes one without a status.
func (e CloseError) Frame() []byte {
	if e.Code == 0 {
		return AppendFrame(nil, OpClose, nil)
	}
	reason := e.Reason
	if len(reason) > 123 { // RFC 6455 §5.5: a control frame carries at most 125 bytes
		reason = strings.ToValidUTF8(reason[:123], "")
	}
	return AppendFrame(nil, OpClose, append(binary.BigEndian.AppendUint16(nil, e.Code), reason...))
}
