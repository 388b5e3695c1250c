package sse

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
)

// wanted says whether Accept asks for a stream of events at least as much as for JSON. Wildcards do not ask for one.
func wanted(accept []string) bool {
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

var errBody = errors.New("the request is not a GraphQL request in JSON")

// read takes a request's parameters from its body or its URL. The error never repeats what was sent: it may be secret.
func read(r *http.Request, limit int64) (*graphql.RawParams, error) {
	var p struct {
		Query         *string        `json:"query"`
		OperationName *string        `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    map[string]any `json:"extensions"`
	}
	if r.Method == http.MethodGet {
		q, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, errBody
		}
		for name, to := range map[string]**string{"query": &p.Query, "operationName": &p.OperationName} {
			if q.Has(name) {
				v := q.Get(name)
				*to = &v
			}
		}
		for name, to := range map[string]*map[string]any{"variables": &p.Variables, "extensions": &p.Extensions} {
			if s := q.Get(name); s != "" && decode([]byte(s), to) != nil {
				return nil, errBody
			}
		}
	} else {
		b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
		if err != nil || int64(len(b)) > limit || decode(b, &p) != nil {
			return nil, errBody
		}
	}
	if p.Query == nil && p.Extensions["persistedQuery"] == nil {
		return nil, errBody
	}
	params := &graphql.RawParams{Variables: p.Variables, Extensions: p.Extensions, Headers: r.Header}
	if p.Query != nil {
		params.Query = *p.Query
	}
	if p.OperationName != nil {
		params.OperationName = *p.OperationName
	}
	return params, nil
}

// decode reads one JSON object, with nothing behind it, and leaves numbers as they are.
func decode(b []byte, to any) error {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return errBody
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errBody
	}
	return nil
}
