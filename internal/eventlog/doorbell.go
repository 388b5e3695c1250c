package eventlog

import (
	"bytes"
	"encoding/json"

	"github.com/parley-chat/parley/internal/chat"
)

// Bus reaches the other nodes; what it carries may be lost, doubled, delayed or reordered.
type Bus interface {
	Publish(subject string, data []byte)
	Subscribe(subject string, f func(data []byte))
}

// doorbell is what nodes tell each other of a commit.
type doorbell struct {
	Epoch    chat.Epoch    // of the log: another database's positions mean nothing here
	Position chat.Position // of the newest event
	Events   []*chat.Event `json:",omitempty"` // all of the commit, with their rows; none where they are too large
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

func (l *Log) encode(events []*chat.Event) []byte {
	bell := doorbell{Epoch: l.epoch, Position: events[len(events)-1].Position}
	bare, _ := json.Marshal(bell) // numbers cannot fail
	b := bytes.NewBuffer(make([]byte, 0, min(1024*(1+len(events)), maxDoorbell)))
	b.Write(bare[:len(bare)-1])
	for i, e := range events {
		b.WriteString([2]string{`,"Events":[`, `,`}[min(i, 1)])
		one, err := json.Marshal(e)
		if err != nil || b.Len()+len(one)+2 > maxDoorbell {
			return bare
		}
		b.Write(one)
	}
	b.WriteString("]}")
	return b.Bytes()
}

// hear takes a doorbell of another node. One that is old, of another log or none at all changes nothing.
func (l *Log) hear(data []byte) {
	var bell doorbell
	if err := json.Unmarshal(data, &bell); err != nil || bell.Epoch != l.epoch || bell.Position <= l.Applied() {
		return
	}
	for i, e := range bell.Events {
		if e == nil || e.Position != bell.Position-chat.Position(len(bell.Events)-1-i) {
			return
		}
	}
	l.heard.Add(1)
	l.Offer(bell.Events)
}

// Stats counts since the start.
type Stats struct {
	Doorbells int64 // of other nodes that told something new
	Gaps      int64 // closed by reading the database, because something later was known already
}

// Stats says how other nodes' events came here.
func (l *Log) Stats() Stats { return Stats{l.heard.Load(), l.gaps.Load()} }
