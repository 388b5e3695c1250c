package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// histories are the messages of the rooms that are read.
var histories = []int{1000, 1_000_000}

const pageQuery = `{"query":"query($c: ID!, $b: String) { conversation(id: $c) { messages(last: 50, before: $b) { nodes { id seq body createdAt sender { id username displayName } } } } }","variables":{"c":"%s","b":%s}}`

// history measures what a page of fifty messages with their senders costs in a short and in a long conversation, one
// request after another: at the end, and before the middle.
func (b *bench) history(ctx context.Context, name string, each time.Duration, rounds int) error {
	w := newWorld(20, len(histories))
	members := make([]int, len(histories))
	for i := range members {
		members[i] = len(w.users)
	}
	s, db, err := b.parley(ctx, w, members)
	if err != nil {
		return err
	}
	s.stop() // it would read all that comes now
	if err := b.writeHistories(db, w); err != nil {
		return err
	}
	if s, err = b.open(db); err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(s, w.token(0))
	if err != nil {
		return err
	}
	defer c.c.Close()
	read := func(room int, middle bool, d time.Duration) (took []time.Duration, err error) {
		newest, before := histories[room], "null"
		if middle {
			newest = histories[room]/2 - 1
			before = strconv.Quote(strconv.Itoa(newest + 1)) // a message's place is its number
		}
		body := fmt.Sprintf(pageQuery, w.room(room), before)
		for start := time.Now(); time.Since(start) < d; {
			t := time.Now()
			status, answer, err := c.post(body)
			if err != nil {
				return nil, err
			}
			took = append(took, time.Since(t))
			if page := string(answer); status != http.StatusOK || strings.Count(page, `"seq"`) != 50 || strings.Count(page, `"username"`) != 50 ||
				!strings.Contains(page, fmt.Sprintf(`"seq":%d,`, newest)) {
				return nil, fmt.Errorf("not the page: %d %.300s", status, page)
			}
		}
		return took, nil
	}
	for _, middle := range []bool{false, true} { // prepared statements; pages of the database in memory
		for room := range histories {
			if _, err := read(room, middle, each/4); err != nil {
				return err
			}
		}
	}
	for range rounds {
		for _, middle := range []bool{false, true} {
			where := "at the end"
			if middle {
				where = "before the middle"
			}
			var cost, p50 [2]float64
			for room, n := range histories {
				cpu := s.cpu()
				took, err := read(room, middle, each)
				if err != nil {
					return err
				}
				cost[room] = float64((s.cpu() - cpu).Microseconds()) / float64(len(took))
				p50[room] = float64(quantile(took, 0.5).Microseconds())
				p99 := float64(quantile(took, 0.99).Microseconds())
				of := fmt.Sprintf("%s %s, of %d messages", name, where, n)
				fmt.Printf("  %-56s %5.0f µs of CPU  p50 %5.0f µs  p99 %5.0f µs\n", of, cost[room], p50[room], p99)
			}
			b.table.add(name+" "+where+", p50 ms", "Parley", []float64{p50[1] / 1000}, "%.1f")
			b.table.add(name+" "+where+", of 1,000,000 messages against 1,000: CPU", "Parley", []float64{cost[1] / cost[0]}, "%.2f")
		}
	}
	return nil
}

// writeHistories writes messages as sends would have left them. Their events are past the retention.
func (b *bench) writeHistories(db string, w *world) error {
	statements := []string{"CREATE TEMP TABLE senders AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM users"}
	for room, n := range histories {
		conversation := w.rooms[room].String()
		statements = append(statements,
			fmt.Sprintf(`INSERT INTO messages (id, conversation_id, seq, position, sender_id, client_key, body, created_at)
				SELECT gen_random_uuid(), '%s', g, h.position + g, s.id, '%d-' || g, 'the quick brown fox jumps over the lazy dog, and the dog does not mind at all', now() - interval '1 minute' * (%d - g)
				FROM event_head h, generate_series(1, %d) g JOIN senders s ON s.n = g %% %d`, conversation, room, n, n, len(w.users)),
			fmt.Sprintf("UPDATE event_head SET position = position + %d, trimmed = position + %d", n, n),
			fmt.Sprintf(`UPDATE conversations c SET last_seq = m.seq, last_message_id = m.id, updated_at = m.created_at
				FROM messages m WHERE c.id = '%s' AND m.conversation_id = c.id AND m.seq = %d`, conversation, n),
			fmt.Sprintf("UPDATE memberships SET read_seq = %d, read_at = now() WHERE conversation_id = '%s'", n, conversation))
	}
	return b.pg.Exec(db, append(statements, "DELETE FROM events", "VACUUM ANALYZE")...)
}
