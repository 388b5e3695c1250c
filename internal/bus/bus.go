// Package bus is what the nodes of a cluster tell each other: that the log has grown, who is connected where, who types.
//
// Whatever travels here may be lost, doubled, delayed or reordered, and nothing but latency may depend on it: the database
// is the truth. On one node there is no bus.
//
// Event is what services beside Parley get.
package bus

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
)

// Bus reaches the other nodes. It is safe for concurrent use.
type Bus interface {
	// Publish sends data to every other node that can be reached now. It does not wait, keeps nothing for later and does
	// not keep data.
	Publish(subject string, data []byte)
	// Subscribe has f called for what other nodes publish on a subject, one message at a time; messages of this node
	// do not come back. f owns data and should not block: what comes meanwhile may be dropped. Subscriptions are made
	// before the bus is started.
	Subscribe(subject string, f func(data []byte))
	// OnConnect has f called when other nodes can be reached again, and at the first time: what was missed should be asked
	// for. f must not block.
	OnConnect(f func())
	// Connected says whether messages have a way to go now.
	Connected() bool
}

// The subjects.
const (
	Log      = "log"      // the doorbell
	Presence = "presence" // who is connected to which node
	Typing   = "typing"
)

const macSize = 16

// Seal lets only those take part who have the key: whoever can reach the bus could otherwise invent events. Messages
// that were not sealed with it, or for another subject, are dropped. What was sealed once can be sent again by anybody
// who saw it: consumers must not mind.
func Seal(b Bus, key []byte) *Sealed { return &Sealed{Bus: b, key: key} }

// Sealed is a Bus among those who have the key.
type Sealed struct {
	Bus
	key     []byte
	refused atomic.Int64
}

// Refused counts the messages dropped since the start: a node with another secret, or somebody who should not be there.
func (s *Sealed) Refused() int64 { return s.refused.Load() }

func (s *Sealed) mac(subject string, data []byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(subject)))) //nolint:gosec // short
	m.Write([]byte(subject))
	m.Write(data)
	return m.Sum(nil)[:macSize]
}

// Publish is that of Bus.
func (s *Sealed) Publish(subject string, data []byte) {
	s.Bus.Publish(subject, append(s.mac(subject, data), data...))
}

// Subscribe is that of Bus; f hears only what is sealed.
func (s *Sealed) Subscribe(subject string, f func(data []byte)) {
	s.Bus.Subscribe(subject, func(data []byte) {
		if len(data) < macSize || !hmac.Equal(data[:macSize], s.mac(subject, data[macSize:])) {
			s.refused.Add(1)
			return
		}
		f(data[macSize:])
	})
}
