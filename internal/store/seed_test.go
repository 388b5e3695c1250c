package store_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"regexp"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/parley-chat/parley/internal/chat"
)

// nth is the id that u(n) makes in mustFill's statements.
func nth(k chat.Kind, n int) chat.ID {
	id := chat.ID{Kind: k}
	binary.BigEndian.PutUint64(id.UUID[8:], uint64(n))
	return id
}

var (
	seedSeries = regexp.MustCompile(`\bseries\(([^()]*)\)`)
	seedID     = regexp.MustCompile(`\bu\(((?:[^()]|\([^()]*\))*)\)`)
	seedTime   = regexp.MustCompile(`\bt\(((?:[^()]|\([^()]*\))*)\)`)
)

// mustFill runs statements on a database, in either's words: series(n) is the numbers from 1 to n, u(n) an id, t(n) a
// time, and CAST(… AS bytes) bytes.
func mustFill(t *testing.T, url string, statements ...string) {
	t.Helper()
	driver, source := "pgx", url
	bytes := "bytea"
	u, at := "lpad(to_hex(($1)::bigint), 32, '0')::uuid", "to_timestamp(1700000000 + $1)"
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		bytes = "blob"
		driver, source = "sqlite3", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)"
		u, at = "unhex(printf('%032x', $1))", "((1700000000 + $1) * 1000000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		s = seedSeries.ReplaceAllString(s, "(WITH RECURSIVE s(n) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT n + 1 FROM s WHERE n < $1) SELECT n FROM s) AS s")
		s = seedTime.ReplaceAllString(seedID.ReplaceAllString(s, u), at)
		s = strings.ReplaceAll(s, "AS bytes)", "AS "+bytes+")")
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// crowd is 3,000 users, of whom the first is in 60 of 2,000 conversations, has 999 friends and as many requests, and reads
// conversation 1 with its 500 members and 5,000 messages.
var crowd = []string{
	`INSERT INTO users (id, username, display_name, display_key, password_hash, created_at, email, email_key, email_verified_at)
		SELECT u(n), 'user' || n, 'User ' || n, 'user ' || n, '-', t(n), 'user' || n || '@example.org', 'user' || n || '@example.org', t(n) FROM series(3000)`,
	`INSERT INTO mail_tokens (id, kind, user_id, email, created_at, expires_at) SELECT u(n), 'VERIFY', u(n), '', t(n), t(n) FROM series(3000)`,
	`INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, ended_at)
		SELECT u(n), u(n % 3000 + 1), t(n), t(n), t(n + 1000000000), CASE WHEN n % 3 = 0 THEN t(n) END FROM series(6000)`,
	`INSERT INTO devices (user_id, hash, seen_at) SELECT u(n % 300 + 1), u(n), t(n) FROM series(3000)`,
	`INSERT INTO users (id, username, display_name, display_key, password_hash, created_at, owner_id) SELECT u(n + 3000), 'bot' || n, 'Bot ' || n, 'bot ' || n, '', t(n), u(n % 20 + 1) FROM series(1000)`,
	`INSERT INTO api_keys (id, bot_id, name, scopes, created_at, session_id) SELECT u(n), u(n + 3000), 'key', 129, t(n), u(n + 7000) FROM series(1000)`,
	`INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, key_id, secret_hash) SELECT u(n + 7000), u(n + 3000), t(n), t(n), t(n + 1000000000), u(n), NULL FROM series(1000)`,
	`INSERT INTO conversations (id, kind, title, created_at, updated_at, member_count) SELECT u(n), CASE n % 2 WHEN 0 THEN 'DIRECT' ELSE 'GROUP' END, '', t(n), t(n), 6 FROM series(2000)`,
	`INSERT INTO direct_conversations (low_id, high_id, conversation_id) SELECT u(n), u(n + 1), u(n) FROM series(1000)`,
	`INSERT INTO memberships (conversation_id, user_id, role, joined_at, joined_position, read_seq) SELECT u(n), u(1), 'MEMBER', t(n), n, 0 FROM series(60)`,
	`INSERT INTO memberships (conversation_id, user_id, role, joined_at, joined_position, read_seq) SELECT u(n % 2000 + 1), u(n * 7 % 2999 + 2), 'MEMBER', t(n), n, 0 FROM series(6000)
		WHERE true ON CONFLICT DO NOTHING`,
	`INSERT INTO memberships (conversation_id, user_id, role, joined_at, joined_position, read_seq) SELECT u(1), u(n + 1), 'MEMBER', t(n), n + 10000, 0 FROM series(500)
		WHERE true ON CONFLICT DO NOTHING`,
	`INSERT INTO memberships (conversation_id, user_id, role, joined_at, joined_position, left_position, read_seq) SELECT u(n), u(n * 3 % 3000 + 1), 'MEMBER', t(n), n, n + 500, 0 FROM series(2000)
		WHERE true ON CONFLICT DO NOTHING`,
	`INSERT INTO incoming_webhooks (id, conversation_id, bot_id, name, created_at, secret_hash) SELECT u(n), u(n % 1999 + 1), u(n % 1000 + 3001), 'hook', t(n), CAST('hash' AS bytes) FROM series(3000)`,
	`INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at)
		SELECT u(n), u(1), n, n, u(n % 500 + 1), 'k' || n, 'a message of the usual length, more or less', t(n) FROM series(5000)`,
	`INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at)
		SELECT u(n + 5000), u(n % 1999 + 2), n / 1999 + 1, n + 5000, u(n % 3000 + 1), 'l' || n, 'another one', t(n) FROM series(5000)`,
	`INSERT INTO events (position, topic_kind, topic_id, type, at) SELECT n, 2, u(n % 2000 + 1), 'CONVERSATION_UPDATED', t(n) FROM series(10000)`,
	`UPDATE event_head SET position = 10100`,
	`INSERT INTO friend_requests (id, from_id, to_id, low_id, high_id, status, created_at)
		SELECT u(n), u(CASE WHEN n % 2 = 0 AND n < 2000 THEN 1 ELSE n + 1 END), u(CASE WHEN n % 2 = 1 AND n < 2000 THEN 1 ELSE n + 1 END), u(1), u(n + 1), 'PENDING', t(n) FROM series(2999)`,
	`INSERT INTO friend_requests (id, from_id, to_id, low_id, high_id, status, created_at)
		SELECT u(n + 3000), u(n % 3000 + 1), u(n * 7 % 3000 + 1), u(1), u(n + 1), 'REJECTED', t(n) FROM series(6000)`,
	`INSERT INTO friendships (user_id, friend_id, since, conversation_id) SELECT u(1), u(n + 1), t(n), u(n) FROM series(999)`,
	`INSERT INTO friendships (user_id, friend_id, since, conversation_id) SELECT u(n + 1), u(1), t(n), u(n) FROM series(999)`,
	`INSERT INTO friendships (user_id, friend_id, since, conversation_id) SELECT u(n % 1500 + 1001), u(n * 3 % 3000 + 1), t(n), u(n % 2000 + 1) FROM series(3000) WHERE true ON CONFLICT DO NOTHING`,
	`INSERT INTO blocks (blocker_id, blocked_id, created_at) SELECT u(1), u(n + 1), t(n) FROM series(500)`,
	`INSERT INTO blocks (blocker_id, blocked_id, created_at) SELECT u(n + 1), u(n), t(n) FROM series(2999)`,
	`INSERT INTO notification_settings (user_id, time_zone) SELECT u(n), 'Europe/Berlin' FROM series(3000)`,
	`INSERT INTO notification_kinds (user_id, kind, push) SELECT u(n), 'MENTION', false FROM series(3000)`,
	`INSERT INTO events (position, topic_kind, topic_id, type, seq, at) SELECT n + 10000, 2, u(n % 10 + 1), 'MESSAGE_ADDED', n, t(n) FROM series(100)`,
	`UPDATE conversations SET last_seq = 5000 WHERE id = u(1)`,
	`INSERT INTO push_subscriptions (id, user_id, session_id, endpoint, endpoint_hash, p256dh, auth, created_at)
		SELECT u(n), u(n % 3000 + 1), u(n), 'https://push.example.net/' || n, 'hash ' || n, 'p', 'a', t(n) FROM series(4000) WHERE n % 3 <> 0`,
	`INSERT INTO files (id, owner_id, purpose, parent_id, size, width, sha256, created_at, expires_at) SELECT u(n), u(n % 300 + 1), 'AVATAR', NULL, 9, 9, CAST('x' AS bytes), t(n), CASE WHEN n % 2 = 0 THEN t(n + 1000000000) END FROM series(3000)`,
	`INSERT INTO files (id, owner_id, purpose, parent_id, size, width, sha256, created_at) SELECT u(n + 3000), u(n % 300 + 1), 'THUMBNAIL', u(n % 1500 * 2 + 1), 9, n % 2 + 64, CAST('x' AS bytes), t(n) FROM series(3000) WHERE true ON CONFLICT DO NOTHING`,
	`INSERT INTO file_chunks (file_id, n, data) SELECT u(n % 3000 + 1), (n - 1) / 3000, CAST('many bytes' AS bytes) FROM series(9000)`,
	`INSERT INTO exports (user_id, requested_at, expires_at) SELECT u(n), t(n), t(n + 1000000000) FROM series(3000)`,
	`INSERT INTO notifications (id, user_id, kind, subject_id, conversation_id, seq, created_at) SELECT u(n), u(1), 'MENTION', u(n), u(1), n, t(n) FROM series(500)`,
	`INSERT INTO notifications (id, user_id, kind, subject_id, created_at, read_at) SELECT u(n + 500), u(n % 3000 + 1), 'FRIEND_REQUEST', u(n), t(n), CASE WHEN n % 2 = 0 THEN t(n) END FROM series(6000)`,
	`INSERT INTO digests (user_id, due_at) SELECT u(n), t(n) FROM series(3000)`,
	`INSERT INTO limits (key, full_at) SELECT u(n), 1700000000000000 + n FROM series(3000)`,
	`INSERT INTO webhooks (id, conversation_id, owner_id, url, secret, since_position, created_at) SELECT u(n), u(n % 300 + 1), u(1), '', '', n, t(n) FROM series(3000)`,
	`INSERT INTO webhooks (id, owner_id, url, secret, since_position, created_at) SELECT u(n + 3000), u(1), '', '', n, t(n) FROM series(50)`,
	`INSERT INTO webhook_deliveries (webhook_id, position, id, type, status, queued_at, next_at)
		SELECT u(n % 300 + 1), n, u(n), 'MESSAGE_ADDED', CASE n % 3 WHEN 0 THEN 'PENDING' WHEN 1 THEN 'DELIVERED' ELSE 'DEAD' END, t(n), t(n) FROM series(9000)`,
}
