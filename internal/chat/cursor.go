package chat

import (
	"encoding/base64"
	"encoding/binary"
	"io"
)

// Position is a place in the log: 1, 2, 3, … without gaps. 0 is before the first event.
type Position int64

// Epoch tells one log from another (a database that was made anew), so that a cursor is never read against the wrong one.
type Epoch uint32

// Cursor is a position as clients hold it: opaque text of the log's epoch and the position.
type Cursor struct {
	Epoch    Epoch
	Position Position
}

// String is the opaque text.
func (c Cursor) String() string {
	b := binary.AppendUvarint(binary.BigEndian.AppendUint32(make([]byte, 0, 14), uint32(c.Epoch)), uint64(c.Position))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseCursor reads what String wrote, and nothing else: there is one text for each cursor.
func ParseCursor(s string) (Cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 5 {
		return Cursor{}, ErrInvalidCursor
	}
	p, n := binary.Uvarint(b[4:])
	c := Cursor{Epoch(binary.BigEndian.Uint32(b)), Position(p)}
	if n != len(b)-4 || c.Position < 0 || c.String() != s {
		return Cursor{}, ErrInvalidCursor
	}
	return c, nil
}

// MarshalGQL writes the GraphQL Cursor.
func (c Cursor) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, `"`+c.String()+`"`) }

// UnmarshalGQL reads a GraphQL Cursor; the error is INVALID_CURSOR.
func (c *Cursor) UnmarshalGQL(v any) (err error) {
	s, ok := v.(string)
	if !ok {
		return ErrInvalidCursor
	}
	*c, err = ParseCursor(s)
	return err
}
