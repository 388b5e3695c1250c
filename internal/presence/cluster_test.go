package presence_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/chat"
)

// wire joins the nodes of one process. Each message is taken in by a goroutine of the receiver, in order.
type wire struct {
	mu    sync.Mutex
	nodes []*node
}

type node struct {
	wire *wire
	all  sync.WaitGroup

	mu      sync.Mutex
	hears   map[string]func([]byte)
	greets  []func()
	queue   chan func()
	offline bool
}

func (w *wire) join(t *testing.T) *node {
	n := &node{wire: w, hears: map[string]func([]byte){}, queue: make(chan func(), 1024)}
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	n.all.Go(func() {
		for f := range n.queue {
			f()
		}
	})
	t.Cleanup(func() {
		w.mu.Lock()
		w.nodes = nil
		w.mu.Unlock()
		close(n.queue)
		n.all.Wait()
	})
	return n
}

func (n *node) Publish(subject string, data []byte) {
	n.wire.mu.Lock()
	defer n.wire.mu.Unlock()
	if !n.Connected() {
		return
	}
	for _, other := range n.wire.nodes {
		if other != n && other.Connected() {
			copied := append([]byte(nil), data...)
			other.mu.Lock()
			f := other.hears[subject]
			other.mu.Unlock()
			if f != nil {
				other.queue <- func() { f(copied) }
			}
		}
	}
}

func (n *node) Subscribe(subject string, f func([]byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hears[subject] = f
}

func (n *node) OnConnect(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.greets = append(n.greets, f)
}

func (n *node) Connected() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.offline
}

var _ bus.Bus = (*node)(nil)

// beside is a second node on the database of the first.
func (w *world) beside(b bus.Bus) *world {
	other := &world{t: w.t, store: w.store, users: w.users, group: w.group, bell: make(chan struct{}, 1)}
	other.serve(b)
	return other
}

func TestTwoNodes(t *testing.T) {
	t.Parallel()
	on(t, func(a *world) {
		cable := &wire{}
		a.serve(cable.join(a.t))
		b := a.beside(cable.join(a.t))
		a.Connected(a.users[0])
		a.wantPresence(0, true)
		b.wantPresence(0, true)
		b.Connected(b.users[1])
		a.wantPresence(1, true)
		b.wantPresence(1, true)
		if s, err := b.Snapshot(context.Background(), b.users); err != nil || !s.Rows.Presences[0].Online || !s.Rows.Presences[1].Online || s.Rows.Presences[2].Online {
			a.t.Errorf("%+v %v", s, err)
		}
		b.Connected(b.users[0]) // moves: nobody is told
		a.Disconnected(a.users[0])
		before := time.Now()
		b.Disconnected(b.users[1])
		gone := b.wantPresence(1, false)
		if again := a.wantPresence(1, false); again != gone || gone.LastSeenAt.Before(before.Add(-time.Second)) {
			a.t.Errorf("last seen: %v here, %v there", gone, again)
		}

		// Typing here is seen there, and ends there as it ends here.
		ctx := context.Background()
		alice := chat.Viewer{User: a.users[0]}
		say := func(typing bool) {
			a.t.Helper()
			if _, err := a.SetTyping(ctx, alice, a.group, typing); err != nil {
				a.t.Fatal(err)
			}
		}
		both := func(who ...chat.ID) {
			a.t.Helper()
			a.wantTyping(who...)
			b.wantTyping(who...)
		}
		say(true)
		both(alice.User)
		say(false)
		both()
		say(true)
		both(alice.User)
		both() // by itself
		say(true)
		both(alice.User)
		b.Applied([]*chat.Event{{Type: chat.MessageAdded, Topic: chat.ConversationTopic(a.group), Actor: alice.User}})
		b.wantTyping()
		a.wantTyping()

		// The other node stops: its users have the grace period.
		b.Stop()
		a.wantPresence(0, false)
	})
}
