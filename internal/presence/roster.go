package presence

import (
	"bytes"
	"maps"
	"time"

	"github.com/google/uuid"
)

const (
	helloEvery = time.Second
	deadAfter  = 4 * time.Second
	// patience is how long a gap may be a mere reordering.
	patience = 150 * time.Millisecond
	// settle is how much longer than the grace period everybody stays whom no node holds, where there are other nodes:
	// what the user's new node said may still be on its way, or lost, and then its next hello tells, and its state.
	settle = 2 * time.Second
	// stopped is a silence between two beats that means that this node itself stood still.
	stopped = time.Second

	maxPeers = 256
	maxAhead = 64
)

// roster knows who is connected where. It is told what happens and what time it is, and does nothing by itself; it is
// not safe for concurrent use.
type roster struct {
	id      uuid.UUID // of this incarnation of the node
	grace   time.Duration
	alone   bool            // there is no bus
	changed func(uuid.UUID) // somebody is online, or offline, who was not

	here    map[uuid.UUID]int32     // whom this node holds, with their sockets
	closing map[uuid.UUID]time.Time // those of them who have no socket any more, since when
	peers   map[uuid.UUID]*peer
	leaving map[uuid.UUID]time.Time // whom no node holds, and until when they stay online nevertheless
	let     map[uuid.UUID]let       // whom this node has let go while others held them
	seen    []sighting              // last_seen that this node is to write

	seq       uint64                 // of the last delta
	news      map[uuid.UUID]struct{} // whom the next delta is about
	answer    uint64
	lastPass  time.Time
	lastBeat  time.Time
	lastHello time.Time
	lastState time.Time
	greet     bool // say hello with the next beat
	fresh     bool // and ask who is there
	asked     bool // somebody wants the state
}

// peer is another node, as far as it was heard.
type peer struct {
	heard time.Time
	bye   bool // it has stopped: what still comes is late
	known bool // users is who was connected to it as of seq
	seq   uint64
	users map[uuid.UUID]struct{}

	want   uint64           // the latest seq it has spoken of
	behind time.Time        // since when seq < want, or it is not known
	asked  time.Time        // when its state was asked for
	ahead  map[uint64]frame // deltas that came before the one they follow

	answer  uint64 // the state that is being gathered
	pages   [][]uuid.UUID
	missing int

	typed uint64 // the seq of its last message about typing
}

type let struct{ closed, at time.Time }

type sighting struct {
	at    time.Time
	users []uuid.UUID
}

func newRoster(grace time.Duration, alone bool, changed func(uuid.UUID)) *roster {
	return &roster{id: uuid.New(), grace: grace, alone: alone, changed: changed, greet: true, fresh: true,
		here: map[uuid.UUID]int32{}, closing: map[uuid.UUID]time.Time{}, peers: map[uuid.UUID]*peer{},
		leaving: map[uuid.UUID]time.Time{}, let: map[uuid.UUID]let{}, news: map[uuid.UUID]struct{}{}}
}

func (r *roster) elsewhere(u uuid.UUID) bool {
	for _, p := range r.peers {
		if _, ok := p.users[u]; ok {
			return true
		}
	}
	return false
}

func (r *roster) held(u uuid.UUID) bool {
	_, ok := r.here[u]
	return ok || r.elsewhere(u)
}

func (r *roster) online(u uuid.UUID) bool {
	_, ok := r.leaving[u]
	return ok || r.held(u)
}

// gain is called before a node holds a user, lose after it has let them go.
func (r *roster) gain(u uuid.UUID) {
	if !r.online(u) {
		r.changed(u)
	}
	delete(r.leaving, u)
}

func (r *roster) lose(u uuid.UUID, now time.Time, stay time.Duration) {
	if r.held(u) {
		return
	}
	if stay > 0 {
		r.leaving[u] = now.Add(stay)
	} else {
		r.changed(u)
	}
}

func (r *roster) connected(u uuid.UUID) {
	if _, ok := r.here[u]; !ok {
		r.gain(u)
		r.tell(u)
	}
	r.here[u]++
	delete(r.closing, u)
	delete(r.let, u)
}

func (r *roster) disconnected(u uuid.UUID, now time.Time) {
	if n := r.here[u]; n > 0 {
		if r.here[u] = n - 1; n == 1 {
			r.closing[u] = now
		}
	}
}

func (r *roster) tell(u uuid.UUID) {
	if !r.alone {
		r.news[u] = struct{}{}
	}
}

// due are those whose grace has ended here. last are those whom no other node holds: when they were seen is to be
// written before they are let go, so that who hears that they are offline finds it.
func (r *roster) due(now time.Time) (last, others []uuid.UUID) {
	for u, closed := range r.closing {
		if now.Sub(closed) >= r.grace {
			if r.elsewhere(u) {
				others = append(others, u)
			} else {
				last = append(last, u)
			}
		}
	}
	return last, others
}

