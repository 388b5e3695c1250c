package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

func mustDial(t *testing.T, node *app.App, who *client.Account) *client.Socket {
	t.Helper()
	c := *who.Client
	c.URL = node.URL()
	s, err := c.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Who is connected to one node is online on the other, and whoever moves to another node in time never was offline.
func TestPresenceBetweenNodes(t *testing.T) {
	t.Parallel()
	c := testkit.MustCluster(t, testkit.MustNATS(t), 2)
	one, two := c.Nodes[0], c.Nodes[1]
	mustConnect(t, one, two)
	people := mustMeet(t, one.URL(), 2)
	room := mustCreateGroup(t, people[0], people[1])
	watcher := mustDial(t, two, people[1])
	watch, err := watcher.Subscribe(`subscription($u: [ID!]) { presenceChanged(userIds: $u) { presences { status lastSeenAt } } }`, client.Vars{"u": []string{people[0].ID}}, 100)
	if err != nil {
		t.Fatal(err)
	}
	next := func(within time.Duration) (string, *time.Time) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		var got struct {
			PresenceChanged struct {
				Presences []struct {
					Status     string
					LastSeenAt *time.Time
				}
			}
		}
		if err := watch.Next(ctx, &got); errors.Is(err, context.DeadlineExceeded) {
			return "", nil
		} else if err != nil || len(got.PresenceChanged.Presences) != 1 {
			t.Fatalf("%+v %v", got, err)
		}
		return got.PresenceChanged.Presences[0].Status, got.PresenceChanged.Presences[0].LastSeenAt
	}
	want := func(status string) (seen *time.Time) {
		t.Helper()
		got, seen := next(patience)
		if got != status {
			t.Fatalf("%s, want %s", got, status)
		}
		return seen
	}
	want("OFFLINE")
	first := mustDial(t, one, people[0])
	want("ONLINE")

	typing, err := watcher.Subscribe(`subscription($c: ID!) { typingChanged(conversationId: $c) { users { id } } }`, client.Vars{"c": room}, 100)
	if err != nil {
		t.Fatal(err)
	}
	types := func(n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var got struct {
			TypingChanged struct{ Users []struct{ ID string } }
		}
		if err := typing.Next(ctx, &got); err != nil || len(got.TypingChanged.Users) != n {
			t.Fatalf("%+v %v", got, err)
		}
	}
	types(0)
	set := `mutation($c: ID!) { setTyping(input: {conversationId: $c, typing: true}) { __typename } }`
	if err := people[0].Do(t.Context(), set, client.Vars{"c": room}, nil); err != nil {
		t.Fatal(err)
	}
	types(1)
	mustSend(t, people[0].Client, room, "what I was typing")
	types(0)

	first.Close()
	second := mustDial(t, two, people[0])
	if got, _ := next(8 * time.Second); got != "" { // longer than anybody stays who does not come back
		t.Fatalf("%s, and nothing has changed", got)
	}
	second.Close()
	mustDial(t, one, people[0])
	one.Stop() // with a socket: its users have the grace period
	stopped := time.Now()
	seen := want("OFFLINE")
	if took := time.Since(stopped); took < 4*time.Second || took > 10*time.Second {
		t.Errorf("noticed after %v", took)
	}
	if seen == nil || stopped.Sub(*seen).Abs() > 5*time.Second {
		t.Errorf("last seen %v", seen)
	}
}
