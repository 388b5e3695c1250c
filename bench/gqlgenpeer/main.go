// Command gqlgenpeer is a GraphQL server of the same shape as Parley, on gqlgen and its own WebSocket transport with
// nothing changed: what Parley is compared with.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/golang-jwt/jwt/v5"
	"github.com/vektah/gqlparser/v2/ast"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/parley-chat/parley/bench/gqlgenpeer/graph"
)

func main() {
	addr := flag.String("addr", "", "loopback address to listen on")
	database := flag.String("database-url", "", "where messages are stored; empty: nowhere")
	flag.Parse()
	key, err := hex.DecodeString(os.Getenv("BENCH_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	r := &graph.Resolver{}
	if *database != "" {
		db, err := gorm.Open(postgres.Open(*database), &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true})
		if err != nil {
			log.Fatal(err)
		}
		pool, err := db.DB()
		if err != nil {
			log.Fatal(err)
		}
		pool.SetMaxOpenConns(16)
		pool.SetMaxIdleConns(16)
		r.DB = db
	}
	auth := func(ctx context.Context, header string) (context.Context, error) {
		text, ok := strings.CutPrefix(header, "Bearer ")
		if !ok {
			return ctx, errors.New("unauthenticated")
		}
		var c jwt.RegisteredClaims
		_, err := jwt.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithValidMethods([]string{"HS256"}))
		return graph.WithViewer(ctx, c.Subject), err
	}
	srv := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: r}))
	srv.AddTransport(transport.Websocket{
		KeepAlivePingInterval: 25 * time.Second,
		InitFunc: func(ctx context.Context, p transport.InitPayload) (context.Context, *transport.InitPayload, error) {
			ctx, err := auth(ctx, p.Authorization())
			return ctx, nil, err
		},
	})
	srv.AddTransport(transport.POST{})
	srv.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	srv.Use(extension.FixedComplexityLimit(1000))
	http.HandleFunc("/graphql", func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") == "" {
			ctx, err := auth(req.Context(), req.Header.Get("Authorization"))
			if err != nil {
				http.Error(w, "unauthenticated", http.StatusUnauthorized)
				return
			}
			req = req.WithContext(ctx)
		}
		srv.ServeHTTP(w, req)
	})
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(l, nil)) //nolint:gosec // loopback, for minutes
}
