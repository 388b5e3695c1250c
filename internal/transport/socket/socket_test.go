package socket_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/transport/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type handler struct{ closed chan struct{} }

func (*handler) Input([]byte)             {}
func (*handler) Tick(time.Time) time.Time { return time.Time{} }
func (h *handler) Closed()                { close(h.closed) }

type owner struct{}

func (owner) Behind(int64, bool) {}
func (owner) Ended()             {}

// plain writes payloads as they are. Its first message waits, and the shard with it.
type plain struct{ entered, release chan struct{} }

func (p plain) Next(b []byte, _ string, payload []byte) []byte {
	if p.entered != nil && string(payload) == "wait" {
		close(p.entered)
		<-p.release
		return b
	}
	return append(b, payload...)
}
func (plain) Error(b []byte, _ string, errs []byte) []byte { return append(b, errs...) }
func (plain) Complete(b []byte, _ string) []byte           { return append(b, "complete"...) }

func newStream(s *socket.Socket, id string, f socket.Framing, o socket.Owner) *socket.Stream {
	st := &socket.Stream{}
	st.Init(s, id, f, o)
	return st
}

func start(t *testing.T, cfg socket.Config) *socket.Engine {
	t.Helper()
	cfg.Shards, cfg.Tick, cfg.Linger = 1, 10*time.Millisecond, 100*time.Millisecond
	e := socket.New(cfg)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

// pair is a real connection.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	theirs, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.SetDeadline(time.Now().Add(10 * time.Second))
	return ours, theirs
}

// open makes a socket of a connection, and returns its other end.
func open(t *testing.T, e *socket.Engine) (*socket.Socket, *handler, net.Conn) {
	t.Helper()
	ours, theirs := pair(t)
	s, h := &socket.Socket{}, &handler{make(chan struct{})}
	s.Init(e, ours)
	if !s.Open(h) {
		t.Fatal("not open")
	}
	return s, h, theirs
}

// A revocation that finds a close still queued takes its place: the socket closes, and says why.
func TestRevokeOvertakesClose(t *testing.T) {
	t.Parallel()
	s, h, peer := open(t, start(t, socket.Config{}))
	f := plain{make(chan struct{}), make(chan struct{})}
	newStream(s, "", f, owner{}).Reply([]byte("wait"))
	<-f.entered
	s.Send([]byte("queued"))
	s.Close([]byte("closed"))
	s.Revoke([]byte("revoked"))
	close(f.release)
	got, err := io.ReadAll(peer)
	if err != nil || string(got) != "revoked" {
		t.Fatalf("%q %v", got, err)
	}
	<-h.closed
}

// One answer may be larger than what may be queued: a peer that reads gets it, whatever is said meanwhile.
func TestLargeReply(t *testing.T) {
	t.Parallel()
	s, _, peer := open(t, start(t, socket.Config{MaxQueued: 1 << 10}))
	large := bytes.Repeat([]byte("x"), 8<<20)
	want := len(large) + len("complete") + len("ping")
	st := newStream(s, "", plain{}, owner{})
	st.Reply(large)
	st.Complete()
	s.Send([]byte("ping"))
	got := make([]byte, want)
	if n, err := io.ReadFull(peer, got); err != nil {
		t.Fatalf("%d of %d bytes: %v", n, want, err)
	}
}

// Nor is one cut off who is slow to read several, and is pinged meanwhile.
func TestLargeReplies(t *testing.T) {
	t.Parallel()
	e := start(t, socket.Config{MaxQueued: 8 << 20})
	s, _, peer := open(t, e)
	f := plain{make(chan struct{}), make(chan struct{})}
	newStream(s, "", f, owner{}).Reply([]byte("wait"))
	<-f.entered
	want := len("ping")
	for _, size := range []int{16 << 20, 15 << 20, 17 << 20} { // the first two are each more than the kernel takes
		st := newStream(s, "", plain{}, owner{})
		st.Reply(make([]byte, size))
		st.Complete()
		want += size + len("complete")
	}
	close(f.release)
	parked := func(writes int64) {
		t.Helper()
		eventually(t, "parked", func() bool { st := e.Stats(); return st.Writes == writes && st.Parked == 1 })
	}
	parked(2)
	first := 16 << 20
	if _, err := io.ReadFull(peer, make([]byte, first)); err != nil {
		t.Fatal(err)
	}
	parked(3)
	s.Send([]byte("ping"))
	if n, err := io.ReadFull(peer, make([]byte, want-first)); err != nil {
		t.Fatalf("%d of %d bytes: %v", first+n, want, err)
	}
}

