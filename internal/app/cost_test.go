package app_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// A message or a receipt that concerns no job makes none: a job costs more than the message. As soon as there is something
// to do, there is one.
func TestOnlyJobsWithSomethingToDo(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		p := testkit.MustPushService(t)
		a := testkit.MustRunApp(t, url, p.Settings()...)
		q := mustOpenQueue(t, url)
		people := mustMeet(t, a.URL(), 2)
		ann, bob := people[0], people[1]
		room := mustCreateGroup(t, ann, bob)
		var bobs struct{ Me struct{ Username string } }
		testkit.MustDo(t, bob.Client, `{ me { username } }`, nil, &bobs)

		said := int64(0)
		send := func(who *client.Account, body string) {
			t.Helper()
			said = mustSend(t, who.Client, room, body).SendMessage.Message.Seq
		}
		read := func(who *client.Account) {
			t.Helper()
			testkit.MustDo(t, who.Client, `mutation($c: ID!, $n: Int!) { markRead(input: {conversationId: $c, seq: $n}) { cursor } }`,
				client.Vars{"c": room, "n": said}, nil)
		}
		last := int64(-1)
		expect := func(what string, want ...string) {
			t.Helper()
			eventually(t, func() error {
				var behind, left int
				err := q.QueryRowContext(t.Context(), `SELECT (SELECT position FROM event_head) - (SELECT position FROM job_cursor),
					(SELECT count(*) FROM river_job WHERE queue IN ('notify', 'webhooks') AND finalized_at IS NULL)`).Scan(&behind, &left)
				if err == nil && behind+left > 0 {
					err = fmt.Errorf("%d events are not followed yet, %d jobs not done", behind, left)
				}
				return err
			})
			var kinds []string
			for _, kind := range q.mustList(t, fmt.Sprint("kind IN ('mentions', 'mentions_seen', 'push_spread', 'webhook_deliver') AND id > ", last)) {
				kinds = append(kinds, kind)
			}
			slices.Sort(kinds)
			if kinds = slices.Compact(kinds); !slices.Equal(kinds, want) {
				t.Errorf("%s made %q, want %q", what, kinds, want)
			}
			if err := q.QueryRowContext(t.Context(), "SELECT coalesce(max(id), 0) FROM river_job").Scan(&last); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			send(ann, "hello")
			read(bob)
		}
		expect("messages and receipts")
		send(ann, "@"+bobs.Me.Username+" look")
		expect("a mention", "mentions")
		read(bob)
		expect("to read it", "mentions_seen")
		send(ann, "@"+bobs.Me.Username+" look again")
		expect("another mention", "mentions")
		send(bob, "I see")
		expect("an answer", "mentions")
		send(bob, "now all is read")
		read(ann)
		expect("more messages and receipts")
		p.MustSubscribe(t, bob.Client, "bob", nil)
		send(ann, "hello")
		expect("a subscription", "push_spread")
	})
}
