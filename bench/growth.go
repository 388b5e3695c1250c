package main

import (
	"context"
	"fmt"
	"time"
)

// growth shows what Parley's CPU time for one event depends on, at 20 events a second: the listeners, and nothing else.
func (b *bench) growth(ctx context.Context, each time.Duration) error {
	s, db, err := b.parley(ctx, b.w, sizes)
	if err != nil {
		return err
	}
	defer s.stop()
	t := traffic{1, 20, 1 << 20, each}
	measure := func(name string, room, listeners int) error {
		for range b.pairs {
			m, err := b.deliver(s, room, listeners, t)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b.table.add("µs of CPU for an event, "+name, "Parley", []float64{m.cost * float64(listeners)}, "%.0f")
			fmt.Printf("  %-40s %8.0f µs for an event  %6.2f µs a listener\n", name, m.cost*float64(listeners), m.cost)
		}
		return nil
	}
	for i, name := range []string{"1 listener", "100 listeners", "1,000 listeners", "10,000 listeners"} {
		if err := measure(name, len(sizes)-1-i, sizes[len(sizes)-1-i]); err != nil {
			return err
		}
	}
	idle, err := newLoad(s, b.w.token, b.w.room(0))
	if err != nil {
		return err
	}
	defer idle.close()
	if err := idle.connect(5000, 128, time.Minute); err != nil {
		return err
	}
	idle.run()
	err = measure("1,000 listeners, 5,000 others elsewhere", 1, few)
	if e := idle.halt(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	s.stop() // it would read all that comes now
	// A long log, and many conversations.
	err = b.pg.Exec(db, `INSERT INTO conversations (id, kind, title, created_at, updated_at, member_count)
		SELECT gen_random_uuid(), 'GROUP', 'Other', now(), now(), 0 FROM generate_series(1, 100000)`,
		`WITH h AS (UPDATE event_head SET position = position + 1000000 RETURNING position)
		INSERT INTO events (position, topic_kind, topic_id, type, at)
		SELECT h.position - 1000000 + n, 2, gen_random_uuid(), 'CONVERSATION_UPDATED', now() FROM h, generate_series(1, 1000000) n`, "ANALYZE")
	if err != nil {
		return err
	}
	if s, err = b.open(db); err != nil {
		return err
	}
	defer s.stop()
	if _, err := b.deliver(s, 1, few, t); err != nil { // as warm as it was
		return err
	}
	return measure("1,000 listeners, 100,000 conversations, 1,000,000 events in the log", 1, few)
}
