package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley/bench/chaos/history"
)

// Kinds of random sources.
const (
	rndSends = iota + 1
	rndSend
	rndSubscriber
	rndRemovals
	rndReads
	rndFriends
	rndSessions
)

// play is one run in progress.
type play struct {
	options
	c     *api
	w     *world
	subs  []*subscriber
	conns atomic.Int64
	keys  atomic.Int64
	nsubs atomic.Int64

	intents sync.WaitGroup // what was begun and is not certain yet
}

// every calls fn at random moments, rate times a second on average, until ctx is over. The moments do not depend on how
// long anything takes: who is answered slowly still sends as planned.
func every(ctx context.Context, r *rand.Rand, rate float64, fn func(n int)) {
	if rate <= 0 {
		return
	}
	next := time.Now()
	for n := 0; ; n++ {
		next = next.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second)))
		if sleep(ctx, time.Until(next)); ctx.Err() != nil {
			return
		}
		fn(n)
	}
}

// begin runs fn until it is certain of its outcome, or hard is over.
func (p *play) begin(fn func()) { p.intents.Go(fn) }

// send stores one message, at once on two nodes if twice is set, and remembers how far the room is.
func (p *play) send(ctx context.Context, who *person, to *room, r *rand.Rand, twice bool) answer {
	key := fmt.Sprintf("k%d", p.keys.Add(1))
	rec := history.Record{Act: "sendMessage", Actor: who.id, Conv: to.id, Key: key, Node: p.c.anyNode(r)}
	input := map[string]any{"conversationId": to.id, "body": history.Body(key), "clientKey": key}
	if twice {
		other, rnd := rec, random(r.Uint64(), rndSend, 0)
		other.Node = other.Node%len(p.c.nodes) + 1
		p.begin(func() { p.c.until(ctx, rnd, other, who.token, qSend, input) })
	}
	x, a := p.c.until(ctx, r, rec, who.token, qSend, input)
	if a.ok() {
		for old := to.lastSeq.Load(); old < x.Message.Seq && !to.lastSeq.CompareAndSwap(old, x.Message.Seq); old = to.lastSeq.Load() {
		}
	}
	return a
}

// sends plans messages: in ctx they begin, hard ends their retries.
func (p *play) sends(ctx, hard context.Context) {
	r := random(p.seed, rndSends, 0)
	planned := int(p.rate * p.duration.Seconds())
	senders := min(p.senders, p.users)
	every(ctx, r, p.rate, func(n int) {
		if n >= planned {
			return
		}
		who := p.w.people[r.IntN(senders)*p.users/senders]
		to := p.w.big
		if rooms := p.w.of[who]; len(rooms) > 0 && r.Float64() >= p.bigShare {
			if x := rooms[r.IntN(len(rooms))]; x.inside(who) {
				to = x
			}
		}
		twice, rnd := r.IntN(30) == 0, random(p.seed, rndSend, n)
		p.begin(func() { p.send(hard, who, to, rnd, twice) })
	})
}

// removals removes members while messages are on their way in the same room, and has them back.
func (p *play) removals(ctx, hard context.Context) {
	r := random(p.seed, rndRemovals, 0)
	every(ctx, r, p.removalRate, func(int) {
		to := p.w.small[r.IntN(len(p.w.small))]
		if len(to.members) < 3 {
			return
		}
		who, rnd := to.members[1+r.IntN(len(to.members)-1)], random(r.Uint64(), rndRemovals, 1)
		to.mu.Lock()
		busy := to.busy
		if !busy {
			to.busy, to.out = true, who
		}
		to.mu.Unlock()
		if busy {
			return
		}
		p.begin(func() {
			p.remove(hard, to, who, rnd)
			sleep(ctx, jitter(rnd, time.Second))
			p.restore(hard, to, rnd)
		})
	})
}

// remove ends a membership amid messages from those who stay and from who goes.
func (p *play) remove(ctx context.Context, to *room, who *person, r *rand.Rand) {
	owner := to.members[0]
	for i, from := range []*person{owner, who, to.members[1+r.IntN(len(to.members)-1)], who, owner} {
		late, rnd := time.Duration(r.IntN(20))*time.Millisecond, random(r.Uint64(), rndSend, i)
		p.begin(func() {
			sleep(ctx, late)
			p.send(ctx, from, to, rnd, false)
		})
	}
	sleep(ctx, time.Duration(r.IntN(15))*time.Millisecond)
	rec := history.Record{Act: "removeMember", Actor: owner.id, User: who.id, Conv: to.id, Node: p.c.anyNode(r)}
	if r.IntN(4) == 0 {
		rec.Act, rec.Actor = "leaveGroup", who.id
		p.c.until(ctx, r, rec, who.token, qLeave, map[string]any{"conversationId": to.id})
		return
	}
	p.c.until(ctx, r, rec, owner.token, qRemove, map[string]any{"conversationId": to.id, "userId": who.id})
}

// restore has who was removed from a room back in it.
func (p *play) restore(ctx context.Context, to *room, r *rand.Rand) {
	to.mu.Lock()
	who := to.out
	to.mu.Unlock()
	if who == nil {
		return
	}
	owner := to.members[0]
	rec := history.Record{Act: "addMembers", Actor: owner.id, User: who.id, Conv: to.id, Node: p.c.anyNode(r)}
	if _, a := p.c.until(ctx, r, rec, owner.token, qAdd, map[string]any{"conversationId": to.id, "userIds": []string{who.id}}); a.ok() {
		to.mu.Lock()
		to.busy, to.out = false, nil
		to.mu.Unlock()
	}
}

