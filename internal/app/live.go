package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/graph"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/httpapi"
	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/socket"
	"github.com/parley-chat/parley/internal/transport/sse"
	"github.com/parley-chat/parley/internal/transport/ws"
)

// liveSide is what pushes: the engine that owns the sockets, the registry of who listens to what, and the two protocols.
type liveSide struct {
	engine *socket.Engine
	hub    *live.Live
	ws     *ws.Transport
	sse    *sse.Transport
}

func newLive(a *App, r *graph.Resolver, es graphql.ExecutableSchema, authenticate httpapi.Authenticate) *liveSide {
	c := a.cfg
	engine := socket.New(socket.Config{MaxQueued: int(c.MaxQueue), WriteTimeout: c.WriteTimeout})
	hub := live.New(live.Config{Log: a.events, Sockets: engine, Schema: es.Schema(), PerEvent: r.PerEvent, Logger: a.log})
	// Presence is asked for late: it needs the registry to publish to.
	connected := func(user, _ chat.ID) { a.presence.Connected(user) }
	disconnected := func(user, _ chat.ID) { a.presence.Disconnected(user) }
	return &liveSide{engine, hub,
		ws.New(ws.Config{
			Live: hub, Authenticate: socketViewer(authenticate), CheckOrigin: func(*http.Request) bool { return true }, // the API's guard has looked
			InitTimeout: c.InitTimeout, PingInterval: c.PingInterval, MaxMessage: int(c.MaxFrame),
			MaxOperations: c.MaxSubscriptions, MaxPerUser: c.SocketsPerUser, MaxPerAddress: c.SocketsPerAddr, Connected: connected, Disconnected: disconnected,
		}),
		sse.New(sse.Config{
			Live: hub, PingInterval: c.PingInterval, MaxBody: int64(c.MaxBody), MaxPerAddress: c.SocketsPerAddr,
			Connected: connected, Disconnected: disconnected,
		}),
	}
}

// socketViewer finds who a connection_init is from: the token it carries, or whoever the upgrade request was from.
func socketViewer(authenticate httpapi.Authenticate) func(context.Context, *http.Request, string) (chat.Viewer, time.Time, error) {
	return func(ctx context.Context, r *http.Request, authorization string) (v chat.Viewer, expires time.Time, err error) {
		if authorization != "" {
			scheme, bearer, ok := strings.Cut(authorization, " ")
			if !ok || !strings.EqualFold(scheme, "Bearer") {
				return v, expires, chat.ErrUnauthenticated
			}
			return authenticate(ctx, strings.TrimSpace(bearer))
		}
		carrier := token.CarrierFrom(r.Context())
		if carrier.Refused != nil {
			return v, expires, carrier.Refused
		}
		v, _ = chat.ViewerFrom(r.Context())
		return v, carrier.Expires, nil
	}
}

func (l *liveSide) start(ctx context.Context) error {
	return errors.Join(l.engine.Start(ctx), l.hub.Start(ctx))
}

func (l *liveSide) stop() {
	l.hub.Stop()
	l.engine.Stop()
}

func (l *liveSide) drain(ctx context.Context) error {
	streams := make(chan error, 1)
	go func() { streams <- l.sse.Drain(ctx) }()
	return errors.Join(l.ws.Drain(ctx), <-streams)
}
