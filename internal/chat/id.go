package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
)

// Kind says what an ID names. The zero Kind belongs to the zero ID.
type Kind uint8

// The kinds of things that have ids.
const (
	_ Kind = iota
	KindUser
	KindSession
	KindFriendRequest
	KindConversation
	KindMessage
	KindNotification
	KindMailToken
	KindPushSubscription
	KindFile
	KindWebhook
	KindWebhookDelivery
	KindAPIKey
	KindIncomingWebhook
)

var prefixes = [...]string{
	KindUser: "usr", KindSession: "ses", KindFriendRequest: "frq", KindConversation: "cnv", KindMessage: "msg", KindNotification: "ntf", KindMailToken: "mtk",
	KindPushSubscription: "psh", KindFile: "fil", KindWebhook: "whk", KindWebhookDelivery: "whd", KindAPIKey: "key", KindIncomingWebhook: "iwh",
}

func (k Kind) String() string { return prefixes[k] }

// ID names one thing: its kind and a UUIDv7, so that ids sort by when they were made. Outside the program it is a TypeID
// (github.com/jetify-com/typeid, spec v0.3): the kind's prefix, "_" and 26 digits of Crockford's base 32. Ids are
// comparable; the zero ID names nothing.
type ID struct {
	Kind Kind
	UUID uuid.UUID
}

// NewID makes an id that sorts after every id this process has made before.
func NewID(k Kind) ID { return ID{k, uuid.Must(uuid.NewV7())} }

// IsZero says whether the id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

const digits = "0123456789abcdefghjkmnpqrstvwxyz"

var digitOf = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i := range len(digits) {
		t[digits[i]] = int8(i)
	}
	return t
}()

// String is the TypeID; empty for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return string(id.append(make([]byte, 0, 30)))
}

func (id ID) append(b []byte) []byte {
	b = append(append(b, prefixes[id.Kind]...), '_')
	// 128 bits in 26 digits of 5: the first digit holds only 3.
	u := id.UUID
	acc, bits := uint(0), 2 // two leading zero bits make 130
	for _, c := range u {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			bits -= 5
			b = append(b, digits[acc>>bits&31])
		}
		acc &= 1<<bits - 1
	}
	return b
}

var errID = errors.New("not an id")

// ParseID reads a TypeID of any kind.
func ParseID(s string) (ID, error) {
	prefix, rest, ok := strings.Cut(s, "_")
	if !ok || len(rest) != 26 || rest[0] > '7' {
		return ID{}, errID
	}
	for k, p := range prefixes {
		if p != "" && p == prefix {
			id := ID{Kind: Kind(k)}
			acc, bits, n := uint(0), -2, 0
			for i := range len(rest) {
				d := digitOf[rest[i]]
				if d < 0 {
					return ID{}, errID
				}
				acc, bits = acc<<5|uint(d), bits+5
				if bits >= 8 {
					bits -= 8
					id.UUID[n] = byte(acc >> bits)
					n++
					acc &= 1<<bits - 1
				}
			}
			return id, nil
		}
	}
	return ID{}, errID
}

// MarshalText and UnmarshalText make ids usable in JSON; the zero ID is the empty text.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*id = ID{}
		return nil
	}
	*id, err = ParseID(string(b))
	return err
}

// MarshalGQL writes the GraphQL ID.
func (id ID) MarshalGQL(w io.Writer) {
	_, _ = w.Write(append(id.append([]byte{'"'}), '"'))
}

// UnmarshalGQL reads a GraphQL ID. One of the wrong kind is accepted: it names nothing where it is used.
func (id *ID) UnmarshalGQL(v any) (err error) {
	switch v := v.(type) {
	case string:
		*id, err = ParseID(v)
	case json.Number, int, int64:
		err = errID
	default:
		err = fmt.Errorf("%T is not an id", v)
	}
	if err != nil {
		return BadInput("not an id of this server")
	}
	return nil
}
