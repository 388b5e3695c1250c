package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// Those who follow the log at once, and fail now and then, get each event once between them.
func TestFollow(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		const events = 300
		stores := []*store.Store{testkit.MustOpenStore(t, url), testkit.MustOpenStore(t, url)}
		room := chat.ConversationTopic(chat.NewID(chat.KindConversation))
		emit := func(types ...chat.EventType) {
			t.Helper()
			_, err := stores[0].Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
				for _, e := range types {
					tx.Emit(chat.Event{Type: e}, room)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range events {
			emit(chat.ConversationUpdated, chat.MessageAdded)
		}
		boom := errors.New("boom")
		var mu sync.Mutex
		seen := map[chat.Position]int{}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for n := 0; ; n++ {
					var got []chat.Position
					behind, err := stores[w%2].Follow(t.Context(), []chat.EventType{chat.MessageAdded}, 7, func(_ *store.Tx, events []*chat.Event) error {
						got = nil
						for _, e := range events {
							got = append(got, e.Position)
						}
						if n%5 == w%5 {
							return boom
						}
						return nil
					})
					if errors.Is(err, boom) {
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, p := range got {
						seen[p]++
					}
					mu.Unlock()
					if behind == 0 {
						return
					}
				}
			})
		}
		wg.Wait()
		for p := chat.Position(2); p <= 2*events; p += 2 {
			if seen[p] != 1 {
				t.Errorf("the event at %d was handed out %d times", p, seen[p])
			}
		}
		if len(seen) != events {
			t.Errorf("%d events, want %d", len(seen), events)
		}

		emit(chat.MessageAdded)
		if behind, err := stores[0].Follow(t.Context(), nil, 7, nil); behind != 0 || err != nil {
			t.Error(behind, err)
		}
		if _, err := stores[1].Follow(t.Context(), []chat.EventType{chat.MessageAdded}, 7, func(_ *store.Tx, events []*chat.Event) error {
			t.Errorf("%d events of when nobody followed", len(events))
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}
