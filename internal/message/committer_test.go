package message

import (
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// What the database refuses as a whole (here: a sender that does not exist, a text with NUL) is found and stands alone.
func TestPoisonDoesNotSpread(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		c := newCommitter(s, 512)
		var items []item
		nobody := chat.NewID(chat.KindConversation)
		for i := range 33 {
			x := &store.Send{ID: chat.NewID(chat.KindMessage), Conversation: nobody, Sender: chat.NewID(chat.KindUser), Key: "k", Body: "b"}
			if i == 17 {
				x.Body = "\x00"
			}
			items = append(items, item{send: x, done: make(chan struct{})})
		}
		c.commit(items)
		for i, it := range items {
			if it.send.Err == nil {
				t.Errorf("%d was stored", i)
			} else if code := chat.CodeOf(it.send.Err); i != 17 && code != chat.CodeNotFound {
				t.Errorf("%d: %v", i, it.send.Err)
			}
		}
	})
}

// A second item with the same key waits for the next batch; everything else goes together.
func TestTake(t *testing.T) {
	t.Parallel()
	c := newCommitter(nil, 3)
	u, v := chat.NewID(chat.KindUser), chat.NewID(chat.KindUser)
	for _, k := range []struct {
		who chat.ID
		key string
	}{{u, "a"}, {u, "a"}, {v, "a"}, {u, "b"}, {u, "c"}, {u, "a"}} {
		c.waiting = append(c.waiting, item{send: &store.Send{Sender: k.who, Key: k.key}})
	}
	var sizes []int
	for {
		batch, _ := c.take()
		if len(batch) == 0 {
			break
		}
		sizes = append(sizes, len(batch))
	}
	if len(sizes) != 3 || sizes[0] != 3 || sizes[1] != 2 || sizes[2] != 1 {
		t.Errorf("batches of %v", sizes)
	}
}
