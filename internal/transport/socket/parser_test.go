package socket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parley-chat/parley/internal/transport/socket"
)

const maxMessage = 1000

func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return b
}

func join(bs ...[]byte) []byte { return bytes.Join(bs, nil) }

// read feeds bytes in pieces of n and returns what came out.
func read(b []byte, n int) (got []string, err error) {
	p := &socket.Parser{MaxMessage: maxMessage}
	for len(b) > 0 && err == nil {
		k := min(n, len(b))
		err = p.Feed(bytes.Clone(b[:k]), func(op byte, data []byte) error {
			got = append(got, string(rune('0'+op))+string(data))
			return nil
		})
		b = b[k:]
	}
	if err == nil && !p.Idle() {
		got = append(got, "…")
	}
	return got, err
}

func TestParser(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", maxMessage/2)
	for name, tc := range map[string]struct {
		in   []byte
		want string
		code uint16
	}{
		"text":                    {frame(0x81, "hi"), "1hi", 0},
		"empty":                   {frame(0x81, ""), "1", 0},
		"two":                     {join(frame(0x81, "a"), frame(0x81, "b")), "1a 1b", 0},
		"fragments, ping between": {join(frame(0x01, "a"), frame(0x89, "p"), frame(0x00, "b"), frame(0x80, "c")), "9p 1abc", 0},
		"rune over fragments":     {join(frame(0x01, "\xc3"), frame(0x80, "\xa9")), "1é", 0},
		"half":                    {frame(0x81, "hello")[:8], "…", 0},
		"half of a message":       {frame(0x01, "a"), "…", 0},
		"longest":                 {frame(0x81, long), "1" + long, 0},
		"too long":                {frame(0x81, long+"x"), "", 1009},
		"too long in fragments":   {join(frame(0x01, long), frame(0x80, "x")), "", 1009},
		"huge":                    {append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, 1<<62)...), "", 1009},
		"length with top bit":     {append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, 1<<63)...), "", 1002},
		"length not minimal":      {[]byte{0x81, 0xfe, 0, 5, 1, 2, 3, 4}, "", 1002},
		"64-bit not minimal":      {append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, 500)...), "", 1002},
		"not masked":              {[]byte{0x81, 1, 'x'}, "", 1002},
		"reserved bit":            {frame(0xc1, "x"), "", 1002},
		"binary":                  {frame(0x82, "x"), "", 1003},
		"opcode 3":                {frame(0x83, "x"), "", 1002},
		"opcode 11":               {frame(0x8b, "x"), "", 1002},
		"fragmented ping":         {frame(0x09, "x"), "", 1002},
		"long ping":               {frame(0x89, strings.Repeat("x", 126)), "", 1002},
		"continuation of nothing": {frame(0x80, "x"), "", 1002},
		"text within fragments":   {join(frame(0x01, "a"), frame(0x81, "b")), "", 1002},
		"bad UTF-8":               {frame(0x81, "\xff"), "", 1007},
		"surrogate":               {frame(0x81, "\xed\xa0\x80"), "", 1007},
		"close":                   {frame(0x88, "\x03\xe8"), "8\x03\xe8", 0},
	} {
		for _, n := range []int{1, 3, 1 << 20} {
			got, err := read(tc.in, n)
			var ce socket.CloseError
			errors.As(err, &ce)
			if strings.Join(got, " ") != tc.want || ce.Code != tc.code {
				if tc.code == 0 || ce.Code != tc.code {
					t.Errorf("%s in pieces of %d: %q %v", name, n, got, err)
				}
			}
		}
	}
}

func TestCloseReply(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]uint16{
		"": 0, "x": 1002, "\x03\xe8": 1000, "\x03\xedx": 1002, "\x03\xee": 1002, "\x03\xf7": 1002, "\x0b\xb8ok": 3000, "\x13\x88": 1002, "\x03\xe8\xff": 1007,
	} {
		if got := socket.CloseReply([]byte(in)).Code; got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
	f := socket.CloseError{Code: 4409, Reason: strings.Repeat("é", 100)}.Frame()
	if len(f) > 127 || !utf8.Valid(f[4:]) {
		t.Errorf("%q", f)
	}
}

// Whatever comes, in whatever pieces: the same messages come out, valid and bounded.
func FuzzParser(f *testing.F) {
	f.Add(frame(0x81, "hi"), 1)
	f.Add(join(frame(0x01, "a"), frame(0x89, "p"), frame(0x80, "c")), 2)
	f.Add([]byte{0x81, 0xfe, 1, 0, 1, 2, 3, 4}, 5)
	f.Add(frame(0x88, "\x03\xe8bye"), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n <= 0 {
			return
		}
		whole, err := read(b, len(b)+1)
		pieces, perr := read(b, n)
		if (err == nil) != (perr == nil) || err != nil && err.Error() != perr.Error() {
			t.Fatalf("%v in one, %v in pieces", err, perr)
		}
		if strings.Join(whole, "\x00") != strings.Join(pieces, "\x00") {
			t.Fatalf("%q in one, %q in pieces", whole, pieces)
		}
		for _, m := range whole {
			if len(m) > maxMessage+2 || m[0] == '1' && !utf8.ValidString(m) {
				t.Fatalf("%q", m)
			}
		}
	})
}
