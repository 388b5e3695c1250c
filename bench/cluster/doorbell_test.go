package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/parley-chat/parley/bench/cluster"
)

const patience = 20 * time.Second

// between starts a NATS server, a publisher on it and a subscriber who reaches it through a proxy of doorbells.
func between(t *testing.T) (d *cluster.Doorbells, publish func(subject, data string), heard chan *nats.Msg, through *nats.Conn) {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	if d, err = cluster.ListenDoorbells("127.0.0.1:0", s.Addr().String(), "the.log", rand.New(rand.NewPCG(1, 2))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	connect := func(addr string) *nats.Conn {
		c, err := nats.Connect("nats://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	direct, through := connect(s.Addr().String()), connect(d.Addr())
	heard = make(chan *nats.Msg, 10000)
	for _, c := range []*nats.Conn{direct, through} {
		if _, err := c.ChanSubscribe("answer", heard); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := through.ChanSubscribe("the.>", heard); err != nil {
		t.Fatal(err)
	}
	if err := through.Flush(); err != nil {
		t.Fatal(err)
	}
	return d, func(subject, data string) {
		if err := direct.Publish(subject, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}, heard, through
}

// numbers publishes 0 … n-1 on the subject and returns what is heard of it: at least so many, until the last word, which
// comes on another.
func numbers(t *testing.T, n, least int, publish func(subject, data string), heard chan *nats.Msg) (got []string) {
	t.Helper()
	for i := range n {
		publish("the.log", fmt.Sprint(i))
	}
	for ended := false; ; {
		if len(got) >= least && !ended {
			ended = true
			publish("the.end", "")
		}
		select {
		case m := <-heard:
			if m.Subject == "the.end" {
				return got
			}
			got = append(got, string(m.Data))
		case <-time.After(patience):
			t.Fatal("the last word does not come")
		}
	}
}

func wanted(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// What is honest passes: in both directions, of any size, and with lines of the protocol within.
func TestDoorbellsHonest(t *testing.T) {
	t.Parallel()
	d, publish, heard, through := between(t)
	if got := numbers(t, 100, 100, publish, heard); !slices.Equal(got, wanted(100)) {
		t.Errorf("heard %v", got)
	}
	large := "MSG the.log 1 5\r\n" + string(make([]byte, 200<<10))
	publish("the.log", large)
	if m := <-heard; string(m.Data) != large {
		t.Errorf("a large one came as %d bytes", len(m.Data))
	}
	if err := through.PublishMsg(&nats.Msg{Subject: "the.log", Header: nats.Header{"A": {"b"}}, Data: []byte("headed")}); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; string(m.Data) != "headed" || m.Header.Get("A") != "b" {
		t.Errorf("heard %q with %v", m.Data, m.Header)
	}
	if c := d.Counts(); c != (cluster.Counts{Passed: 103}) { // the last of them twice: out and back
		t.Errorf("%+v", c)
	}
}

// Each kind of mischief happens to the subject alone, in both directions, and ends when it is told to.
func TestDoorbellsMischief(t *testing.T) {
	t.Parallel()
	const n = 200
	for name, c := range map[string]struct {
		mischief cluster.Mischief
		least    int
		wrong    func(got []string, c cluster.Counts) bool
	}{
		"drop":    {cluster.Mischief{Drop: 1}, 0, func(got []string, c cluster.Counts) bool { return len(got) > 0 || c.Dropped != n }},
		"double":  {cluster.Mischief{Double: 1}, 2 * n, func(got []string, c cluster.Counts) bool { return len(got) != 2*n || c.Doubled != n }},
		"reorder": {cluster.Mischief{Reorder: 0.5}, n / 4, func(got []string, c cluster.Counts) bool { return misplaced(got) == 0 || c.Reordered == 0 }},
		"delay": {cluster.Mischief{Delay: 0.5, Late: 50 * time.Millisecond}, n, func(got []string, c cluster.Counts) bool {
			return misplaced(got) == 0 || len(got) != n || c.Delayed == 0 || c.Passed == 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, publish, heard, through := between(t)
			d.Set(c.mischief)
			if got := numbers(t, n, c.least, publish, heard); c.wrong(got, d.Counts()) {
				t.Errorf("heard %d, %d of them misplaced: %+v", len(got), misplaced(got), d.Counts())
			}
			before := d.Counts()
			d.Set(cluster.Mischief{})
			if err := through.Publish("the.log", []byte("honest again")); err != nil {
				t.Fatal(err)
			}
			for m := range heard {
				if string(m.Data) == "honest again" {
					break
				}
			}
			if got := d.Counts().Passed - before.Passed; got != 2 {
				t.Errorf("%d passed, want one each way", got)
			}
		})
	}
}

// misplaced counts those that come after a later one.
func misplaced(got []string) (n int) {
	last := 0
	for _, s := range got {
		var i int
		_, _ = fmt.Sscan(s, &i)
		if i < last {
			n++
		}
		last = max(last, i)
	}
	return n
}
