package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parley-chat/parley/bench/cluster"
)

// bench is one run of this program.
type bench struct {
	quick   bool
	pairs   int
	peers   map[string]bool
	only    string // names of peers, separated by commas; empty: all
	dir     string // of what is built, and of data folders
	root    string // of the main module
	pg      *cluster.Postgres
	w       *world
	dbs     int
	table   table
	skipped []string
	into    string // a file that the table goes into; empty: none
}

const (
	many = 10000
	few  = 1000
)

// sizes are the members of the rooms.
var sizes = []int{many, few, 100, 1}

func (b *bench) parley(ctx context.Context, w *world, members []int) (*server, string, error) {
	b.dbs++
	db := fmt.Sprintf("parley%d", b.dbs)
	if err := b.pg.Exec("postgres", "CREATE DATABASE "+db); err != nil {
		return nil, "", err
	}
	env := []string{"PARLEY_SECRET=" + secret, "DATABASE_URL=" + b.pg.URL(db)}
	if err := run(env, b.dir, filepath.Join(b.dir, "parley"), "migrate", "up"); err != nil {
		return nil, "", err
	}
	if err := w.seed(ctx, b.pg.URL(db), members); err != nil {
		return nil, "", err
	}
	s, err := b.open(db)
	return s, db, err
}

// open starts Parley on a database that is there.
func (b *bench) open(db string) (*server, error) {
	env := []string{"PARLEY_SECRET=" + secret, "DATABASE_URL=" + b.pg.URL(db)}
	s, err := start("Parley", env, filepath.Join(b.dir, "parley"), "serve", "--addr", "{addr}", "--data", b.dir+"/data", "--log-level", "error",
		"--sockets-per-addr", "100000", "--sockets-per-user", "1000", "--sends-per-second", "1000000")
	if err == nil {
		s.proto, s.kind = graphQL, byMutation
	}
	return s, err
}

// servers starts Parley and the peers that were asked for.
func (b *bench) servers(ctx context.Context, but ...string) (all []*server, err error) {
	defer func() {
		if err != nil {
			stop(all)
		}
	}()
	add := func(name string, p proto, k sending, env []string, program string, args ...string) {
		if slices.Contains(but, name) {
			return
		}
		if err != nil || !b.wants(name) {
			return
		}
		var s *server
		if s, err = start(name, env, program, args...); err == nil {
			s.proto, s.kind = p, k
			all = append(all, s)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	add(bareName, plain, byPost, nil, self, "peer", "bare", "{addr}")
	if err == nil {
		var s *server
		if s, _, err = b.parley(ctx, b.w, sizes); err == nil {
			all = append(all, s)
		}
	}
	add("gorilla loop", plain, byPost, nil, self, "peer", "gorilla", "{addr}")
	add("gqlgen", graphQL, byMutation, []string{"BENCH_KEY=" + hex.EncodeToString(accessKey())}, filepath.Join(b.dir, "gqlgenpeer"), "--addr", "{addr}")
	node := []string{"BENCH_KEY=" + hex.EncodeToString(accessKey()), "NODE_ENV=production"}
	add("Socket.IO", socketIO, byPost, node, "node", filepath.Join(b.root, "bench/node/socketio.mjs"), "{addr}")
	add("Apollo", graphQL, byPost, node, "node", filepath.Join(b.root, "bench/node/apollo.mjs"), "{addr}")
	return all, err
}

func (b *bench) wants(peer string) bool {
	return peer == bareName || b.peers[peer] && (b.only == "" || slices.Contains(strings.Split(b.only, ","), peer))
}

const bareName = "bare write"

func stop(all []*server) {
	for _, s := range all {
		s.stop()
	}
}

// fanOut measures the server's CPU for each delivery, as a ratio to the bare write's in the same round.
func (b *bench) fanOut(ctx context.Context, name string, room, sockets int, t traffic, rounds int, but ...string) error {
	all, err := b.servers(ctx, but...)
	if err != nil {
		return err
	}
	defer stop(all)
	costs := map[string][]float64{}
	for round := range rounds {
		var bare float64
		for i := range all {
			s := all[i]
			if i > 0 { // the order of the others turns
				s = all[1+(i-1+round)%(len(all)-1)]
			}
			m, err := b.deliver(s, room, sockets, t)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, s.name, err)
			}
			if s.name == bareName {
				bare = m.cost
			}
			costs[s.name] = append(costs[s.name], m.cost/bare)
			fmt.Printf("  %-14s %8.2f µs a delivery  ratio %5.2f  %8.0f deliveries/s  p50 %v  p99 %v  generator %2.0f %%%s\n", s.name,
				m.cost, m.cost/bare, m.rate, m.p50.Round(100*time.Microsecond), m.p99.Round(100*time.Microsecond), 100*m.busy, m.remark())
		}
	}
	for n, v := range costs {
		b.table.add(name, n, v, "%.2f")
	}
	return nil
}

type measured struct {
	cost     float64 // µs of the server's CPU for each delivery
	rate     float64
	p50, p99 time.Duration
	busy     float64 // share of a core that the generator used
}

func (m measured) remark() string {
	if m.busy > 0.9 {
		return "  THE GENERATOR IS THE BOTTLENECK"
	}
	return ""
}

