package presence_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/presence"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	*presence.Service
	t     *testing.T
	store *store.Store
	users []chat.ID
	group chat.ID

	mu      sync.Mutex
	signals []*chat.Event
	bell    chan struct{}
}

const grace = time.Second

// on runs a test on each database: three users, the first two of whom are in a group.
func on(t *testing.T, test func(w *world)) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w := &world{t: t, store: s, users: testkit.MustAddUsers(t, s, 3), group: chat.NewID(chat.KindConversation), bell: make(chan struct{}, 1)}
		_, err := s.Write(t.Context(), w.users[0], func(tx *store.Tx) error {
			if err := tx.InsertConversation(chat.Conversation{ID: w.group, Kind: chat.Group, Title: "g", CreatedAt: tx.Now, UpdatedAt: tx.Now, MemberCount: 2}); err != nil {
				return err
			}
			tx.Emit(chat.Event{Type: chat.ConversationCreated, Detail: chat.Detail{Members: w.users[:2]}}, chat.ConversationTopic(w.group))
			return tx.InsertMembers([]chat.Member{
				{Conversation: w.group, User: w.users[0], Role: chat.RoleOwner, JoinedAt: tx.Now},
				{Conversation: w.group, User: w.users[1], Role: chat.RoleMember, JoinedAt: tx.Now},
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		w.serve(nil)
		test(w)
	})
}

// serve starts the service; a second time on a bus, in its place.
func (w *world) serve(b bus.Bus) {
	if w.Service != nil {
		w.Stop()
	}
	w.Service = presence.New(w.store, presence.Config{Grace: grace, Typing: time.Second, Bus: b, Publish: func(e *chat.Event) {
		w.mu.Lock()
		w.signals = append(w.signals, e)
		w.mu.Unlock()
		select {
		case w.bell <- struct{}{}:
		default:
		}
	}})
	w.Start()
	w.t.Cleanup(w.Stop)
}

// next waits for a signal.
func (w *world) next() *chat.Event {
	w.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		w.mu.Lock()
		if len(w.signals) > 0 {
			e := w.signals[0]
			w.signals = w.signals[1:]
			w.mu.Unlock()
			return e
		}
		w.mu.Unlock()
		select {
		case <-w.bell:
		case <-deadline:
			w.t.Fatal("no signal")
		}
	}
}

func (w *world) wantPresence(user int, online bool) chat.Presence {
	w.t.Helper()
	e := w.next()
	if e.Type != chat.PresenceSignal || e.Topic != chat.PresenceTopic(w.users[user]) || len(e.Rows.Presences) != 1 || e.Position != 0 {
		w.t.Fatalf("%+v", e)
	}
	p := e.Rows.Presences[0]
	if p.Online != online || p.Online != p.LastSeenAt.IsZero() {
		w.t.Fatalf("%+v, want online %v", p, online)
	}
	return p
}

func TestComingAndGoing(t *testing.T) {
	t.Parallel()
	on(t, func(w *world) {
		before := time.Now()
		w.Connected(w.users[0])
		w.wantPresence(0, true)
		w.Connected(w.users[0]) // a second device changes nothing
		w.Disconnected(w.users[0])
		w.Disconnected(w.users[0])
		w.Connected(w.users[0]) // back within the grace period: nobody is told
		w.Connected(w.users[1])
		w.wantPresence(1, true)
		w.Disconnected(w.users[0])
		gone := w.wantPresence(0, false)
		if gone.LastSeenAt.Before(before) || gone.LastSeenAt.After(time.Now()) {
			w.t.Errorf("last seen %v", gone.LastSeenAt)
		}
		all, err := w.Of(context.Background(), append(w.users, chat.NewID(chat.KindUser)))
		if err != nil || len(all) != 3 || all[0] != gone || !all[1].Online || all[2].Online || !all[2].LastSeenAt.IsZero() {
			w.t.Errorf("%+v %v", all, err)
		}
		snapshot, err := w.Snapshot(context.Background(), w.users[:2])
		if err != nil || !snapshot.Rows.Snapshot || len(snapshot.Rows.Presences) != 2 {
			w.t.Errorf("%+v %v", snapshot, err)
		}
		w.Stop()
		w.Stop()
		rows, err := w.store.Users(context.Background(), w.users[1:2])
		if err != nil || len(rows) != 1 || rows[0].LastSeenAt.IsZero() {
			w.t.Errorf("who is connected at the end was seen last then: %+v %v", rows, err)
		}
	})
}

func (w *world) wantTyping(who ...chat.ID) {
	w.t.Helper()
	e := w.next()
	if e.Type != chat.TypingSignal || e.Topic != chat.TypingTopic(w.group) || len(e.Rows.Typing) != len(who) || len(who) > 0 && e.Rows.Typing[0] != who[0] {
		w.t.Fatalf("%+v, want %v", e, who)
	}
}

func TestTyping(t *testing.T) {
	t.Parallel()
	on(t, func(w *world) {
		ctx := context.Background()
		alice := chat.Viewer{User: w.users[0]}
		say := func(typing bool) {
			w.t.Helper()
			until, err := w.SetTyping(ctx, alice, w.group, typing)
			if err != nil || until.IsZero() == typing {
				w.t.Fatal(until, err)
			}
		}
		say(true)
		w.wantTyping(alice.User)
		if s := w.TypingSnapshot(w.group); len(s.Rows.Typing) != 1 || !s.Rows.Snapshot {
			w.t.Errorf("%+v", s)
		}
		say(true) // again: nobody is told
		w.wantTyping()
		say(true)
		w.wantTyping(alice.User)
		say(false)
		w.wantTyping()
		say(false)
		say(true)
		w.wantTyping(alice.User)
		w.Applied([]*chat.Event{{Type: chat.MessageAdded, Topic: chat.ConversationTopic(w.group), Actor: alice.User}})
		w.wantTyping()
		say(true)
		w.wantTyping(alice.User)
		w.Applied([]*chat.Event{{Type: chat.MemberLeft, Topic: chat.ConversationTopic(w.group), Subject: alice.User}})
		w.wantTyping()

		for _, c := range []struct {
			who  chat.ID
			in   chat.ID
			want chat.Code
		}{{w.users[2], w.group, chat.CodeNotFound}, {alice.User, chat.NewID(chat.KindConversation), chat.CodeNotFound}} {
			if _, err := w.SetTyping(ctx, chat.Viewer{User: c.who}, c.in, true); chat.CodeOf(err) != c.want {
				w.t.Errorf("%v", err)
			}
		}
		if _, err := w.store.Write(ctx, alice.User, func(tx *store.Tx) error {
			c, err := tx.LockConversation(w.group)
			c.Silent = true
			if err == nil {
				err = tx.UpdateConversation(c)
			}
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.SetTyping(ctx, alice, w.group, true); chat.CodeOf(err) != chat.CodeForbidden {
			w.t.Errorf("%v", err)
		}
	})
}
