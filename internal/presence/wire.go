package presence

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// What nodes tell each other on bus.Presence. A message is a version, a kind, the node that speaks, and then numbers
// (unsigned varints) and ids (16 bytes each, with their count before them).
const (
	wireVersion = 1
	maxPage     = 2_000 // users in one message: 32 KB
	maxParts    = 1_000
	maxTyped    = 1_000 // entries in one message about typing
)

type kind uint8

const (
	kindHello kind = iota + 1
	kindDelta
	kindAsk
	kindState
	kindBye
	kindTyping
)

// frame is any of the messages. Which fields it has depends on the kind:
//
//	hello   seq users fresh      I am here, with so many users; fresh: and who are you?
//	delta   seq came went        the next change: who is connected to me now, and who is not any more
//	ask     to                   tell all of your users
//	state   answer seq part parts came    a page of all users as of seq
//	bye                          I stop
//	typing  seq typed
type frame struct {
	kind        kind
	node        uuid.UUID
	to          uuid.UUID
	seq         uint64
	users       uint64
	fresh       bool
	answer      uint64
	part, parts uint64
	came, went  []uuid.UUID
	typed       []typed
}

// typed says that somebody types for some milliseconds more; 0: not any more.
type typed struct {
	conversation, user uuid.UUID
	millis             uint64
}

func (f *frame) encode() []byte {
	b := make([]byte, 0, 64+16*(len(f.came)+len(f.went))+36*len(f.typed))
	b = append(append(b, wireVersion, byte(f.kind)), f.node[:]...)
	ids := func(ids []uuid.UUID) {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for i := range ids {
			b = append(b, ids[i][:]...)
		}
	}
	numbers := func(ns ...uint64) {
		for _, n := range ns {
			b = binary.AppendUvarint(b, n)
		}
	}
	switch f.kind {
	case kindHello:
		fresh := uint64(0)
		if f.fresh {
			fresh = 1
		}
		numbers(f.seq, f.users, fresh)
	case kindDelta:
		numbers(f.seq)
		ids(f.came)
		ids(f.went)
	case kindAsk:
		b = append(b, f.to[:]...)
	case kindState:
		numbers(f.answer, f.seq, f.part, f.parts)
		ids(f.came)
	case kindTyping:
		numbers(f.seq, uint64(len(f.typed)))
		for _, t := range f.typed {
			b = append(append(b, t.conversation[:]...), t.user[:]...)
			numbers(t.millis)
		}
	}
	return b
}

// decode reads a message of this version; a node of another version is not understood, and so not there.
func decode(b []byte) (f frame, ok bool) {
	if len(b) < 2 || b[0] != wireVersion {
		return f, false
	}
	f.kind, b, ok = kind(b[1]), b[2:], true
	id := func() (u uuid.UUID) {
		if ok = ok && len(b) >= len(u); ok {
			b = b[copy(u[:], b):]
		}
		return u
	}
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if ok = ok && size > 0; ok {
			b = b[size:]
		}
		return n
	}
	ids := func() []uuid.UUID {
		n := number()
		if ok = ok && n <= maxPage && n*16 <= uint64(len(b)); !ok || n == 0 {
			return nil
		}
		out := make([]uuid.UUID, n)
		for i := range out {
			out[i] = id()
		}
		return out
	}
	f.node = id()
	switch f.kind {
	case kindHello:
		f.seq, f.users = number(), number()
		fresh := number()
		f.fresh, ok = fresh == 1, ok && fresh <= 1
	case kindDelta:
		f.seq, f.came, f.went = number(), ids(), ids()
	case kindAsk:
		f.to = id()
	case kindState:
		f.answer, f.seq, f.part, f.parts = number(), number(), number(), number()
		ok = ok && f.parts <= maxParts && f.part < f.parts
		f.came = ids()
	case kindBye:
	case kindTyping:
		f.seq = number()
		n := number()
		if ok = ok && n <= maxTyped && n*33 <= uint64(len(b)); ok {
			for range n {
				f.typed = append(f.typed, typed{id(), id(), number()})
			}
		}
	default:
		ok = false
	}
	return f, ok && len(b) == 0
}