// reads moves read marks.
func (p *play) reads(ctx, hard context.Context) {
	r := random(p.seed, rndReads, 0)
	every(ctx, r, p.readRate, func(int) {
		to := p.w.small[r.IntN(len(p.w.small))]
		who, seq := to.members[r.IntN(len(to.members))], to.lastSeq.Load()
		// Drawn whether it is needed or not: later draws must not depend on what has happened.
		rec, rnd := history.Record{Act: "markRead", Actor: who.id, Conv: to.id, Seq: seq, Node: p.c.anyNode(r)}, random(r.Uint64(), rndReads, 1)
		if seq == 0 || !to.inside(who) {
			return
		}
		p.begin(func() {
			p.c.until(hard, rnd, rec, who.token, qRead, map[string]any{"conversationId": to.id, "seq": seq})
		})
	})
}

// friends has people ask each other, and races the answer against taking it back, on two nodes.
func (p *play) friends(ctx, hard context.Context) {
	r := random(p.seed, rndFriends, 0)
	met := map[[2]int]bool{}
	every(ctx, r, p.friendRate, func(int) {
		a, b := p.w.people[r.IntN(p.users)], p.w.people[r.IntN(p.users)]
		pair := [2]int{min(a.n, b.n), max(a.n, b.n)}
		if a == b || pair[0] == 0 || met[pair] || p.share(a, b) {
			return
		}
		met[pair] = true
		rnd, rnd2, reject := random(r.Uint64(), rndFriends, 1), random(r.Uint64(), rndFriends, 2), r.IntN(4) == 0
		p.begin(func() {
			rec := history.Record{Act: "sendFriendRequest", Actor: a.id, User: b.id, Node: p.c.anyNode(rnd)}
			x, ans := p.c.until(hard, rnd, rec, a.token, qAsk, map[string]any{"userId": b.id})
			if !ans.ok() {
				return // asked by an attempt whose answer was lost
			}
			request := map[string]any{"requestId": x.Request.ID}
			no := history.Record{Act: "cancelFriendRequest", Actor: a.id, ID: x.Request.ID, Node: rec.Node}
			token, query := a.token, qCancel
			if reject {
				no.Act, no.Actor, token, query = "rejectFriendRequest", b.id, b.token, qReject
			}
			p.begin(func() { p.c.until(hard, rnd2, no, token, query, request) })
			yes := history.Record{Act: "acceptFriendRequest", Actor: b.id, ID: x.Request.ID, Node: rec.Node%len(p.c.nodes) + 1}
			p.c.until(hard, rnd, yes, b.token, qAccept, request)
		})
	})
}

// share says whether two are friends because they are in a small room together.
func (p *play) share(a, b *person) bool {
	for _, x := range p.w.of[a] {
		for _, y := range p.w.of[b] {
			if x == y {
				return true
			}
		}
	}
	return false
}

// sessions signs people in a second time, has that session listen, and ends it.
func (p *play) sessions(ctx, hard context.Context, live *sync.WaitGroup, end context.Context) {
	r := random(p.seed, rndSessions, 0)
	every(ctx, r, p.sessionRate, func(int) {
		who, rnd := p.w.people[r.IntN(p.users)], random(r.Uint64(), rndSessions, 1)
		p.begin(func() {
			rec := history.Record{Act: "signIn", Actor: who.id, Node: p.c.anyNode(rnd)}
			x, a := p.c.until(hard, rnd, rec, "", qSignIn, map[string]any{"username": who.name, "password": password})
			if !a.ok() {
				return
			}
			second := &person{n: who.n, name: who.name, id: who.id, token: x.AccessToken, session: x.Session.ID}
			s := p.subscriber(second, rnd)
			s.after, s.brief, s.sse = x.Cursor, true, rnd.IntN(5) == 0
			live.Go(func() { s.run(end) })
			for ctx.Err() == nil && !s.caughtUp.Load() {
				sleep(ctx, 100*time.Millisecond)
			}
			sleep(ctx, jitter(rnd, 2*time.Second))
			rec = history.Record{Act: "signOut", Actor: who.id, ID: second.session, Node: p.c.anyNode(rnd)}
			if rnd.IntN(2) == 0 {
				p.c.until(hard, rnd, rec, second.token, qSignOut, nil)
			} else {
				rec.Act = "revokeSession"
				p.c.until(hard, rnd, rec, who.token, qRevoke, map[string]any{"sessionId": second.session})
			}
			s.revoked.Store(true)
		})
	})
}

// subscriber makes one for a person, who listens to their whole feed.
func (p *play) subscriber(who *person, r *rand.Rand) *subscriber {
	s := &subscriber{c: p.c, n: int(p.nsubs.Add(1)), p: who, rnd: r, conns: &p.conns, pause: time.Now().Add(jitter(r, 15*time.Second)), after: p.w.cursor, node: p.c.anyNode(r)}
	_, pos, _ := history.Cursor(s.after)
	s.pos.Store(pos)
	return s
}
