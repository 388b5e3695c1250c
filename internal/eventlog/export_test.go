package eventlog

import "github.com/parley-chat/parley/internal/chat"

// Doorbell is what a node of the log with an epoch tells of events.
func Doorbell(epoch chat.Epoch, events []*chat.Event) []byte {
	return (&Log{epoch: epoch}).encode(events)
}

// Foreign is a doorbell of a node whose nouns differ.
func Foreign(data []byte) []byte {
	s := string(data[1:])
	getUint(&s)
	getUint(&s)
	shape := len(data) - len(s)
	data = append([]byte(nil), data...)
	data[shape]++
	return data
}
