package eventlog_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/eventlog"
)

// pair carries what one log publishes to another.
type pair struct {
	mu    sync.Mutex
	sent  [][]byte
	heard []func([]byte)
}

func (p *pair) Publish(subject string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, slices.Clone(data))
}

func (p *pair) Subscribe(_ string, f func([]byte)) { p.heard = append(p.heard, f) }

// deliver has the log that was connected second hear something.
func (p *pair) deliver(data ...[]byte) {
	for _, d := range data {
		p.heard[1](d)
	}
}

// two logs of one database; only doorbells and gaps bring the second further.
func two(t *testing.T, s *source, apply func([]*chat.Event)) (*pair, *eventlog.Log, *eventlog.Log) {
	t.Helper()
	p := &pair{}
	var logs [2]*eventlog.Log
	for i := range logs {
		c := eventlog.Config{Source: s, Poll: time.Hour, Fill: func(context.Context, []*chat.Event) error { return nil }, Apply: func([]*chat.Event) {}}
		if i == 1 {
			c.Apply = apply
		}
		logs[i] = eventlog.New(c)
		if err := logs[i].Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		logs[i].Connect(p, "log")
		logs[i].Start()
	}
	return p, logs[0], logs[1]
}

var types = []chat.EventType{
	chat.FriendRequestSent, chat.FriendRequestAccepted, chat.FriendRequestRejected, chat.FriendRequestCancelled, chat.FriendshipMade,
	chat.FriendshipEnded, chat.UserBlocked, chat.UserUnblocked, chat.ProfileChanged, chat.SessionStarted, chat.SessionEnded,
	chat.ConversationCreated, chat.ConversationUpdated, chat.ConversationDeleted, chat.MemberAdded, chat.MemberRemoved,
	chat.MemberLeft, chat.MemberRoleChanged, chat.MessageAdded, chat.ReceiptUpdated,
}

// fill sets every field of v, also those that are added one day, to something that a database may hold.
func fill(t *rapid.T, v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		if rapid.Bool().Draw(t, "when") {
			*x = time.UnixMicro(rapid.Int64Range(-1<<40, 1<<52).Draw(t, "at")).UTC()
		}
		return
	case *chat.ID:
		if rapid.Bool().Draw(t, "some") {
			*x = chat.ID{Kind: chat.Kind(rapid.IntRange(1, 5).Draw(t, "kind")), UUID: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))}
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 3).Draw(t, "n"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i))
			}
		}
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "is"))
	case reflect.Uint8:
		v.SetUint(rapid.Uint64Range(0, 255).Draw(t, "small"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	default:
		t.Fatalf("what is a %v", v.Type())
	}
}

// Whatever an event and its rows hold arrives as it was, for every type of event.
func TestDoorbellIsExact(t *testing.T) {
	t.Parallel()
	s := &source{}
	arrived := make(chan []*chat.Event, 1)
	p, one, other := two(t, s, func(es []*chat.Event) { arrived <- es })
	defer one.Stop()
	defer other.Stop()
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.SliceOfN(rapid.SampledFrom(types), 1, 8).Draw(t, "types")
		if rapid.IntRange(0, 9).Draw(t, "all") == 0 {
			of = types
		}
		events := s.add(topic, len(of))
		for i, e := range events {
			position := e.Position
			fill(t, reflect.ValueOf(e).Elem())
			e.Position, e.Type = position, of[i]
		}
		one.Ring(events)
		p.deliver(p.sent[len(p.sent)-1])
		var got []*chat.Event
		for len(got) < len(events) {
			got = append(got, <-arrived...)
		}
		for i := range events {
			if !reflect.DeepEqual(events[i], got[i]) {
				a, _ := json.Marshal(events[i])
				b, _ := json.Marshal(got[i])
				t.Fatalf("%s\nbecame\n%s", a, b)
			}
		}
	})
	if s.reads != 0 {
		t.Errorf("%d events were read from the database", s.reads)
	}
}

