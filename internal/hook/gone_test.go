package hook_test

import (
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/hook"
	"github.com/parley-chat/parley/internal/store"
)

// Who is removed or leaves hears no more through an address that they chose: nothing of what waits, and nothing new, until
// somebody who is there says so. That it was made by another changes nothing.
func TestGone(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		bobs, first, _, err := w.Create(ctx, w.bob, w.group, w.receiver.URL, []chat.EventType{chat.MessageAdded})
		w.code("", err)
		anns, second, _, err := w.Create(ctx, w.ann, w.group, w.receiver.URL+"/ann", []chat.EventType{chat.MessageAdded})
		w.code("", err)
		other := w.receiver.URL + "/taken"
		anns, _, err = w.Update(ctx, w.bob, anns.ID, hook.Change{URL: &other})
		w.code("", err)
		stays, third, _, err := w.Create(ctx, w.ann, w.group, w.receiver.URL, []chat.EventType{chat.MessageAdded})
		w.code("", err)
		w.receiver.know(first, second, third)
		w.say("waits")
		w.fanOut()
		_, _, err = w.rooms.RemoveMember(ctx, w.ann, w.group, w.bob)
		w.code("", err)
		w.say("after")
		w.fanOut()
		for _, h := range []chat.Webhook{bobs, anns} {
			w.run(h)
			w.took()
			if h = w.now(h); h.Enabled || h.Reason == "" || h.Owner != w.bob {
				t.Errorf("%+v", h)
			}
		}
		w.run(stays)
		w.took("waits", "after")

		yes := true
		if h, _, err := w.Update(ctx, w.ann, bobs.ID, hook.Change{Enabled: &yes}); err != nil || h.Owner != w.ann || w.now(h).Owner != w.ann {
			t.Error(h, err)
		}
		w.run(bobs)
		w.took("waits")
	})
}

// Who is suspended is told nothing new, until they are restored.
func TestSuspended(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook(chat.MessageAdded)
		w.say("one")
		w.fanOut()
		w.run(h)
		w.took("one")
		for _, change := range []func(*store.Tx) error{
			func(tx *store.Tx) error { return tx.Suspend(w.bob) }, func(tx *store.Tx) error { return tx.Restore(w.bob) },
		} {
			_, err := w.store.Write(ctx, chat.ID{}, change)
			w.code("", err)
			w.say("then")
			w.fanOut()
			w.run(h)
		}
		w.took("then")
	})
}
