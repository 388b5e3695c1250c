package eventlog

import (
	"encoding/binary"
	"math"
	"reflect"

	"github.com/parley-chat/parley/internal/chat"
)

// Bus reaches the other nodes; what it carries may be lost, doubled, delayed or reordered.
type Bus interface {
	Publish(subject string, data []byte)
	Subscribe(subject string, f func(data []byte))
}

// maxDoorbell is how large a doorbell with events may be, in bytes. Brokers refuse large messages, and the database is the
// better way for them.
const maxDoorbell = 256 << 10

// Connect has Ring reach the other nodes, and listens to theirs. It comes after Open, before Start and before the first
// Ring.
func (l *Log) Connect(b Bus, subject string) {
	l.publish = func(data []byte) { b.Publish(subject, data) }
	b.Subscribe(subject, l.hear)
}

// Ring says on every node that a commit has appended these events, which are kept. It does not block.
func (l *Log) Ring(events []*chat.Event) {
	if l.publish != nil && len(events) > 0 {
		l.publish(l.encode(events)) // first: once they are offered, what they lack is filled in
	}
	l.Offer(events)
}

// doorbell is what nodes tell each other of a commit: the version of this layout (1), the log's epoch, because another
// database's positions mean nothing here, and the newest position; then eventShape and all events of the commit with their
// rows. These are left out where they are too large.
const layout = 1

func (l *Log) encode(events []*chat.Event) []byte {
	b := make([]byte, 0, min(512*(1+len(events)), maxDoorbell))
	b = binary.AppendUvarint(append(b, layout), uint64(l.epoch))
	b = binary.AppendUvarint(b, uint64(events[len(events)-1].Position)) //nolint:gosec // not negative
	bare := len(b)
	b = binary.BigEndian.AppendUint64(b, eventShape)
	for _, e := range events {
		if b = eventPacker.put(b, reflect.ValueOf(e).Elem()); len(b) > maxDoorbell {
			return b[:bare]
		}
	}
	return b
}

// hear takes a doorbell of another node. One that is old, of another log or none at all changes nothing; one of a node of
// another version only says that there is something to read.
func (l *Log) hear(data []byte) {
	s := string(data) // what is read shares it
	if s == "" || s[0] != layout {
		return
	}
	s = s[1:]
	epoch, _ := getUint(&s)
	at, ok := getUint(&s)
	position := chat.Position(at)                                                                 //nolint:gosec // a position that is none is not followed by anything
	if !ok || chat.Epoch(epoch) != l.epoch || epoch > math.MaxUint32 || position <= l.Applied() { //nolint:gosec // looked at
		return
	}
	var events []*chat.Event
	if len(s) >= 8 && binary.BigEndian.Uint64([]byte(s[:8])) == eventShape {
		for s = s[8:]; s != ""; {
			e := &chat.Event{}
			if !eventPacker.get(&s, reflect.ValueOf(e).Elem()) {
				return
			}
			events = append(events, e)
		}
		for i, e := range events {
			if e.Position != position-chat.Position(len(events)-1-i) {
				return
			}
		}
	}
	l.heard.Add(1)
	l.Offer(events)
}

// Stats counts since the start.
type Stats struct {
	Doorbells int64 // of other nodes that told something new
	Gaps      int64 // closed by reading the database, because something later was known already
}

// Stats says how other nodes' events came here.
func (l *Log) Stats() Stats { return Stats{l.heard.Load(), l.gaps.Load()} }
