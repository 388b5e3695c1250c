// Package app puts the parts together: what starts after what, what stops before what, and what each part is given.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/graph"
	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/digest"
	"github.com/parley-chat/parley/internal/eventlog"
	"github.com/parley-chat/parley/internal/export"
	"github.com/parley-chat/parley/internal/feed"
	"github.com/parley-chat/parley/internal/file"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/hook"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/outbound"
	"github.com/parley-chat/parley/internal/presence"
	"github.com/parley-chat/parley/internal/pushing"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/httpapi"
	"github.com/parley-chat/parley/internal/user"
	"github.com/parley-chat/parley/internal/worker"
	"github.com/parley-chat/parley/schema"
	"github.com/parley-chat/parley/web"
)

// App is one running node.
type App struct {
	cfg      config.Config
	log      *slog.Logger
	store    *store.Store
	bus      bus.Bus     // nil: this node is alone
	seal     *bus.Sealed // what bus is, around nats
	nats     *natsbus.Bus
	export   *natsbus.Exporter
	events   *eventlog.Log
	messages *message.Service
	presence *presence.Service
	jobs     *job.Client
	worker   *worker.Worker
	digests  *digest.Service
	outbound *outbound.Guard
	hooks    *hook.Service
	live     *liveSide
	servers  []*http.Server
	addrs    []net.Addr
	draining atomic.Bool
	stop     []func() // in order
	once     sync.Once
}

// services are the rules, a package for each feature, that are needed in more than one place here.
type services struct {
	users         *user.Service
	friends       *friend.Service
	conversations *conversation.Service
	notifications *notification.Service
	mailings      *mailing.Service
	pushes        *pushing.Service
	files         *file.Service
	exports       *export.Service
	bots          *bot.Service
}

// DatabaseURL is where the settings say that the data is.
func DatabaseURL(c config.Config) string {
	if c.DatabaseURL != "" {
		return c.DatabaseURL
	}
	return "sqlite:" + filepath.Join(c.DataDir, "parley.db")
}

// OpenStore opens the database that the settings name.
func OpenStore(ctx context.Context, c config.Config, log *slog.Logger) (*store.Store, error) {
	return store.Open(ctx, storeConfig(c, log))
}

func storeConfig(c config.Config, log *slog.Logger) store.Config {
	return store.Config{URL: DatabaseURL(c), Conns: c.DatabaseConns, Unsynced: c.SQLiteSync == "NORMAL", Log: log}
}

