package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

const long = 20_000

// histories are a conversation of 1,000 messages and one of twenty times as many, between which a thousand short ones lie,
// and their events.
var histories = []string{
	`INSERT INTO users (id, username, display_name, display_key, password_hash, created_at) SELECT u(n), 'user' || n, 'User ' || n, 'user ' || n, '-', t(n) FROM series(1100)`,
	`INSERT INTO conversations (id, kind, title, created_at, updated_at, member_count) SELECT u(n), 'GROUP', '', t(n), t(n), 1 FROM series(1002)`,
	`INSERT INTO memberships (conversation_id, user_id, role, joined_at, joined_position, read_seq) SELECT u(n), u(1), 'OWNER', t(n), n, 0 FROM series(1002)`,
	`INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at)
		SELECT u(n), u(1), n, n, u(n % 20 + 1), 'k' || n, 'a message', t(n) FROM series(1000)`,
	`INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at)
		SELECT u(n + 1000), u(n + 2), 1, n + 1000, u(n % 20 + 1), 'l' || n, 'a message', t(n) FROM series(1000)`,
	fmt.Sprintf(`INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at)
		SELECT u(n + 2000), u(2), n, n + 2000, u(n %% 20 + 1), 'm' || n, 'a message', t(n) FROM series(%d)`, long),
	`INSERT INTO events (position, topic_kind, topic_id, type, actor_id, subject_id, seq, at) SELECT position, 2, conversation_id, 'MESSAGE_ADDED', sender_id, id, seq, created_at FROM messages`,
	fmt.Sprintf(`UPDATE event_head SET position = %d`, long+2000),
	`UPDATE conversations SET last_seq = (SELECT count(*) FROM messages WHERE conversation_id = conversations.id),
		last_message_id = (SELECT id FROM messages WHERE conversation_id = conversations.id ORDER BY seq DESC LIMIT 1)`,
	`INSERT INTO friend_requests (id, from_id, to_id, low_id, high_id, status, created_at) SELECT u(n), u(n + 2), u(1), u(1), u(n + 2), 'PENDING', t(n) FROM series(10)`,
	`INSERT INTO friend_requests (id, from_id, to_id, low_id, high_id, status, created_at) SELECT u(n + 10), u(n + 2), u(2), u(2), u(n + 2), 'PENDING', t(n) FROM series(1000)`,
	`ANALYZE`,
}

// A page of history costs the same, however long the history is: at its end, in its middle and at its beginning. So does
// what a client missed, however long the log is. What is counted is what was really done, so that the machine's load does
// not matter.
func TestHistoryCostsThePage(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		testkit.MustOpenStore(t, url)
		mustFill(t, url, histories...)
		s, x := mustTrace(t, url)
		sqlite := strings.HasPrefix(url, "sqlite:")
		// work is the rows (SQLite: the instructions) and the blocks (PostgreSQL) that it takes.
		work := func(read func() error) (steps, blocks int) {
			t.Helper()
			for _, q := range x.of(func() {
				if err := read(); err != nil {
					t.Fatal(err)
				}
			}) {
				if sqlite {
					steps += q.work
					continue
				}
				n := mustAnalyze(t, s, q)
				blocks += n.Hit + n.Read
				n.walk(func(n node) { steps += int(n.Loops * (n.Rows + n.Removed)) })
			}
			return steps, blocks
		}
		ctx := t.Context()
		page := func(room int, p chat.Page) func() error {
			p.Limit = 50
			return func() error {
				l, err := s.MessagePage(ctx, nth(chat.KindConversation, room), p)
				if err == nil && len(l.Nodes) != 50 {
					err = fmt.Errorf("a page of %d", len(l.Nodes))
				}
				return err
			}
		}
		ends := func(room int) func() error {
			return func() error {
				_, err := s.MessagePages(ctx, append(several(chat.KindConversation, 3, 20), nth(chat.KindConversation, room)), chat.Page{Limit: 50, Backward: true})
				return err
			}
		}
		missed := func(after, through chat.Position) func() error {
			return func() error {
				l, err := s.EventsOf(ctx, []chat.ID{nth(chat.KindConversation, 1002), nth(chat.KindUser, 5000)}, after, through, 50)
				if err == nil && len(l) != 1 {
					err = fmt.Errorf("%d events", len(l))
				}
				return err
			}
		}
		strangers := func(viewer int) func() error {
			return func() error {
				l, err := s.Relationships(ctx, nth(chat.KindUser, viewer), several(chat.KindUser, 3, 2))
				if err == nil && len(l) == 0 {
					err = errors.New("no request is found")
				}
				return err
			}
		}
		for _, c := range []struct {
			name        string
			short, long func() error
		}{
			{"the end", page(1, chat.Page{Backward: true}), page(2, chat.Page{Backward: true})},
			{"the end, among others", ends(1), ends(2)},
			{"before the middle", page(1, chat.Page{Backward: true, Before: "500"}), page(2, chat.Page{Backward: true, Before: fmt.Sprint(long / 2)})},
			{"after the middle", page(1, chat.Page{After: "500"}), page(2, chat.Page{After: fmt.Sprint(long / 2)})},
			{"before the middle, forward", page(1, chat.Page{Before: "900"}), page(2, chat.Page{Before: fmt.Sprint(long - 100)})},
			{"the beginning", page(1, chat.Page{}), page(2, chat.Page{})},
			{"the one event that was missed, of a log that went on", missed(1999, 2000), missed(0, long+2000)},
			{"how two stand to somebody whom few have asked, or a thousand", strangers(1), strangers(2)},
		} {
			if err := c.short(); err != nil { // prepares
				t.Fatal(err)
			}
			steps, blocks := work(c.short)
			longSteps, longBlocks := work(c.long)
			// An index of many rows may be a level or two deeper.
			if longSteps > steps || longBlocks > blocks+4 || steps == 0 {
				t.Errorf("%s: %d steps and %d blocks where there is little, %d and %d where there is much", c.name, steps, blocks, longSteps, longBlocks)
			}
		}
	})
}

