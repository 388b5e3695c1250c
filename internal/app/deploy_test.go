package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// balancer passes connections on to nodes that say they are ready, in turn, and knows nothing else of them.
type balancer struct {
	listener net.Listener
	tasks    sync.WaitGroup
	stop     chan struct{}

	mu    sync.Mutex
	nodes []string // addresses
	ready []bool
	next  int
	conns map[net.Conn]struct{}
}

// checkEvery is how often a node is asked whether it is ready.
const checkEvery = 20 * time.Millisecond

func mustBalance(t *testing.T, nodes ...*app.App) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, stop: make(chan struct{}), ready: make([]bool, len(nodes)), conns: map[net.Conn]struct{}{}}
	for _, n := range nodes {
		b.nodes = append(b.nodes, n.Addr())
	}
	for i := range nodes {
		b.tasks.Go(func() { b.check(i) })
	}
	b.tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.tasks.Go(func() { b.carry(c) })
		}
	})
	t.Cleanup(func() {
		close(b.stop)
		_ = l.Close()
		b.mu.Lock()
		for c := range b.conns {
			_ = c.Close()
		}
		b.mu.Unlock()
		b.tasks.Wait()
	})
	return b
}

func (b *balancer) check(i int) {
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		b.mu.Lock()
		address := b.nodes[i]
		b.mu.Unlock()
		ok := false
		if resp, err := h.Get("http://" + address + "/readyz"); err == nil {
			_ = resp.Body.Close()
			ok = resp.StatusCode == http.StatusOK
		}
		b.mu.Lock()
		b.ready[i] = ok && address == b.nodes[i]
		b.mu.Unlock()
		select {
		case <-tick.C:
		case <-b.stop:
			return
		}
	}
}

func (b *balancer) isReady(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready[i]
}

// replace is told of a node that has started anew.
func (b *balancer) replace(i int, n *app.App) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[i], b.ready[i] = n.Addr(), false
}

// candidates are the nodes that are ready, another one first each time.
func (b *balancer) candidates() (addresses []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	for k := range b.nodes {
		if i := (b.next + k) % len(b.nodes); b.ready[i] {
			addresses = append(addresses, b.nodes[i])
		}
	}
	return addresses
}

func (b *balancer) carry(c net.Conn) {
	defer c.Close()
	for _, address := range b.candidates() {
		n, err := net.Dial("tcp", address)
		if err != nil { // nothing was said yet: the next one
			continue
		}
		b.mu.Lock()
		b.conns[c], b.conns[n] = struct{}{}, struct{}{}
		b.mu.Unlock()
		var back sync.WaitGroup
		back.Go(func() { pipe(c.(*net.TCPConn), n.(*net.TCPConn)) })
		pipe(n.(*net.TCPConn), c.(*net.TCPConn))
		back.Wait()
		_ = n.Close()
		b.mu.Lock()
		delete(b.conns, c)
		delete(b.conns, n)
		b.mu.Unlock()
		return
	}
}

// pipe passes on what is said, and how it ends: in order, or not.
func pipe(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0)
		_ = to.Close()
		return
	}
	_ = to.CloseWrite()
}

// deployment is who goes on while the nodes are replaced.
type deployment struct {
	url     string
	rooms   []string
	people  []*client.Account
	over    chan struct{} // closed when the last node is replaced
	answers atomic.Int64  // to sends
	retries atomic.Int64  // of sends
	refused atomic.Int64  // attempts to connect
	queries atomic.Int64
	again   atomic.Int64 // queries that had to be asked again
	reasons sync.Map     // why something had to be tried again, with how often

	mu    sync.Mutex
	acked map[string]string // key → message
}

// Nodes are replaced one after the other, again and again, while people send and listen through a balancer. Each message
// that was acknowledged is stored once, each subscriber hears everything once and in order, whatever fails succeeds when
// it is tried again, and nobody is cut off without a word. Where the balancer is given the time to notice, nothing fails.
func TestDeploy(t *testing.T) {
	t.Parallel()
	t.Run("noticed", func(t *testing.T) { t.Parallel(); deploy(t, 10, 5*checkEvery) })
	t.Run("at once", func(t *testing.T) { t.Parallel(); deploy(t, 3, 0) })
}

