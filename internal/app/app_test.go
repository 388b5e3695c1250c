package app_test

import (
	"bytes"
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/demo"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDemo(t *testing.T) {
	t.Parallel()
	testkit.Apps(t, func(t *testing.T, a *app.App) {
		var out bytes.Buffer
		if err := demo.Run(context.Background(), a.URL(), &out); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
	})
}

// Two nodes on one database, without anything between them but the database.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		one, two := testkit.MustRunApp(t, url), testkit.MustRunApp(t, url)
		alice, bob := testkit.MustSignUp(t, one.URL(), "Alice"), testkit.MustSignUp(t, two.URL(), "Bob")
		s, err := bob.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		sub, err := s.Subscribe(`subscription($after: Cursor) {
			events(after: $after, types: [FRIEND_REQUEST_SENT, FRIEND_REQUEST_ACCEPTED, FRIENDSHIP_MADE, CONVERSATION_CREATED]) { __typename cursor }
		}`, map[string]any{"after": bob.Cursor}, 100)
		if err != nil {
			t.Fatal(err)
		}
		sees := func(types ...string) {
			t.Helper()
			for _, want := range types {
				var got struct {
					Events struct {
						Typename string `json:"__typename"`
					}
				}
				if err := sub.Next(t.Context(), &got); err != nil || got.Events.Typename != want {
					t.Fatalf("got %+v, %v; want %s", got, err, want)
				}
			}
		}
		sees("CaughtUp")
		testkit.MustBefriend(t, alice, bob)
		sees("FriendRequestSent", "FriendRequestAccepted", "FriendshipMade", "ConversationCreated")
	})
}
