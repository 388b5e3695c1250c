package app_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

var soak = flag.Bool("soak", false, "run TestSlowReaders in full size, for minutes, and compare latencies; without -race, on a quiet machine")

// stalling is how many listen to one room, and how many of them stop reading for a while.
type stalling struct {
	people, sockets int // sockets of each person
	stalled         int // of all sockets
	own             int // of the stalled: what they ask for is executed for them alone, so that what is queued is not shared
	rate            int // messages a second
	body            int // characters
	queue           int // bytes that may be queued for a socket
	before, during  time.Duration
	after           time.Duration
}

var (
	someStall = stalling{people: 5, sockets: 20, stalled: 20, own: 20, rate: 100, body: 4000, queue: 256 << 10, before: time.Second, during: 3 * time.Second, after: time.Second / 2}
	fullStall = stalling{people: 50, sockets: 20, stalled: 200, own: 20, rate: 100, body: 1000, queue: 256 << 10, before: 20 * time.Second, during: time.Minute, after: 20 * time.Second}
)

// Some sockets of a room stop reading while many messages come. What is queued for them is bounded, the others hear
// everything as before, and when they read again, on the same socket or, where the server has let go of it, on a new one with
// their last cursor, they get each message once and in order. It runs alone: it measures what the process holds.
func TestSlowReaders(t *testing.T) { //nolint:paralleltest // see above
	size := someStall
	if *soak {
		size = fullStall
	}
	for _, db := range []struct{ name, url string }{
		{"sqlite", testkit.SQLiteURL(t)},
		{"postgres", testkit.PostgresURL(t, "empty", func(string) error { return nil })},
	} {
		settings := []string{"--sockets-per-user", "1000", "--max-queue", fmt.Sprint(size.queue)}
		t.Run(db.name+"/held", func(t *testing.T) {
			stall(t, testkit.MustRunApp(t, db.url, append(settings, "--write-timeout", "10m", "--ping-interval", "10m")...), size, true)
		})
		t.Run(db.name+"/cut", func(t *testing.T) {
			stall(t, testkit.MustRunApp(t, db.url, append(settings, "--write-timeout", (size.during/4).String())...), size, false)
		})
	}
}

// audience is a conversation with its listeners.
type audience struct {
	id      string
	people  []*client.Account
	begun   time.Time
	stall   chan struct{} // closed: those who shall stop reading do
	resume  chan struct{} // closed: they read again
	sent    atomic.Int64  // messages
	last    atomic.Int64  // the seq of the last message; 0 while there are more to come
	phase   atomic.Int32
	latency [5]latencies // by phase, of those who never stop
}

// overloaded is how late deliveries are on a machine that is too busy to hold this test to the letter.
const overloaded = 300 * time.Millisecond

const (
	warming int32 = iota
	before
	during
	recovering
	after
)

