// Package model has the Go side of GraphQL types that no noun of the program stands for; models_gen.go is generated.
package model

import (
	"encoding/json"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/internal/chat"
)

// MarshalTime writes a Time in UTC; the zero time is null.
func MarshalTime(t time.Time) graphql.Marshaler {
	if t.IsZero() {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = w.Write(append(t.UTC().AppendFormat([]byte{'"'}, time.RFC3339Nano), '"'))
	})
}

// UnmarshalTime reads a Time.
func UnmarshalTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC(), nil
		}
	case json.Number:
	}
	return time.Time{}, chat.BadInput("not an RFC 3339 time")
}
