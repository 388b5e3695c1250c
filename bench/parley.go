package main

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// secret is the one that the servers under test are started with.
const secret = "a secret for measurements, which protects nothing"

// accessKey signs access tokens: what Parley derives from its secret.
func accessKey() []byte {
	k, err := hkdf.Key(sha256.New, []byte(secret), nil, "parley access token v1", sha256.Size)
	if err != nil {
		panic(err) // cannot happen with these lengths
	}
	return k
}

const digits = "0123456789abcdefghjkmnpqrstvwxyz"

// typeID is the text of an id: a prefix and 26 digits of Crockford's base 32.
func typeID(prefix string, u uuid.UUID) string {
	b := []byte(prefix + "_")
	acc, bits := uint(0), 2
	for _, c := range u {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			bits -= 5
			b = append(b, digits[acc>>bits&31])
		}
		acc &= 1<<bits - 1
	}
	return string(b)
}

// world is who and what is in the database. Signing up would hash a password for each: the rows are written instead.
type world struct {
	users, sessions []uuid.UUID
	tokens          []string
	rooms           []uuid.UUID
}

func newWorld(users, rooms int) *world {
	w := &world{}
	key, now := accessKey(), time.Now().Unix()
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
	for range users {
		u, s := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		claims, _ := json.Marshal(map[string]any{
			"iss": "parley", "aud": []string{"parley"}, "sub": typeID("usr", u), "sid": typeID("ses", s), "iat": now - 1, "exp": now + 6*3600,
		})
		signed := head + "." + base64.RawURLEncoding.EncodeToString(claims)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		w.users, w.sessions = append(w.users, u), append(w.sessions, s)
		w.tokens = append(w.tokens, signed+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	}
	for range rooms {
		w.rooms = append(w.rooms, uuid.Must(uuid.NewV7()))
	}
	return w
}

func (w *world) token(i int) string { return w.tokens[i%len(w.tokens)] }
func (w *world) room(i int) string  { return typeID("cnv", w.rooms[i]) }

// seed writes the world into a migrated database. members[i] is how many users room i has: the first ones.
func (w *world) seed(ctx context.Context, url string, members []int) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	now := time.Now().UTC().Truncate(time.Microsecond)
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit
	put := func(table string, columns []string, n int, row func(i int) []any) {
		if err == nil {
			_, err = tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
		}
	}
	put("users", []string{"id", "username", "display_name", "display_key", "password_hash", "created_at"}, len(w.users), func(i int) []any {
		return []any{w.users[i], fmt.Sprintf("bench_%05d", i), fmt.Sprintf("Bench %05d", i), fmt.Sprintf("bench %05d", i), "-", now}
	})
	put("sessions", []string{"id", "user_id", "created_at", "last_used_at", "expires_at"}, len(w.users), func(i int) []any {
		return []any{w.sessions[i], w.users[i], now, now, now.Add(24 * time.Hour)}
	})
	put("conversations", []string{"id", "kind", "title", "created_at", "updated_at", "member_count"}, len(w.rooms), func(i int) []any {
		return []any{w.rooms[i], "GROUP", "Bench", now, now, members[i]}
	})
	put("events", []string{"position", "topic_kind", "topic_id", "type", "actor_id", "detail", "at"}, len(w.rooms), func(i int) []any {
		return []any{i + 1, 2, w.rooms[i], "CONVERSATION_CREATED", w.users[0], "", now}
	})
	for r, id := range w.rooms {
		put("memberships", []string{"conversation_id", "user_id", "role", "joined_at", "joined_position", "read_seq"}, members[r], func(i int) []any {
			return []any{id, w.users[i], "MEMBER", now, r + 1, 0}
		})
	}
	if err == nil {
		_, err = tx.Exec(ctx, "UPDATE event_head SET position = $1", len(w.rooms))
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err == nil {
		_, err = db.Exec(ctx, "ANALYZE")
	}
	return err
}
