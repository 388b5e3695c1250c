// Command load is the clients of the chaos run: senders over HTTP, subscribers over WebSocket and Server-Sent Events, and
// people who are removed, race each other and sign out. It writes what it did and saw to a history file and judges nothing.
//
//	load -nodes http://127.0.0.1:8081,http://127.0.0.1:8082,… -out load.jsonl [-seed 1] [-quick] [-duration 10m]
//	     [-users 1000] [-subscribers 1000] [-senders 300] [-rooms 100] [-room-size 10] [-rate 60] [-settle 60s] [-quiet 10s]
//
// It signs everybody up, makes friends and groups, connects all subscribers and prints "ready" to stdout. It begins when it
// reads a line on stdin, after -quiet in which nothing happens; it prints "loading" then. After -duration it stops sending
// and prints "settling" (the nemesis is to have healed everything by then), waits up to -settle for everybody to have
// everything, keeps the sockets for another -quiet so that the servers can be measured at rest, prints "done" and ends with
// 0: what it saw is for check to judge. Exit 1: it could not do its work.
//
// The servers need these settings, or it is refused: --access-ttl 2h --sends-per-second 1000 --sign-ins-per-user 1000
// --sign-ins-per-addr 100000 --sockets-per-addr 10000 --sockets-per-user 100.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parley-chat/parley/bench/chaos/history"
)

type options struct {
	nodes, out                                             string
	seed                                                   uint64
	quick                                                  bool
	duration, settle, quiet                                time.Duration
	users, subscribers, senders, rooms, roomSize           int
	rate, bigShare                                         float64
	removalRate, readRate, friendRate, sessionRate, narrow float64
}

func main() {
	var o options
	flag.StringVar(&o.nodes, "nodes", "", "addresses of the nodes, separated by commas")
	flag.StringVar(&o.out, "out", "load.jsonl", "the history")
	flag.Uint64Var(&o.seed, "seed", 1, "decides who does what, as far as the servers' answers leave it open")
	flag.BoolVar(&o.quick, "quick", false, "tell check that this is a quick run")
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "how long to send")
	flag.DurationVar(&o.settle, "settle", time.Minute, "at most so long until everybody has everything")
	flag.DurationVar(&o.quiet, "quiet", 10*time.Second, "rest before and after")
	flag.IntVar(&o.users, "users", 1000, "people, all of them in the big room")
	flag.IntVar(&o.subscribers, "subscribers", 1000, "who listen all the time")
	flag.IntVar(&o.senders, "senders", 300, "people who send")
	flag.IntVar(&o.rooms, "rooms", 100, "small rooms")
	flag.IntVar(&o.roomSize, "room-size", 10, "members of a small room")
	flag.Float64Var(&o.rate, "rate", 60, "messages a second")
	flag.Float64Var(&o.bigShare, "big-share", 0.03, "part of them that goes to the big room")
	flag.Float64Var(&o.removalRate, "removals", 1.5, "members removed, and had back, a second")
	flag.Float64Var(&o.readRate, "reads", 3, "read marks a second")
	flag.Float64Var(&o.friendRate, "friends", 1, "races about a friend request a second")
	flag.Float64Var(&o.sessionRate, "sessions", 0.5, "sessions begun and revoked a second")
	flag.Float64Var(&o.narrow, "narrow", 0.15, "part of the subscribers that listens to one room only")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to do
	}
}

func run(ctx context.Context, o options) (err error) {
	nodes := strings.Split(o.nodes, ",")
	if o.nodes == "" || o.users < 2 || o.senders < 1 || o.rooms < 1 || o.roomSize < 2 {
		return errors.New("nodes, at least two users, a sender and a room of two are needed")
	}
	w, err := history.Create(o.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	w.Write(history.Record{K: "run", Seed: o.seed, Planned: int(o.rate * o.duration.Seconds()), Users: o.users, Nodes: len(nodes), Quick: o.quick})
	w.Write(history.Record{K: "phase", Name: "setup"})
	p := &play{options: o, c: newAPI(nodes, w)}
	if p.w, err = build(ctx, p.c, o); err != nil {
		return err
	}
	var background sync.WaitGroup
	defer background.Wait()
	defer p.intents.Wait()
	end, stop := context.WithCancel(ctx)
	defer stop()
	background.Go(func() { tick(end, w) })
	p.connect(end, &background)
	if err := p.live(ctx, time.Minute); err != nil {
		return err
	}
	p.c.http.CloseIdleConnections() // they are goroutines of the servers, before as after
	w.Write(history.Record{K: "phase", Name: "quiet"})
	w.Flush()
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return fmt.Errorf("waiting for a line: %w", err)
	}
	sleep(ctx, o.quiet)
	fmt.Println("loading")
	p.load(ctx, end, &background)
	fmt.Println("settling")
	return p.rest(ctx, w)
}