// mustAnalyze runs the plan that the store's connection to PostgreSQL keeps for a statement.
func mustAnalyze(t *testing.T, s *store.Store, q *statement) node {
	t.Helper()
	name, err := s.Texts(t.Context(), "SELECT name FROM pg_prepared_statements WHERE statement = ?", q.sql)
	if err != nil || len(name) != 1 {
		t.Fatal(q.sql, name, err)
	}
	var args []string
	for _, a := range q.args {
		switch a := a.(type) {
		case pgx.QueryResultFormatsByOID: // database/sql's
		case [16]byte:
			args = append(args, fmt.Sprintf("'%x'", a))
		case [][16]byte:
			ids := make([]string, len(a))
			for i, id := range a {
				ids[i] = fmt.Sprintf("%x", id)
			}
			args = append(args, "'{"+strings.Join(ids, ",")+"}'")
		default:
			args = append(args, fmt.Sprint(a))
		}
	}
	execute := `EXECUTE "` + name[0] + `"`
	if len(args) > 0 {
		execute += " (" + strings.Join(args, ", ") + ")"
	}
	plan, err := s.Texts(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+execute)
	if err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(strings.Join(plan, "\n")), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

// The second time, a query is not parsed: PostgreSQL and SQLite keep what they prepared.
func TestQueriesArePreparedOnce(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		testkit.MustOpenStore(t, url)
		mustFill(t, url, crowd...)
		s, x := mustTrace(t, url)
		all := func() []*statement {
			return x.of(func() {
				for name, r := range readings() {
					if err := r.read(context.Background(), s); err != nil {
						t.Fatal(name, err)
					}
				}
			})
		}
		const prepared = "SELECT statement FROM pg_prepared_statements"
		first := all()
		known := map[any]bool{}
		if strings.HasPrefix(url, "sqlite:") {
			for _, q := range first {
				known[q.handle] = true
			}
			for _, q := range all() {
				if !known[q.handle] {
					t.Error("parsed again:", q.sql)
				}
			}
			return
		}
		if _, err := s.Texts(t.Context(), prepared); err != nil { // is one itself
			t.Fatal(err)
		}
		before, err := s.Texts(t.Context(), prepared)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range before {
			known[q] = true
		}
		second := all()
		for _, q := range second {
			if !known[q.sql] {
				t.Error("not prepared:", q.sql)
			}
		}
		after, err := s.Texts(t.Context(), prepared)
		if err != nil || len(after) != len(before) {
			t.Errorf("%d statements are prepared, and later %d: %v", len(before), len(after), err)
		}
		planned, err := s.Texts(t.Context(), "SELECT statement FROM pg_prepared_statements WHERE custom_plans > 0")
		if err != nil || len(planned) > 0 {
			t.Errorf("planned each time: %q %v", planned, err)
		}
	})
}
