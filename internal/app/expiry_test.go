package app_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// A cursor that the log does not reach back to is CURSOR_EXPIRED, and one that it never handed out INVALID_CURSOR: never
// a silent gap.
func TestCursorsThatCannotBeResumed(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		people := mustMeet(t, testkit.MustRunApp(t, url, "--retention", "1m").URL(), 2)
		alice := people[0]
		room := mustCreateGroup(t, alice, people[1])
		for range 3 {
			mustSend(t, alice.Client, room, "long ago")
		}
		head := mustSend(t, alice.Client, room, "the last").SendMessage.Cursor
		db := testkit.MustOpenStore(t, url)
		if n, err := db.Trim(t.Context(), time.Now().Add(time.Hour), 10000); err != nil || chat.Position(n) != position(t, head) {
			t.Fatalf("%d events were trimmed, %v; want %d", n, err, position(t, head))
		}
		// A node that starts now remembers nothing of what was trimmed.
		late := testkit.MustRunApp(t, url, "--retention", "1m")
		alice.URL = late.URL()
		known, err := chat.ParseCursor(head)
		if err != nil {
			t.Fatal(err)
		}
		at := func(e chat.Epoch, p chat.Position) string { return chat.Cursor{Epoch: e, Position: p}.String() }
		for _, c := range []struct{ name, after, want string }{
			{"as of the sign-up", alice.Cursor, "CURSOR_EXPIRED"},
			{"the beginning", at(known.Epoch, 0), "CURSOR_EXPIRED"},
			{"one too old", at(known.Epoch, known.Position-1), "CURSOR_EXPIRED"},
			{"as old as can be", head, ""},
			{"beyond the head", at(known.Epoch, known.Position+1), "INVALID_CURSOR"},
			{"far beyond the head", at(known.Epoch, 1<<62), "INVALID_CURSOR"},
			{"another log's", at(known.Epoch+1, known.Position), "INVALID_CURSOR"},
			{"text", "hello", "INVALID_CURSOR"},
			{"nothing", "", "INVALID_CURSOR"},
			{"bits to spare", head + "A", "INVALID_CURSOR"},
		} {
			for field, text := range map[string]string{
				"events":               `subscription($after: Cursor) { events(after: $after) { __typename } }`,
				"messageAdded":         `subscription($after: Cursor, $c: ID!) { messageAdded(conversationId: $c, after: $after) { __typename } }`,
				"conversationUpdated":  `subscription($after: Cursor, $c: ID!) { conversationUpdated(conversationId: $c, after: $after) { __typename } }`,
				"friendRequestUpdated": `subscription($after: Cursor) { friendRequestUpdated(after: $after) { __typename } }`,
			} {
				vars := client.Vars{"after": c.after}
				if field == "messageAdded" || field == "conversationUpdated" {
					vars["c"] = room
				}
				if got := joined(t, alice.Client, text, vars); got != c.want {
					t.Errorf("%s after %s: %q, want %q", field, c.name, got, c.want)
				}
			}
		}
		mustCheck(t, db)
	})
}

// joined is the code with which a subscription is refused; empty when it catches up at once.
func joined(t *testing.T, c *client.Client, text string, vars client.Vars) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := c.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sub, err := s.Subscribe(text, vars, 10)
	if err != nil {
		t.Fatal(err)
	}
	var first map[string]struct {
		Typename string `json:"__typename"`
	}
	err = sub.Next(ctx, &first)
	for _, e := range first {
		if e.Typename != "CaughtUp" {
			return e.Typename
		}
	}
	if code := client.Code(err); err == nil || code != "" {
		return code
	}
	return err.Error()
}

// A database that was restored from a backup writes other events at positions that were handed out already.
func TestCursorsOfBeforeARestore(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		first := testkit.MustRunApp(t, url)
		alice := mustMeet(t, first.URL(), 1)[0]
		const feed = `subscription($after: Cursor) { events(after: $after) { __typename } }`
		if got := joined(t, alice.Client, feed, client.Vars{"after": alice.Cursor}); got != "" {
			t.Fatal(got)
		}
		first.Stop()
		where := []string{"new-epoch", "--database-url", url}
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			where = []string{"new-epoch", "--data", filepath.Dir(path)}
		}
		var out strings.Builder
		if code := app.Run(where, nil, &out, &out); code != 0 {
			t.Fatal(out.String())
		}
		alice.URL = testkit.MustRunApp(t, url).URL()
		if got := joined(t, alice.Client, feed, client.Vars{"after": alice.Cursor}); got != "INVALID_CURSOR" {
			t.Errorf("%q", got)
		}
		mustCheck(t, testkit.MustOpenStore(t, url))
	})
}
