package socket

import (
	"sync"
	"time"
)

// wheel wakes sockets at the times they asked for. An entry is good only while the socket still wants that tick.
type wheel struct {
	every time.Duration

	mu    sync.Mutex
	now   int64 // the newest tick that was served
	slots map[int64][]*Socket
}

func (w *wheel) init(every time.Duration) {
	w.every, w.slots = every, map[int64][]*Socket{}
	w.now = w.tick(time.Now())
}

func (w *wheel) tick(t time.Time) int64 { return t.UnixNano() / int64(w.every) }

// set asks for a wake-up; earlier: unless one is due before that.
func (w *wheel) set(s *Socket, at time.Time, earlier bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.IsZero() || s.dead.Load() {
		return
	}
	t := max(w.tick(at)+1, w.now+1)
	if old := s.tick.Load(); earlier && old != 0 && old <= t {
		return
	}
	s.tick.Store(t)
	w.slots[t] = append(w.slots[t], s)
}

func (w *wheel) run(stop <-chan struct{}) {
	tk := time.NewTicker(w.every)
	defer tk.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tk.C:
			w.turn(now)
		}
	}
}

func (w *wheel) turn(now time.Time) {
	w.mu.Lock()
	var due []*Socket
	for t := w.tick(now); w.now < t; {
		w.now++
		for _, s := range w.slots[w.now] {
			if s.tick.CompareAndSwap(w.now, 0) {
				due = append(due, s)
			}
		}
		delete(w.slots, w.now)
	}
	w.mu.Unlock()
	for _, s := range due {
		if s.dead.Load() {
			continue
		}
		if s.ending.Load() { // its time to answer a close is over, or its writer is stuck and has a deadline
			s.sh.postRing(command{op: opLinger, sock: s})
			continue
		}
		w.set(s, s.h.Tick(now), true)
	}
}
