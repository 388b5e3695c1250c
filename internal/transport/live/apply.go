package live

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-chat/parley/internal/chat"
)

// unit is one execution that a batch needs.
type unit struct {
	g      *group
	e      *chat.Event
	closed bool
	viewer *chat.Viewer
	out    *rendering
	done   chan struct{} // nil when the batch has one unit
}

// step is what happens to the sockets for an event, in the order in which it was found. At most one of the fields but
// unit is set, besides room and member together.
type step struct {
	kind   stepKind
	unit   *unit
	room   *room
	member *member
	conn   Conn
}

type stepKind uint8

const (
	stepPush     stepKind = iota // to a room
	stepSend                     // to one listener
	stepSignal                   // to one listener of a room, if it is still there
	stepAdd                      // a listener to a room
	stepRemove                   // a listener from a room
	stepWithdraw                 // takes back what is queued for a listener
	stepFinish                   // completes a listener
	stepRevoke                   // closes a connection
)

// plan collects what a batch leads to, while Live.mu is held.
type plan struct {
	units      []*unit
	steps      []step
	departures map[chat.Topic][]*chat.Event // of the batch, in order
}

func (p *plan) unit(g *group, e *chat.Event, closed bool, viewer *chat.Viewer) *unit {
	u := &unit{g: g, e: e, closed: closed, viewer: viewer}
	p.units = append(p.units, u)
	return u
}

// Apply takes the next events of the log, in order and without a gap, filled. It returns when they have been handed to
// the sockets' writers; it does not wait for any socket.
func (l *Live) Apply(events []*chat.Event) {
	if len(events) == 0 {
		return
	}
	l.applying.Lock()
	defer l.applying.Unlock()
	var p plan
	for _, e := range events {
		if e.Type == chat.MemberRemoved || e.Type == chat.MemberLeft {
			if p.departures == nil {
				p.departures = map[chat.Topic][]*chat.Event{}
			}
			p.departures[e.Topic] = append(p.departures[e.Topic], e)
		}
	}
	l.mu.Lock()
	l.base, l.inFlight = events[0].Position-1, events
	for _, e := range events {
		l.plan(&p, e)
		l.applied = e.Position
	}
	l.mu.Unlock()
	l.carryOut(&p)
	// inFlight stays: the log counts the batch as applied only after this returns, and whoever catches up before that
	// takes it from here.
}

// plan finds out what e means for whom, and lets memberships change at its position. l.mu is held.
func (l *Live) plan(p *plan, e *chat.Event) {
	if changesMembers(e) {
		l.tellJoining(e)
		l.beginSpans(p, e)
		if e.Type == chat.MemberRemoved || e.Type == chat.MemberLeft {
			l.endSpans(p, e, e.Subject)
		}
	}
	if e.Type == chat.ConversationDeleted {
		l.withdrawAll(p, e)
	}
	l.broadcast(p, e)
	switch e.Type {
	case chat.ConversationDeleted:
		l.memo.forget(e.Topic)
		l.endAll(p, e)
	case chat.FriendshipMade, chat.FriendshipEnded:
		l.tellJoining(e)
		l.befriend(e)
	case chat.SessionEnded:
		for _, c := range l.endSession(e.Subject) {
			p.steps = append(p.steps, step{kind: stepRevoke, conn: c})
		}
	}
}

// tellJoining keeps e for those who are being admitted, from a database that may or may not know of it.
func (l *Live) tellJoining(e *chat.Event) {
	for m := range l.joining {
		l.joining[m] = append(l.joining[m], e)
	}
}

// broadcast goes to everybody who listens to e's topic: one execution for each group, or for each viewer where the
// group's selection depends on one.
func (l *Live) broadcast(p *plan, e *chat.Event) {
	rooms := l.topics[e.Topic]
	if len(rooms) == 0 {
		return
	}
	closed, root := e.Type == chat.ConversationDeleted, l.cfg.RootType(e.Type)
	for g, r := range rooms {
		if !g.shape.viewer[root] {
			out := l.aside(p, e, g, r)
			p.steps = append(p.steps, step{kind: stepPush, room: r, unit: p.unit(g, e, closed, nil)})
			for _, m := range out {
				p.steps = append(p.steps, step{kind: stepAdd, room: r, member: m})
			}
			continue
		}
		units := map[chat.Viewer]*unit{}
		for m := range r.members {
			u := units[m.viewer]
			if u == nil {
				u = p.unit(g, e, closed || p.leaves(e, m.viewer.User), &m.viewer)
				units[m.viewer] = u
			}
			st := step{kind: stepSend, member: m, unit: u}
			if e.Position == 0 {
				st.kind, st.room = stepSignal, r
			}
			p.steps = append(p.steps, st)
		}
	}
}

