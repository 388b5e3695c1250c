package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/testkit"
)

// statements is a log that keeps the statements.
type statements struct {
	mu   sync.Mutex
	made []string
}

func (s *statements) Enabled(context.Context, slog.Level) bool { return true }
func (s *statements) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *statements) WithGroup(string) slog.Handler            { return s }

func (s *statements) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		// The node looks at the end of the log twice a second, whatever anybody does, and checks itself now and then.
		if q := a.Value.String(); a.Key == "sql" && !strings.Contains(q, "FROM events WHERE position >") && !strings.Contains(q, ") violations LIMIT") {
			s.mu.Lock()
			s.made = append(s.made, q)
			s.mu.Unlock()
		}
		return true
	})
	return nil
}

// of lists the statements that f needs.
func (s *statements) of(f func()) []string {
	s.mu.Lock()
	s.made = nil
	s.mu.Unlock()
	f()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.made)
}

// fewest is the smallest number of statements of some runs, or the first that is small enough: on a busy machine a
// look-up may come too late for its batch.
func (s *statements) fewest(enough int, f func()) []string {
	least := s.of(f)
	for n := 0; n < 20 && len(least) > enough; n++ {
		if made := s.of(f); len(made) < len(least) {
			least = made
		}
	}
	return least
}

func mustCount(t *testing.T, url string, settings ...string) (*app.App, *statements) {
	t.Helper()
	s := &statements{}
	a, err := app.Start(context.Background(), testkit.MustConfig(t, url, append(settings, "--max-complexity", "1000000")...), slog.New(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return a, s
}

// crowd makes n friends of somebody, who have each sent them a message, n friend requests to them, and n users besides.
func crowd(t *testing.T, url string, of chat.ID, n int) {
	t.Helper()
	ctx := t.Context()
	s := testkit.MustOpenStore(t, url)
	friends, conversations, messages := friend.New(s, friend.Config{}), conversation.New(s, conversation.Config{}), message.New(s, message.Config{})
	s.On(chat.FriendRequestAccepted, friends.OnAccepted)
	s.On(chat.FriendshipMade, conversations.OnFriendshipMade)
	messages.Start()
	defer messages.Stop()
	for i, u := range testkit.MustAddUsers(t, s, 2*n) {
		r, _, err := friends.Request(ctx, u, of)
		if err != nil {
			t.Fatal(err)
		}
		if i >= n {
			continue
		}
		_, f, _, err := friends.Accept(ctx, of, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 2 {
			if _, err := messages.Send(ctx, chat.Viewer{User: u}, f.Conversation, "hello", fmt.Sprint(k)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A query needs as many statements for fifty rows as for five, those for lists within its rows among them.
func TestStatementsOfQueries(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a, counted := mustCount(t, url)
		people := mustMeet(t, a.URL(), 2)
		viewer := people[0]
		crowd(t, url, mustID(t, viewer.ID), 50)
		room := mustCreateGroup(t, viewer, people[1])
		for i := range 50 {
			mustSend(t, people[i%2].Client, room, "in the group")
		}
		for _, c := range []struct {
			name, query string
			fixed       int // statements for any number of rows
		}{
			{"conversations", `{ conversations(first: $n) { nodes {
				title role unreadCount writable memberCount lastMessage { body sender { displayName } } peer { displayName presence { status } relationship } } } }`,
				7}, // the page, memberships, last messages, peers, users, relationships, when they were last seen
			{"conversations with lists of their own", `{ conversations(first: $n) { nodes { members(first: 3) { nodes { role user { displayName } } } } } }`, 4},
			{"conversations with messages", `{ conversations(first: $n) { nodes { messages(last: 2) { nodes { body sender { displayName } } } } } }`, 4},
			{"conversations with receipts", `{ conversations(first: $n) { nodes { receipts(first: 2) { nodes { seq user { displayName } } } } } }`, 4},
			{"messages", `{ conversation(id: "` + room + `") { messages(last: $n) { nodes { body sender { displayName relationship } conversation { id title unreadCount } } } } }`,
				5}, // the conversation with the membership, the page, senders, relationships, the conversation of the messages
			{"friends", `{ friends(first: $n) { nodes { since user { displayName presence { status lastSeenAt } relationship } conversation { unreadCount lastMessage { body } } } } }`,
				7}, // the page, users, conversations, relationships, last seen, memberships, last messages
			{"friend requests", `{ friendRequests(first: $n) { nodes { status from { displayName relationship } to { displayName } } } }`, 3},
			{"users", `{ users(search: "User", first: $n) { nodes { username relationship presence { status } } } }`, 3},
		} {
			for _, rows := range []int{5, 50} {
				query := strings.ReplaceAll(c.query, "$n", fmt.Sprint(rows))
				made := counted.fewest(c.fixed, func() { testkit.MustDo(t, viewer.Client, query, nil, nil) })
				// A batch that a busy machine splits in two or three is not one statement for each row.
				if late := rows / 4; len(made) == 0 || len(made) > c.fixed+late {
					t.Errorf("%s: %d statements for %d rows, want at most %d:\n%s", c.name, len(made), rows, c.fixed, strings.Join(slices.Compact(made), "\n"))
				}
			}
		}
	})
}

// A message costs the same statements whether nobody listens or fifty: what is delivered travels with the event.
func TestStatementsOfADelivery(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a, counted := mustCount(t, url)
		people := mustMeet(t, a.URL(), 5)
		room := mustCreateGroup(t, people[0], people[1:]...)
		alone := counted.fewest(0, func() { mustSend(t, people[0].Client, room, "to nobody") })
		var listeners []*client.Subscription
		for i := range 50 {
			s, err := people[i%5].Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Cut)
			text, vars := `subscription($c: ID!) { e: messageAdded(conversationId: $c) { __typename actor { id } message { seq body sender { id displayName } } } }`, client.Vars{"c": room}
			if i%2 == 0 {
				text, vars = `subscription { e: events { __typename ... on MessageAdded { actor { id username } message { seq body sender { id displayName } } } } }`, nil
			}
			sub, err := s.Subscribe(text, vars, 100)
			if err != nil {
				t.Fatal(err)
			}
			listeners = append(listeners, sub)
		}
		mustHear(t, listeners, "")
		together := counted.fewest(len(alone), func() {
			mustSend(t, people[0].Client, room, "to all")
			mustHear(t, listeners, people[0].ID)
		})
		if len(together) != len(alone) || len(alone) == 0 {
			t.Errorf("%d statements with fifty listeners, %d without:\n%s", len(together), len(alone), strings.Join(together, "\n"))
		}
	})
}

// mustHear waits until each listener has got the next message; without a sender, until each has caught up.
func mustHear(t *testing.T, listeners []*client.Subscription, sender string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, l := range listeners {
		var got struct {
			E struct {
				Typename string `json:"__typename"`
				Actor    struct{ ID string }
				Message  struct {
					Sender struct{ ID, DisplayName string }
				}
			}
		}
		err := l.Next(ctx, &got)
		want := "MessageAdded"
		if sender == "" {
			want = "CaughtUp"
		}
		if err != nil || got.E.Typename != want || got.E.Actor.ID != sender || got.E.Message.Sender.ID != sender {
			t.Fatalf("listener %d got %+v, %v", i, got, err)
		}
	}
}

// Who is to be pushed what they were told is looked up at once, however many are told.
func TestStatementsOfNotices(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a, s := mustCount(t, url)
		people := mustMeet(t, a.URL(), 8)
		n := 0
		for _, q := range s.of(func() { mustCreateGroup(t, people[0], people[1:]...) }) {
			if strings.Contains(q, "FROM push_subscriptions p JOIN") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d statements for 7 people", n)
		}
	})
}
