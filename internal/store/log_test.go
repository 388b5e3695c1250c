package store_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/testkit"
)

// EventsOf is what a filter of the whole log would find, whichever topics are asked for and wherever it begins and ends.
func TestEventsOfTopics(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		s := testkit.MustOpenStore(t, url)
		const events, topics = 700, 22 // one topic has a third of the events, others have few or none
		mustFill(t, url,
			`INSERT INTO events (position, topic_kind, topic_id, type, at) SELECT n, 2, u(CASE WHEN n % 3 = 0 THEN 1 ELSE n * n % 31 % 17 + 2 END), 'CONVERSATION_UPDATED', t(n) FROM series(700)`,
			`UPDATE event_head SET position = 700`)
		all, err := s.Events(t.Context(), 0, events+1)
		if err != nil || len(all) != events {
			t.Fatal(len(all), err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			share := r.IntN(4)
			of := map[chat.ID]bool{}
			var ids []chat.ID
			for n := range topics {
				if id := nth(chat.KindConversation, n+1); r.IntN(4) <= share {
					of[id], ids = true, append(ids, id)
				}
			}
			after := chat.Position(r.IntN(events + 1))
			through, limit := after+chat.Position(r.IntN(events)), 1+r.IntN(40)
			var want []chat.Position
			for _, e := range all {
				if of[e.Topic.ID] && e.Position > after && e.Position <= through && len(want) < limit {
					want = append(want, e.Position)
				}
			}
			found, err := s.EventsOf(t.Context(), ids, after, through, limit)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]chat.Position, len(found))
			for i, e := range found {
				if got[i] = e.Position; !reflect.DeepEqual(e, all[e.Position-1]) {
					t.Errorf("%+v, and by itself %+v", e, all[e.Position-1])
				}
			}
			if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("of %d topics from %d through %d, at most %d: %v, want %v", len(ids), after, through, limit, got, want)
			}
		}
	})
}

// The next events of many busy conversations cost a page, not a page of each.
func TestEventsOfBusyTopics(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		testkit.MustOpenStore(t, url)
		mustFill(t, url,
			`INSERT INTO events (position, topic_kind, topic_id, type, at) SELECT n, 2, u(n % 200 + 1), 'CONVERSATION_UPDATED', t(n) FROM series(26000)`,
			`UPDATE event_head SET position = 26000`, `ANALYZE`)
		s, x := mustTrace(t, url)
		var ids []chat.ID
		for n := range 200 {
			ids = append(ids, nth(chat.KindConversation, n+1))
		}
		work := 0
		for _, q := range x.of(func() {
			if l, err := s.EventsOf(t.Context(), ids, 0, 26000, 128); err != nil || len(l) != 128 || l[127].Position != 128 {
				t.Fatal(len(l), err)
			}
		}) {
			if work += q.work; strings.HasPrefix(url, "postgres") {
				mustAnalyze(t, s, q).walk(func(n node) { work += int(n.Loops * (n.Rows + n.Removed)) })
			}
		}
		if work == 0 || work > 60_000 {
			t.Error("it took", work, "steps")
		}
	})
}