func stall(t *testing.T, a *app.App, size stalling, held bool) {
	t.Helper()
	r := &audience{people: mustMeet(t, a.URL(), size.people), begun: time.Now(), stall: make(chan struct{}), resume: make(chan struct{})}
	r.id = mustCreateGroup(t, r.people[0], r.people[1:]...)
	begin := mustSend(t, r.people[0].Client, r.id, "0 the first").SendMessage.Cursor
	r.sent.Store(1)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience+2*(size.before+size.during+size.after))
	defer cancel()
	var readers []*reader
	var listening, slow sync.WaitGroup
	all := size.people * size.sockets
	for i := range all {
		l := &reader{audience: r, who: r.people[i%size.people].Client, slow: i < size.stalled, field: "e", cursor: begin, seq: 1}
		if i < size.own {
			l.field = fmt.Sprint("e", i)
		}
		l.feed = i/2%2 == 0
		if err := l.connect(ctx); err != nil {
			t.Fatal(err)
		}
		readers = append(readers, l)
	}
	for _, l := range readers {
		wait := &listening
		if l.slow {
			wait = &slow
		}
		wait.Go(func() {
			if err := l.read(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("a listener that stops %t, after message %d of %d: %v", l.slow, l.seq, r.sent.Load(), err)
			}
			l.conn.Close()
		})
	}
	readOn := sync.OnceFunc(func() { close(r.resume) })
	sending, enough := context.WithCancel(ctx)
	var publisher sync.WaitGroup
	publisher.Go(func() { r.publish(ctx, sending, t, size) })
	defer func() { // where the test has failed: nothing reports to it once it is over
		cancel()
		readOn()
		a.Stop()
		publisher.Wait()
		listening.Wait()
		slow.Wait()
	}()

	// What has been sent and not executed yet is not in the heap: on a busy machine it would come later.
	level := func(those func(*reader) bool) {
		eventually(t, func() error {
			for _, l := range readers {
				if those(l) && l.behind() > int64(size.rate/4) {
					return fmt.Errorf("a listener that stops %t is %d messages behind", l.slow, l.behind())
				}
			}
			return nil
		})
	}
	steady := func(l *reader) bool { return !l.slow }

	pass(ctx, size.before/4)
	r.phase.Store(before)
	pass(ctx, size.before)
	level(steady)
	behind, heap, resident := a.Sockets().Behind, liveHeap(), residentMemory()
	r.phase.Store(during)
	close(r.stall)
	first := r.sent.Load()
	pass(ctx, size.during)
	open := map[bool]int{true: all, false: all - size.stalled}[held]
	eventually(t, func() error { // on a busy machine it may take longer, and less than this would show nothing
		st := a.Sockets()
		if fell := st.Behind - behind; held && fell < int64(size.stalled) {
			return fmt.Errorf("only %d streams fell behind", fell)
		}
		if st.Sockets != open {
			return fmt.Errorf("%d sockets are open, want %d", st.Sockets, open)
		}
		return nil
	})
	level(steady)
	st, heapThen, residentThen, missed := a.Sockets(), liveHeap(), residentMemory(), r.sent.Load()-first
	r.phase.Store(recovering)
	readOn()
	t.Logf("%d messages while %d of %d sockets did not read: %d streams fell behind, %d sockets with a write under way, %d open; heap %s, then %s; resident %s, then %s",
		missed, size.stalled, all, st.Behind-behind, st.Parked, st.Sockets, mib(heap), mib(heapThen), mib(resident), mib(residentThen))

	// Whoever was slow is to be level with the others before the last phase is measured, where that is done.
	resumed := time.Now()
	level(func(l *reader) bool { return *soak && l.slow })
	t.Logf("all were level again %v after they read on", time.Since(resumed).Round(time.Millisecond))
	r.phase.Store(after)
	pass(ctx, size.after)
	enough()
	publisher.Wait()
	r.last.Store(r.sent.Load())
	mustSend(t, r.people[0].Client, r.id, "0 the last")
	listening.Wait()
	slow.Wait()
	for phase, name := range []string{"at first", "before", "while some did not read", "while they caught up", "after"} {
		h := &r.latency[phase]
		t.Logf("%-24s %8d messages to those who never stopped: p50 %v, p99 %v (of the median second %v), p99.9 %v", name, h.count(), h.quantile(0.5), h.quantile(0.99), h.typical(), h.quantile(0.999))
	}

	// For each of them what may be queued and a little more; besides, what any node keeps: the newest events, and up to eight
	// MiB of what was executed, which is there already when there were enough messages before.
	const memo, slack = 8 << 20, 4 << 20
	most := size.stalled*size.queue*5/4 + int(missed)*2*(size.body+1000) + max(0, memo-int(first)*size.own*size.body) + slack
	if r.latency[during].typical() > overloaded { // what is under way is in the heap too, and cannot be told apart
		most *= 2
	}
	if heapThen > heap+uint64(most) {
		t.Errorf("the heap grew from %s to %s, want at most %s more", mib(heap), mib(heapThen), mib(uint64(most)))
	}
	if was, is := r.latency[before].typical(), r.latency[during].typical(); *soak && is > was*12/10 {
		t.Errorf("the p99 of the others went from %v to %v", was, is)
	}
	for _, l := range readers {
		if !l.slow && l.joins != 1 || l.slow && held != (l.joins == 1) {
			t.Errorf("a listener that stops %t subscribed %d times", l.slow, l.joins)
			break
		}
	}
}