// letGo ends the holding of those of the users who have not come back meanwhile.
func (r *roster) letGo(users []uuid.UUID, now time.Time, written bool) {
	for _, u := range users {
		closed, ok := r.closing[u]
		if !ok || now.Sub(closed) < r.grace {
			continue
		}
		delete(r.closing, u)
		delete(r.here, u)
		r.tell(u)
		switch {
		case r.elsewhere(u):
			if !written {
				r.let[u] = let{closed, now}
			}
		case r.alone:
			r.lose(u, now, 0)
		default:
			if !written {
				r.seen = append(r.seen, sighting{closed, []uuid.UUID{u}})
			}
			r.lose(u, now, settle)
		}
	}
}

// pass lets time pass for those whom nobody holds. If this node stood still, where they have gone to may not have been
// heard yet.
func (r *roster) pass(now time.Time) {
	stoodStill := !r.alone && !r.lastPass.IsZero() && now.Sub(r.lastPass) >= stopped
	r.lastPass = now
	for u, until := range r.leaving {
		if again := now.Add(settle); stoodStill && until.Before(again) {
			r.leaving[u] = again
			continue
		}
		if !now.Before(until) {
			delete(r.leaving, u)
			r.changed(u)
		}
	}
	for u, l := range r.let {
		if now.Sub(l.at) >= deadAfter {
			delete(r.let, u)
		}
	}
}

// hear takes a message, and says whether a beat should follow soon.
func (r *roster) hear(f frame, now time.Time) (soon bool) {
	p := r.peers[f.node]
	switch {
	case f.node == r.id:
		return false
	case f.kind == kindAsk:
		if f.to == r.id {
			r.asked = true
		}
		return r.asked
	case p == nil:
		if f.kind != kindHello && f.kind != kindDelta || len(r.peers) >= maxPeers {
			return false
		}
		p = &peer{}
		r.peers[f.node] = p
		r.greet = true // it may not know this node either
	case p.bye:
		return false
	}
	p.heard = now
	switch f.kind {
	case kindHello:
		r.greet = r.greet || f.fresh
		if !p.known && f.users == 0 {
			r.replace(p, f.seq, nil, now)
		}
		p.want = max(p.want, f.seq)
		r.catchUp(p, now)
	case kindDelta:
		p.want = max(p.want, f.seq)
		if (!p.known || f.seq > p.seq) && (len(p.ahead) < maxAhead || p.known && f.seq == p.seq+1) {
			if p.ahead == nil {
				p.ahead = map[uint64]frame{}
			}
			p.ahead[f.seq] = f
		}
		r.catchUp(p, now)
	case kindState:
		r.gather(p, f, now)
	case kindBye:
		r.drop(p, now)
		p.bye = true
	}
	return r.greet || !p.behind.IsZero()
}

// catchUp applies the deltas that follow, and notes whether some are missing.
func (r *roster) catchUp(p *peer, now time.Time) {
	for p.known {
		f, ok := p.ahead[p.seq+1]
		if !ok {
			break
		}
		delete(p.ahead, f.seq)
		p.seq = f.seq
		for _, u := range f.came {
			r.gain(u)
			p.users[u] = struct{}{}
		}
		for _, u := range f.went {
			r.remove(p, u, now)
		}
	}
	switch {
	case p.known && p.seq >= p.want:
		p.behind, p.ahead, p.pages = time.Time{}, nil, nil
	case p.behind.IsZero():
		p.behind = now
	}
}

func (r *roster) remove(p *peer, u uuid.UUID, now time.Time) {
	if _, ok := p.users[u]; !ok {
		return
	}
	delete(p.users, u)
	r.left(u, now)
}

// left is called when another node has let a user go. If this one did so at about the same time, each may have taken
// the other for the last.
func (r *roster) left(u uuid.UUID, now time.Time) {
	if r.held(u) {
		return
	}
	if l, ok := r.let[u]; ok {
		delete(r.let, u)
		r.seen = append(r.seen, sighting{l.closed, []uuid.UUID{u}})
	}
	r.lose(u, now, settle)
}

// gather collects the pages of a state; those of an older one are of no use.
func (r *roster) gather(p *peer, f frame, now time.Time) {
	if p.known && f.seq <= p.seq || f.answer < p.answer {
		return
	}
	if f.answer > p.answer || p.pages == nil || uint64(len(p.pages)) != f.parts {
		p.answer, p.pages, p.missing = f.answer, make([][]uuid.UUID, f.parts), int(f.parts) //nolint:gosec // at most maxParts
	}
	if p.pages[f.part] != nil {
		return
	}
	p.pages[f.part] = append([]uuid.UUID{}, f.came...) // not nil, even if it is empty
	if p.missing--; p.missing == 0 {
		pages := p.pages
		p.pages = nil
		r.replace(p, f.seq, pages, now)
		p.want = max(p.want, f.seq)
		maps.DeleteFunc(p.ahead, func(seq uint64, _ frame) bool { return seq <= f.seq })
		r.catchUp(p, now)
	}
}

