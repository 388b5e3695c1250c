// Package natsbus is the bus over core NATS: nothing is stored, and nothing is sent later.
//
// One goroutine (write) publishes what Publish has queued: writing to a server that has stopped reading blocks. NATS calls
// the subscribers, one goroutine for each subscription; after Stop none is called any more. hearing is held for reading
// while one is.
//
// Exporter is apart from that, on the same connection: it stores the log in JetStream for other services. One goroutine (run)
// does it, and alone writes what it knows of the stream.
package natsbus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Config says how NATS is reached. URL and Cluster are required.
type Config struct {
	URL     string // of several servers, separated by commas; a user and password, or a token, may stand in it
	Name    string // of this node, as the server's operators see it
	Cluster string // first part of every subject: who has the same one hears each other
	Creds   string // file with a JWT and its key
	CA      string // PEM file of those who sign the servers' certificates; empty: the system's
	Cert    string // PEM file of the client's certificate
	Key     string // PEM file of its key
	Log     *slog.Logger
}

// Bus reaches the nodes that share a cluster's name. It is a bus.Bus.
type Bus struct {
	cfg     Config
	options []nats.Option
	subs    []subscription
	arrived []func() // OnConnect
	out     chan message
	queued  atomic.Int64 // bytes in out
	quit    chan struct{}
	done    chan struct{}
	once    sync.Once

	in, sent, dropped atomic.Int64

	hearing sync.RWMutex
	stopped bool

	conn *nats.Conn // set once Start has succeeded
	// up is what NATS has told last: asking it would wait for a write that blocks.
	up atomic.Bool
}

type subscription struct {
	subject string
	f       func([]byte)
}

type message struct {
	subject string
	data    []byte
}

// Stats counts messages since the start.
type Stats struct {
	In, Out int64
	Dropped int64 // could not be sent, or came faster than they were taken
}

const (
	// What waits to be written and to be heard is bounded: a server that stalls, and a node that does.
	maxQueued      = 4096
	maxQueuedBytes = 16 << 20
	// How often another server is tried. Every node does it at once when one ends, hence the jitter.
	wait, jitter = 100 * time.Millisecond, 100 * time.Millisecond
	// A server that is gone without a word is noticed after twice to three times that.
	pings = time.Second
	// What a server may take to accept a connection or a write.
	timeout = 2 * time.Second
	// What was published just before the end may take that long.
	parting = 500 * time.Millisecond
)

// Open checks the settings and reads their files. It connects to nobody: Start does.
func Open(c Config) (*Bus, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Cluster == "" || strings.ContainsAny(c.Cluster, ".*> \t\r\n") {
		return nil, fmt.Errorf("%q cannot name a cluster: write letters, digits, - and _", c.Cluster)
	}
	for one := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		// The address may hold a password, and is not repeated.
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss" {
			return nil, errors.New("the address of NATS cannot be read: write nats://host:4222, several separated by commas")
		}
	}
	b := &Bus{cfg: c, out: make(chan message, maxQueued), quit: make(chan struct{}), done: make(chan struct{})}
	b.options = []nats.Option{
		nats.Name(c.Name), nats.NoEcho(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), nats.ReconnectWait(wait), nats.ReconnectJitter(jitter, jitter), nats.PingInterval(pings), nats.MaxPingsOutstanding(2),
		nats.Timeout(timeout), nats.FlusherTimeout(timeout), nats.ReconnectOnFlusherError(),
	}
	if c.Creds != "" {
		if err := readable(c.Creds); err != nil {
			return nil, fmt.Errorf("the credentials for NATS: %w", err)
		}
		b.options = append(b.options, nats.UserCredentials(c.Creds))
	}
	if c.CA != "" || c.Cert != "" || c.Key != "" {
		t, err := secure(c)
		if err != nil {
			return nil, fmt.Errorf("TLS to NATS: %w", err)
		}
		b.options = append(b.options, nats.Secure(t))
	}
	return b, nil
}

func readable(creds string) error {
	text, err := os.ReadFile(creds)
	if err != nil {
		return err
	}
	if _, err = nkeys.ParseDecoratedJWT(text); err == nil {
		_, err = nkeys.ParseDecoratedUserNKey(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", creds, err)
	}
	return nil
}

func secure(c Config) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", c.CA)
		}
	}
	if c.Cert != "" || c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

