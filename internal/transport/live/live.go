package live

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// Log is the log of events as it is applied on this node.
type Log interface {
	// Applied is the newest position that was applied here.
	Applied() chat.Position
	// Epoch tells this log from another.
	Epoch() chat.Epoch
	// Read returns up to limit filled events with from < position ≤ Applied that the spans cover, in order, and the
	// position up to which it has looked. CURSOR_EXPIRED when the log does not reach back to from.
	Read(ctx context.Context, from chat.Position, spans []chat.Span, limit int) (events []*chat.Event, through chat.Position, err error)
	// Reached waits until p is applied here; INVALID_CURSOR when the log does not reach that far.
	Reached(ctx context.Context, p chat.Position) error
}

// Conn is a connection that belongs to a session.
type Conn interface {
	// Revoke closes the connection because its session has ended. It must not wait.
	Revoke()
}

// Config is what New needs. Log, Sockets and Schema are required.
type Config struct {
	Log     Log
	Sockets *socket.Engine
	Schema  *ast.Schema
	// PerEvent gives the execution of an event what must not outlive it: data loaders. Optional.
	PerEvent func(context.Context, *chat.Event) context.Context
	// RootType is the object type an event is delivered as; by default its type in camel case (MessageAdded).
	RootType func(chat.EventType) string
	// CatchUps is how many listeners are served from the log at a time; 2 × GOMAXPROCS by default: those who are behind take
	// what those who are not leave of the processors. So many joins that found the database away are tried again at a time.
	CatchUps int
	// JoinTimeout is how long a listener that comes while the database is away waits for it, because clients take an error
	// for the end of a subscription; 15 s by default.
	JoinTimeout time.Duration
	// Memo is how many bytes of executed events are kept for others; 8 MiB by default.
	Memo   int
	Logger *slog.Logger     // slog.Default by default
	Now    func() time.Time // time.Now by default
}

// Stats counts since the start, but for Listeners and Groups, which are now.
type Stats struct {
	Executions int64 // events executed, for however many listeners
	Greetings  int64 // executions of CaughtUp and snapshots: for one listener, or a few that came at the same time
	CatchUps   int64 // chunks read from the log
	Retries    int64 // executions and reads that were unavailable
	Listeners  int
	Groups     int
	Deliveries int64 // messages written to sockets
	Sockets    int
}

// Live is the registry of listeners. See the package documentation.
type Live struct {
	cfg    Config
	exec   atomic.Pointer[graphql.GraphExecutor]
	shapes *lru.LRU[*shape]
	memo   memo
	gate   chan struct{} // held while a listener is served from the log
	turns  chan struct{} // held while a join that found the database away is tried again
	counts struct{ executions, greetings, catchUps, retries atomic.Int64 }

	applying sync.Mutex // held by Apply, so that events come in order

	signals struct {
		sync.Mutex
		queue []*chat.Event
		bell  chan struct{}
	}

	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu        sync.Mutex
	state     uint8 // 0 new, 1 started, 2 stopped
	applied   chat.Position
	base      chat.Position // the log is known to reach up to here; what follows, up to applied, is in flight
	inFlight  []*chat.Event
	groups    map[string]*group
	topics    map[chat.Topic]map[*group]*room
	viewers   map[chat.ID]*member       // a user's listeners, each with the next; those that are joining included
	joining   map[*member][]*chat.Event // with what has happened meanwhile
	sessions  map[chat.ID]*Binding      // a session's connections, each with the next
	ended     map[chat.ID]time.Time     // sessions that have ended, while their tokens may still be good
	listeners int
}

// room is one group's listeners of one topic.
type room struct {
	*socket.Room
	members map[*member]struct{}
}

