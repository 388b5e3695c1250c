package live

import (
	"context"
	"slices"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// member is one listener: one operation of one socket. What is below "guarded" is guarded by Live.mu.
type member struct {
	l         *Live
	stream    socket.Stream
	to        Ender
	ephemeral *ephemeral // nil: it listens to the log
	retries   int32      // only touched by the one goroutine that catches up
	viewer    chat.Viewer

	// guarded:
	follow       Follow
	left         bool
	conversation chat.ID       // of FollowConversation
	endAt        chat.Position // complete after this; 0: goes on
	g            *group        // nil while it is joining
	version      int64         // of spans
	spans        []chat.Span   // never changed in place
	topics       []chat.Topic
	next, prev   *member // of the same user

	// Most listen to one topic, and need no memory besides this.
	oneSpan  [1]chat.Span
	oneTopic [1]chat.Topic
}

// ephemeral is what only those have who do not listen to the log.
type ephemeral struct {
	snapshot func(context.Context) (*chat.Event, error)
	only     []chat.ID
}

// durable says whether it listens to the log.
func (m *member) durable() bool { return m.ephemeral == nil }

// wants says whether a friend's presence is asked for.
func (m *member) wants(friend chat.ID) bool {
	return m.ephemeral.only == nil || slices.Contains(m.ephemeral.only, friend)
}

// audience is the viewer when an event's execution depends on one.
func (m *member) audience(rootType string) *chat.Viewer {
	if m.g.shape.viewer[rootType] {
		return &m.viewer
	}
	return nil
}

// Ended is called by a shard when the last message goes out.
func (m *member) Ended() {
	m.to.Ended()
	m.l.do(func() { m.l.leave(m) })
}

// Ender is told that an operation's last message is about to be written: its id is free. It must not wait.
type Ender interface{ Ended() }

// Target is where a listener's messages go.
type Target struct {
	Socket  *socket.Socket
	ID      string // as the framing writes it
	Framing socket.Framing
	Ender   Ender
	// ReadOnly refuses mutations.
	ReadOnly bool
}

const reachTimeout = 5 * time.Second

// joinPause is how long a join that found the database away keeps its turn.
const joinPause = 250 * time.Millisecond

// join runs a subscription's resolver for one listener (whose viewer is in ctx) and delivers to the target from then on.
// The errors are presented already.
func (l *Live) join(ctx context.Context, oc *graphql.OperationContext, to Target, m *member) gqlerror.List {
	fail := func(err error) gqlerror.List {
		ctx := graphql.WithOperationContext(ctx, oc)
		return l.executor().DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)}).Errors
	}
	sh, err := l.shape(ctx, oc)
	if err != nil {
		return fail(err)
	}
	key, err := sh.key(oc)
	if err != nil {
		return fail(err)
	}
	m.l, m.to = l, to.Ender
	m.viewer, _ = chat.ViewerFrom(ctx)
	m.stream.Init(to.Socket, to.ID, to.Framing, m)
	l.beginJoin(m)
	enter := func() gqlerror.List {
		j := &joining{}
		if errs := l.admit(ctx, oc, j); len(errs) > 0 {
			return errs
		}
		if !j.admitted {
			return fail(errTransport)
		}
		if j.after != nil {
			if err := l.reach(ctx, *j.after); err != nil {
				return fail(err)
			}
		}
		l.enter(m, j, key, sh, oc)
		return nil
	}
	errs := enter()
	if unavailable(errs) && l.try(func() { l.enterLater(m, errs, enter) }) {
		return nil // the socket goes on meanwhile
	}
	if len(errs) > 0 {
		l.leave(m)
	}
	return errs
}