// Start opens and migrates the database, and serves. The caller stops the App it gets.
func Start(ctx context.Context, c config.Config, log *slog.Logger) (_ *App, err error) {
	a := &App{cfg: c, log: log}
	defer func() {
		if err != nil {
			a.Stop()
		}
	}()
	data := storeConfig(c, log)
	data.Durable = c.Production()
	if a.store, err = store.Open(ctx, data); err != nil {
		return nil, err
	}
	a.stop = append(a.stop, a.store.Close)
	if _, err = a.store.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrate the database: %w", err)
	}
	key, err := c.SigningKey()
	if err != nil {
		return nil, err
	}
	tokens, err := token.New(token.Config{Secret: key, AccessTTL: c.AccessTTL})
	if err != nil {
		return nil, err
	}
	if err = a.openBus(c, key); err != nil {
		return nil, err
	}

	if err = a.openOutbound(c); err != nil {
		return nil, err
	}

	address, err := a.bind(ctx, c.Addr)
	if err != nil {
		return nil, err
	}

	metrics := obs.NewMetrics()
	if a.jobs, err = job.New(a.store); err != nil {
		return nil, err
	}
	if a.hooks, err = a.openHooks(key); err != nil {
		return nil, err
	}
	s := services{
		friends:       friend.New(a.store, friend.Config{}),
		conversations: conversation.New(a.store, conversation.Config{}),
		files:         file.New(a.store, file.Config{MaxUpload: int64(c.MaxUpload), PublicURL: c.PublicURL}),
		notifications: notification.New(a.store, notification.Config{Retention: c.NotificationRetention}),
	}
	if s.mailings, err = a.openMail(c, tokens, s.notifications); err != nil {
		return nil, err
	}
	if s.pushes, err = a.openPush(c, key, s.notifications); err != nil {
		return nil, err
	}
	revoked := token.NewRevoked(c.AccessTTL, time.Now)
	sends := limit.NewSends(limit.Config{N: c.SendsPerSecond, Per: time.Second})
	a.messages = message.New(a.store, message.Config{MaxBody: c.MaxMessageChars, Limit: sends})
	if s.bots, err = a.openBots(c, key, revoked); err != nil {
		return nil, err
	}
	s.exports = export.New(a.store, tokens, export.Config{PublicURL: c.PublicURL, Send: s.mailings.Send})
	s.users = user.New(a.store, tokens, revoked, user.Config{
		RefreshTTL: c.RefreshTTL, SignInsPerUser: c.SignInsPerUser, SignInsPerAddr: c.SignInsPerAddr, MailsPerHour: c.MailsPerHour, Send: s.mailings.Insert,
	})
	feeds := feed.New(a.store)
	a.digests = a.openDigest(s.mailings, s.notifications)
	metrics.Register(a.openWorker(c, s)...)
	if err = a.listen(s); err != nil {
		return nil, err
	}

	r := &graph.Resolver{
		Users: s.users, Friends: s.friends, Conversations: s.conversations, Messages: a.messages, Notifications: s.notifications, Pushes: s.pushes,
		Feed: feeds, Hooks: a.hooks, Files: s.files, Exports: s.exports, Bots: s.bots, HooksURL: a.hooksURL,
		Applied: func() chat.Position { return a.events.Applied() },
	}
	es := generated.NewExecutableSchema(generated.Config{Resolvers: r})
	a.events = eventlog.New(eventlog.Config{Source: a.store, Fill: feeds.Fill, Poll: c.LogPoll, Log: log, Apply: func(events []*chat.Event) {
		revoked.Apply(events)
		sends.Applied(events)
		a.presence.Applied(events)
		a.worker.Applied(events)
		a.live.hub.Apply(events)
	}})
	a.store.AfterCommit(a.events.Ring)
	a.live = newLive(a, r, es, orKey(s.users.Authenticate, s.bots.Authenticate))
	a.presence = presence.New(a.store, presence.Config{Publish: a.live.hub.Signal, Bus: a.bus, Log: log})
	r.Presences = a.presence
	metrics.Register(liveMetrics(a.live.hub.Stats, func() int64 { return int64(a.events.Applied()) })...)
	if a.bus != nil {
		metrics.Register(busMetrics(a.nats, a.seal, a.events.Stats)...)
		metrics.Register(a.openExport()...)
	}

	graphiql, err := web.GraphiQL()
	if err != nil {
		return nil, err
	}
	playground, err := web.Playground()
	if err != nil {
		return nil, err
	}
	site, err := web.App()
	if err != nil {
		return nil, err
	}
	queues, err := a.queuesPage()
	if err != nil {
		return nil, err
	}
	handler, err := httpapi.New(httpapi.Config{
		Admin: map[string]http.Handler{queuesPath + "/": queues}, Administrators: s.users,
		Files: s.files, Exports: s.exports, Pages: a.mailPages(c, s.users, s.mailings),
		Settings: c, Schema: es, SDL: schema.Merged(), Log: log, Metrics: metrics,
		Authenticate: s.users.Authenticate, Keys: s.bots.Authenticate, Hooks: s.bots, Cursor: func(p chat.Position) chat.Cursor { return chat.Cursor{Epoch: r.Epoch, Position: p} },
		Ready: a.ready, Present: graph.PresentError(log), Recover: graph.Recover(log),
		Transports: []graphql.Transport{a.live.ws, a.live.sse}, Extensions: []graphql.HandlerExtension{graph.Context{Resolver: r}}, GraphiQL: graphiql, Playground: playground, App: site,
	})
	if err != nil {
		return nil, err
	}

	// From the log outwards: whoever can ask finds what answers.
	if err = a.events.Open(ctx); err != nil {
		return nil, err
	}
	r.Epoch = a.events.Epoch()
	if err = s.users.LoadRevoked(ctx); err != nil {
		return nil, err
	}
	if err = a.live.start(ctx); err != nil {
		return nil, err
	}
	a.stop = append(a.stop, a.live.stop)
	if err = a.startBus(); err != nil {
		return nil, err
	}
	a.events.Start()
	a.stop = append(a.stop, a.events.Stop)
	if err = a.startExport(); err != nil {
		return nil, err
	}
	a.presence.Start()
	a.stop = append(a.stop, a.presence.Stop)
	a.messages.Start()
	a.stop = append(a.stop, a.messages.Stop)
	if err = a.worker.Start(); err != nil {
		return nil, fmt.Errorf("start the jobs: %w", err)
	}
	a.stop = append(a.stop, a.worker.Stop)

	a.serve(address, handler)
	if c.Production() {
		if address, err = a.bind(ctx, c.AdminAddr); err != nil {
			return nil, err
		}
		a.serve(address, httpapi.Admin(metrics, a.ready))
	}
	return a, nil
}

// bind takes an address. Who connects waits until it is served.
func (a *App) bind(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --addr", addr, err)
	}
	a.addrs = append(a.addrs, l.Addr())
	a.stop = append(a.stop, func() { _ = l.Close() }) // if it never comes to be served
	return l, nil
}

func (a *App) serve(l net.Listener, h http.Handler) {
	polite := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.draining.Load() { // the next request goes to another node, and finds no connection that is being closed
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
	s := &http.Server{Handler: polite, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	a.servers = append(a.servers, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("serving ended", "addr", l.Addr().String(), "error", err)
		}
	}()
	a.stop = append(a.stop, func() { _ = s.Close(); <-done })
}

// URL is the address to open.
func (a *App) URL() string {
	if a.cfg.PublicURL != "" {
		return strings.TrimSuffix(a.cfg.PublicURL, "/")
	}
	return "http://" + a.addrs[0].String()
}

// Addr is the address listened on.
func (a *App) Addr() string { return a.addrs[0].String() }

// ready says why this node should get no requests.
func (a *App) ready(ctx context.Context) error {
	if a.draining.Load() {
		return errors.New("draining")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return a.store.Ping(ctx)
}

// Drain goes out of service without losing anything: readiness goes off, and everything is served on while balancers
// notice. Then sockets are told to come back elsewhere (1012), and requests that run may finish, until ctx ends. Jobs that run
// may finish, too, and no more are begun from the start. Stop comes after it.
func (a *App) Drain(ctx context.Context) error {
	a.draining.Store(true)
	jobs := make(chan error, 1)
	go func() { jobs <- a.worker.Drain(ctx) }()
	noticed := time.NewTimer(a.cfg.DrainDelay)
	defer noticed.Stop()
	select {
	case <-noticed.C:
	case <-ctx.Done():
	}
	// The sockets first, while the address still answers that it is not ready; requests keep half of the time.
	sockets := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		sockets, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	err := a.live.drain(sockets)
	for _, s := range a.servers {
		err = errors.Join(err, s.Shutdown(ctx))
	}
	return errors.Join(err, <-jobs)
}

// Stop ends everything, the last started first. It may be called twice.
func (a *App) Stop() {
	a.once.Do(func() {
		for i := len(a.stop) - 1; i >= 0; i-- {
			a.stop[i]()
		}
	})
}