// publish sends at a steady rate until enough ends, each message with the time at which it was sent.
func (r *audience) publish(all, enough context.Context, t *testing.T, size stalling) {
	tick := time.NewTicker(time.Second / time.Duration(size.rate))
	defer tick.Stop()
	text := strings.Repeat("x", size.body-32)
	var sends sync.WaitGroup
	defer sends.Wait()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-enough.Done():
			return
		}
		sends.Go(func() {
			who := r.people[n%len(r.people)].Client
			if _, err := send(all, who, r.id, fmt.Sprint(time.Since(r.begun).Nanoseconds(), " ", text), fmt.Sprintf("%x", rand.Uint64())); err != nil {
				if all.Err() == nil {
					t.Error(err)
				}
				return
			}
			r.sent.Add(1)
		})
	}
}

// reader is a listener that looks at no more of a message than its place and its time.
type reader struct {
	*audience
	who    *client.Client
	slow   bool
	feed   bool   // listens to the whole feed
	field  string // the name under which it asks
	conn   *websocket.Conn
	cursor string
	seq    int64 // of the last message
	at     atomic.Int64
	joins  int
	caught int
	once   bool // has stopped
	head   [256]byte
}

func (l *reader) behind() int64 { return l.sent.Load() - l.at.Load() }

// connect subscribes, after the last cursor. Who is to be slow has a small window from the start.
func (l *reader) connect(ctx context.Context) error {
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, ReadBufferSize: 8 << 10, WriteBufferSize: 1 << 10}
	if l.slow {
		plain := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				// Segments of a network's size besides: those of a loopback let the server's kernel buffer megabytes.
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400)
			})
		}}
		dialer.NetDialContext = plain.DialContext
	}
	conn, _, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(l.who.URL, "http")+"/graphql", nil)
	if err != nil {
		return err
	}
	l.joins++
	l.conn = conn
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(end)
	}
	vars := client.Vars{"c": l.id, "after": l.cursor}
	text := fmt.Sprintf(`subscription($c: ID!, $after: Cursor) { %s: messageAdded(conversationId: $c, after: $after) { __typename cursor message { seq body } } }`, l.field)
	if l.feed {
		delete(vars, "c")
		text = fmt.Sprintf(`subscription($after: Cursor) { %s: events(after: $after) { __typename cursor ... on MessageAdded { message { seq body } } } }`, l.field)
	}
	err = errors.Join(
		conn.WriteJSON(map[string]any{"type": "connection_init", "payload": client.Vars{"authorization": "Bearer " + l.who.Token}}),
		conn.WriteJSON(map[string]any{"type": "subscribe", "id": "1", "payload": client.Vars{"query": text, "variables": vars}}))
	if err != nil {
		return err
	}
	for {
		head, err := l.next()
		if err != nil {
			return err
		}
		if bytes.Contains(head, []byte(`"type":"next"`)) {
			return l.take(head)
		}
	}
}

// next reads a message and returns its beginning, which is valid until the next call.
func (l *reader) next() ([]byte, error) {
	_, m, err := l.conn.NextReader()
	if err != nil {
		return nil, err
	}
	n := 0
	for n < len(l.head) && err == nil {
		var more int
		more, err = m.Read(l.head[n:])
		n += more
	}
	if errors.Is(err, io.EOF) {
		return l.head[:n], nil
	}
	if err == nil { // what is cut off in the middle has not been delivered
		_, err = io.Copy(io.Discard, m)
	}
	return l.head[:n], err
}