// What is large, old, doubled, reordered, of another log or nonsense leads to the same events.
func TestDoorbellTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		var got []chat.Position
		p, one, other := two(t, s, func(es []*chat.Event) {
			for _, e := range es {
				got = append(got, e.Position)
			}
		})
		defer one.Stop()
		defer other.Stop()
		reached := func(through chat.Position, reads int) {
			t.Helper()
			time.Sleep(10 * time.Millisecond) // what is late is waited for
			synctest.Wait()
			wantThrough(t, got, 0, through)
			if s.reads != reads {
				t.Fatalf("%d reads, want %d", s.reads, reads)
			}
		}
		ring := func(n int, body string) []byte {
			es := s.add(topic, n)
			for _, e := range es {
				e.Rows.Message = &chat.Message{Body: body}
			}
			one.Ring(es)
			synctest.Wait()
			return p.sent[len(p.sent)-1]
		}
		first := ring(2, "a")
		p.deliver(first, first)
		reached(2, 0)

		large := ring(300, strings.Repeat("x", 1000))
		if len(large) > 100 {
			t.Errorf("%d bytes for what should be read", len(large))
		}
		p.deliver(large, first)
		reached(302, 1)
		if small := ring(300, strings.Repeat("x", 100)); len(small) < 30000 || len(small) > 256<<10 {
			t.Errorf("%d bytes for 300 messages", len(small))
		} else {
			p.deliver(small)
		}
		reached(602, 1)

		a, b := ring(1, "a"), ring(1, "b")
		p.deliver(b)
		time.Sleep(time.Millisecond)
		p.deliver(a) // overtaken, and soon there
		reached(604, 1)
		p.deliver(a)
		reached(604, 1)

		lost, last := ring(1, "lost"), ring(1, "last")
		_ = lost
		p.deliver(last)
		reached(606, 2)                                                                // a gap, closed from the database
		if st := other.Stats(); st.Gaps != 1 || st.Doorbells < 5 || st.Doorbells > 7 { // the doubled one may come before the first is applied
			t.Errorf("%+v", st)
		}

		at := func(positions ...chat.Position) (events []*chat.Event) {
			for _, p := range positions {
				events = append(events, &chat.Event{Position: p, Topic: topic, Type: chat.MessageAdded})
			}
			return events
		}
		next := ring(1, "next")
		for _, bad := range [][]byte{
			nil, {0}, {1}, {2, 7, 0}, []byte("null"), next[:len(next)-1], append(slices.Clone(next), 0),
			eventlog.Doorbell(7, at(606, 608)), eventlog.Doorbell(7, at(608, 607)), eventlog.Doorbell(7, at(-1)), eventlog.Doorbell(8, at(607)),
		} {
			p.deliver(bad)
		}
		reached(606, 2)
		// A node whose events have other fields says at least that there are some.
		p.deliver(eventlog.Foreign(next))
		reached(607, 3)
		// From far ahead: the database is asked, and once is enough.
		p.deliver(eventlog.Doorbell(7, at(1_000_000)))
		reached(607, 4)
		for range 10 {
			p.deliver(ring(1, "on"))
		}
		synctest.Wait()
		wantThrough(t, got, 0, 617)
		if s.reads > 7 {
			t.Errorf("%d reads: what nobody has committed is still waited for", s.reads)
		}
	})
}

func FuzzDoorbell(f *testing.F) {
	for _, p := range []chat.Position{3, 4, 9} {
		f.Add(eventlog.Doorbell(7, []*chat.Event{{Position: p, Topic: topic, Type: chat.MessageAdded, Rows: chat.Rows{Message: &chat.Message{Body: "hello"}, Typing: []chat.ID{{}}}}}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &source{}
		s.add(topic, 3)
		p, one, other := two(t, s, func([]*chat.Event) {})
		p.deliver(data)
		one.Stop()
		other.Stop()
	})
}

func BenchmarkDoorbell(b *testing.B) {
	for _, n := range []int{1, 50} {
		s := &source{}
		var p pair
		l := eventlog.New(eventlog.Config{Source: s, Apply: func([]*chat.Event) {}})
		l.Connect(&p, "log")
		now := time.Now().UTC().Truncate(time.Microsecond)
		user := &chat.User{ID: chat.NewID(chat.KindUser), Username: "alice", DisplayName: "Alice Liddell", CreatedAt: now, LastSeenAt: now}
		events := s.add(topic, n)
		for i, e := range events {
			m := &chat.Message{ID: chat.NewID(chat.KindMessage), Conversation: topic.ID, Seq: int64(i), Position: e.Position, Sender: user.ID, Body: strings.Repeat("hello ", 20), CreatedAt: now}
			e.At, e.Actor, e.Subject, e.Seq, e.Rows = now, user.ID, m.ID, m.Seq, chat.Rows{Message: m, Actor: user}
		}
		b.Run("ring/"+map[int]string{1: "1", 50: "50"}[n], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.sent = p.sent[:0]
				l.Ring(events)
			}
			b.ReportMetric(float64(len(p.sent[0]))/float64(n), "bytes/event")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/event")
		})
		// A log that is not started applies nothing, so that nothing is old.
		closed, data := eventlog.New(eventlog.Config{Source: s}), p.sent[0]
		var q pair
		closed.Connect(&q, "log")
		b.Run("hear/"+map[int]string{1: "1", 50: "50"}[n], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q.heard[0](data)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/event")
		})
	}
}
