package natsbus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/testkit"
)

const stream, subject = "EVENTS", "parley.events"

// fakeLog is a log in memory.
type fakeLog struct {
	mu      sync.Mutex
	epoch   chat.Epoch
	trimmed chat.Position
	events  []*chat.Event // from 1
	grown   chan struct{}
}

func newLog() *fakeLog { return &fakeLog{epoch: 4_000_000_000, grown: make(chan struct{})} }

// add appends n events.
func (l *fakeLog) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		p := chat.Position(len(l.events) + 1)
		l.events = append(l.events, &chat.Event{
			Position: p, At: time.Now().UTC().Truncate(time.Microsecond), Topic: chat.ConversationTopic(chat.NewID(chat.KindConversation)),
			Type: []chat.EventType{chat.MessageAdded, chat.ReceiptUpdated}[p%2], Actor: chat.NewID(chat.KindUser), Subject: chat.NewID(chat.KindMessage), Seq: int64(p),
		})
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *fakeLog) After(_ context.Context, after chat.Position, limit int) ([]*chat.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after < l.trimmed {
		return nil, chat.ErrCursorExpired
	}
	i := min(int(after), len(l.events))
	return l.events[i:min(i+limit, len(l.events))], nil
}

func (l *fakeLog) Bounds(context.Context) (chat.Epoch, chat.Position, chat.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch, chat.Position(len(l.events)), l.trimmed, nil
}

func (l *fakeLog) Applied() chat.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return chat.Position(len(l.events))
}

func (l *fakeLog) Grown() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grown
}

// held is a log whose reader is held up, as a process that is stopped would be, between what it knows and what it does.
type held struct {
	*fakeLog
	hold func(events, limit int)
}

func (h held) After(ctx context.Context, after chat.Position, limit int) ([]*chat.Event, error) {
	events, err := h.fakeLog.After(ctx, after, limit)
	h.hold(len(events), limit)
	return events, err
}

// mustExport starts a node that does nothing but export.
func mustExport(t *testing.T, url string, l natsbus.Log, watch time.Duration) *natsbus.Exporter {
	t.Helper()
	return mustExportTo(t, url, l, watch, io.Discard)
}

func mustExportTo(t *testing.T, url string, l natsbus.Log, watch time.Duration, log io.Writer) *natsbus.Exporter {
	t.Helper()
	b, err := natsbus.Open(natsbus.Config{URL: url, Cluster: "a", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	x := natsbus.NewExporter(b, natsbus.ExportConfig{Log: l, Stream: stream, Subject: subject, MaxAge: time.Hour, Watch: watch})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Stop)
	return x
}

// mustMakeStream makes the stream as an operator would who wants no help from the server's memory of what it has seen.
func mustMakeStream(t *testing.T, js jetstream.JetStream, change ...func(*jetstream.StreamConfig)) jetstream.Stream {
	t.Helper()
	c := jetstream.StreamConfig{Name: stream, Subjects: []string{subject + ".>"}, Duplicates: 100 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	s, err := js.CreateStream(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never comes that ", what)
		}
	}
}

func last(js jetstream.JetStream) (sequence uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s, err := js.Stream(ctx, stream); err == nil {
		sequence = s.CachedInfo().State.LastSeq
	}
	return sequence
}

// mustHold waits until the stream is as long as the log, and compares the two: each event once, in order.
func mustHold(t *testing.T, js jetstream.JetStream, l *fakeLog) {
	t.Helper()
	eventually(t, "the stream has the whole log", func() bool { return last(js) >= uint64(l.Applied()) }) //nolint:gosec // small
	mustEqual(t, js, l, 0)
}

// mustEqual compares what the stream has with the log after a position.
func mustEqual(t *testing.T, js jetstream.JetStream, l *fakeLog, after chat.Position) []jetstream.Msg {
	t.Helper()
	all := mustRead(t, js)
	if want := int(l.Applied() - after); len(all) != want {
		t.Errorf("%d messages, want %d", len(all), want)
	}
	for i, m := range all {
		after++
		e := l.events[after-1]
		var got bus.Event
		if err := json.Unmarshal(m.Data(), &got); err != nil || got.Position != after || !bytes.Equal(m.Data(), bus.NewEvent(l.epoch, e).JSON()) {
			t.Fatalf("message %d is %s, want position %d (%v)", i+1, m.Data(), after, err)
		}
		if h := m.Headers(); h.Get("Nats-Msg-Id") != fmt.Sprint(after) || m.Subject() != subject+"."+string(e.Type) {
			t.Fatalf("message %d: %v of %s", i+1, h, m.Subject())
		}
	}
	return all
}

// mustRead reads what a stream has.
func mustRead(t *testing.T, js jetstream.JetStream) (all []jetstream.Msg) {
	t.Helper()
	c, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		batch, err := c.FetchNoWait(5000)
		if err != nil {
			t.Fatal(err)
		}
		n := len(all)
		for m := range batch.Messages() {
			all = append(all, m)
		}
		if len(all) == n {
			return all
		}
	}
}

