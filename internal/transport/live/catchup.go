package live

import (
	"context"
	"errors"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/socket"
)

const (
	chunkSize    = 128      // events of the log at a time
	chunkBytes   = 64 << 10 // and bytes: what a socket has no room for would be made for nothing, and live ones wait meanwhile
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// Behind serves a listener from where it is. The socket asks again until it is live.
func (m *member) Behind(last int64, greeted bool) {
	l := m.l
	if m.retries > 0 {
		t := time.NewTimer(min(firstBackoff<<min(m.retries-1, 10), maxBackoff))
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.ctx.Done():
			return
		}
	}
	select {
	case l.gate <- struct{}{}:
	case <-l.ctx.Done():
		return
	}
	defer func() { <-l.gate }()
	if m.stream.Gone() {
		return
	}
	if !m.durable() {
		l.takeSnapshot(m)
		return
	}
	l.catchUp(m, chat.Position(last), greeted)
}

// part is some of what a listener has missed.
type part struct {
	events  []seen
	from    chat.Position
	through chat.Position
	final   bool // the stream holds from here on
	end     bool
	version int64 // of what the listener may see
}

type seen struct {
	*chat.Event
	closed bool
}

// catchUp delivers a chunk of what came after from. The last one makes the listener live: at a position that is taken
// under the lock, from which on its stream holds what is pushed.
func (l *Live) catchUp(m *member, from chat.Position, greeted bool) {
	l.counts.catchUps.Add(1)
	p, err := l.missed(m, from)
	switch {
	case errors.Is(err, chat.ErrCursorExpired), errors.Is(err, chat.ErrInvalidCursor):
		m.stream.Fail(Errors(l.present(m, err)))
		return
	case err != nil:
		if l.ctx.Err() == nil {
			l.cfg.Logger.Warn("reading the log for a listener", "error", err)
		}
		l.again(m, p, socket.Chunk{Through: int64(from)})
		return
	}
	c, size := socket.Chunk{Through: int64(p.through), Final: p.final, End: p.end}, 0
	for _, e := range p.events {
		r := l.render(m.g, e.Event, e.closed, m.audience(l.cfg.RootType(e.Type)))
		if r.unavailable {
			c.Through, c.Final, c.End = int64(e.Position)-1, false, false
			l.again(m, p, c)
			return
		}
		if r.frame != nil {
			c.Frames = append(c.Frames, r.frame)
			size += len(r.frame.Payload)
		}
		if size > chunkBytes {
			c.Through, c.Final, c.End = int64(e.Position), false, false
			break
		}
	}
	if c.Final && !greeted {
		r := l.greeting(m, p.through)
		if c.Greeting = r.frame; r.unavailable {
			c.Final, c.End = false, false
			l.again(m, p, c)
			return
		}
	}
	m.retries = 0
	l.deliver(m, p, c)
}

// deliver gives the stream a chunk unless what the listener may see has changed since it was read: then it is read anew.
// Under the lock, so that what is queued is there for the change to take back.
func (l *Live) deliver(m *member, p part, c socket.Chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.version != p.version {
		c = socket.Chunk{Through: int64(p.from)}
	}
	m.stream.Catch(c)
}

// again delivers what there is and lets the stream ask once more, after a pause.
func (l *Live) again(m *member, p part, c socket.Chunk) {
	l.counts.retries.Add(1)
	m.retries++
	l.deliver(m, p, c)
}

// missed reads the next chunk of what the listener may see after from.
func (l *Live) missed(m *member, from chat.Position) (part, error) {
	for {
		l.mu.Lock()
		spans, version := m.spans, m.version
		l.mu.Unlock()
		events, through, err := l.cfg.Log.Read(l.ctx, from, spans, chunkSize)
		if err != nil {
			return part{from: from, version: version}, err
		}
		l.mu.Lock()
		if m.version != version { // a conversation has begun or ended meanwhile: the reading did not know
			l.mu.Unlock()
			continue
		}
		p := part{from: from, through: through, version: version}
		if p.through >= l.base && len(events) < chunkSize {
			for _, e := range l.inFlight {
				if e.Position > p.through {
					events = append(events, e)
				}
			}
			p.through, p.final = l.applied, true
			m.stream.Hold()
		}
		for _, e := range events {
			if s, ok := covering(m.spans, e); ok && e.Position > from {
				p.events = append(p.events, seen{e, s.To != 0 || e.Type == chat.ConversationDeleted})
			}
		}
		p.end = m.endAt != 0 && p.through >= m.endAt
		l.mu.Unlock()
		return p, nil
	}
}

// greeted is the last CaughtUp of a group. Who comes at the same position within greetedFor gets the same.
type greeted struct {
	at  chat.Position
	now time.Time
	out *rendering
}

const greetedFor = time.Second

// greeting is the CaughtUp that ends a replay.
func (l *Live) greeting(m *member, at chat.Position) *rendering {
	e := &chat.Event{Type: chat.CaughtUp, Position: at, At: l.cfg.Now().UTC().Truncate(time.Microsecond)} // as the log has it
	viewer := m.audience(l.cfg.RootType(e.Type))
	if viewer == nil {
		if last := m.g.greeted.Load(); last != nil && last.at == at && e.At.Sub(last.now) < greetedFor {
			return last.out
		}
	}
	r := l.render(m.g, e, false, viewer)
	if viewer == nil && !r.unavailable {
		m.g.greeted.Store(&greeted{at, e.At, r})
	}
	return r
}

// takeSnapshot delivers the whole state to an ephemeral listener. The listener is registered already: what changes while
// the state is read passes by the stream, which then asks for another snapshot.
func (l *Live) takeSnapshot(m *member) {
	l.mu.Lock()
	p := part{version: m.version}
	l.mu.Unlock()
	e, err := m.ephemeral.snapshot(chat.WithViewer(l.ctx, m.viewer))
	if err == nil {
		if l.over(m, 1<<62) {
			m.stream.Complete()
			return
		}
		copied := *e
		copied.Rows.Snapshot = true
		r := l.render(m.g, &copied, false, m.audience(l.cfg.RootType(e.Type)))
		if !r.unavailable {
			m.retries = 0
			l.mu.Lock()
			defer l.mu.Unlock()
			if m.version != p.version { // somebody in it may be no friend any more
				m.stream.Catch(socket.Chunk{})
				return
			}
			m.stream.Snapshot(r.frame)
			return
		}
		err = &chat.Error{Code: chat.CodeUnavailable}
	}
	switch chat.CodeOf(err) {
	case chat.CodeUnavailable, chat.CodeInternal:
		if l.ctx.Err() == nil {
			l.cfg.Logger.Warn("taking a snapshot for a listener", "error", err)
		}
		l.again(m, p, socket.Chunk{})
	default:
		m.stream.Fail(Errors(l.present(m, err)))
	}
}

// present makes an error what clients see of it.
func (l *Live) present(m *member, err error) gqlerror.List {
	ctx := graphql.WithOperationContext(graphql.StartOperationTrace(context.Background()), cloneOperation(m.g.op))
	return l.executor().DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}).Errors
}