// enterLater tries again until the database answers. Who waits for a turn waits for those who have one, so that what is asked
// does not grow with how many wait: neither of a database that is away, nor of one that has just come back.
func (l *Live) enterLater(m *member, errs gqlerror.List, enter func() gqlerror.List) {
	timeout := time.After(l.cfg.JoinTimeout)
	for unavailable(errs) {
		l.suspendJoin(m)
		select {
		case l.turns <- struct{}{}:
		case <-timeout:
			m.stream.Fail(Errors(errs))
			return
		case <-l.ctx.Done():
			return
		}
		if !l.resumeJoin(m) {
			<-l.turns
			return
		}
		l.counts.retries.Add(1)
		if errs = enter(); unavailable(errs) {
			select {
			case <-time.After(joinPause):
			case <-l.ctx.Done():
			}
		}
		<-l.turns
	}
	if len(errs) > 0 {
		m.stream.Fail(Errors(errs))
	}
}

// enter has an admitted listener delivered to.
func (l *Live) enter(m *member, j *joining, key string, sh *shape, oc *graphql.OperationContext) {
	if j.admission.Snapshot != nil {
		m.ephemeral = &ephemeral{j.admission.Snapshot, j.admission.Only}
	}
	at, version, ok := l.register(m, j, key, sh, oc)
	switch {
	case !ok: // the socket closed, or the server stops
		l.leave(m)
	case !m.durable():
		l.do(func() { m.Behind(0, false) })
	case j.after != nil:
		l.do(func() { m.Behind(int64(j.after.Position), false) })
	default:
		r := l.greeting(m, at)
		c := socket.Chunk{Through: int64(at), Final: !r.unavailable, Greeting: r.frame, End: l.over(m, at)}
		l.deliver(m, part{from: at, version: version}, c)
	}
}

func (l *Live) shape(ctx context.Context, oc *graphql.OperationContext) (*shape, error) {
	k := oc.OperationName + "\x00" + oc.RawQuery
	if s, ok := l.shapes.Get(ctx, k); ok {
		return s, nil
	}
	if oc.Operation.Operation != ast.Subscription {
		return nil, errTransport
	}
	s, err := shapeOf(l.cfg.Schema, oc.Operation)
	if err == nil {
		l.shapes.Add(ctx, k, s)
	}
	return s, err
}

// beginJoin makes the listener known, so that what changes for it while it is being admitted is kept.
func (l *Live) beginJoin(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joining[m] = nil
	if m.next = l.viewers[m.viewer.User]; m.next != nil {
		m.next.prev = m
	}
	l.viewers[m.viewer.User] = m
	l.listeners++
}

// suspendJoin forgets what has changed for a listener: it will be admitted from a newer state.
func (l *Live) suspendJoin(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.joining, m)
}

// resumeJoin has what changes kept again; false: nobody is there any more.
func (l *Live) resumeJoin(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.left || m.stream.Gone() {
		return false
	}
	l.joining[m] = nil
	return true
}

func (l *Live) admit(ctx context.Context, oc *graphql.OperationContext, j *joining) (errs gqlerror.List) {
	exec := l.executor()
	defer func() {
		if p := recover(); p != nil {
			errs = l.panicked(ctx, exec, oc, p).Errors
		}
	}()
	responses, rctx := exec.DispatchOperation(context.WithValue(ctx, phaseKey{}, j), oc)
	if resp := responses(rctx); resp != nil {
		return resp.Errors
	}
	return nil
}

// reach checks a cursor, and waits for one that another node handed out a moment ago.
func (l *Live) reach(ctx context.Context, c chat.Cursor) error {
	if c.Epoch != l.cfg.Log.Epoch() {
		return chat.ErrInvalidCursor
	}
	if c.Position <= l.Applied() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	return l.cfg.Log.Reached(ctx, c.Position)
}

