package limit

import (
	"slices"
	"sync"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// memory is how long a user's bucket is kept, and how far into debt it can go: as much as a minute fills.
const memory = time.Minute

// Sends bounds how often each user sends on all nodes together, at no cost but memory: a bucket of tokens for each user.
// Allow takes from it for what is sent through this node, and Applied for what the log tells of the others. That may leave
// a debt, so that what several nodes have let through before they heard of each other is paid back: of a user who sends
// through n nodes that hear of each other within d, no more than n·N + (t + n·d)·N/Per messages pass in any time t.
//
// A nil Sends has no limit. It is safe for concurrent use.
type Sends struct {
	c     Config
	step  time.Duration
	start time.Time

	mu      sync.Mutex // guards what follows
	buckets recent[bucket]
}

type bucket struct {
	// full is when it is full again, after start. The clock may be set meanwhile: this one goes on.
	full time.Duration
	// own is how many were sent through this node and have not come by in the log. Which of the user's events they are does
	// not matter, only how many.
	own int
}

// NewSends makes a limit; it is nil where there is none.
func NewSends(c Config) *Sends {
	if c.N <= 0 {
		return nil
	}
	c = c.withDefaults()
	return &Sends{c: c, step: c.Per / time.Duration(c.N), start: c.Now(), buckets: recent[bucket]{keep: max(c.Per, memory), most: c.Keys}}
}

// Allow counts a send through this node. The error is RATE_LIMITED with the time to wait; what was refused does not count.
// If it is allowed and adds nothing to the log after all, Void is told.
func (s *Sends) Allow(user chat.ID) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.c.Now()
	at, b := now.Sub(s.start), s.buckets.use(user.UUID, now)
	b.full = max(b.full, at)
	if wait := b.full - at - s.step*time.Duration(s.c.N-1); wait > 0 {
		return tooOften(wait)
	}
	b.full += s.step
	b.own++
	return nil
}

// Void says that a send which was allowed adds nothing to the log: it was refused, or repeated. It has counted all the same.
func (s *Sends) Void(user chat.ID) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets.find(user.UUID); b != nil && b.own > 0 {
		b.own--
	}
}

// Applied counts the sends among events that came through other nodes. It is given each event of the log once.
func (s *Sends) Applied(events []*chat.Event) {
	if s == nil {
		return
	}
	first := slices.IndexFunc(events, sent)
	if first < 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.c.Now()
	at := now.Sub(s.start)
	for _, e := range events[first:] {
		if !sent(e) {
			continue
		}
		b := s.buckets.use(e.Actor.UUID, now)
		if b.own > 0 {
			b.own--
			continue
		}
		// From when it was sent: what comes late has been paid back for as long. A clock that is ahead means now.
		b.full = min(max(b.full, at-max(0, now.Sub(e.At)))+s.step, at+s.buckets.keep)
	}
}

func sent(e *chat.Event) bool { return e.Type == chat.MessageAdded }
