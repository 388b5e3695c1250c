package natsbus_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/testkit"
)

// mustServers starts three servers that hold their streams together. restart ends one and starts it again.
func mustServers(t *testing.T) (servers []*natsserver.Server, url string, restart func(i int)) {
	t.Helper()
	options := make([]*natsserver.Options, 3)
	var routes, urls []string
	for i := range options {
		var ports [2]int
		for j := range ports {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ports[j] = l.Addr().(*net.TCPAddr).Port
			defer l.Close()
		}
		options[i] = &natsserver.Options{ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: ports[0], NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
			Cluster: natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[1]}}
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[1]))
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[0]))
	}
	servers = make([]*natsserver.Server, 3)
	start := func(i int) {
		o := options[i].Clone()
		o.Routes = natsserver.RoutesFromStr(strings.Join(routes, ","))
		s, err := natsserver.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		servers[i] = s
		s.Start()
	}
	t.Cleanup(func() {
		for _, s := range servers {
			s.Shutdown()
			s.WaitForShutdown()
		}
	})
	return servers, strings.Join(urls, ","), func(i int) {
		if s := servers[i]; s != nil {
			s.Shutdown()
			s.WaitForShutdown()
		}
		start(i)
	}
}

// Where three servers hold the stream together, one after the other ends, the leader of the stream among them.
func TestExportToReplicas(t *testing.T) {
	t.Parallel()
	servers, url, restart := mustServers(t)
	for i := range servers {
		restart(i)
	}
	js, l := testkit.MustReachJetStream(t, url), newLog()
	var s jetstream.Stream
	eventually(t, "there is a stream", func() (ok bool) {
		var err error
		s, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{subject + ".>"}, Duplicates: 100 * time.Millisecond, Replicas: 3})
		return err == nil
	})
	var exporters []*natsbus.Exporter
	for range 3 {
		exporters = append(exporters, mustExport(t, url, held{l, func(int, int) {
			if rand.IntN(8) == 0 {
				time.Sleep(rand.N(100 * time.Millisecond))
			}
		}}, 10*time.Millisecond))
	}
	quit, adding := make(chan struct{}), sync.WaitGroup{}
	adding.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(rand.N(4 * time.Millisecond)):
				l.add(1 + rand.IntN(10))
			}
		}
	})
	for range 3 {
		seen := last(js)
		eventually(t, "it goes on", func() bool { return last(js) > seen+300 })
		var leader string
		eventually(t, "there is a leader", func() bool {
			info, err := s.Info(t.Context())
			if err == nil {
				leader = info.Cluster.Leader
			}
			return leader != ""
		})
		restart(int(leader[1] - '0'))
	}
	close(quit)
	adding.Wait()
	mustHold(t, js, l)
	var exported []int64
	for _, x := range exporters {
		exported = append(exported, x.Stats().Exported)
	}
	t.Logf("%d events, by %v", l.Applied(), exported)
}