// replace sets all users of a node.
func (r *roster) replace(p *peer, seq uint64, pages [][]uuid.UUID, now time.Time) {
	n := 0
	for _, page := range pages {
		n += len(page)
	}
	users := make(map[uuid.UUID]struct{}, n)
	for _, page := range pages {
		for _, u := range page {
			users[u] = struct{}{}
			r.gain(u)
		}
	}
	before := p.users
	p.known, p.seq, p.users = true, seq, users
	for u := range before {
		if _, ok := users[u]; !ok {
			r.left(u, now)
		}
	}
}

// drop forgets the users of a node that is gone: they have the grace period to come back elsewhere.
func (r *roster) drop(p *peer, now time.Time) (orphans []uuid.UUID) {
	users := p.users
	p.known, p.users, p.ahead, p.pages, p.behind = false, nil, nil, nil, time.Time{}
	for u := range users {
		if !r.held(u) {
			orphans = append(orphans, u)
			r.lose(u, now, r.grace)
		}
	}
	return orphans
}

// smallest says whether this node has the smallest id of those that live.
func (r *roster) smallest() bool {
	for id, p := range r.peers {
		if !p.bye && bytes.Compare(id[:], r.id[:]) < 0 {
			return false
		}
	}
	return true
}

// thaw gives every node time to be heard again.
func (r *roster) thaw(now time.Time) {
	for _, p := range r.peers {
		p.heard = now
	}
}

// reconnected is called when messages have a way again.
func (r *roster) reconnected(now time.Time) {
	r.thaw(now)
	r.greet, r.fresh = true, true
}

// beat is what to say now. It is called at least every quarter of a second.
func (r *roster) beat(now time.Time, connected bool) (out []frame) {
	stoodStill := !r.lastBeat.IsZero() && now.Sub(r.lastBeat) >= stopped
	r.lastBeat = now
	if !connected {
		r.thaw(now) // who is not heard is not to blame, and what is said now is lost: it is kept for later
		return nil
	}
	if stoodStill {
		r.thaw(now)
	}
	var dead []*peer
	for id, p := range r.peers {
		if now.Sub(p.heard) > deadAfter {
			delete(r.peers, id)
			dead = append(dead, p)
		}
	}
	for _, p := range dead {
		if orphans := r.drop(p, now); len(orphans) > 0 && r.smallest() {
			r.seen = append(r.seen, sighting{p.heard, orphans})
		}
	}
	if f, ok := r.delta(); ok {
		out = append(out, f)
	}
	if r.greet || now.Sub(r.lastHello) >= helloEvery {
		out = append(out, frame{kind: kindHello, node: r.id, seq: r.seq, users: uint64(len(r.here) + len(r.news)), fresh: r.fresh})
		r.lastHello, r.greet, r.fresh = now, false, false
	}
	for id, p := range r.peers {
		if !p.behind.IsZero() && (!p.known || now.Sub(p.behind) >= patience) && now.Sub(p.asked) >= helloEvery {
			p.asked, p.ahead = now, nil // what is asked for now holds all that came before
			out = append(out, frame{kind: kindAsk, node: r.id, to: id})
		}
	}
	if r.asked && now.Sub(r.lastState) >= helloEvery {
		r.asked, r.lastState = false, now
		out = append(out, r.state()...)
	}
	return out
}

// delta is the next change. What it says is how it is now, so that it may repeat what a state has shown already.
func (r *roster) delta() (frame, bool) {
	if len(r.news) == 0 {
		return frame{}, false
	}
	r.seq++
	f := frame{kind: kindDelta, node: r.id, seq: r.seq}
	for u := range r.news {
		if len(f.came)+len(f.went) == maxPage {
			break
		}
		delete(r.news, u)
		if _, ok := r.here[u]; ok {
			f.came = append(f.came, u)
		} else {
			f.went = append(f.went, u)
		}
	}
	return f, true
}

func (r *roster) state() []frame {
	r.answer++
	all := make([]uuid.UUID, 0, len(r.here))
	for u := range r.here {
		all = append(all, u)
	}
	parts := min(max((len(all)+maxPage-1)/maxPage, 1), maxParts)
	out := make([]frame, parts)
	for i := range out {
		n := min(maxPage, len(all))
		out[i] = frame{kind: kindState, node: r.id, answer: r.answer, seq: r.seq, part: uint64(i), parts: uint64(parts), came: all[:n]} //nolint:gosec // small
		all = all[n:]
	}
	return out
}
