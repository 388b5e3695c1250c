package httpapi

import (
	"mime"
	"strconv"
	"strings"
)

// The media types of an answer.
const (
	typeGraphQL = "application/graphql-response+json"
	typeJSON    = "application/json"
)

// quality is how much an Accept header wants a media type: the q of the most specific range that covers it (RFC 9110,
// 12.5.1), and how specific that is, 3 for the type itself.
func quality(accept, mediaType string) (q float64, specific int) {
	kind, _, _ := strings.Cut(mediaType, "/")
	for part := range strings.SplitSeq(accept, ",") {
		name, params := strings.ToLower(strings.TrimSpace(part)), map[string]string(nil)
		var err error
		if strings.Contains(part, ";") { // most have no parameters, and this is asked for every request
			if name, params, err = mime.ParseMediaType(part); err != nil {
				continue
			}
		}
		if c, ok := params["charset"]; ok && !isUTF8(c) {
			continue
		}
		var s int
		switch name {
		case mediaType:
			s = 3
		case kind + "/*":
			s = 2
		case "*/*":
			s = 1
		default:
			continue
		}
		weight := 1.0
		if v, ok := params["q"]; ok {
			if weight, err = strconv.ParseFloat(v, 64); err != nil || weight < 0 || weight > 1 {
				continue
			}
		}
		if s > specific || s == specific && weight > q {
			q, specific = weight, s
		}
	}
	return q, specific
}

// negotiate picks the media type of the answer; empty when the client takes neither. A client that does not say what it
// wants gets application/json, as the specification of GraphQL over HTTP asks.
func negotiate(accept string) string {
	if strings.TrimSpace(accept) == "" {
		return typeJSON
	}
	g, gs := quality(accept, typeGraphQL)
	j, js := quality(accept, typeJSON)
	switch {
	case g == 0 && j == 0:
		return ""
	case g > j, g == j && gs > js, g == j && gs == 3:
		return typeGraphQL
	}
	return typeJSON
}

func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
