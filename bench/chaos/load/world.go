package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley/bench/chaos/history"
)

const password = "chaos, but not for long" //nolint:gosec // of accounts that live as long as the run

// room is a group. Its owner is never removed.
type room struct {
	id      string
	members []*person // the first is the owner
	lastSeq atomic.Int64

	mu   sync.Mutex
	out  *person // who is removed now, or about to be, or about to be back
	busy bool
}

// inside is a member who is not on the way out.
func (r *room) inside(p *person) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out != p
}

// world is who and what there is.
type world struct {
	people []*person
	big    *room
	small  []*room
	of     map[*person][]*room // small rooms
	cursor string              // as of which everything stood
}

// build makes the world, while the system is whole: what fails twice is an error.
func build(ctx context.Context, c *api, o options) (*world, error) {
	w := &world{big: &room{}, of: map[*person][]*room{}}
	var err error
	w.people, err = each(ctx, o.users, 4, func(i int) (*person, error) {
		p := &person{n: i, name: fmt.Sprintf("c%x_%d", o.seed, i)}
		var x result
		err := setUp(ctx, c, i, "signUp", nil, qSignUp, map[string]any{"username": p.name, "password": password}, &x)
		p.id, p.token, p.session = x.User.ID, x.AccessToken, x.Session.ID
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("sign up: %w", err)
	}
	pairs := map[[2]int]bool{}
	for i := 1; i < o.users; i++ {
		pairs[[2]int{0, i}] = true
	}
	for i := range o.rooms {
		r := &room{}
		for k := range min(o.roomSize, o.users) {
			p := w.people[(i*o.roomSize+k)%o.users]
			r.members = append(r.members, p)
			w.of[p] = append(w.of[p], r)
			if owner := r.members[0]; p != owner {
				pairs[[2]int{min(p.n, owner.n), max(p.n, owner.n)}] = true
			}
		}
		w.small = append(w.small, r)
	}
	var list [][2]int
	for p := range pairs {
		list = append(list, p)
	}
	if _, err = each(ctx, len(list), 16, func(i int) (struct{}, error) {
		a, b := w.people[list[i][0]], w.people[list[i][1]]
		var x result
		if err := setUp(ctx, c, i, "sendFriendRequest", b, qAsk, map[string]any{"userId": a.id}, &x); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, setUp(ctx, c, i, "acceptFriendRequest", a, qAccept, map[string]any{"requestId": x.Request.ID}, &x)
	}); err != nil {
		return nil, fmt.Errorf("make friends: %w", err)
	}
	if _, err = each(ctx, len(w.small), 8, func(i int) (struct{}, error) {
		return struct{}{}, w.gather(ctx, c, w.small[i], "small")
	}); err != nil {
		return nil, err
	}
	w.big.members = w.people
	if err := w.gather(ctx, c, w.big, "big"); err != nil {
		return nil, err
	}
	w.cursor, err = c.cursor(ctx, 1)
	return w, err
}

// gather makes a room's group, a hundred members at once.
func (w *world) gather(ctx context.Context, c *api, r *room, name string) error {
	owner, rest := r.members[0], r.members[1:]
	var x result
	for first := true; first || len(rest) > 0; first = false {
		n := min(len(rest), 100)
		ids := make([]string, n)
		for i := range ids {
			ids[i] = rest[i].id
		}
		rest = rest[n:]
		if first {
			if err := setUp(ctx, c, owner.n, "createGroup", owner, qGroup, map[string]any{"title": name, "memberIds": ids}, &x); err != nil {
				return fmt.Errorf("make a group: %w", err)
			}
			r.id = x.Conversation.ID
			c.w.Write(history.Record{K: "room", Conv: r.id, Name: name})
		} else if err := setUp(ctx, c, owner.n, "addMembers", owner, qAdd, map[string]any{"conversationId": r.id, "userIds": ids}, &x); err != nil {
			return fmt.Errorf("add members: %w", err)
		}
	}
	return nil
}

// setUp does what must succeed. It is written down all the same: the log holds it.
func setUp(ctx context.Context, c *api, n int, act string, p *person, query string, input map[string]any, x *result) error {
	r := history.Record{Act: act, Node: 1 + n%len(c.nodes)}
	token := ""
	if p != nil {
		r.Actor, token = p.id, p.token
	}
	var a answer
	if _, *x, a = c.do(ctx, r, token, query, input); !a.ok() {
		return errors.New(a.code + " " + a.text)
	}
	return nil
}

// each runs fn for 0 … n-1, some at once, and gives the results in order.
func each[T any](ctx context.Context, n, atOnce int, fn func(i int) (T, error)) ([]T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := make([]T, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, atOnce) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				var err error
				if out[i], err = fn(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return out, context.Cause(ctx)
}

// random is a source of its own for each who needs one: the seed and a number decide what it gives.
func random(seed uint64, kind, n int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(kind)<<32|uint64(n))) //nolint:gosec // nothing secret
}

// jitter is d, more or less.
func jitter(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + r.Float64()))
}
