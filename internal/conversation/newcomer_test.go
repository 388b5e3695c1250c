package conversation_test

import (
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/store"
)

func (w world) say(sender, room chat.ID, key string) error {
	w.Helper()
	x := &store.Send{ID: chat.NewID(chat.KindMessage), Conversation: room, Sender: sender, Key: key, Body: "hello"}
	w.code("", w.store.Commit(ctx, &store.Batch{At: store.Micros(time.Now()), Sends: []*store.Send{x}}))
	return x.Err
}

// A newcomer has read what was said before them; somebody who comes back has a second span, and has read what they missed.
func TestNewcomersHaveReadEverything(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(2)
		g := w.group(p[0])
		w.code("", w.say(p[0], g, "1"))
		w.code("", w.say(p[0], g, "2"))
		membership := func(seq int64) chat.Member {
			w.Helper()
			m, err := w.store.CurrentMembership(ctx, g, p[1])
			if w.code("", err); m.ReadSeq != seq || !m.ReadAt.IsZero() || m.Joined != w.head() {
				w.Errorf("%+v", m)
			}
			return m
		}
		_, _, err := w.AddMembers(ctx, p[0], g, p[1:])
		w.code("", err)
		first := membership(2)
		left, err := w.LeaveGroup(ctx, p[1], g)
		w.code("", err)
		w.notFound(w.say(p[1], g, "late"))
		w.code("", w.say(p[0], g, "3"))
		_, _, err = w.AddMembers(ctx, p[0], g, p[1:])
		w.code("", err)
		second := membership(3)

		spans := func(after chat.Position) (n int) {
			l, err := w.store.Spans(ctx, store.SpanQuery{User: p[1], After: after})
			w.code("", err)
			for _, s := range l[0] {
				if s.Topic == chat.ConversationTopic(g) {
					n++
					if s.To == left && s.From != first.Joined-1 || s.To == 0 && s.From != second.Joined-1 {
						w.Errorf("%+v", s)
					}
				}
			}
			return n
		}
		if spans(left-1) != 2 || spans(left) != 1 {
			w.Error("the span that has ended is not told until its end")
		}
		c, err := w.Get(ctx, p[1], g)
		if w.code("", err); c.LastSeq != 3 || c.LastMessage.IsZero() || !c.UpdatedAt.After(c.CreatedAt) {
			w.Errorf("%+v", c)
		}
		peers, err := w.friends.Friends(ctx, p[0], chat.Page{Limit: 1})
		w.code("", err)
		direct := peers.Nodes[0].Conversation
		w.code("", w.say(p[1], direct, "4"))
		_, err = w.friends.Remove(ctx, p[0], p[1])
		w.code("", err)
		w.code(chat.CodeForbidden, w.say(p[1], direct, "5"))
		w.befriend(p[1], p[0])
		w.code("", w.say(p[1], direct, "6"))
	})
}