// A message that is queued again because its socket was full is counted once.
func TestDeliveriesOfSlowReader(t *testing.T) {
	t.Parallel()
	for _, noPoll := range []bool{false, true} {
		e := start(t, socket.Config{MaxQueued: 64 << 20, NoPoll: noPoll})
		s, h, peer := open(t, e)
		st := newStream(s, "", plain{}, owner{})
		st.Hold()
		st.Catch(socket.Chunk{Final: true})
		if c, ok := peer.(*net.TCPConn); ok { // the kernel takes little, and few messages are enough
			if err := c.SetReadBuffer(16 << 10); err != nil {
				t.Fatal(err)
			}
		}
		messages, size := 100, 64<<10
		if noPoll { // some messages at a time, whatever the kernel takes
			messages, size = 1000, 1<<10
		}
		for i := range messages {
			st.Push(&socket.Frame{Pos: int64(i) + 1, Payload: make([]byte, size)})
		}
		e.Ring()
		eventually(t, "parked", func() bool { return e.Stats().Parked == 1 })
		if n, err := io.ReadFull(peer, make([]byte, messages*size)); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		s.Close(nil)
		<-h.closed
		if n := e.Stats().Deliveries; n != int64(messages) {
			t.Errorf("noPoll %t: %d deliveries of %d messages", noPoll, n, messages)
		}
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("never: " + what)
}

// Who asks and does not read the answers is cut off.
func TestReplyFlood(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]func(*socket.Socket){
		"answers": func(s *socket.Socket) {
			st := newStream(s, "", plain{}, owner{})
			st.Reply(make([]byte, 1<<20))
			st.Complete()
		},
		"pongs": func(s *socket.Socket) { s.Send(make([]byte, 1<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h, _ := open(t, start(t, socket.Config{MaxQueued: 1 << 10}))
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
				flood(s)
				select {
				case <-h.closed:
					return
				default:
				}
			}
			t.Error("still open")
		})
	}
}

// One who leaves before being let in is not taken for another who is there.
func TestDropBeforeAdd(t *testing.T) {
	t.Parallel()
	e := start(t, socket.Config{})
	s, _, peer := open(t, e)
	room, stays, leaves := e.NewRoom(), newStream(s, "", plain{}, owner{}), newStream(s, "", plain{}, owner{})
	stays.Hold()
	stays.Catch(socket.Chunk{Final: true})
	room.Add(stays)
	leaves.Cancel()
	room.Drop(leaves)
	e.Push(room, &socket.Frame{Pos: 1, Payload: []byte("event")})
	room.Add(leaves)
	e.Ring()
	got := make([]byte, len("event"))
	if n, err := io.ReadFull(peer, got); err != nil {
		t.Fatalf("%q %v", got[:n], err)
	}
}

// asking is an owner that tells what it is asked for, and whether the greeting was sent.
type asking struct{ asked chan string }

func (o asking) Behind(last int64, greeted bool) { o.asked <- fmt.Sprint(last, " ", greeted) }
func (asking) Ended()                            {}

// cancels is an owner that lets go of its stream when that ends.
type cancels struct {
	owner
	*socket.Stream
}

func (o *cancels) Ended() { o.Cancel() }

// What is withdrawn is not sent: neither what is queued nor what the owner is about to deliver, which follows on it. The
// owner is asked for it anew; what others have queued on the same socket stays, and ends that were told are told once.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	for _, behind := range []bool{false, true} {
		e := start(t, socket.Config{MaxQueued: 64 << 20})
		s, _, peer := open(t, e)
		must := func(o asking, want string) {
			t.Helper()
			select {
			case got := <-o.asked:
				if got != want {
					t.Errorf("asked for what follows %s, want %s", got, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("not asked for what follows %s", want)
			}
		}
		f := plain{make(chan struct{}), make(chan struct{})}
		newStream(s, "", f, owner{}).Reply([]byte("wait"))
		<-f.entered
		over := &cancels{}
		full := newStream(s, "", plain{}, over)
		over.Stream = full
		full.Reply(make([]byte, 16<<20))
		full.Reply([]byte("<second>"))
		full.Complete()
		close(f.release) // all of it is one write, which is more than the kernel takes
		o := asking{make(chan string, 2)}
		mine, other := newStream(s, "", plain{}, o), newStream(s, "", plain{}, owner{})
		text := func(p int64, b string) *socket.Frame { return &socket.Frame{Pos: p, Payload: []byte(b)} }
		for _, st := range []*socket.Stream{mine, other} {
			st.Hold()
			st.Catch(socket.Chunk{Frames: []*socket.Frame{text(3, "<three>")}, Through: 4, Final: true, Greeting: text(0, "<hello>")})
			st.Push(text(5, "<five>"))
		}
		if behind {
			mine.Retreat() // its owner is at it
			e.Ring()
			must(o, "5 true")
		}
		mine.Withdraw()
		if behind {
			mine.Catch(socket.Chunk{Frames: []*socket.Frame{text(6, "<what follows on five>")}, Through: 6})
			must(o, "2 false")
		}
		mine.Push(text(7, "<passes by>"))
		e.Ring()
		got := make([]byte, 16<<20+len("<second>complete"))
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.HasSuffix(got, []byte("<second>complete")) {
			t.Fatalf("%q %v", got[16<<20:], err)
		}
		if !behind { // when the socket has drained
			must(o, "2 false")
		}
		mine.Catch(socket.Chunk{Frames: []*socket.Frame{text(3, "<three again>")}, Through: 7, Greeting: text(0, "<hello again>"), End: true})
		s.Close([]byte("bye"))
		rest, err := io.ReadAll(peer)
		if want := "<three><hello><five><three again><hello again>completebye"; err != nil || string(rest) != want {
			t.Errorf("behind %t: %q %v, want %q", behind, rest, err, want)
		}
	}
}
