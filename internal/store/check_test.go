package store_test

import (
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/testkit"
)

// pairs are 2,000 users, each of whom has one friend.
var pairs = []string{
	`INSERT INTO users (id, username, display_name, display_key, password_hash, created_at) SELECT u(n), 'user' || n, 'User ' || n, 'user ' || n, '-', t(n) FROM series(2000)`,
	`INSERT INTO conversations (id, kind, title, created_at, updated_at, member_count) SELECT u(n), 'DIRECT', '', t(n), t(n), 2 FROM series(1000)`,
	`INSERT INTO direct_conversations (low_id, high_id, conversation_id) SELECT u(n * 2 - 1), u(n * 2), u(n) FROM series(1000)`,
	`INSERT INTO memberships (conversation_id, user_id, role, joined_at, joined_position, read_seq) SELECT u((n + 1) / 2), u(n), 'MEMBER', t(n), 1, 0 FROM series(2000)`,
	`INSERT INTO friendships (user_id, friend_id, since, conversation_id) SELECT u(n * 2 - 1), u(n * 2), t(n), u(n) FROM series(1000)`,
	`INSERT INTO friendships (user_id, friend_id, since, conversation_id) SELECT u(n * 2), u(n * 2 - 1), t(n), u(n) FROM series(1000)`,
	`UPDATE event_head SET position = 1, trimmed = 1`,
	`ANALYZE`,
}

// A recount takes as long as the tables are, not as long as one times another.
func TestCheckIsLinear(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		testkit.MustOpenStore(t, url)
		mustFill(t, url, pairs...)
		s, x := mustTrace(t, url)
		made := x.of(func() {
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		if len(made) < 10 {
			t.Fatal(len(made), "statements")
		}
		for _, q := range made {
			if strings.HasPrefix(url, "sqlite:") {
				if q.work > 1_000_000 {
					t.Errorf("%d instructions: %s", q.work, q.sql)
				}
				continue
			}
			steps := 0
			mustAnalyze(t, s, q).walk(func(n node) { steps += int(n.Loops * (n.Rows + n.Removed)) })
			if steps > 100_000 {
				t.Errorf("%d rows: %s", steps, q.sql)
			}
		}
	})
}