// leaves says whether the user is out of e's conversation by the end of the batch. What is loaded for e may be as new as
// that: for them the conversation is closed already.
func (p *plan) leaves(e *chat.Event, user chat.ID) bool {
	return slices.ContainsFunc(p.departures[e.Topic], func(d *chat.Event) bool { return d.Subject == user && d.Position > e.Position })
}

// aside sends e to those members of a room who leave later in the batch, and keeps them out of the push that follows.
func (l *Live) aside(p *plan, e *chat.Event, g *group, r *room) (out []*member) {
	if len(p.departures[e.Topic]) == 0 {
		return nil
	}
	var u *unit
	for m := range r.members {
		if !p.leaves(e, m.viewer.User) {
			continue
		}
		if u == nil {
			u = p.unit(g, e, true, nil)
		}
		out = append(out, m)
		p.steps = append(p.steps, step{kind: stepRemove, room: r, member: m}, step{kind: stepSend, member: m, unit: u})
	}
	return out
}

// beginSpans lets feeds hear a conversation from e on: those of everybody who joined with it. A listener to one
// conversation hears it from then on too, where it was admitted before e was applied.
func (l *Live) beginSpans(p *plan, e *chat.Event) {
	users := e.Detail.Members
	if e.Type == chat.MemberAdded {
		users = []chat.ID{e.Subject}
	}
	for _, u := range users {
		if !begins(e, u) {
			continue
		}
		for m := l.viewers[u]; m != nil; m = m.next {
			if m.g == nil {
				continue
			}
			switch m.follow {
			case FollowMemberships:
				m.spans = fold(m.spans, e, u, true)
				m.version++
			case FollowConversation:
				if _, ok := covering(m.spans, e); !ok {
					continue
				}
			default:
				continue
			}
			if l.listen(m, e.Topic) {
				p.steps = append(p.steps, step{kind: stepAdd, room: l.topics[e.Topic][m.g], member: m})
			}
		}
	}
}

// endSpans takes a user's listeners off a conversation. Each gets e as its last event, with the conversation closed.
func (l *Live) endSpans(p *plan, e *chat.Event, user chat.ID) {
	for m := l.viewers[user]; m != nil; m = m.next {
		if m.g == nil || (m.follow != FollowMemberships && m.follow != FollowConversation) {
			continue
		}
		if m.follow == FollowConversation && m.conversation == e.Topic.ID {
			m.endAt = e.Position
		}
		if !m.durable() {
			if m.endAt == e.Position {
				l.silence(p, m)
			}
			continue
		}
		_, covered := covering(m.spans, e)
		m.spans = fold(m.spans, e, user, false)
		m.version++
		if r := l.topics[e.Topic][m.g]; r != nil && l.unlisten(m, e.Topic) {
			p.steps = append(p.steps, step{kind: stepRemove, room: r, member: m}, step{kind: stepWithdraw, member: m})
		}
		if covered {
			p.steps = append(p.steps, step{kind: stepSend, member: m, unit: p.unit(m.g, e, true, m.audience(l.cfg.RootType(e.Type)))})
		}
		if m.endAt == e.Position {
			p.steps = append(p.steps, step{kind: stepFinish, member: m})
		}
	}
}

// silence ends an ephemeral listener. Signals come while the steps are carried out: it is out of its rooms, and a snapshot
// that is under way is refused, before what is queued is taken back.
func (l *Live) silence(p *plan, m *member) {
	m.version++
	for len(m.topics) > 0 {
		t := m.topics[0]
		r := l.topics[t][m.g]
		l.unlisten(m, t)
		p.steps = append(p.steps, step{kind: stepRemove, room: r, member: m})
	}
	p.steps = append(p.steps, step{kind: stepWithdraw, member: m}, step{kind: stepFinish, member: m})
}