// New makes a registry; Start starts it.
func New(cfg Config) *Live {
	if cfg.CatchUps <= 0 {
		cfg.CatchUps = 2 * runtime.GOMAXPROCS(0)
	}
	if cfg.JoinTimeout <= 0 {
		cfg.JoinTimeout = 15 * time.Second
	}
	if cfg.Memo <= 0 {
		cfg.Memo = 8 << 20
	}
	if cfg.RootType == nil {
		cfg.RootType = camelCase
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Live{
		cfg: cfg, shapes: lru.New[*shape](1000), memo: memo{max: cfg.Memo, made: map[renderingKey]*rendering{}},
		gate: make(chan struct{}, cfg.CatchUps), turns: make(chan struct{}, cfg.CatchUps),
		groups: map[string]*group{}, topics: map[chat.Topic]map[*group]*room{},
		viewers: map[chat.ID]*member{}, joining: map[*member][]*chat.Event{},
		sessions: map[chat.ID]*Binding{}, ended: map[chat.ID]time.Time{},
	}
	l.signals.bell = make(chan struct{}, 1)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Start begins at the log's applied position. It comes before the first Apply. Starting twice does nothing.
func (l *Live) Start(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != 0 {
		return nil
	}
	l.state = 1
	l.applied = l.cfg.Log.Applied()
	l.base = l.applied
	l.tasks.Go(l.runSignals)
	return nil
}

// Stop ends what is being served from the log and waits for it. Sockets are not closed: stop their engine afterwards.
// Stopping twice, or before Start, is harmless.
func (l *Live) Stop() {
	l.mu.Lock()
	l.state = 2
	l.mu.Unlock()
	l.cancel()
	l.tasks.Wait()
}

// do runs f in a goroutine that Stop waits for.
func (l *Live) do(f func()) { l.try(f) }

func (l *Live) try(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == 1 {
		l.tasks.Go(f)
	}
	return l.state == 1
}

// SetExecutor tells what executes operations; transports do so when they are first asked for something. Only the first
// call counts.
func (l *Live) SetExecutor(exec graphql.GraphExecutor) {
	if l.exec.Load() == nil {
		l.exec.CompareAndSwap(nil, &exec)
	}
}

func (l *Live) executor() graphql.GraphExecutor { return *l.exec.Load() }

// Sockets is the engine that delivers.
func (l *Live) Sockets() *socket.Engine { return l.cfg.Sockets }

// Applied is the position up to which events have reached listeners, or are on their way to them.
func (l *Live) Applied() chat.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

// Stats reports the counters.
func (l *Live) Stats() Stats {
	st := Stats{
		Executions: l.counts.executions.Load(), Greetings: l.counts.greetings.Load(),
		CatchUps: l.counts.catchUps.Load(), Retries: l.counts.retries.Load(),
	}
	so := l.cfg.Sockets.Stats()
	st.Deliveries, st.Sockets = so.Deliveries, so.Sockets
	l.mu.Lock()
	defer l.mu.Unlock()
	st.Listeners, st.Groups = l.listeners, len(l.groups)
	return st
}

// endedFor is how long an ended session is remembered: longer than an access token can be good.
const endedFor = time.Hour

// Binding ties a connection to its session. It stands inside of what the transport keeps of the connection.
type Binding struct {
	conn       Conn
	next, prev *Binding
}

// Bind ties a connection to its session, so that it is revoked at the position at which the session ends. false: that
// has happened already.
func (l *Live) Bind(v chat.Viewer, b *Binding, c Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, over := l.ended[v.Session]; over {
		return false
	}
	b.conn = c
	if b.next = l.sessions[v.Session]; b.next != nil {
		b.next.prev = b
	}
	l.sessions[v.Session] = b
	return true
}

// Unbind takes back what Bind did. It may be called for a binding that ties nothing.
func (l *Live) Unbind(v chat.Viewer, b *Binding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.conn == nil {
		return
	}
	if b.next != nil {
		b.next.prev = b.prev
	}
	switch {
	case b.prev != nil:
		b.prev.next = b.next
	case b.next != nil:
		l.sessions[v.Session] = b.next
	default:
		delete(l.sessions, v.Session)
	}
	*b = Binding{}
}

// endSession remembers an end and lists the session's connections. l.mu is held.
func (l *Live) endSession(id chat.ID) (conns []Conn) {
	now := l.cfg.Now()
	if len(l.ended) >= 1024 && len(l.ended)&(len(l.ended)-1) == 0 { // at powers of two: amortised
		for s, at := range l.ended {
			if now.Sub(at) > endedFor {
				delete(l.ended, s)
			}
		}
	}
	l.ended[id] = now
	for b := l.sessions[id]; b != nil; b = b.next {
		conns = append(conns, b.conn)
	}
	return conns
}

func camelCase(t chat.EventType) string {
	b := make([]byte, 0, len(t))
	up := true
	for _, c := range []byte(t) {
		switch {
		case c == '_':
			up = true
			continue
		case !up && c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		b, up = append(b, c), false
	}
	switch t {
	case chat.PresenceSignal:
		return "PresenceChanged"
	case chat.TypingSignal:
		return "TypingChanged"
	}
	return string(b)
}