// read goes on until the last message, and a little further: nothing may follow. Who is to be slow stops when it is told to,
// and comes back where its socket was closed meanwhile.
func (l *reader) read(ctx context.Context) error {
	for {
		if last := l.last.Load(); last > 0 && l.seq > last && l.caught >= l.joins { // the last message may be a replay's
			return l.finish()
		}
		if l.slow && !l.once {
			select {
			case <-l.stall:
				l.once = true
				<-l.resume
			default:
			}
		}
		head, err := l.next()
		switch {
		case err == nil:
			err = l.take(head)
		case l.slow && l.once && l.joins == 1 && ctx.Err() == nil:
			l.conn.Close()
			err = l.connect(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func (l *reader) finish() error {
	if err := l.conn.WriteJSON(map[string]string{"type": "ping"}); err != nil {
		return err
	}
	head, err := l.next()
	if err == nil && !bytes.HasPrefix(head, []byte(`{"type":"pong"`)) {
		err = fmt.Errorf("after the last message: %s", head)
	}
	if err == nil && l.caught != l.joins {
		err = fmt.Errorf("%d CaughtUp in %d subscriptions", l.caught, l.joins)
	}
	return err
}

var errForeign = errors.New("not understood")

// take checks that a message is the next one.
func (l *reader) take(head []byte) error {
	if !bytes.HasPrefix(head, []byte(`{"id":"1","type":"next"`)) {
		return fmt.Errorf("%w: %s", errForeign, head)
	}
	_, rest, ok := bytes.Cut(head, []byte(`"cursor":"`))
	cursor, rest, ok2 := bytes.Cut(rest, []byte(`"`))
	if !ok || !ok2 {
		return fmt.Errorf("%w: %s", errForeign, head)
	}
	l.cursor = string(cursor)
	_, rest, ok = bytes.Cut(rest, []byte(`"seq":`))
	if !ok {
		if !bytes.Contains(head, []byte(`"CaughtUp"`)) {
			return fmt.Errorf("%w: %s", errForeign, head)
		}
		l.caught++
		return nil
	}
	number, rest, _ := bytes.Cut(rest, []byte(`,"body":"`))
	seq, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || seq != l.seq+1 {
		return fmt.Errorf("message %s after %d: %w", number, l.seq, errors.Join(err, errForeign))
	}
	l.seq = seq
	l.at.Store(seq)
	if !l.slow {
		number, _, _ = bytes.Cut(rest, []byte(" "))
		nanos, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return err
		}
		if nanos > 0 { // not the last one, which is not of the stream
			now := time.Since(l.begun)
			l.latency[l.phase.Load()].add(now, now-time.Duration(nanos))
		}
	}
	return nil
}

// histogram counts durations of 50 µs to some minutes, to 2 %.
type histogram struct{ counts [800]atomic.Int64 }

const (
	shortest = 50 * time.Microsecond
	growth   = 1.02
)

func (h *histogram) add(d time.Duration) {
	i := int(math.Log(float64(max(d, shortest))/float64(shortest)) / math.Log(growth))
	h.counts[min(i, len(h.counts)-1)].Add(1)
}

func (h *histogram) count() (n int64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q * float64(h.count()))
	for i := range h.counts {
		if rest -= h.counts[i].Load(); rest < 0 {
			return time.Duration(float64(shortest) * math.Pow(growth, float64(i+1))).Round(10 * time.Microsecond)
		}
	}
	return 0
}

// latencies are those of a phase, as a whole and second by second.
type latencies struct {
	histogram
	seconds [1 << 8]histogram
}

func (l *latencies) add(at, d time.Duration) {
	l.histogram.add(d)
	l.seconds[int(at/time.Second)%len(l.seconds)].add(d)
}

// typical is the median of the seconds' p99: what else the machine did for a few of them does not count.
func (l *latencies) typical() time.Duration {
	var each []time.Duration
	for i := range l.seconds {
		if l.seconds[i].count() > 0 {
			each = append(each, l.seconds[i].quantile(0.99))
		}
	}
	if len(each) == 0 {
		return 0
	}
	slices.Sort(each)
	return each[len(each)/2]
}

func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// liveHeap is what the collector cannot free.
func liveHeap() uint64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// residentMemory is what the process holds of the machine's memory; 0 where the system does not tell.
func residentMemory() uint64 {
	b, _ := os.ReadFile("/proc/self/statm")
	var size, resident uint64
	_, _ = fmt.Sscan(string(b), &size, &resident)
	return resident * uint64(os.Getpagesize())
}

func mib(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
