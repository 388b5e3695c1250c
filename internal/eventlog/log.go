package eventlog

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Source is where the log is stored.
type Source interface {
	// Events reads up to limit events after a position, of all topics, in order.
	Events(ctx context.Context, after chat.Position, limit int) ([]*chat.Event, error)
	// EventsOf reads up to limit events with after < position ≤ through of the topics with the given ids, in order.
	EventsOf(ctx context.Context, topics []chat.ID, after, through chat.Position, limit int) ([]*chat.Event, error)
	// Bounds tells where the log ends, and up to where it has been trimmed.
	Bounds(ctx context.Context) (epoch chat.Epoch, head, trimmed chat.Position, err error)
}

// Config says how the log is followed. Source, Fill and Apply are required.
type Config struct {
	Source Source
	// Fill loads the rows of events that do not have them yet.
	Fill func(context.Context, []*chat.Event) error
	// Apply is the consumer. It owns the order in which listeners hear of the events.
	Apply func([]*chat.Event)
	Ring  int           // events kept in memory; 0 means 16,384
	Poll  time.Duration // how often the database is asked unasked; 0 means 500 ms
	Log   *slog.Logger
}

// Log follows the log on this node.
type Log struct {
	cfg     Config
	epoch   chat.Epoch
	applied atomic.Int64
	wake    chan struct{}
	asked   atomic.Bool // by a doorbell without events
	cancel  context.CancelFunc
	done    chan struct{}
	publish func(data []byte) // to the other nodes; nil: there are none
	heard   atomic.Int64      // doorbells
	gaps    atomic.Int64
	asking  chan struct{} // held by who asks how far the log has grown
	asks    atomic.Int64  // begun
	known   chat.Position // the last answer, and away why there is none; of who holds asking
	away    error

	mu      sync.Mutex
	offered map[chat.Position]*chat.Event
	ring    []*chat.Event // contiguous positions, oldest first; at most twice cfg.Ring; only ever appended to or replaced
	moved   chan struct{} // closed and replaced whenever applied grows
}

// page is how many events are read from the database at once.
const page = 1000

// latecomer is how long an event that others have overtaken is waited for before it is read from the database: nodes that
// commit at the same time ring in any order.
const latecomer = 3 * time.Millisecond

// maxOffered bounds what waits for a gap to close; beyond it the database is read anyway.
const maxOffered = 1 << 16

