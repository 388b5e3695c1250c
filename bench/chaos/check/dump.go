package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-chat/parley/bench/chaos/check/verdict"
	"github.com/parley-chat/parley/bench/chaos/history"
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// text is an id as clients see it: its kind's prefix and 26 digits of Crockford's base 32. Nothing for no id.
func text(prefix string, id *[16]byte) string {
	if id == nil || *id == [16]byte{} {
		return ""
	}
	b := []byte(prefix + "_")
	acc, bits := uint(0), 2 // two leading zero bits make 130
	for _, c := range id {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			bits -= 5
			b = append(b, crockford[acc>>bits&31])
		}
		acc &= 1<<bits - 1
	}
	return string(b)
}

// prefixes are the kinds of an event's subject; a user where none is named.
var prefixes = map[string]string{
	"FRIEND_REQUEST_SENT": "frq", "FRIEND_REQUEST_ACCEPTED": "frq", "FRIEND_REQUEST_REJECTED": "frq", "FRIEND_REQUEST_CANCELLED": "frq",
	"SESSION_STARTED": "ses", "SESSION_ENDED": "ses", "MESSAGE_ADDED": "msg",
	"NOTIFICATION_ADDED": "ntf", "NOTIFICATION_READ": "ntf", "NOTIFICATIONS_READ": "ntf",
}

// table is a statement and how a row of it becomes one of the dump's.
type table struct {
	sql  string
	dest func(*scanned) []any
	row  func(*scanned) verdict.Row
}

// scanned is what statements are read into.
type scanned struct {
	a, b, c    *[16]byte
	n, m, o    int64
	left       *int64
	s, t       string
	ended      bool
	topicKind  int16
	detailText string
}

var tables = []table{
	{"SELECT epoch, position, trimmed FROM event_head", func(s *scanned) []any { return []any{&s.n, &s.m, &s.o} }, func(s *scanned) verdict.Row {
		return verdict.Row{Table: "head", Epoch: uint32(s.n), Pos: s.m, Trimmed: s.o} //nolint:gosec // the server keeps an epoch in 32 bits
	}},
	{"SELECT position, topic_kind, topic_id, type, actor_id, subject_id, seq, detail FROM events ORDER BY position",
		func(s *scanned) []any {
			return []any{&s.n, &s.topicKind, &s.a, &s.s, &s.b, &s.c, &s.m, &s.detailText}
		}, event},
	{"SELECT id, conversation_id, sender_id, seq, position, client_key, body FROM messages ORDER BY position",
		func(s *scanned) []any { return []any{&s.a, &s.b, &s.c, &s.n, &s.m, &s.s, &s.t} }, func(s *scanned) verdict.Row {
			return verdict.Row{Table: "message", ID: text("msg", s.a), Conv: text("cnv", s.b), User: text("usr", s.c), Seq: s.n, Pos: s.m, Key: s.s, Hash: history.Hash(s.t)}
		}},
	{"SELECT conversation_id, user_id, joined_position, left_position, read_seq FROM memberships ORDER BY joined_position",
		func(s *scanned) []any { return []any{&s.a, &s.b, &s.n, &s.left, &s.m} }, func(s *scanned) verdict.Row {
			r := verdict.Row{Table: "membership", Conv: text("cnv", s.a), User: text("usr", s.b), Pos: s.n, Seq: s.m}
			if s.left != nil {
				r.Left = *s.left
			}
			return r
		}},
	{"SELECT id, from_id, to_id, status FROM friend_requests ORDER BY id", func(s *scanned) []any { return []any{&s.a, &s.b, &s.c, &s.s} }, func(s *scanned) verdict.Row {
		return verdict.Row{Table: "request", ID: text("frq", s.a), User: text("usr", s.b), Other: text("usr", s.c), Status: s.s}
	}},
	{"SELECT id, user_id, ended_at IS NOT NULL FROM sessions ORDER BY id", func(s *scanned) []any { return []any{&s.a, &s.b, &s.ended} }, func(s *scanned) verdict.Row {
		return verdict.Row{Table: "session", ID: text("ses", s.a), User: text("usr", s.b), Ended: s.ended}
	}},
	{"SELECT id, last_seq FROM conversations ORDER BY id", func(s *scanned) []any { return []any{&s.a, &s.n} }, func(s *scanned) verdict.Row {
		return verdict.Row{Table: "conversation", ID: text("cnv", s.a), Seq: s.n}
	}},
}

func event(s *scanned) verdict.Row {
	prefix, ok := prefixes[s.s]
	if !ok {
		prefix = "usr"
	}
	topic := map[int16]string{1: "usr", 2: "cnv"}[s.topicKind]
	r := verdict.Row{Table: "event", Pos: s.n, Topic: text(topic, s.a), Type: s.s, Actor: text("usr", s.b), Subject: text(prefix, s.c), Seq: s.m}
	var detail struct {
		C string   `json:"c"`
		M []string `json:"m"`
	}
	if s.detailText != "" && json.Unmarshal([]byte(s.detailText), &detail) == nil {
		r.Conv, r.Members = detail.C, detail.M
	}
	return r
}

// The stream may be behind a log that is at rest by as much as it takes another node to go on with it.
const catchesUpIn = time.Minute

// told calls fn with each event of the stream for other services. It waits for a stream that is behind head.
func told(ctx context.Context, addr string, head int64, fn func(verdict.Row) error) error {
	conn, err := nats.Connect("nats://" + addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	c, err := js.OrderedConsumer(ctx, "PARLEY_EVENTS", jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(catchesUpIn); head > 0; {
		m, err := c.Next(jetstream.FetchMaxWait(time.Until(deadline)))
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) {
			return nil // what is missing is for check to say
		}
		if err != nil {
			return err
		}
		var e struct {
			Position                        int64
			Type, Topic, ActorID, SubjectID string
			Seq                             int64
		}
		if err := json.Unmarshal(m.Data(), &e); err != nil {
			return fmt.Errorf("an event of the stream: %w", err)
		}
		r := verdict.Row{Table: "told", ID: m.Headers().Get("Nats-Msg-Id"), Pos: e.Position, Topic: e.Topic, Type: e.Type, Actor: e.ActorID, Subject: e.SubjectID, Seq: e.Seq}
		if err := fn(r); err != nil {
			return err
		}
		if e.Position >= head {
			if i, err := c.Info(ctx); err != nil || i.NumPending == 0 {
				return err
			}
		}
	}
	return nil
}

// dump writes the tables that are judged to a file, as of one moment, and then the stream.
func dump(ctx context.Context, url, addr, out string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	f, err := os.Create(out) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	enc := json.NewEncoder(b)
	for _, t := range tables {
		rs, err := tx.Query(ctx, t.sql)
		if err != nil {
			return err
		}
		var s scanned
		if _, err := pgx.ForEachRow(rs, t.dest(&s), func() error { return enc.Encode(t.row(&s)) }); err != nil {
			return fmt.Errorf("%s: %w", t.sql, err)
		}
	}
	var head int64
	if err := tx.QueryRow(ctx, "SELECT position FROM event_head").Scan(&head); err != nil {
		return err
	}
	if err := told(ctx, addr, head, func(r verdict.Row) error { return enc.Encode(r) }); err != nil {
		return fmt.Errorf("the stream of events: %w", err)
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return f.Close()
}