func (b *Bus) subject(s string) string { return "parley." + b.cfg.Cluster + "." + s }

// Subscribe says who hears a subject. Before Start.
func (b *Bus) Subscribe(subject string, f func(data []byte)) {
	b.subs = append(b.subs, subscription{b.subject(subject), f})
}

// OnConnect says who is told of a connection. Before Start.
func (b *Bus) OnConnect(f func()) { b.arrived = append(b.arrived, f) }

// Connected says whether a server is reached now.
func (b *Bus) Connected() bool { return b.up.Load() }

// Stats counts what went through so far.
func (b *Bus) Stats() Stats {
	return Stats{In: b.in.Load(), Out: b.sent.Load(), Dropped: b.dropped.Load()}
}

// Start connects. Without a server it goes on trying; only settings that can never work are an error.
func (b *Bus) Start() error {
	log, ready := b.cfg.Log, make(chan struct{})
	connected := func(c *nats.Conn) {
		<-ready // with everything subscribed
		log.Info("the other nodes are reached over NATS", "server", c.ConnectedUrlRedacted())
		b.hear(func() {
			b.up.Store(true)
			for _, f := range b.arrived {
				f()
			}
		})
	}
	c, err := nats.Connect(b.cfg.URL, append(b.options,
		nats.ConnectHandler(connected), nats.ReconnectHandler(connected),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.up.Store(false)
			if err != nil {
				log.Warn("NATS is away; other nodes' events come from the database until it is back", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			if s != nil && errors.Is(err, nats.ErrSlowConsumer) {
				n, _ := s.Dropped()
				log.Warn("messages from NATS came too fast", "subject", s.Subject, "dropped", n)
				return
			}
			log.Warn("NATS", "error", err)
		}))...)
	if err != nil {
		close(ready)
		return fmt.Errorf("connect to NATS: %w", err)
	}
	if !c.IsConnected() {
		log.Warn("NATS cannot be reached yet; other nodes' events come from the database until it can", "error", c.LastError())
	}
	for _, s := range b.subs {
		sub, err := c.Subscribe(s.subject, func(m *nats.Msg) {
			b.in.Add(1)
			b.hear(func() { s.f(m.Data) })
		})
		if err == nil {
			err = sub.SetPendingLimits(maxQueued, maxQueuedBytes)
		}
		if err != nil {
			close(ready)
			c.Close()
			return fmt.Errorf("listen to NATS: %w", err)
		}
	}
	b.conn = c
	go b.write(c)
	close(ready)
	return nil
}

// hear calls f unless the bus has been stopped.
func (b *Bus) hear(f func()) {
	b.hearing.RLock()
	defer b.hearing.RUnlock()
	if !b.stopped {
		f()
	}
}

// Publish queues data for the other nodes, or drops it where there is no way to them.
func (b *Bus) Publish(subject string, data []byte) {
	if !b.Connected() || b.queued.Load()+int64(len(data)) > maxQueuedBytes {
		b.dropped.Add(1)
		return
	}
	b.queued.Add(int64(len(data)))
	select {
	case b.out <- message{b.subject(subject), append([]byte(nil), data...)}:
	default:
		b.queued.Add(-int64(len(data)))
		b.dropped.Add(1)
	}
}

func (b *Bus) write(c *nats.Conn) {
	defer close(b.done)
	for {
		select {
		case m := <-b.out:
			b.send(c, m)
		case <-b.quit:
			for end := time.Now().Add(parting); len(b.out) > 0 && c.IsConnected() && time.Now().Before(end); {
				b.send(c, <-b.out)
			}
			if c.IsConnected() {
				_ = c.FlushTimeout(parting)
			}
			return
		}
	}
}

func (b *Bus) send(c *nats.Conn, m message) {
	b.queued.Add(-int64(len(m.data)))
	if err := c.Publish(m.subject, m.data); err != nil { // reconnecting, or larger than the server takes
		b.dropped.Add(1)
		return
	}
	b.sent.Add(1)
}

// Stop sends what was published before and disconnects; nobody is called afterwards. It may be called twice, and without
// Start.
func (b *Bus) Stop() {
	if b.conn == nil {
		return
	}
	b.once.Do(func() {
		b.hearing.Lock()
		b.stopped = true
		b.hearing.Unlock()
		b.up.Store(false)
		close(b.quit)
		<-b.done
		b.conn.Close()
	})
}
