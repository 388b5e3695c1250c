package message

import (
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// A second item with the same key waits for the next batch; everything else goes together.
func TestTake(t *testing.T) {
	t.Parallel()
	c := newCommitter(nil, 3, nil)
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
