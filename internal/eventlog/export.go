package eventlog

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
)

// After returns up to limit events after a position, of all topics and maybe without their rows, from the ring or the
// database. CURSOR_EXPIRED when the log does not reach back to it.
func (l *Log) After(ctx context.Context, after chat.Position, limit int) ([]*chat.Event, error) {
	l.mu.Lock()
	ring := l.ring
	l.mu.Unlock()
	if len(ring) > 0 && after >= ring[0].Position-1 {
		i := min(int(after-ring[0].Position+1), len(ring))
		return ring[i:min(i+limit, len(ring))], nil
	}
	if after >= l.Applied() {
		return nil, nil
	}
	events, err := l.cfg.Source.Events(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	if events = contiguous(events, after); len(events) == 0 {
		return nil, chat.ErrCursorExpired
	}
	return events, nil
}

// Bounds tells where the log ends now, and up to where it has been trimmed.
func (l *Log) Bounds(ctx context.Context) (epoch chat.Epoch, head, trimmed chat.Position, err error) {
	return l.cfg.Source.Bounds(ctx)
}

// Grown is closed when Applied grows again.
func (l *Log) Grown() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moved
}
