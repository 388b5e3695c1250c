package socket

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// Parser reads a client's WebSocket frames. Between two messages it holds nothing.
type Parser struct {
	MaxMessage int // bytes of one message, over all its fragments

	rest []byte // of a frame that is not complete
	msg  []byte // of a fragmented message that is not complete
	frag bool
}

// Idle says that nothing is half read, so that the parser can be dropped.
func (p *Parser) Idle() bool { return len(p.rest) == 0 && !p.frag }

var errShort = errors.New("the frame is not complete")

// Feed takes what was read and calls f for each message and control frame in it. b is changed, and what f gets is valid
// only during the call. A violation of RFC 6455 is a CloseError; errors of f are returned as they are.
func (p *Parser) Feed(b []byte, f func(op byte, data []byte) error) error {
	if len(p.rest) > 0 {
		b = append(p.rest, b...)
		p.rest = nil
	}
	for len(b) > 0 {
		n, err := p.one(b, f)
		if errors.Is(err, errShort) {
			p.rest = append([]byte(nil), b...)
			return nil
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (p *Parser) one(b []byte, f func(op byte, data []byte) error) (int, error) {
	// Every rule that the first bytes can break is checked before the frame is complete: a bad peer gets no buffer.
	fin, op := b[0]&0x80 != 0, b[0]&15
	switch {
	case b[0]&0x70 != 0: // §5.2: MUST be 0 unless an extension is negotiated
		return 0, CloseError{1002, "Reserved bits are set"}
	case op > 2 && op < 8, op > 10:
		return 0, CloseError{1002, "Unknown opcode"}
	case op >= 8 && !fin: // §5.5: control frames MUST NOT be fragmented
		return 0, CloseError{1002, "Fragmented control frame"}
	case op < 8 && (op == 0) != p.frag:
		return 0, CloseError{1002, "Unexpected continuation"}
	case op == 2:
		return 0, CloseError{1003, "Only text is understood"}
	}
	if len(b) < 2 {
		return 0, errShort
	}
	n, h := uint64(b[1]&127), 2
	switch {
	case b[1]&0x80 == 0: // §5.1: a server MUST close upon a frame that is not masked
		return 0, CloseError{1002, "Frame is not masked"}
	case op >= 8 && n > 125:
		return 0, CloseError{1002, "Control frame is too long"}
	case n == 126:
		if len(b) < 4 {
			return 0, errShort
		}
		n, h = uint64(binary.BigEndian.Uint16(b[2:])), 4
		if n < 126 { // §5.2: the minimal number of bytes MUST be used
			return 0, CloseError{1002, "Length is not minimal"}
		}
	case n == 127:
		if len(b) < 10 {
			return 0, errShort
		}
		n, h = binary.BigEndian.Uint64(b[2:]), 10
		if n < 1<<16 || n>>63 != 0 {
			return 0, CloseError{1002, "Length is not minimal"}
		}
	}
	if op < 8 && n > uint64(p.MaxMessage-len(p.msg)) {
		return 0, CloseError{1009, "Message is too long"}
	}
	if uint64(len(b)) < uint64(h)+4+n {
		return 0, errShort
	}
	mask, data := b[h:h+4], b[h+4:h+4+int(n)]
	for i := range data {
		data[i] ^= mask[i&3]
	}
	h += 4 + int(n)
	switch {
	case op == OpClose:
		return h, f(op, data)
	case op >= 8:
		return h, f(op, data)
	case !fin:
		p.msg, p.frag = append(p.msg, data...), true
		return h, nil
	case p.frag:
		data, p.msg, p.frag = append(p.msg, data...), nil, false
	}
	if !utf8.Valid(data) {
		return 0, CloseError{1007, "Invalid UTF-8"}
	}
	return h, f(OpText, data)
}

// CloseReply checks a received close frame (RFC 6455 §5.5.1, §7.4) and says what to answer.
func CloseReply(data []byte) CloseError {
	if len(data) == 0 {
		return CloseError{}
	}
	if len(data) == 1 {
		return CloseError{1002, "Bad close frame"}
	}
	code := binary.BigEndian.Uint16(data)
	switch {
	case code < 1000, code >= 1004 && code <= 1006, code >= 1015 && code < 3000, code >= 5000:
		return CloseError{1002, "Bad close code"}
	case !utf8.Valid(data[2:]):
		return CloseError{1007, "Invalid UTF-8"}
	}
	return CloseError{Code: code}
}