// load is the run's busy part. When it returns nothing is sent any more, but for retries.
func (p *play) load(ctx, end context.Context, background *sync.WaitGroup) {
	p.c.w.Write(history.Record{K: "phase", Name: "load"})
	during, cancel := context.WithTimeout(ctx, p.duration)
	defer cancel()
	var acts sync.WaitGroup
	for _, act := range []func(ctx, hard context.Context){p.sends, p.removals, p.reads, p.friends,
		func(ctx, hard context.Context) { p.sessions(ctx, hard, background, end) }} {
		acts.Go(func() { act(during, end) })
	}
	acts.Wait()
	p.c.w.Write(history.Record{K: "phase", Name: "settle"})
	p.c.w.Flush()
}

// rest waits for what is under way, tells everybody a last message and waits until they have it.
func (p *play) rest(ctx context.Context, w *history.Writer) error {
	settle, cancel := context.WithTimeout(ctx, p.settle)
	defer cancel()
	p.c.calm.Store(true)
	done := make(chan struct{})
	go func() {
		p.intents.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-settle.Done():
	}
	finals, err := p.farewell(settle)
	if err != nil {
		w.Write(history.Record{K: "phase", Name: "unsettled", Text: err.Error()})
	}
	for _, s := range p.subs {
		pos := finals[s.room]
		if s.room == nil {
			pos = finals[p.w.big]
			for _, r := range p.w.of[s.p] {
				pos = max(pos, finals[r])
			}
		}
		w.Write(history.Record{K: "final", Sub: s.n, Pos: pos})
		for s.pos.Load() < pos && settle.Err() == nil {
			sleep(settle, 20*time.Millisecond)
		}
	}
	p.c.http.CloseIdleConnections()
	w.Write(history.Record{K: "phase", Name: "settled"})
	w.Flush()
	sleep(ctx, p.quiet)
	w.Write(history.Record{K: "phase", Name: "end"})
	fmt.Println("done")
	return ctx.Err()
}

// farewell sends the last message of each room and says at which position it is.
func (p *play) farewell(ctx context.Context) (map[*room]int64, error) {
	rooms := append([]*room{p.w.big}, p.w.small...)
	type last struct{ pos int64 }
	lasts, err := each(ctx, len(rooms), 4, func(i int) (last, error) {
		r := random(p.seed, rndSend, -1-i)
		p.restore(ctx, rooms[i], r)
		key := fmt.Sprintf("last%d", i)
		owner := rooms[i].members[0]
		rec := history.Record{Act: "sendMessage", Actor: owner.id, Conv: rooms[i].id, Key: key, Node: p.c.anyNode(r)}
		x, a := p.c.until(ctx, r, rec, owner.token, qSend, map[string]any{"conversationId": rooms[i].id, "body": history.Body(key), "clientKey": key})
		if !a.ok() {
			return last{}, fmt.Errorf("the last message: %s %s", a.code, a.text)
		}
		_, pos, err := history.Cursor(x.Cursor)
		return last{pos}, err
	})
	finals := map[*room]int64{}
	for i, l := range lasts {
		finals[rooms[i]] = l.pos
	}
	return finals, err
}

// connect starts the subscribers, a hundred a second or so: the start is no part of what is tried.
func (p *play) connect(ctx context.Context, background *sync.WaitGroup) {
	for i := range p.subscribers {
		s := p.subscriber(p.w.people[i%p.users], random(p.seed, rndSubscriber, i))
		s.slow = i%10 == 3
		if float64(i%20) >= 20*(1-p.narrow) {
			s.room = p.w.big
			if rooms := p.w.of[s.p]; i%4 != 0 && len(rooms) > 0 {
				s.room = rooms[0]
			}
		}
		s.sse = i%20 == 7 || i%100 == 19
		p.subs = append(p.subs, s)
		background.Go(func() { s.run(ctx) })
		sleep(ctx, 2*time.Millisecond)
	}
}

// live waits until all subscribers have caught up.
func (p *play) live(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for _, s := range p.subs {
		for !s.caughtUp.Load() {
			if sleep(ctx, 20*time.Millisecond); ctx.Err() != nil {
				return fmt.Errorf("subscriber %d is not live after %s", s.n, most)
			}
		}
	}
	return nil
}

// tick writes down when this process itself was late, and what it has written so far.
func tick(ctx context.Context, w *history.Writer) {
	const often = 100 * time.Millisecond
	for n, last := 0, history.Now(); ctx.Err() == nil; n++ {
		sleep(ctx, often)
		now := history.Now()
		if late := now - last - int64(often); late > int64(often) {
			w.Write(history.Record{K: "lag", For: late})
		}
		if last = now; n%10 == 0 {
			w.Flush()
		}
	}
}
