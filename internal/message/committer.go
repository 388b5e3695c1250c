package message

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/store"
)

// committer commits in groups: whatever waits while one commit is under way is the next one. There is no timer, so that
// an idle system adds no wait, and a busy one needs one commit for hundreds of messages.
//
// One goroutine (run) takes from waiting and commits; it alone closes an item's done channel, after the answer is written
// into the item. stop lets it finish what waits.
type committer struct {
	store *store.Store
	max   int
	limit *limit.Sends
	wake  chan struct{}
	done  chan struct{}
	now   func() time.Time

	mu      sync.Mutex
	waiting []item
	stopped bool
}

// item is a send or a read.
type item struct {
	send *store.Send
	read *store.Read
	done chan struct{}
}

func newCommitter(s *store.Store, max int, l *limit.Sends) *committer {
	return &committer{store: s, max: max, limit: l, wake: make(chan struct{}, 1), done: make(chan struct{}), now: time.Now}
}

func (c *committer) start() { go c.run() }

func (c *committer) stop() {
	c.mu.Lock()
	first := !c.stopped
	c.stopped = true
	c.mu.Unlock()
	if first {
		c.ring()
	}
	<-c.done
}

var errStopping = &chat.Error{Code: chat.CodeUnavailable, Message: "the server is stopping; try again", RetryAfter: time.Second}

func (c *committer) send(ctx context.Context, x *store.Send) error {
	return c.wait(ctx, item{send: x, done: make(chan struct{})})
}

func (c *committer) read(ctx context.Context, x *store.Read) error {
	return c.wait(ctx, item{read: x, done: make(chan struct{})})
}

func (c *committer) wait(ctx context.Context, i item) error {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return errStopping
	}
	c.waiting = append(c.waiting, i)
	c.mu.Unlock()
	c.ring()
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *committer) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *committer) run() {
	defer close(c.done)
	for range c.wake {
		for {
			runtime.Gosched() // whoever is about to ask may do so first: larger batches where it is busy, no wait where it is not
			batch, stopped := c.take()
			if len(batch) == 0 {
				if stopped {
					return
				}
				break
			}
			c.commit(batch)
			for _, i := range batch {
				if i.send != nil && (i.send.Err != nil || !i.send.Stored) {
					c.limit.Void(i.send.Sender) // if it was stored all the same, it counts twice
				}
				close(i.done)
			}
		}
	}
}

// take removes the next batch. A second item with the same key waits for the next one, where it finds the first stored.
func (c *committer) take() (batch []item, stopped bool) {
	type key struct {
		a, b chat.ID
		key  string
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var rest []item
	keys := make(map[key]bool, len(c.waiting))
	for n, i := range c.waiting {
		if len(batch) == c.max {
			rest = append(rest, c.waiting[n:]...)
			break
		}
		k := key{}
		if i.send != nil {
			k.a, k.key = i.send.Sender, i.send.Key
		} else {
			k.a, k.b = i.read.User, i.read.Conversation
		}
		if keys[k] {
			rest = append(rest, i)
			continue
		}
		keys[k] = true
		if i.send != nil {
			i.send.ID = chat.NewID(chat.KindMessage) // in order of arrival: seq and position follow the ids
		}
		batch = append(batch, i)
	}
	c.waiting = rest
	return batch, c.stopped
}

const commitTimeout = 10 * time.Second

// commit stores a batch. What is refused as a whole is halved until the item at fault stands alone.
func (c *committer) commit(batch []item) {
	b := &store.Batch{At: store.Micros(c.now())}
	for _, i := range batch {
		if i.send != nil {
			b.Sends = append(b.Sends, i.send)
		} else {
			b.Reads = append(b.Reads, i.read)
		}
	}
	var err error
	for range 5 {
		ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
		err = c.store.Commit(ctx, b)
		cancel()
		if err == nil || !c.store.Retryable(err) {
			break
		}
	}
	if err == nil {
		return
	}
	err = c.store.Translate(err)
	if len(batch) == 1 || chat.CodeOf(err) == chat.CodeUnavailable { // every half would find the database as it is
		for _, x := range b.Sends {
			x.Err = err
		}
		for _, x := range b.Reads {
			x.Err = err
		}
		return
	}
	c.commit(batch[:len(batch)/2])
	c.commit(batch[len(batch)/2:])
}
