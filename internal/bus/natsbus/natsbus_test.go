package natsbus_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ bus.Bus = (*natsbus.Bus)(nil)

const patience = 10 * time.Second

type node struct {
	*natsbus.Bus
	heard     chan string
	connected chan struct{}
}

func mustOpen(t *testing.T, url, cluster string) *node {
	t.Helper()
	return mustStart(t, natsbus.Config{URL: url, Cluster: cluster})
}

func mustStart(t *testing.T, c natsbus.Config) *node {
	t.Helper()
	b, err := natsbus.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{b, make(chan string, 100), make(chan struct{}, 100)}
	b.Subscribe(bus.Log, func(data []byte) { n.heard <- string(data) })
	b.OnConnect(func() { n.connected <- struct{}{} })
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return n
}

func (n *node) waits(t *testing.T) {
	t.Helper()
	select {
	case <-n.connected:
	case <-time.After(patience):
		t.Fatal("not connected")
	}
}

func (n *node) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-n.heard:
		if got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("does not hear %q", want)
	}
}

// meet waits until what one says is heard by the other: a subscription takes a moment to reach the server.
func meet(t *testing.T, from, to *node) {
	t.Helper()
	from.waits(t)
	to.waits(t)
	for i := 0; ; i++ {
		hello := fmt.Sprint("hello ", i)
		from.Publish(bus.Log, []byte(hello))
		select {
		case got := <-to.heard:
			for got != hello {
				got = <-to.heard
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		if i > 500 {
			t.Fatal("they do not meet")
		}
	}
}

// Others of the cluster hear it, in order; the sender and other clusters do not.
func TestPublish(t *testing.T) {
	t.Parallel()
	server := testkit.MustNATS(t)
	one, two, other := mustOpen(t, server.URL(), "a"), mustOpen(t, server.URL(), "a"), mustOpen(t, server.URL(), "b")
	other.waits(t)
	meet(t, one, two)
	data := []byte("0")
	for i := range 10 {
		data[0] = '0' + byte(i)
		one.Publish(bus.Log, data) // it may be changed at once
	}
	for i := range 10 {
		two.hears(t, fmt.Sprint(i))
	}
	two.Publish(bus.Log, []byte("back"))
	one.hears(t, "back") // and nothing of its own before
	if len(other.heard) > 0 {
		t.Errorf("another cluster hears %q", <-other.heard)
	}
	if s := one.Stats(); s.Out < 10 || s.In != 1 || s.Dropped != 0 || !one.Connected() {
		t.Errorf("%+v", s)
	}
	two.Stop()
	two.Stop()
	two.Publish(bus.Log, []byte("late"))
	if two.Connected() || two.Stats().Dropped != 1 {
		t.Errorf("%+v after the end", two.Stats())
	}
}

// Without a server nothing fails, nothing is kept, and it heals by itself.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := testkit.MustNATS(t)
	server.Stop()
	one, two := mustOpen(t, server.URL(), "a"), mustOpen(t, server.URL(), "a")
	for round := range 3 {
		if one.Connected() {
			t.Fatal("to whom?")
		}
		before := one.Stats()
		begin := time.Now()
		for range 1000 {
			one.Publish(bus.Log, []byte("lost"))
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("publishing nothing took %v", took)
		}
		if s := one.Stats(); s.Dropped != before.Dropped+1000 {
			t.Errorf("round %d: %+v", round, s)
		}
		server.Start()
		meet(t, one, two)
		one.Publish(bus.Log, []byte("found"))
		two.hears(t, "found")
		server.Stop()
		for end := time.Now().Add(patience); one.Connected() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
}

// A server that has stopped reading blocks nobody, and what waits for it is bounded.
func TestStalledServer(t *testing.T) { // before the others: it looks at the clock
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	quit := make(chan struct{})
	defer close(quit)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 4096)
				_, _ = c.Write([]byte(`INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}` + "\r\n"))
				_, _ = c.Read(b) // CONNECT, PING
				_, _ = c.Write([]byte("PONG\r\n"))
				<-quit
			}()
		}
	}()
	n := mustOpen(t, "nats://"+l.Addr().String(), "a")
	n.waits(t)
	data := make([]byte, 256<<10)
	begin := time.Now()
	for range 500 {
		n.Publish(bus.Log, data)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("publishing took %v", took)
	}
	if n.Stats().Dropped < 300 {
		t.Errorf("%+v: who keeps 125 MB?", n.Stats())
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		c    natsbus.Config
		want string
	}{
		{natsbus.Config{URL: "localhost:4222"}, "nats://host:4222"},
		{natsbus.Config{URL: "nats://a,http://user:topsecret@b"}, "nats://host:4222"},
		{natsbus.Config{URL: "nats://a,"}, "nats://host:4222"},
		{natsbus.Config{URL: "nats://a", Cluster: "a.b"}, `"a.b"`},
		{natsbus.Config{URL: "nats://a", Cluster: ">"}, `">"`},
		{natsbus.Config{URL: "nats://a", Creds: "/no/such"}, "/no/such"},
		{natsbus.Config{URL: "nats://a", Creds: empty}, empty},
		{natsbus.Config{URL: "nats://a", CA: "/no/such"}, "/no/such"},
		{natsbus.Config{URL: "nats://a", CA: empty}, empty},
		{natsbus.Config{URL: "nats://a", Cert: "/no/cert", Key: "/no/key"}, "/no/cert"},
	} {
		if tt.c.Cluster == "" {
			tt.c.Cluster = "parley"
		}
		if _, err := natsbus.Open(tt.c); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%+v: %v", tt.c, err)
		}
	}
	b, err := natsbus.Open(natsbus.Config{URL: "nats://user:password@a:4222, tls://b", Cluster: "parley"})
	if err != nil {
		t.Fatal(err)
	}
	b.Stop() // without Start
}
