// Package request reads GraphQL requests as clients write them: the body of a POST, the query string of a GET, the
// payload of a subscribe. All transports accept the same.
package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
)

// What is wrong with a request. Nothing of the request is repeated: it may hold a password.
var (
	ErrNotObject = errors.New("the request body is not a JSON object with a query")
	ErrBatch     = errors.New("batches are not supported: send one operation in each request")
	ErrNoQuery   = errors.New("query is missing")
	ErrURL       = errors.New("the query string could not be read")
)

// Parse reads the parameters of a request from a JSON object in UTF-8. Numbers keep their digits; what is null is absent;
// members that GraphQL over HTTP does not know are ignored. A query may be missing where extensions name a persisted one;
// what is wrong with an empty one is for its execution to say.
func Parse(body []byte) (*graphql.RawParams, error) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return nil, ErrBatch
	}
	p := &graphql.RawParams{}
	var wrong error
	asked := false
	ok := utf8.Valid(body) && Object(body, func(name, value []byte) {
		if Null(value) {
			return
		}
		fine := true
		switch string(name) {
		case "query":
			p.Query, fine = Text(value)
			asked = true
		case "operationName":
			p.OperationName, fine = Text(value)
		case "variables":
			p.Variables, fine = members(value)
		case "extensions":
			p.Extensions, fine = members(value)
		}
		if !fine {
			wrong = errors.New(string(name) + " has the wrong type")
		}
	})
	switch {
	case !ok:
		return nil, ErrNotObject
	case wrong != nil:
		return nil, wrong
	}
	return complete(p, asked)
}

// ParseQuery reads the parameters of a request from a URL's query string, where variables and extensions are JSON.
func ParseQuery(raw string) (*graphql.RawParams, error) {
	values, err := url.ParseQuery(raw)
	if err != nil || !utf8.ValidString(values.Get("query")) {
		return nil, ErrURL
	}
	p := &graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")}
	for name, into := range map[string]*map[string]any{"variables": &p.Variables, "extensions": &p.Extensions} {
		v := []byte(values.Get(name))
		if len(v) == 0 || Null(v) {
			continue
		}
		ok := utf8.Valid(v) && json.Valid(v)
		if ok {
			*into, ok = members(bytes.TrimSpace(v))
		}
		if !ok {
			return nil, errors.New(name + " is not a JSON object")
		}
	}
	return complete(p, p.Query != "")
}

func complete(p *graphql.RawParams, asked bool) (*graphql.RawParams, error) {
	if !asked && p.Extensions["persistedQuery"] == nil {
		return nil, ErrNoQuery
	}
	return p, nil
}

// members reads an object that is known to be valid JSON.
func members(value []byte) (m map[string]any, ok bool) {
	if value[0] != '{' {
		return nil, false
	}
	v, _ := build(value, 0)
	return v.(map[string]any), true
}
