package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	clients   = 64
	sendRooms = 1000
)

// sends measures messages a second that are on disk when they are answered, against pgbench doing what a simple server
// would: is the sender a member, the next number of the conversation, the message.
func (b *bench) sends(ctx context.Context, name string, each time.Duration, rounds int) error {
	w := newWorld(clients, sendRooms)
	members := make([]int, sendRooms)
	for i := range members {
		members[i] = clients
	}
	parley, db, err := b.parley(ctx, w, members)
	if err != nil {
		return err
	}
	all := []*server{parley}
	defer func() { stop(all) }()
	if err := b.plainTables(ctx, w); err != nil {
		return err
	}
	if b.wants("gqlgen") {
		s, err := start("gqlgen", []string{"BENCH_KEY=" + hex.EncodeToString(accessKey())}, filepath.Join(b.dir, "gqlgenpeer"), "--addr", "{addr}", "--database-url", b.pg.URL("plain"))
		if err != nil {
			return err
		}
		s.kind = byMutation
		all = append(all, s)
	}
	accepted := int64(0)
	for _, s := range all { // prepared statements, plans
		n, _, err := sendFrom(s, w, time.Second)
		if err != nil {
			return err
		}
		if s == parley {
			accepted += n
		}
	}
	for range rounds {
		base, err := b.pgbench(each)
		if err != nil {
			return err
		}
		fmt.Printf("  %-14s %6.0f a second\n", "pgbench", base)
		b.table.add(name, "pgbench", []float64{base}, "%.0f/s")
		for _, s := range all {
			cpu, began := s.cpu(), time.Now()
			n, took, err := sendFrom(s, w, each)
			if err != nil {
				return err
			}
			rate := float64(n) / time.Since(began).Seconds()
			p99 := quantile(took, 0.99)
			fmt.Printf("  %-14s %6.0f a second  ratio %4.2f  p99 %v  %3.0f µs of CPU each\n", s.name, rate, rate/base,
				p99.Round(100*time.Microsecond), float64((s.cpu()-cpu).Microseconds())/float64(n))
			b.table.add(name, s.name, []float64{rate / base}, "%.2f")
			b.table.add(name+", p99 ms", s.name, []float64{float64(p99.Microseconds()) / 1000}, "%.1f")
			if s == parley {
				accepted += n
			}
		}
	}
	c, err := pgx.Connect(ctx, b.pg.URL(db))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	var stored int64
	if err := c.QueryRow(ctx, "SELECT count(*) FROM messages").Scan(&stored); err != nil {
		return err
	}
	if stored != accepted {
		return fmt.Errorf("%d messages were answered, %d are stored", accepted, stored)
	}
	return nil
}

func sendFrom(s *server, w *world, d time.Duration) (n int64, took []time.Duration, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range clients {
		c, e := newCaller(s, w.token(i))
		if e != nil {
			return 0, nil, e
		}
		wg.Go(func() {
			defer c.c.Close()
			var own []time.Duration
			var e error
			for start := time.Now(); time.Since(start) < d && e == nil; {
				t := time.Now()
				if e = c.send(w.room(rand.IntN(sendRooms)), text(), newKey()); e == nil {
					own = append(own, time.Since(t))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took, err = append(took, own...), errors.Join(err, e)
		})
	}
	wg.Wait()
	return int64(len(took)), took, err
}

// plainTables are what gqlgen's peer and pgbench write to.
func (b *bench) plainTables(ctx context.Context, w *world) error {
	_ = b.pg.Exec("postgres", "DROP DATABASE IF EXISTS plain")
	if err := b.pg.Exec("postgres", "CREATE DATABASE plain"); err != nil {
		return err
	}
	err := b.pg.Exec("plain",
		"CREATE TABLE bench_conversations (n int, id text PRIMARY KEY, last_seq bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50)",
		"CREATE TABLE bench_members (conversation_id text, user_id text, n int, PRIMARY KEY (conversation_id, user_id))",
		"CREATE TABLE bench_messages (id bigserial PRIMARY KEY, conversation_id text NOT NULL, seq bigint NOT NULL, sender_id text NOT NULL, body text NOT NULL, created_at timestamptz NOT NULL, UNIQUE (conversation_id, seq))")
	if err != nil {
		return err
	}
	c, err := pgx.Connect(ctx, b.pg.URL("plain"))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	var rooms, members [][]any
	for r := range w.rooms {
		for _, id := range []string{w.room(r), "c" + strconv.Itoa(r)} {
			rooms = append(rooms, []any{r, id})
			for u := range w.users {
				user := typeID("usr", w.users[u])
				if id[0] == 'c' && id[1] != 'n' {
					user = "u" + strconv.Itoa(u)
				}
				members = append(members, []any{id, user, u})
			}
		}
	}
	if _, err = c.CopyFrom(ctx, pgx.Identifier{"bench_conversations"}, []string{"n", "id"}, pgx.CopyFromRows(rooms)); err == nil {
		_, err = c.CopyFrom(ctx, pgx.Identifier{"bench_members"}, []string{"conversation_id", "user_id", "n"}, pgx.CopyFromRows(members))
	}
	if err == nil {
		_, err = c.Exec(ctx, "ANALYZE")
	}
	return err
}

const transaction = `\set c random(0, 999)
\set u random(0, 63)
BEGIN;
SELECT 1 FROM bench_members WHERE conversation_id = 'c' || :c AND user_id = 'u' || :u;
UPDATE bench_conversations SET last_seq = last_seq + 1 WHERE id = 'c' || :c RETURNING last_seq \gset
INSERT INTO bench_messages (conversation_id, seq, sender_id, body, created_at) VALUES ('c' || :c, :last_seq, 'u' || :u, '@1700000000000000000@ the quick brown fox jumps over the lazy dog, and the dog does not mind at all', now());
COMMIT;
`

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

func (b *bench) pgbench(d time.Duration) (float64, error) {
	script := filepath.Join(b.dir, "transaction.sql")
	if err := os.WriteFile(script, []byte(transaction), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.Command(filepath.Join(b.pg.Bin, "pgbench"), "-n", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "2",
		"-T", strconv.Itoa(max(1, int(d.Seconds()))), "-f", script, b.pg.URL("plain"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	m := tps.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pgbench said no tps: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
