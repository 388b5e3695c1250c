package presence

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/bus"
)

// breath is the shortest time between two messages of a kind: what comes meanwhile goes out together.
const breath = 50 * time.Millisecond

// talk is what this node says to the others. It never waits for the database: a node that is late with its hellos is
// taken for dead.
func (s *Service) talk(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-s.speak:
		case <-t.C:
		case <-ctx.Done():
			return
		}
		wait := resolution
		if s.say() {
			wait = breath
		}
		t.Reset(breath)
		select { // what is to be said now waits for the next breath
		case <-t.C:
		case <-ctx.Done():
			return
		}
		t.Reset(wait - breath)
	}
}

// say reports whether there is more to say.
func (s *Service) say() (more bool) {
	connected := s.cfg.Bus.Connected()
	now := time.Now()
	s.mu.Lock()
	frames := s.roster.beat(now, connected)
	typing, typed := s.typing.say(s.roster.id, connected)
	more = connected && (len(s.roster.news) > 0 || s.typing.more())
	s.mu.Unlock()
	for i := range frames {
		s.cfg.Bus.Publish(bus.Presence, frames[i].encode())
	}
	if typed {
		s.cfg.Bus.Publish(bus.Typing, typing.encode())
	}
	return more
}

func (s *Service) hear(data []byte) {
	f, ok := decode(data)
	if !ok || f.kind == kindTyping {
		return
	}
	s.mu.Lock()
	soon := !s.stopped && s.roster.hear(f, time.Now())
	s.mu.Unlock()
	if soon {
		ring(s.speak)
	}
}

func (s *Service) hearTyping(data []byte) {
	f, ok := decode(data)
	if !ok || f.kind != kindTyping {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// What a node that is not known yet says about typing it will say again; what is older than its last word is not true
	// any more.
	if p := s.roster.peers[f.node]; !s.stopped && p != nil && !p.bye && f.seq > p.typed {
		p.typed = f.seq
		s.typing.hear(f.typed, time.Now())
	}
}
