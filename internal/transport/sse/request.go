package sse

import (
	"io"
	"net/http"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/internal/transport/request"
)

// read takes a request's parameters from its body or its URL.
func read(r *http.Request, limit int64) (*graphql.RawParams, error) {
	if r.Method == http.MethodGet {
		return request.ParseQuery(r.URL.RawQuery)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil || int64(len(b)) > limit {
		return nil, request.ErrNotObject
	}
	return request.Parse(b)
}