// Whoever else exports, whoever is held up, comes or goes: each event once and in order.
func TestExport(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	mustMakeStream(t, js)
	slow := held{l, func(int, int) {
		if rand.IntN(8) == 0 {
			time.Sleep(rand.N(30 * time.Millisecond))
		}
	}}
	var exporters []*natsbus.Exporter
	for range 3 {
		exporters = append(exporters, mustExport(t, server.URL(), slow, time.Millisecond))
	}
	var adding sync.WaitGroup
	for range 3 {
		adding.Go(func() {
			for range 400 {
				l.add(1 + rand.IntN(20))
				time.Sleep(rand.N(3 * time.Millisecond))
			}
		})
	}
	// One after the other ends, and another begins.
	for i := range 20 {
		seen := last(js)
		eventually(t, "it goes on", func() bool { return last(js) > seen+200 })
		exporters[i].Stop()
		exporters = append(exporters, mustExport(t, server.URL(), slow, time.Millisecond))
	}
	adding.Wait()
	mustHold(t, js, l)
	var by []int64
	busy := 0
	for _, x := range exporters {
		by = append(by, x.Stats().Exported)
		if x.Stats().Exported > 0 {
			busy++
		}
	}
	t.Logf("%d events, by %v", l.Applied(), by)
	if busy < 5 {
		t.Errorf("%d exporters did everything: nothing was put to the test", busy)
	}
	s := exporters[len(exporters)-1]
	eventually(t, "one that stands by knows where the stream is", func() bool { return s.Stats().Position == l.Applied() && s.Stats().Waiting.IsZero() })
}

// One is stopped between reading and publishing, and goes on when another has long taken over.
func TestExporterIsPaused(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	mustMakeStream(t, js)
	stopped, resume := make(chan struct{}), make(chan struct{})
	var stop atomic.Bool
	one := mustExport(t, server.URL(), held{l, func(events, limit int) {
		if limit > 1 && events > 1 && stop.Swap(false) {
			close(stopped)
			<-resume
		}
	}}, time.Millisecond)
	l.add(100)
	mustHold(t, js, l)
	stop.Store(true)
	l.add(50)
	<-stopped
	two := mustExport(t, server.URL(), l, time.Millisecond)
	mustHold(t, js, l)
	l.add(10)
	mustHold(t, js, l)
	time.Sleep(200 * time.Millisecond) // the server has forgotten which ids it has seen
	close(resume)
	eventually(t, "the first has noticed", func() bool { return one.Stats().Position == 160 })
	l.add(10)
	mustHold(t, js, l)
	if a, b := one.Stats().Exported, two.Stats().Exported; a != 100 || b != 70 {
		t.Errorf("they exported %d and %d", a, b)
	}
}

// NATS is away, at the start and again and again, and loses what it had not written when its machine failed.
func TestExportOutage(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	server.Stop()
	var nodes []*natsbus.Exporter
	for range 2 {
		nodes = append(nodes, mustExport(t, server.URL(), l, 20*time.Millisecond))
	}
	l.add(10)
	quit, adding := make(chan struct{}), sync.WaitGroup{}
	adding.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(rand.N(2 * time.Millisecond)):
				l.add(1 + rand.IntN(50))
			}
		}
	})
	server.Start()
	js := testkit.MustReachJetStream(t, server.URL())
	var backup string
	for round := range 4 {
		seen := last(js)
		eventually(t, "it goes on", func() bool { return last(js) > seen+500 })
		server.Stop()
		if round == 1 {
			backup = t.TempDir()
			if err := os.CopyFS(backup, os.DirFS(server.Store)); err != nil {
				t.Fatal(err)
			}
		}
		if round == 3 {
			if err := os.RemoveAll(server.Store); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(server.Store, os.DirFS(backup)); err != nil {
				t.Fatal(err)
			}
		}
		server.Start()
	}
	close(quit)
	adding.Wait()
	mustHold(t, js, l)
	if a, b := nodes[0].Stats(), nodes[1].Stats(); a.Exported+b.Exported <= int64(l.Applied()) || a.Missed+b.Missed > 0 {
		t.Errorf("%+v %+v of %d: nothing was lost and sent again", a, b, l.Applied())
	}
}

