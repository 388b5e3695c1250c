package presence

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley/internal/chat"
)

// What other nodes say about typing is kept up to these bounds; what comes then is not shown.
const (
	maxTypists = 200    // in one conversation
	maxTyping  = 50_000 // in all
)

type typist struct{ conversation, user uuid.UUID }

// typing knows who is typing where. Service.mu guards it.
type typing struct {
	lasts   time.Duration
	alone   bool
	changed func(conversation uuid.UUID)
	who     map[uuid.UUID]map[uuid.UUID]time.Time // conversation → user → until
	n       int                                   // users in who
	news    map[typist]struct{}                   // what the other nodes are to be told
	seq     uint64
}

func newTyping(lasts time.Duration, alone bool, changed func(uuid.UUID)) typing {
	return typing{lasts: lasts, alone: alone, changed: changed, who: map[uuid.UUID]map[uuid.UUID]time.Time{}, news: map[typist]struct{}{}}
}

func (t *typing) begin(w typist, until time.Time) {
	who := t.who[w.conversation]
	if who == nil {
		who = map[uuid.UUID]time.Time{}
		t.who[w.conversation] = who
	}
	if _, already := who[w.user]; !already {
		t.n++
		t.changed(w.conversation)
	}
	who[w.user] = until
}

func (t *typing) end(w typist) (was bool) {
	who := t.who[w.conversation]
	if _, was = who[w.user]; was {
		delete(who, w.user)
		if t.n--; len(who) == 0 {
			delete(t.who, w.conversation)
		}
		t.changed(w.conversation)
	}
	return was
}

func (t *typing) tell(w typist) {
	if !t.alone {
		t.news[w] = struct{}{}
	}
}

func (t *typing) pass(now time.Time) {
	for c, who := range t.who {
		for u, until := range who {
			if now.After(until) {
				t.end(typist{c, u})
			}
		}
	}
}

// say is what there is to tell, as it is now. What cannot be told at once is not worth telling.
func (t *typing) say(node uuid.UUID, connected bool) (f frame, ok bool) {
	if !connected {
		clear(t.news)
	}
	if len(t.news) == 0 {
		return f, false
	}
	t.seq++
	f = frame{kind: kindTyping, node: node, seq: t.seq}
	now := time.Now()
	for w := range t.news {
		if len(f.typed) == maxTyped {
			break
		}
		delete(t.news, w)
		left := max(t.who[w.conversation][w.user].Sub(now), 0)                                    // not there: 0
		f.typed = append(f.typed, typed{w.conversation, w.user, uint64(left / time.Millisecond)}) //nolint:gosec // not negative
	}
	return f, true
}

func (t *typing) more() bool { return len(t.news) > 0 }

// hear takes what another node says, and lets it expire by the clock of this one.
func (t *typing) hear(all []typed, now time.Time) {
	for _, f := range all {
		w := typist{f.conversation, f.user}
		if f.millis == 0 {
			t.end(w)
			continue
		}
		who := t.who[w.conversation]
		if _, already := who[w.user]; already || len(who) < maxTypists && t.n < maxTyping {
			t.begin(w, now.Add(min(time.Duration(min(f.millis, 1<<32))*time.Millisecond, t.lasts))) //nolint:gosec // bounded
		}
	}
}

// SetTyping says whether the viewer is typing, and returns when that ends by itself.
//
// Errors: NOT_FOUND (not a member), FORBIDDEN (silent conversation), UNAVAILABLE.
func (s *Service) SetTyping(ctx context.Context, v chat.Viewer, conversation chat.ID, typing bool) (until time.Time, err error) {
	if conversation.Kind != chat.KindConversation {
		return until, chat.ErrNotFound
	}
	c, err := s.store.ConversationOf(ctx, v.User, conversation)
	if err != nil {
		return until, err
	}
	if c.Silent {
		return until, chat.Forbidden("the two are not friends any more: the conversation is silent")
	}
	w := typist{conversation.UUID, v.User.UUID}
	s.mu.Lock()
	if typing {
		until = time.Now().Add(s.cfg.Typing)
		s.typing.begin(w, until)
		s.typing.tell(w)
	} else if s.typing.end(w) {
		s.typing.tell(w)
	}
	s.mu.Unlock()
	ring(s.speak)
	return until, nil
}

// TypingSnapshot is the signal with which watching a conversation begins.
func (s *Service) TypingSnapshot(conversation chat.ID) *chat.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typingSignal(conversation)
}

func (s *Service) typingSignal(conversation chat.ID) *chat.Event {
	typing := s.typing.who[conversation.UUID]
	who := make([]chat.ID, 0, len(typing))
	for u := range typing {
		who = append(who, userID(u))
	}
	return &chat.Event{Type: chat.TypingSignal, At: time.Now(), Topic: chat.TypingTopic(conversation), Rows: chat.Rows{Snapshot: true, Typing: who}}
}

// Applied looks at the events of the log: whoever sends, leaves or is removed is not typing any more. Every node sees
// these, so that nobody is told.
func (s *Service) Applied(events []*chat.Event) {
	for _, e := range events {
		var user chat.ID
		switch e.Type {
		case chat.MessageAdded:
			user = e.Actor
		case chat.MemberLeft, chat.MemberRemoved:
			user = e.Subject
		default:
			continue
		}
		s.mu.Lock()
		s.typing.end(typist{e.Topic.ID.UUID, user.UUID})
		s.mu.Unlock()
	}
}