func deploy(t *testing.T, rolls int, delay time.Duration) {
	settings := []string{"--drain-delay", delay.String(), "--sockets-per-user", "100"}
	c := testkit.MustCluster(t, testkit.MustNATS(t), 3, settings...)
	db := testkit.MustOpenStore(t, c.URL)
	b := mustBalance(t, c.Nodes...)
	d := &deployment{url: "http://" + b.listener.Addr().String(), people: mustMeet(t, c.Nodes[0].URL(), 6), over: make(chan struct{}), acked: map[string]string{}}
	for range 2 {
		d.rooms = append(d.rooms, mustCreateGroup(t, d.people[0], d.people[1:]...))
	}
	begin := mustSend(t, d.people[0].Client, d.rooms[0], "the first").SendMessage.Cursor
	for i := range c.Nodes {
		eventually(t, func() error {
			if !b.isReady(i) {
				return fmt.Errorf("node %d is not ready", i)
			}
			return nil
		})
	}

	var working sync.WaitGroup
	var all []*subscriber
	for i := range 12 {
		s := &subscriber{who: d.people[i%6], urls: []string{d.url}, cursor: begin, random: rand.New(rand.NewPCG(uint64(i), 3))}
		if i%3 == 1 {
			s.room = d.rooms[i%2]
		}
		all = append(all, s)
		working.Go(func() {
			if i%3 == 2 {
				d.stream(t, s)
			} else {
				d.follow(t, s)
			}
		})
	}
	for w := range 9 {
		working.Go(func() { d.send(t, w) })
	}
	working.Go(func() { d.ask(t) })

	began := time.Now()
	var drains []time.Duration
	for range rolls {
		for i, old := range c.Nodes {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			start := time.Now()
			if err := old.Drain(ctx); err != nil {
				t.Errorf("a drain: %v", err)
			}
			drains = append(drains, time.Since(start))
			cancel()
			old.Stop()
			c.Nodes[i] = testkit.MustRunApp(t, c.URL, append(settings, "--nats-url", c.NATS.URL())...)
			b.replace(i, c.Nodes[i])
			eventually(t, func() error {
				if !b.isReady(i) {
					return fmt.Errorf("node %d does not come back", i)
				}
				return nil
			})
		}
	}
	took := time.Since(began)
	close(d.over)
	working.Wait()

	slices.Sort(drains)
	t.Logf("%d nodes replaced in %v (a drain takes %v, at most %v); %d sends, %d tried again; %d queries, %d again; %d attempts to connect were refused",
		len(drains), took.Round(time.Millisecond), drains[len(drains)/2], drains[len(drains)-1], d.answers.Load(), d.retries.Load(), d.queries.Load(), d.again.Load(), d.refused.Load())
	d.reasons.Range(func(why, n any) bool { t.Logf("%4d× %s", n.(*atomic.Int64).Load(), why); return true })
	if n := d.answers.Load(); delay > 0 && d.retries.Load() > n/100 { // none, unless the balancer was kept from asking
		t.Errorf("%d of %d sends had to be tried again", d.retries.Load(), n)
	}
	stored := map[string]string{}
	for _, room := range d.rooms {
		ids, bodies := mustHistory(t, &client.Client{URL: d.url, Token: d.people[0].Token}, room)
		for i, id := range ids {
			if _, twice := stored[bodies[i]]; twice {
				t.Errorf("%s is stored twice", bodies[i])
			}
			stored[bodies[i]] = id
		}
	}
	for key, id := range d.acked {
		if stored[key] != id {
			t.Errorf("%s was acknowledged as %s, and is stored as %q", key, id, stored[key])
		}
	}
	if len(stored) != len(d.acked)+1 {
		t.Errorf("%d messages are stored, %d were acknowledged", len(stored), len(d.acked)+1)
	}
	log := mustEvents(t, db)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, s := range all {
		if s.joins < rolls {
			t.Errorf("subscriber %d was sent away %d times only", i, s.joins)
		}
		s.finish(ctx, t, expected(s, entitled(t, db, log, mustID(t, s.who.ID), position(t, begin))))
	}
	mustCheck(t, db)
}

func (d *deployment) ended() bool {
	select {
	case <-d.over:
		return true
	default:
		return false
	}
}

