package request

import (
	"mime"
	"slices"
	"strconv"
	"strings"
)

// WantsStream says whether Accept headers ask for a stream of events rather than for JSON: with a greater weight or, as urql
// lists whatever it can read, all with the same, before it. Wildcards do not ask for one.
func WantsStream(accept []string) bool {
	stream, other, first := weigh(accept)
	return stream > other || stream > 0 && stream == other && first
}

// TakesStream says whether Accept headers name streams of events at all, though maybe after JSON.
func TakesStream(accept []string) bool {
	stream, _, _ := weigh(accept)
	return stream > 0
}

// weigh returns the weights of streams and of JSON, and whether streams are named first.
func weigh(accept []string) (stream, other float64, first bool) {
	if !slices.ContainsFunc(accept, func(s string) bool { return strings.Contains(strings.ToLower(s), "event-stream") }) {
		return 0, 0, false
	}
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
			stream, first = max(stream, q), first || other == 0
		case "application/json", "application/graphql-response+json", "multipart/mixed":
			other = max(other, q)
		}
	}
	return stream, other, first
}
