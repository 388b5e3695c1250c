package sse

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/internal/transport/request"
)

// wanted says whether Accept asks for a stream of events at least as much as for JSON. Wildcards do not ask for one.
func wanted(accept []string) bool {
	if !slices.ContainsFunc(accept, func(s string) bool { return strings.Contains(strings.ToLower(s), "event-stream") }) {
		return false
	}
	stream, other := 0.0, 0.0
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				q = 0
			}
		}
		switch kind {
		case "text/event-stream":
			stream = max(stream, q)
		case "application/json", "application/graphql-response+json", "multipart/mixed":
			other = max(other, q)
		}
	}
	return stream > 0 && stream >= other
}

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
