package bus_test

import (
	"testing"

	"github.com/parley-chat/parley/internal/bus"
)

// wire hands every message to everybody, as it was published.
type wire struct {
	bus.Bus
	heard map[string][]func([]byte)
	sent  [][]byte
}

func (w *wire) Subscribe(subject string, f func([]byte)) {
	w.heard[subject] = append(w.heard[subject], f)
}

func (w *wire) Publish(subject string, data []byte) {
	w.sent = append(w.sent, data)
	for _, f := range w.heard[subject] {
		f(data)
	}
}

func TestSeal(t *testing.T) {
	w := &wire{heard: map[string][]func([]byte){}}
	ours, theirs := bus.Seal(w, []byte("ours")), bus.Seal(w, []byte("theirs"))
	var got []string
	ours.Subscribe(bus.Log, func(b []byte) { got = append(got, "log "+string(b)) })
	ours.Subscribe(bus.Typing, func(b []byte) { got = append(got, "typing "+string(b)) })
	ours.Publish(bus.Log, []byte("one"))
	theirs.Publish(bus.Log, []byte("forged"))
	w.Publish(bus.Log, []byte("short"))
	w.Publish(bus.Log, []byte("long enough to have a seal, but without one"))
	w.Publish(bus.Typing, w.sent[0]) // what was sealed for another subject
	for i := range w.sent[0] {
		changed := append([]byte(nil), w.sent[0]...)
		changed[i] ^= 1
		w.Publish(bus.Log, changed)
	}
	ours.Publish(bus.Log, nil)
	if len(got) != 2 || got[0] != "log one" || got[1] != "log " {
		t.Errorf("%q", got)
	}
	if n := ours.Refused(); n != int64(4+len(w.sent[0])) {
		t.Errorf("%d refused", n)
	}
}