// lossy passes everything on to a server, and swallows its answers now and then, until it cuts the connection.
func lossy(t *testing.T, to string) (url string, cuts *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cuts = &atomic.Int64{}
	var all sync.WaitGroup
	quit := make(chan struct{})
	pipe := func(dst, src net.Conn, answers bool) {
		defer dst.Close()
		defer src.Close()
		b := make([]byte, 4096)
		deaf := false
		for {
			n, err := src.Read(b)
			if err != nil {
				return
			}
			if answers && !deaf && bytes.Contains(b[:n], []byte(`"seq":`)) && rand.IntN(5) == 0 {
				deaf = true
				cuts.Add(1)
				time.AfterFunc(20*time.Millisecond, func() { _ = src.Close() })
			}
			if deaf {
				continue
			}
			if _, err := dst.Write(b[:n]); err != nil {
				return
			}
		}
	}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", strings.TrimPrefix(to, "nats://"))
			if err != nil {
				_ = c.Close()
				continue
			}
			all.Go(func() { pipe(s, c, false) })
			all.Go(func() { pipe(c, s, true) })
			all.Go(func() { <-quit; _ = c.Close(); _ = s.Close() })
		}
	})
	t.Cleanup(func() { close(quit); _ = l.Close(); all.Wait() })
	return "nats://" + l.Addr().String(), cuts
}

// What was stored and never confirmed is not sent again.
func TestLostConfirmations(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	mustMakeStream(t, js)
	url, cuts := lossy(t, server.URL())
	for range 2 {
		mustExport(t, url, l, 5*time.Millisecond)
	}
	for cuts.Load() < 10 {
		l.add(1 + rand.IntN(20))
		time.Sleep(rand.N(10 * time.Millisecond))
	}
	mustHold(t, js, l)
	t.Logf("%d events, %d cuts", l.Applied(), cuts.Load())
}

// Somebody else writes to the stream while much is on its way: what follows it on the wire is not taken for what follows it.
func TestIntruder(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	mustMakeStream(t, js)
	for round := range 10 {
		x := mustExport(t, server.URL(), l, time.Millisecond)
		quit, adding := make(chan struct{}), sync.WaitGroup{}
		adding.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					l.add(100)
					time.Sleep(time.Millisecond)
				}
			}
		})
		seen := last(js)
		eventually(t, "it goes on", func() bool { return last(js) > seen+1000 })
		ack, err := js.Publish(t.Context(), subject+".X", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it refuses", func() bool { return x.Stats().Refused })
		close(quit)
		adding.Wait()
		x.Stop()
		if last(js) != ack.Sequence {
			t.Fatalf("round %d: %d messages after it", round, last(js)-ack.Sequence)
		}
		if err := js.DeleteStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // the server clears up
		mustMakeStream(t, js)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Two logs are never mixed in one stream: what does not belong to it is refused until an operator has decided.
func TestForeignStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, says string
		change     func(*testing.T, *fakeLog, jetstream.JetStream)
	}{
		{"another epoch", "epoch", func(_ *testing.T, l *fakeLog, _ jetstream.JetStream) { l.epoch++ }},
		{"another epoch, and nothing left", "epoch", func(t *testing.T, l *fakeLog, js jetstream.JetStream) {
			l.epoch++
			mustPurge(t, js)
		}},
		{"a backup", "ends at 90", func(_ *testing.T, l *fakeLog, _ jetstream.JetStream) { l.events = l.events[:90] }},
		{"a backup that has grown", "position 100", func(_ *testing.T, l *fakeLog, _ jetstream.JetStream) {
			l.events = l.events[:90]
			l.add(20)
		}},
		{"somebody else's message", "message 101", func(t *testing.T, _ *fakeLog, js jetstream.JetStream) {
			if _, err := js.Publish(t.Context(), subject+".X", []byte("{}")); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, l := testkit.MustJetStream(t), newLog()
			js := testkit.MustReachJetStream(t, server.URL())
			l.add(100)
			x := mustExport(t, server.URL(), l, 100*time.Millisecond)
			mustHold(t, js, l)
			x.Stop()
			tt.change(t, l, js)
			before := last(js)
			said := &syncBuffer{}
			x = mustExportTo(t, server.URL(), l, 100*time.Millisecond, said)
			eventually(t, "it refuses", func() bool { return x.Stats().Refused })
			l.add(10)
			time.Sleep(300 * time.Millisecond)
			if s := x.Stats(); s.Position != -1 {
				t.Errorf("%+v", s)
			}
			if last(js) != before {
				t.Errorf("%d messages, then %d", before, last(js))
			}
			if s := said.String(); strings.Count(s, "ERROR") > 2 || !strings.Contains(s, tt.says) {
				t.Errorf("it says %s", s)
			}
			if err := js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			mustHold(t, js, l)
			eventually(t, "all is well", func() bool { return !x.Stats().Refused })
		})
	}
}

