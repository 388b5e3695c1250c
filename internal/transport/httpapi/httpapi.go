// Package httpapi is the HTTP side of the server: GraphQL by POST and GET, what guards every request (origins, tokens,
// limits), and the pages beside it. Sockets and streams are transports of their own and pass through the same guards.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/rs/cors"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/export"
	"github.com/parley-chat/parley/internal/file"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/token"
)

// Config is what New needs. Everything is required but Keys, Transports, Extensions, Files, Exports, Hooks, GraphiQL, Playground,
// App, Pages and, without pages for them, Admin and Administrators.
type Config struct {
	Settings config.Config
	Schema   graphql.ExecutableSchema
	SDL      string // served at /schema.graphql
	Log      *slog.Logger
	Metrics  *obs.Metrics

	Authenticate Authenticate
	// Keys says whose an API key is, and until when. They count for GraphQL alone; without it, nowhere.
	Keys    Authenticate
	Ready   func(context.Context) error // why the server takes no requests; nil when it does
	Present graphql.ErrorPresenterFunc
	Recover graphql.RecoverFunc

	Transports []graphql.Transport        // sockets and streams; asked before POST and GET
	Extensions []graphql.HandlerExtension // run after the limits, in this order
	Files      *file.Service              // with Exports: uploads and what they lead to
	Exports    *export.Service
	Hooks      Hooks                           // at /hooks/
	Cursor     func(chat.Position) chat.Cursor // for Hooks
	GraphiQL   http.Handler                    // below /graphiql/, if the settings want it
	Playground http.Handler                    // below /playground/, as GraphiQL
	App        http.Handler                    // at the root, and wherever nothing else is
	Pages      map[string]http.Handler         // for people, by path: who asks for them is in the context's token.Carrier
	Admin      map[string]http.Handler         // pages below /admin/, by path, for Administrators

	Administrators Administrators
}

func (c Config) validate() error {
	for name, missing := range map[string]bool{
		"Schema": c.Schema == nil, "SDL": c.SDL == "", "Log": c.Log == nil, "Metrics": c.Metrics == nil,
		"Authenticate": c.Authenticate == nil, "Ready": c.Ready == nil, "Present": c.Present == nil, "Recover": c.Recover == nil,
	} {
		if missing {
			return errors.New("httpapi: " + name + " is missing")
		}
	}
	return nil
}

// New returns the handler of the public address: /graphql, /schema.graphql, /files, /livez, /readyz, /graphiql/, /playground/, the app at the
// root and, in development, /metrics.
func New(c Config) (http.Handler, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	proxies := make([]netip.Prefix, 0, len(c.Settings.TrustedProxies))
	for _, s := range c.Settings.TrustedProxies {
		p, err := config.ParseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("httpapi: trusted proxy: %w", err)
		}
		proxies = append(proxies, p)
	}
	origins := NewOrigins(c.Settings)
	log := logger{c.Log, c.Metrics, proxies}
	crossOrigin := cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) { return origins.allows(r, origin), nil },
		AllowedMethods:             []string{http.MethodGet, http.MethodPost},
		AllowedHeaders:             []string{"Accept", "Authorization", "Content-Type", "Apollo-Require-Preflight", "X-Apollo-Operation-Name", requestHeader},
		ExposedHeaders:             []string{requestHeader},
		AllowCredentials:           true,
		MaxAge:                     600,
	})

	mux := http.NewServeMux()
	handle := func(pattern, route string, h http.Handler) { mux.Handle(pattern, log.wrap(route, secured(h))) }
	auth, keys := authenticator{c.Authenticate, origins, proxies}, authenticator{c.withKeys(), origins, proxies}
	handle("/graphql", "/graphql", crossOrigin.Handler(keys.wrap(compress(c.graphql()))))
	handle("GET /schema.graphql", "/schema.graphql", crossOrigin.Handler(compress(text(c.SDL))))
	if c.Hooks != nil {
		handle(hooksPath, hooksPath, hooks{c.Hooks, c.Cursor, c.Log, proxies})
	}
	if c.Files != nil {
		handle(filesPath, filesPath, crossOrigin.Handler(auth.wrap(http.HandlerFunc(c.upload))))
		handle("GET "+filesPath+"/{id}", filesPath+"/{id}", http.HandlerFunc(c.download))
	}
	for path, page := range c.Pages {
		handle(path, path, c.pages(page, proxies))
	}
	for path, page := range c.Admin {
		handle(path, path, c.admins(page, proxies))
	}
	health(mux, c.Ready)
	if !c.Settings.Production() {
		mux.Handle("GET /metrics", c.Metrics.Handler())
	}
	for path, explorer := range map[string]http.Handler{graphiqlPath: c.GraphiQL, playgroundPath: c.Playground} {
		if c.Settings.ServeGraphiQL() && explorer != nil {
			handle(path, path, http.StripPrefix(strings.TrimSuffix(path, "/"), explorer))
		}
	}
	if c.App != nil {
		handle("/", "/", c.App)
		if c.Settings.Production() { // it makes accounts as it is opened
			handle("/duo", "/duo", http.HandlerFunc(http.NotFound))
		}
	} else {
		handle("GET /{$}", "/", text("Parley. The API is at /graphql, its schema at /schema.graphql.\n"))
	}
	return mux, nil
}

