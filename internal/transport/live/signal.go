package live

import "github.com/parley-chat/parley/internal/chat"

// Signal delivers an ephemeral event (presence, typing) to whoever listens to its topic. It does not wait; signals are
// delivered in the order of the calls, and dropped for a listener whose socket is full.
func (l *Live) Signal(e *chat.Event) {
	l.signals.Lock()
	l.signals.queue = append(l.signals.queue, e)
	l.signals.Unlock()
	select {
	case l.signals.bell <- struct{}{}:
	default:
	}
}

func (l *Live) runSignals() {
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.signals.bell:
		}
		l.signals.Lock()
		events := l.signals.queue
		l.signals.queue = nil
		l.signals.Unlock()
		var p plan
		l.mu.Lock()
		for _, e := range events {
			copied := *e
			copied.Position, copied.Rows.Snapshot = 0, false
			l.broadcast(&p, &copied)
		}
		l.mu.Unlock()
		l.carryOut(&p)
	}
}