// register puts the listener into its rooms, and says up to where events have been applied, and the version of what it may
// see.
func (l *Live) register(m *member, j *joining, key string, sh *shape, oc *graphql.OperationContext) (at chat.Position, version int64, ok bool) {
	a := j.admission
	l.mu.Lock()
	defer l.mu.Unlock()
	changes := l.joining[m]
	delete(l.joining, m)
	if m.left || l.state != 1 || m.stream.Gone() {
		return 0, 0, false
	}
	m.spans, m.follow, m.topics = a.Spans, a.Follow, m.oneTopic[:0]
	if len(a.Spans) == 1 {
		m.oneSpan[0] = a.Spans[0]
		m.spans = m.oneSpan[:]
	}
	switch {
	case m.follow != FollowConversation:
	case len(a.Spans) > 0:
		m.conversation = a.Spans[0].Topic.ID
	case len(a.Topics) > 0:
		m.conversation = a.Topics[0].ID
	}
	for _, e := range changes {
		m.spans = fold(m.spans, e, m.viewer.User, m.follow == FollowMemberships)
		if !m.durable() && m.follow == FollowConversation && e.Topic == chat.ConversationTopic(m.conversation) && ends(e, m.viewer.User) {
			m.endAt = e.Position
		}
	}
	if m.follow == FollowConversation {
		for _, s := range m.spans { // the newest: a membership that ended may have begun again
			if s.To == 0 {
				m.endAt = 0
				break
			}
			m.endAt = max(m.endAt, s.To)
		}
	}
	g := l.groups[key]
	if g == nil {
		g = newGroup(key, sh, oc)
		l.groups[key] = g
	}
	g.members++
	m.g = g
	for _, s := range m.spans {
		if hears(m.spans, s.Topic, l.applied) && l.listen(m, s.Topic) {
			l.topics[s.Topic][g].Add(&m.stream)
		}
	}
	for _, t := range a.Topics {
		if l.listen(m, t) {
			l.topics[t][g].Add(&m.stream)
		}
	}
	for _, e := range changes {
		if m.follow == FollowFriends && e.Topic == chat.UserTopic(m.viewer.User) && (e.Type == chat.FriendshipMade || e.Type == chat.FriendshipEnded) {
			l.refriend(m, e)
		}
	}
	if m.durable() && j.after == nil {
		m.stream.Hold()
	}
	return l.applied, m.version, true
}

// over says whether the listener is complete at a position.
func (l *Live) over(m *member, at chat.Position) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return m.endAt != 0 && m.endAt <= at
}

// listen puts a listener into a topic's room for its group; false: it is in it. l.mu is held, and the caller tells the
// shard.
func (l *Live) listen(m *member, t chat.Topic) bool {
	if slices.Contains(m.topics, t) {
		return false
	}
	rs := l.topics[t]
	if rs == nil {
		rs = map[*group]*room{}
		l.topics[t] = rs
	}
	r := rs[m.g]
	if r == nil {
		r = &room{l.cfg.Sockets.NewRoom(), map[*member]struct{}{}}
		rs[m.g] = r
	}
	r.members[m] = struct{}{}
	m.topics = append(m.topics, t)
	return true
}

// unlisten takes a listener out of a topic's room; false: it is not in it. l.mu is held, and the caller tells the shard.
func (l *Live) unlisten(m *member, t chat.Topic) bool {
	i := slices.Index(m.topics, t)
	if i < 0 {
		return false
	}
	m.topics[i] = m.topics[len(m.topics)-1]
	m.topics = m.topics[:len(m.topics)-1]
	rs := l.topics[t]
	r := rs[m.g]
	delete(r.members, m)
	if len(r.members) == 0 {
		delete(rs, m.g)
		if len(rs) == 0 {
			delete(l.topics, t)
		}
	}
	return true
}

// leave forgets a listener. It may be called more than once.
func (l *Live) leave(m *member) {
	m.stream.Cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.left {
		return
	}
	m.left = true
	l.listeners--
	delete(l.joining, m)
	if m.next != nil {
		m.next.prev = m.prev
	}
	switch {
	case m.prev != nil:
		m.prev.next = m.next
	case m.next != nil:
		l.viewers[m.viewer.User] = m.next
	default:
		delete(l.viewers, m.viewer.User)
	}
	m.next, m.prev = nil, nil // it stands in its connection, which may stay open for days
	if m.g == nil {
		return
	}
	for _, t := range slices.Clone(m.topics) {
		r := l.topics[t][m.g]
		l.unlisten(m, t)
		r.Drop(&m.stream)
	}
	m.spans, m.topics = nil, nil
	if m.g.members--; m.g.members == 0 {
		delete(l.groups, m.g.key)
	}
}
