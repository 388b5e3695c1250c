package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// What is counted of a day is what happened on it, whichever of its ends it is near.
func TestReportOfADay(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		s := testkit.MustOpenStore(t, url)
		day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
		before, first, last, after := day.Add(-time.Millisecond), day, day.Add(24*time.Hour-time.Millisecond), day.Add(24*time.Hour)
		number := 0
		made := func(when time.Time) string { // an id
			number++
			id := fmt.Sprintf("%012x7000%016x", when.UnixMilli(), number)
			if strings.HasPrefix(url, "sqlite:") {
				return "x'" + id + "'"
			}
			return "'" + id + "'"
		}
		moment := func(when time.Time) string {
			return fmt.Sprintf("t(%.3f)", float64(when.UnixMilli()-1700000000000)/1000)
		}
		if strings.HasPrefix(url, "sqlite:") {
			moment = func(when time.Time) string { return fmt.Sprint(when.UnixMicro()) }
		}
		people := map[string]string{}
		user := func(name string, when time.Time, more ...string) {
			columns, values := "", ""
			for i := 0; i < len(more); i += 2 {
				columns, values = columns+", "+more[i], values+", "+more[i+1]
			}
			people[name] = made(when)
			mustFill(t, url, "INSERT INTO users (id, username, display_name, display_key, password_hash, created_at"+columns+
				") VALUES ("+people[name]+", '"+name+"', '', '', '', t(0)"+values+")")
		}
		mailbox := func(name string) []string {
			return []string{"email", "'" + name + "@example.org'", "email_key", "'" + name + "'"}
		}
		user("before", before, append(mailbox("before"), "admin", "true")...)
		user("first", first, append(mailbox("first"), "admin", "true", "suspended_at", "t(1)")...)
		user("last", last, mailbox("last")...)
		user("after", after, "admin", "true", "unverified_email", "'after@example.org'")
		user("bot", first, "owner_id", people["last"])
		for _, when := range []time.Time{before, first, last, last, after} {
			mustFill(t, url, "INSERT INTO conversations (id, kind, created_at, updated_at, member_count) VALUES ("+made(when)+", 'GROUP', t(0), t(0), 0)")
		}
		for i, m := range []struct {
			from string
			when time.Time
		}{{"before", before}, {"first", first}, {"first", last}, {"bot", last}, {"after", after}} {
			mustFill(t, url, fmt.Sprintf("INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at) VALUES (%s, u(1), %d, %d, %s, '%d', '', t(0))",
				made(m.when), i, i, people[m.from], i))
		}
		for name, used := range map[string]time.Time{"before": before, "last": last, "bot": last} {
			mustFill(t, url, "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at) VALUES ("+made(used)+", "+people[name]+", t(0), "+moment(used)+", t(0))")
		}
		mustFill(t, url, "INSERT INTO webhooks (id, owner_id, url, secret, since_position, created_at) VALUES (u(1), "+people["last"]+", '', '', 0, t(0))")
		for i, when := range []time.Time{before, first, last, after} {
			for j, status := range []string{"DEAD", "DELIVERED"} {
				mustFill(t, url, fmt.Sprintf("INSERT INTO webhook_deliveries (webhook_id, position, id, type, status, queued_at, attempted_at, next_at) VALUES (u(1), %d, %s, '', '%s', t(0), %s, t(0))",
					2*i+j, made(when), status, moment(when)))
			}
		}
		job := func(kind, state string, when time.Time, failures ...string) {
			for i, f := range failures {
				failures[i] = `{"error": "` + f + `"}`
			}
			noted := "jsonb('[" + strings.Join(failures, ",") + "]')"
			if !strings.HasPrefix(url, "sqlite:") {
				noted = "ARRAY['" + strings.Join(failures, "'::jsonb,'") + "'::jsonb]"
			}
			if len(failures) == 0 {
				noted = "NULL"
			}
			finalized := "NULL"
			if state != "retryable" && state != "available" {
				finalized = when.Format("'2006-01-02 15:04:05.000+00:00'")
			}
			mustFill(t, url, "INSERT INTO river_job (kind, args, max_attempts, queue, state, errors, finalized_at) VALUES ('"+kind+"', '{}', 9, 'mail', '"+state+"', "+noted+", "+finalized+")")
		}
		job("mail", "discarded", before, "too early")
		job("mail", "discarded", first, "one", "two")
		job("mail", "cancelled", last, "three", "four")
		job("mail", "discarded", after, "too late")
		job("mail", "completed", last, "it worked in the end")
		job("mail", "cancelled", last) // by somebody
		job("push", "retryable", last, "is tried again")
		job("push", "available", last, "a node was gone")

		got, err := s.Made(t.Context(), day, after)
		if want := (store.Made{Users: 2, Bots: 1, Conversations: 3, Messages: 3}); err != nil || got != want {
			t.Errorf("%+v, not %+v: %v", got, want, err)
		}
		look := func() store.Health {
			t.Helper()
			h, err := s.Health(t.Context(), day, after)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		h := look()
		if h.Users != 4 || h.Active != 2 || h.DeadDeliveries != 2 || h.Size < 100_000 || h.Check != (store.CheckResult{}) {
			t.Errorf("%+v", h)
		}
		if want := []store.JobTrouble{{"mail", 2, 0, "four"}, {"push", 0, 1, "is tried again"}}; !slices.Equal(h.Jobs, want) {
			t.Errorf("%+v, not %+v", h.Jobs, want)
		}
		job("check", "completed", last)
		if h := look(); h.Check != (store.CheckResult{At: last.Truncate(time.Second), Passed: true}) {
			t.Errorf("%+v", h.Check)
		}
		job("check", "cancelled", after, "a counter is wrong")
		if h := look(); h.Check != (store.CheckResult{At: after, Error: "a counter is wrong"}) {
			t.Errorf("%+v", h.Check)
		}
		who, err := s.Administrators(t.Context(), 10)
		if err != nil || len(who) != 1 || !strings.Contains(people["before"], strings.ReplaceAll(who[0].UUID.String(), "-", "")) {
			t.Error(who, err)
		}
	})
}