func (b *bench) deliver(s *server, room, sockets int, t traffic) (m measured, err error) {
	l, err := newLoad(s, b.w.token, b.w.room(room))
	if err != nil {
		return m, err
	}
	defer l.close()
	if err := l.connect(sockets, 128, time.Minute); err != nil {
		return m, err
	}
	l.run()
	defer func() {
		if l.done != nil {
			_ = l.halt()
		}
	}()
	// A client that was connected may not have been heard by every server yet: an event says so, and warms up.
	warm := t
	warm.for_ = 300 * time.Millisecond
	if _, err := warm.publish(s, l, b.w.token); err != nil {
		return m, err
	}
	if err := settle(l); err != nil {
		return m, err
	}
	if err := l.halt(); err != nil {
		return m, err
	}
	l.measuring.Store(true)
	before, cpu, began := l.delivered.Load(), s.cpu(), time.Now()
	l.run()
	n, err := t.publish(s, l, b.w.token)
	if err != nil {
		return m, err
	}
	for until := time.Now().Add(20 * time.Second); l.delivered.Load()-before < n*int64(sockets) && time.Now().Before(until); {
		time.Sleep(200 * time.Microsecond)
	}
	took := time.Since(began)
	cpu = s.cpu() - cpu
	err = l.halt()
	got := l.delivered.Load() - before
	if err == nil && got != n*int64(sockets) {
		err = fmt.Errorf("%d of %d deliveries arrived", got, n*int64(sockets))
	}
	l.done = nil
	m.cost = float64(cpu.Microseconds()) / float64(got)
	m.rate = float64(got) / took.Seconds()
	m.p50, m.p99 = quantile(l.latencies, 0.5), quantile(l.latencies, 0.99)
	m.busy = l.busy.Seconds() / took.Seconds()
	return m, err
}

// settle waits until nothing comes any more.
func settle(l *load) error {
	last, since := l.delivered.Load(), time.Now()
	for until := time.Now().Add(20 * time.Second); time.Since(since) < 300*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		if n := l.delivered.Load(); n != last {
			last, since = n, time.Now()
		}
		if time.Now().After(until) {
			return fmt.Errorf("the deliveries do not end")
		}
	}
	return nil
}

// connects measures how many clients a second get from nothing to a subscription that works.
func (b *bench) connects(ctx context.Context, name string, n, rounds int) error {
	all, err := b.servers(ctx, bareName, "gorilla loop")
	if err != nil {
		return err
	}
	defer stop(all)
	for range rounds {
		for _, s := range all {
			for _, other := range all { // what closed a moment ago is not measured here
				other.quiet()
			}
			cpu := s.cpu()
			rate, busy, err := b.connect(s, n)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, s.name, err)
			}
			fmt.Printf("  %-14s %6.0f a second  %4.0f µs of CPU each  generator %2.0f %%%s\n", s.name, rate, float64((s.cpu()-cpu).Microseconds())/float64(n),
				100*busy, measured{busy: busy}.remark())
			b.table.add(name, s.name, []float64{rate}, "%.0f")
		}
	}
	return nil
}

func (b *bench) connect(s *server, n int) (rate, busy float64, err error) {
	l, err := newLoad(s, b.w.token, b.w.room(0))
	if err != nil {
		return 0, 0, err
	}
	defer l.close()
	lock := lockThread()
	began, cpu := time.Now(), threadCPU()
	err = l.connect(n, 128, time.Minute)
	took := time.Since(began)
	busy = (threadCPU() - cpu).Seconds() / took.Seconds()
	lock()
	if err != nil {
		return 0, 0, err
	}
	// Everybody hears of one event: the subscriptions were there.
	l.run()
	_, err = traffic{publishers: 1, window: 1, for_: time.Millisecond}.publish(s, l, b.w.token)
	if err == nil {
		err = settle(l)
	}
	if e := l.halt(); err == nil {
		err = e
	}
	if err == nil && l.delivered.Load()%int64(n) != 0 || l.delivered.Load() == 0 {
		err = fmt.Errorf("%d clients got %d deliveries", n, l.delivered.Load())
	}
	return float64(n) / took.Seconds(), busy, err
}

// memory measures what an idle subscribed socket of a user of its own holds, when the collector has come by.
func (b *bench) memory(ctx context.Context, name string, n int, rest time.Duration) error {
	all, err := b.servers(ctx, bareName)
	if err != nil {
		return err
	}
	defer stop(all)
	var loads []*load
	before := map[string]int64{}
	defer func() {
		for _, l := range loads {
			_ = l.halt()
			l.close()
		}
	}()
	if most, err := mostFiles(); err != nil {
		return err
	} else if n > (most-500)/len(all) {
		n = (most - 500) / len(all)
	}
	fmt.Printf("  %d sockets a server\n", n)
	for _, s := range all {
		if _, _, err := b.connect(s, 100); err != nil { // what is made once is made
			return err
		}
		time.Sleep(200 * time.Millisecond)
		before[s.name] = s.resident()
		l, err := newLoad(s, b.w.token, b.w.room(0))
		if err != nil {
			return err
		}
		err = l.connect(n, 32, time.Minute)
		l.run()
		loads = append(loads, l)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, s.name, err)
		}
	}
	time.Sleep(rest)
	for i, s := range all {
		if loads[i].failed != nil {
			return fmt.Errorf("%s, %s: %w", name, s.name, loads[i].failed)
		}
		each := float64(s.resident()-before[s.name]) / float64(n)
		fmt.Printf("  %-14s %6.0f bytes a socket\n", s.name, each)
		b.table.add(name, s.name, []float64{each}, "%.0f")
	}
	return nil
}