// New makes a log; Start begins to follow.
func New(c Config) *Log {
	if c.Ring == 0 {
		c.Ring = 16384
	}
	if c.Poll == 0 {
		c.Poll = 500 * time.Millisecond
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Log{cfg: c, wake: make(chan struct{}, 1), asking: make(chan struct{}, 1), offered: map[chat.Position]*chat.Event{}, moved: make(chan struct{})}
}

// Open finds the present end of the log: Applied and Epoch are known from then on.
func (l *Log) Open(ctx context.Context) error {
	epoch, head, trimmed, err := l.cfg.Source.Bounds(ctx)
	if err != nil {
		return err
	}
	l.epoch = epoch
	l.applied.Store(int64(head))
	l.preload(ctx, max(trimmed, head-chat.Position(l.cfg.Ring)), head)
	return ctx.Err()
}

// preloadTime is how long a start may take to read what the ring would hold.
const preloadTime = 2 * time.Second

// preload puts what came before the present end into the ring, so that those who come back after a restart are served from
// memory: the newest first, as far as the time suffices. What cannot be read is read when it is asked for.
func (l *Log) preload(ctx context.Context, from, to chat.Position) {
	var pages [][]*chat.Event
	for begun := time.Now(); from < to && time.Since(begun) < preloadTime; {
		n := min(to-from, page)
		events, err := l.cfg.Source.Events(ctx, to-n, int(n))
		if err == nil && len(contiguous(events, to-n)) < int(n) { // trimmed meanwhile
			break
		}
		if err == nil {
			err = l.cfg.Fill(ctx, events)
		}
		if err != nil {
			l.cfg.Log.Warn("the newest events cannot be read at the start; who comes back is served from the database", "error", err)
			break
		}
		pages = append(pages, events)
		to -= n
	}
	slices.Reverse(pages)
	l.ring = slices.Concat(pages...)
}

// Start begins to follow from there. The consumer is ready.
func (l *Log) Start() {
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	l.done = make(chan struct{})
	go l.run(ctx)
}

// Stop ends following, and waits for it. It may be called twice, and without Start.
func (l *Log) Stop() {
	if l.cancel != nil {
		l.cancel()
		<-l.done
	}
}

// Epoch tells this log from others; known after Open.
func (l *Log) Epoch() chat.Epoch { return l.epoch }

// Applied is the newest position that the consumer has been given.
func (l *Log) Applied() chat.Position { return chat.Position(l.applied.Load()) }

// Offer is the doorbell: the log has grown, by these events among others; without events it is read. It does not block.
// The events are kept.
func (l *Log) Offer(events []*chat.Event) {
	if len(events) == 0 {
		l.asked.Store(true)
	}
	l.mu.Lock()
	for _, e := range events {
		if e.Position > l.Applied() && len(l.offered) < maxOffered {
			l.offered[e.Position] = e
		}
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log) run(ctx context.Context) {
	defer close(l.done)
	timer := time.NewTicker(l.cfg.Poll)
	defer timer.Stop()
	late := time.NewTimer(0)
	late.Stop()
	var waiting bool // for late
	for {
		var ask bool
		select {
		case <-l.wake:
			ask = l.asked.Swap(false)
		case <-timer.C:
			ask = true
		case <-late.C:
			ask, waiting = true, false
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			batch, gap := l.next()
			if len(batch) == 0 && gap && !ask && !waiting {
				late.Reset(latecomer)
				waiting = true
			}
			if len(batch) == 0 && ask {
				var err error
				if batch, err = l.cfg.Source.Events(ctx, l.Applied(), page); err != nil {
					if ctx.Err() == nil {
						l.cfg.Log.Warn("the log cannot be read; trying again", "error", err)
					}
					break // the timer comes again
				}
				batch = contiguous(batch, l.Applied())
				ask = len(batch) == page
				if gap && len(batch) > 0 {
					l.gaps.Add(1)
				} else if gap {
					l.forgetOffered()
				}
			}
			if len(batch) == 0 {
				break
			}
			l.apply(ctx, batch)
			if waiting {
				late.Stop()
				waiting = false
			}
		}
	}
}

// next takes what was offered and follows on directly. gap: something was offered that does not.
func (l *Log) next() (batch []*chat.Event, gap bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.Applied()
	for len(batch) < page {
		e, ok := l.offered[p+1]
		if !ok {
			break
		}
		p++
		delete(l.offered, p)
		batch = append(batch, e)
	}
	if len(batch) == 0 {
		for q := range l.offered {
			if q <= p {
				delete(l.offered, q)
			}
		}
	}
	return batch, len(l.offered) > 0
}

// forgetOffered is for what was offered and the database does not know: whoever offers has committed it and all before
// it. It would have the database asked at every turn.
func (l *Log) forgetOffered() {
	l.mu.Lock()
	clear(l.offered)
	l.mu.Unlock()
	l.asked.Store(true) // what came meanwhile is forgotten too, and has rung
}

// contiguous is the part of events that follows on p without a gap. Positions have none; this is the last line of defence.
func contiguous(events []*chat.Event, p chat.Position) []*chat.Event {
	for i, e := range events {
		if e.Position != p+1+chat.Position(i) {
			return events[:i]
		}
	}
	return events
}

// apply fills the events, as often as it takes, and hands them on.
func (l *Log) apply(ctx context.Context, batch []*chat.Event) {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := l.cfg.Fill(ctx, batch)
		if err == nil {
			break
		}
		l.cfg.Log.Warn("what new events are about cannot be loaded; trying again", "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
	last := batch[len(batch)-1].Position
	l.mu.Lock()
	for _, e := range batch {
		delete(l.offered, e.Position)
		if e.Type == chat.ConversationDeleted {
			l.forget(e.Topic)
		}
		if len(l.ring) == 2*l.cfg.Ring {
			l.ring = append(make([]*chat.Event, 0, 2*l.cfg.Ring), l.ring[l.cfg.Ring:]...)
		}
		l.ring = append(l.ring, e)
	}
	l.mu.Unlock()
	l.cfg.Apply(batch)
	l.applied.Store(int64(last))
	l.mu.Lock()
	close(l.moved)
	l.moved = make(chan struct{})
	l.mu.Unlock()
}

// forget takes the content of a deleted conversation out of the ring: a replay never brings it back. Events are shared,
// so they are replaced, not changed, and so is the ring, which readers may hold.
func (l *Log) forget(t chat.Topic) {
	l.ring = append(make([]*chat.Event, 0, cap(l.ring)), l.ring...)
	for i, e := range l.ring {
		if e.Topic == t {
			c := *e
			c.Rows = chat.Rows{Actor: e.Rows.Actor, User: e.Rows.User}
			l.ring[i] = &c
		}
	}
}

// Read returns up to limit filled events with from < position ≤ Applied that the spans cover, in order, from the ring or the
// database, and the position up to which it has looked. Errors: CURSOR_EXPIRED when the log does not reach back to from,
// UNAVAILABLE.
func (l *Log) Read(ctx context.Context, from chat.Position, spans []chat.Span, limit int) (events []*chat.Event, through chat.Position, err error) {
	of := make(map[chat.Topic][]chat.Span, len(spans))
	for _, s := range spans {
		of[s.Topic] = append(of[s.Topic], s)
	}
	if events, through, ok := l.fromRing(from, of, limit); ok {
		return events, through, nil
	}
	through = l.Applied()
	topics := make([]chat.ID, 0, len(of))
	for t := range of {
		topics = append(topics, t.ID)
	}
	found, err := l.cfg.Source.EventsOf(ctx, topics, from, through, limit)
	if err != nil {
		return nil, from, err
	}
	// Asked last: what was trimmed meanwhile is noticed too.
	_, _, trimmed, err := l.cfg.Source.Bounds(ctx)
	if err != nil {
		return nil, from, err
	}
	if from < trimmed {
		return nil, from, chat.ErrCursorExpired
	}
	if len(found) == limit {
		through = found[limit-1].Position
	}
	for _, e := range found {
		if covered(of, e) {
			events = append(events, e)
		}
	}
	if err := l.cfg.Fill(ctx, events); err != nil {
		return nil, from, err
	}
	return events, through, nil
}

func (l *Log) fromRing(from chat.Position, of map[chat.Topic][]chat.Span, limit int) (events []*chat.Event, through chat.Position, ok bool) {
	l.mu.Lock()
	ring, applied := l.ring, l.Applied()
	l.mu.Unlock()
	if len(ring) == 0 {
		return nil, from, from >= applied
	}
	first := ring[0].Position
	if from < first-1 {
		return nil, from, false
	}
	through = from
	// What is in the ring and not applied yet may change who hears what comes after it.
	for i := int(from - first + 1); i < len(ring) && ring[i].Position <= applied && len(events) < limit; i++ {
		through = ring[i].Position
		if covered(of, ring[i]) {
			events = append(events, ring[i])
		}
	}
	return events, through, true
}

func covered(of map[chat.Topic][]chat.Span, e *chat.Event) bool {
	for _, s := range of[e.Topic] {
		if s.Covers(e.Position) {
			return true
		}
	}
	return false
}

// Reached waits until p is applied here. INVALID_CURSOR when the log has not grown so far at all.
func (l *Log) Reached(ctx context.Context, p chat.Position) error {
	if p <= l.Applied() {
		return nil
	}
	asks := l.asks.Load()
	behind := &chat.Error{Code: chat.CodeUnavailable, Message: "this node is behind; try again", RetryAfter: time.Second}
	select {
	case l.asking <- struct{}{}:
	case <-ctx.Done():
		return errors.Join(behind, ctx.Err())
	}
	err := l.grown(ctx, p, asks)
	<-l.asking
	if err != nil {
		return err
	}
	for {
		l.mu.Lock()
		moved := l.moved
		l.mu.Unlock()
		if p <= l.Applied() {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return errors.Join(behind, ctx.Err())
		}
	}
}

// grown asks the database whether the log reaches as far as p, unless somebody has begun to ask since asks was read:
// thousands may come from a node that knew of more.
func (l *Log) grown(ctx context.Context, p chat.Position, asks int64) error {
	if p > l.known && l.asks.CompareAndSwap(asks, asks+1) {
		var head chat.Position
		if _, head, _, l.away = l.cfg.Source.Bounds(context.WithoutCancel(ctx)); l.away == nil { // the others wait for it too
			l.known = head
			if p <= head {
				l.Offer(nil)
			}
		}
	}
	switch {
	case p <= l.known:
		return nil
	case l.away != nil:
		return l.away
	}
	return chat.ErrInvalidCursor
}