func mustPurge(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err == nil {
		err = s.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A stream that cannot be made is seen in the metrics.
func TestOverlappingStream(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	mustMakeStream(t, js, func(c *jetstream.StreamConfig) { c.Name = "ANOTHER" })
	l.add(3)
	x := mustExport(t, server.URL(), l, 10*time.Millisecond)
	eventually(t, "something waits", func() bool { return !x.Stats().Waiting.IsZero() })
	if err := js.DeleteStream(t.Context(), "ANOTHER"); err != nil {
		t.Fatal(err)
	}
	mustHold(t, js, l)
	eventually(t, "nothing waits", func() bool { return x.Stats().Waiting.IsZero() })
}

// What the log no longer has is reported, in the log, in the metrics and in the stream, and the rest follows.
func TestTrimmedLog(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	l.add(50)
	l.trimmed = 20 // before the first start: nobody has missed it
	x := mustExport(t, server.URL(), l, time.Millisecond)
	eventually(t, "all is there", func() bool { return last(js) == 30 })
	mustEqual(t, js, l, 20)
	x.Stop()
	if s := x.Stats(); s.Missed != 0 || s.Exported != 30 {
		t.Errorf("%+v", s)
	}
	l.add(50)
	l.trimmed = 70
	said := &syncBuffer{}
	x = mustExportTo(t, server.URL(), l, time.Millisecond, said)
	eventually(t, "all is there", func() bool { return last(js) == 60 })
	all := mustRead(t, js)
	for i, m := range all {
		want, missed := i+21, ""
		if i >= 30 {
			want += 20
		}
		if i == 30 {
			missed = "20"
		}
		if m.Headers().Get("Nats-Msg-Id") != fmt.Sprint(want) || m.Headers().Get("Parley-Missed") != missed {
			t.Errorf("message %d: %v", i, m.Headers())
		}
	}
	if s := x.Stats(); s.Missed != 20 || !strings.Contains(said.String(), "lost=20") {
		t.Errorf("%+v %s", s, said)
	}
	// Nor is it forgotten where the stream was when its messages are gone.
	x.Stop()
	mustPurge(t, js)
	mustExport(t, server.URL(), l, time.Millisecond)
	l.add(5)
	eventually(t, "it goes on", func() bool { return last(js) == 65 })
	mustEqual(t, js, l, 100)
}

// Where consumers take messages away, the stream is empty most of the time.
func TestWorkQueue(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	s := mustMakeStream(t, js, func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy })
	c, err := s.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "all"})
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	for range 5 {
		x := mustExport(t, server.URL(), l, time.Millisecond)
		l.add(10)
		for range 10 {
			m, err := c.Next(jetstream.FetchMaxWait(patience))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Headers().Get("Nats-Msg-Id"); got != fmt.Sprint(next) {
				t.Fatalf("%s, want %d", got, next)
			}
			next++
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		x.Stop()
	}
}

// A stream that takes no more is said to be full, and goes on when it no longer is.
func TestFullStream(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustJetStream(t), newLog()
	js := testkit.MustReachJetStream(t, server.URL())
	mustMakeStream(t, js, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 50, jetstream.DiscardNew })
	said := &syncBuffer{}
	x := mustExportTo(t, server.URL(), l, time.Millisecond, said)
	l.add(100)
	eventually(t, "it says so", func() bool { return strings.Contains(said.String(), "maximum messages exceeded") })
	if x.Stats().Waiting.IsZero() {
		t.Errorf("%+v", x.Stats())
	}
	mustPurge(t, js)
	eventually(t, "all is there", func() bool { return last(js) == 100 })
	mustEqual(t, js, l, 50)
}

// NATS without JetStream is left alone, and noticed when it has it.
func TestNoJetStream(t *testing.T) {
	t.Parallel()
	server, l := testkit.MustNATS(t), newLog()
	l.add(10)
	said := &syncBuffer{}
	x := mustExportTo(t, server.URL(), l, 10*time.Millisecond, said)
	eventually(t, "it says so", func() bool { return strings.Contains(said.String(), "no JetStream") })
	time.Sleep(300 * time.Millisecond)
	if s := said.String(); strings.Count(s, "JetStream") != 1 || strings.Contains(s, "ERROR") || x.Stats().Position != -1 {
		t.Errorf("%+v %s", x.Stats(), s)
	}
	server.EnableJetStream()
	mustHold(t, testkit.MustReachJetStream(t, server.URL()), l)
}
