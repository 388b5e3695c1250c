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
	if !slices.ContainsFunc(accept, func(s string) bool { return strings.Contains(strings.ToLower(s), "event-stream") }) {
		return false
	}
	stream, other, first := 0.0, 0.0, false
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
	return stream > other || stream > 0 && stream == other && first
}