// Admin returns the handler of the loopback address for operators: /metrics, /livez, /readyz.
func Admin(metrics *obs.Metrics, ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	health(mux, ready)
	return mux
}

func (c Config) graphql() http.Handler {
	s := c.Settings
	srv := handler.New(c.Schema)
	for _, t := range c.Transports {
		srv.AddTransport(t)
	}
	srv.AddTransport(Transport{MaxBody: int64(s.MaxBody), BodyTimeout: s.BodyTimeout, Secure: s.Production()})
	srv.SetQueryCache(newCache[*ast.QueryDocument]())
	srv.SetErrorPresenter(c.Present)
	srv.SetRecoverFunc(c.Recover)
	if !s.AllowIntrospection() {
		srv.SetDisableSuggestion(true)
		srv.SetValidationRulesFn(withoutSuggestions)
	}
	srv.Use(measure{c.Metrics})
	srv.Use(persisted{lru.New[string](cacheTexts)})
	srv.Use(&limiter{
		max:           Limits{s.MaxTokens, s.MaxDepth, s.MaxAliases, s.MaxDirectives, s.MaxComplexity},
		introspection: s.AllowIntrospection(), schema: c.Schema.Schema(), fine: newCache[*ast.QueryDocument](),
	})
	for _, e := range c.Extensions {
		srv.Use(e)
	}
	return srv
}

// These have an explorer at their end and its files below.
const (
	graphiqlPath   = "/graphiql/"
	playgroundPath = "/playground/"
)

// maxForm bounds what a form may send: a token and two passwords.
const maxForm = 16 << 10

// pages says who asks, and reads what they send: no more than a form.
func (c Config) pages(page http.Handler, proxies []netip.Prefix) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrive := http.NewResponseController(w)
		_ = arrive.SetReadDeadline(time.Now().Add(c.Settings.BodyTimeout))
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			http.Error(w, "This is not the form of this page.", http.StatusBadRequest)
			return
		}
		_ = arrive.SetReadDeadline(time.Time{})
		carrier := &token.Carrier{Client: token.Client{Addr: clientAddr(r, proxies), UserAgent: r.UserAgent()}}
		page.ServeHTTP(w, r.WithContext(token.WithCarrier(r.Context(), carrier)))
	})
}

func health(mux *http.ServeMux, ready func(context.Context) error) {
	mux.Handle("GET /livez", text("ok\n"))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if err := ready(r.Context()); err != nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
}

func text(content string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, content)
	})
}

// secured sets what every answer should say to a browser. The app and GraphiQL replace the policy by their own.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}
