package conversation_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
)

// Everybody leaves at once: each one leaves once, somebody always owns the group, and the last one deletes it.
func TestEverybodyLeavesAtOnce(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(12)
		g := w.group(p[0], p[1:]...)
		before := w.head()
		var wg sync.WaitGroup
		for _, u := range p {
			for range 2 {
				wg.Go(func() {
					if _, err := w.LeaveGroup(ctx, u, g); err != nil {
						w.notFound(err)
					}
				})
			}
		}
		wg.Wait()
		events, err := w.store.Events(ctx, before, 1000)
		w.code("", err)
		owner, left := p[0], map[chat.ID]bool{}
		for i, e := range events {
			switch e.Type {
			case chat.MemberRoleChanged:
				owner = e.Subject
			case chat.MemberLeft:
				if left[e.Subject] || e.Subject == owner && len(left) != len(p)-1 {
					w.Errorf("%v left twice, or as the owner", e.Subject)
				}
				left[e.Subject] = true
			case chat.ConversationDeleted:
				if i != len(events)-1 {
					w.Error("deleted before the last one left")
				}
			}
		}
		if len(left) != len(p) || events[len(events)-1].Type != chat.ConversationDeleted {
			w.Errorf("%d of %d left", len(left), len(p))
		}
	})
}

// What a removed member sends is either in the log before their removal or refused.
func TestARemovedMemberSendsNothingMore(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(2)
		for round := range 10 {
			g := w.group(p[0], p[1])
			before := w.head()
			var wg sync.WaitGroup
			first, stored := make(chan struct{}), 0
			wg.Go(func() {
				for i := 0; ; i++ {
					err := w.say(p[1], g, fmt.Sprintf("%d-%d", round, i))
					if i == 0 {
						close(first)
					}
					if err != nil {
						w.notFound(err)
						return
					}
					stored++
				}
			})
			<-first
			_, _, err := w.RemoveMember(ctx, p[0], g, p[1])
			w.code("", err)
			wg.Wait()
			events, err := w.store.Events(ctx, before, 1<<20)
			w.code("", err)
			if len(events) != stored+1 || events[stored].Type != chat.MemberRemoved {
				w.Errorf("%d stored, %d events", stored, len(events))
			}
		}
	})
}