func (d *deployment) note(what string, err error) {
	if len(err.Error()) > 80 {
		err = fmt.Errorf("…%s", err.Error()[len(err.Error())-80:])
	}
	n, _ := d.reasons.LoadOrStore(fmt.Sprintf("%s: %v", what, err), new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

// pause is how long a client waits before it tries again.
const pause = 20 * time.Millisecond

// send sends, every third of them over a socket, each message until it is acknowledged.
func (d *deployment) send(t *testing.T, w int) {
	c := &client.Client{URL: d.url, Token: d.people[w%len(d.people)].Token, HTTP: mustHTTP(t)}
	var sock *client.Socket
	leave := func() {
		if sock != nil {
			sock.Cut()
			sock = nil
		}
	}
	defer leave()
	for n := 0; !d.ended(); n++ {
		key := fmt.Sprintf("%d-%d", w, n)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for {
			var x sent
			var err error
			if w%3 > 0 {
				x, err = send(ctx, c, d.rooms[n%2], key, key)
			} else {
				if sock == nil {
					if sock, err = c.Dial(ctx); err != nil {
						d.refused.Add(1)
						d.note("connecting to send", err)
					}
				}
				if err == nil {
					x, err = sendBySocket(ctx, sock, d.rooms[n%2], key, key)
				}
				if client.CloseCode(err) == websocket.CloseServiceRestart { // between two sends: this one was not begun
					leave()
					continue
				}
			}
			if err == nil {
				d.answers.Add(1)
				d.mu.Lock()
				d.acked[key] = x.SendMessage.Message.ID
				d.mu.Unlock()
				break
			}
			if code := client.Code(err); code != "" && code != "UNAVAILABLE" || ctx.Err() != nil {
				t.Errorf("%s failed: %v", key, err)
				break
			}
			d.retries.Add(1)
			d.note("sending", err)
			leave()
			pass(ctx, pause)
		}
		cancel()
		pass(t.Context(), pause/4)
	}
}

// ask makes queries.
func (d *deployment) ask(t *testing.T) {
	c := &client.Client{URL: d.url, Token: d.people[0].Token, HTTP: mustHTTP(t)}
	for !d.ended() {
		d.queries.Add(1)
		for {
			err := c.Do(t.Context(), `{ conversations { nodes { title unreadCount lastMessage { body } } } }`, nil, nil)
			if err == nil {
				break
			}
			if code := client.Code(err); code != "" && code != "UNAVAILABLE" || t.Context().Err() != nil {
				t.Errorf("a query failed: %v", err)
				return
			}
			d.again.Add(1)
			d.note("asking", err)
			pass(t.Context(), pause)
		}
		pass(t.Context(), pause)
	}
}

// follow listens over sockets. Each ends with the code that sends it to another node.
func (d *deployment) follow(t *testing.T, s *subscriber) {
	for !d.ended() {
		sock, sub, err := s.subscribe(t.Context(), 64)
		if err != nil {
			if sock != nil {
				sock.Cut()
			}
			d.refused.Add(1)
			d.note("connecting to listen", err)
			pass(t.Context(), pause)
			continue
		}
		stop := context.AfterFunc(t.Context(), sock.Cut)
		release := make(chan struct{})
		go func() { // at the end
			select {
			case <-d.over:
				sock.Cut()
			case <-release:
			}
		}()
		for err == nil {
			_, err = s.take(t.Context(), sub)
		}
		close(release)
		stop()
		sock.Cut()
		if client.CloseCode(err) != websocket.CloseServiceRestart && !d.ended() {
			t.Errorf("a subscription over a socket ended with %v", err)
		}
	}
}

// stream listens over Server-Sent Events. Each stream ends between two events, without a complete.
func (d *deployment) stream(t *testing.T, s *subscriber) {
	h := mustHTTP(t)
	for !d.ended() {
		ctx, cancel := context.WithCancel(t.Context())
		stop := make(chan struct{})
		go func() {
			select {
			case <-d.over:
				cancel()
			case <-stop:
			}
		}()
		err := d.streamOnce(ctx, h, s)
		close(stop)
		cancel()
		switch {
		case d.ended():
		case errors.Is(err, errRefused):
			d.refused.Add(1)
			d.note("connecting to stream", err)
			pass(t.Context(), pause)
		case !errors.Is(err, io.EOF):
			t.Errorf("a stream ended with %v", err)
			return
		}
	}
}

var errRefused = errors.New("refused")

func (d *deployment) streamOnce(ctx context.Context, h *http.Client, s *subscriber) error {
	body, _ := json.Marshal(map[string]any{"query": `subscription($after: Cursor) { e: events(after: $after) { __typename cursor ... on MessageAdded { message { seq } } } }`,
		"variables": client.Vars{"after": s.cursor}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Bearer " + s.who.Token} {
		req.Header.Set(name, value)
	}
	resp, err := h.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errRefused, resp.Status)
	}
	s.joins++
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			if line != "" {
				err = fmt.Errorf("in the middle of %q: %w", line, io.ErrUnexpectedEOF)
			}
			return err
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var r struct{ Data struct{ E delivered } }
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			return err
		}
		if err := s.took(r.Data.E); err != nil {
			return err
		}
	}
}