// withdrawAll takes back what is queued for those who listen to a conversation that is gone.
func (l *Live) withdrawAll(p *plan, e *chat.Event) {
	for _, r := range l.topics[e.Topic] {
		for m := range r.members {
			p.steps = append(p.steps, step{kind: stepWithdraw, member: m})
		}
	}
	for _, r := range l.topics[chat.TypingTopic(e.Topic.ID)] {
		for m := range r.members {
			m.endAt = e.Position
			l.silence(p, m)
		}
	}
}

// endAll ends everybody's span of a conversation that is gone. They have got e already.
func (l *Live) endAll(p *plan, e *chat.Event) {
	for _, r := range l.topics[e.Topic] {
		for m := range r.members {
			m.spans = fold(m.spans, e, m.viewer.User, false)
			m.version++
			l.unlisten(m, e.Topic)
			p.steps = append(p.steps, step{kind: stepRemove, room: r, member: m})
			if m.follow == FollowConversation {
				m.endAt = e.Position
				p.steps = append(p.steps, step{kind: stepFinish, member: m})
			}
		}
	}
}

// befriend changes whose presence the user's listeners hear.
func (l *Live) befriend(e *chat.Event) {
	for m := l.viewers[e.Topic.ID]; m != nil; m = m.next {
		if m.g != nil && m.follow == FollowFriends {
			l.refriend(m, e)
		}
	}
}

func (l *Live) refriend(m *member, e *chat.Event) {
	t := chat.PresenceTopic(e.Subject)
	if e.Type == chat.FriendshipEnded {
		if r := l.topics[t][m.g]; r != nil && l.unlisten(m, t) {
			m.version++
			r.Remove(&m.stream)
			m.stream.Withdraw()
		}
		return
	}
	if m.wants(e.Subject) && l.listen(m, t) {
		l.topics[t][m.g].Add(&m.stream)
		m.stream.Refresh() // the newcomer's presence is told by a new snapshot
	}
}

// carryOut executes the units, several at a time, and posts the steps in order, each as soon as its execution is done.
func (l *Live) carryOut(p *plan) {
	sockets := l.cfg.Sockets
	var pool sync.WaitGroup
	if len(p.units) > 1 {
		for _, u := range p.units {
			u.done = make(chan struct{})
		}
		var next atomic.Int64
		for range min(runtime.GOMAXPROCS(0), len(p.units)) {
			pool.Go(func() {
				for i := next.Add(1) - 1; int(i) < len(p.units); i = next.Add(1) - 1 {
					u := p.units[i]
					u.out = l.render(u.g, u.e, u.closed, u.viewer)
					close(u.done)
				}
			})
		}
	}
	for i := range p.steps {
		st := &p.steps[i]
		if u := st.unit; u != nil {
			switch {
			case u.done == nil && u.out == nil:
				u.out = l.render(u.g, u.e, u.closed, u.viewer)
			case u.done != nil:
				select {
				case <-u.done:
				default:
					sockets.Ring() // what is ready need not wait for this one
					<-u.done
				}
			}
		}
		l.post(st)
	}
	pool.Wait()
	sockets.Ring()
}

func (l *Live) post(st *step) {
	sockets := l.cfg.Sockets
	switch st.kind {
	case stepAdd:
		st.room.Add(&st.member.stream)
	case stepRemove:
		st.room.Remove(&st.member.stream)
	case stepWithdraw:
		st.member.stream.Withdraw()
	case stepFinish:
		if st.member.durable() {
			st.member.stream.Finish()
		} else {
			st.member.stream.Complete()
		}
	case stepRevoke:
		st.conn.Revoke()
	case stepPush:
		switch out := st.unit.out; {
		case out.unavailable:
			sockets.Retreat(st.room.Room)
		case out.frame != nil:
			sockets.Push(st.room.Room, out.frame)
		}
	case stepSend:
		send(st)
	case stepSignal:
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, there := st.room.members[st.member]; there {
			send(st)
		}
	}
}

func send(st *step) {
	switch out := st.unit.out; {
	case out.unavailable:
		st.member.stream.Retreat()
	case out.frame != nil:
		st.member.stream.Push(out.frame)
	}
}
