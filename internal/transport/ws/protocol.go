package ws

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/internal/transport/socket"
)

// The subprotocols, as they are negotiated.
const (
	TransportWS = "graphql-transport-ws"
	Legacy      = "graphql-ws"
)

// framing writes an operation's messages. It is comparable, so that the same bytes are recognised.
type framing struct{ next string }

var (
	modernFraming = framing{"next"}
	legacyFraming = framing{"data"}
)

const head, mid, payloadKey = `{"id":"`, `","type":"`, `","payload":`

func (f framing) message(b []byte, id, kind string, payload []byte) []byte {
	b = socket.AppendHeader(b, socket.OpText, len(head)+len(id)+len(mid)+len(kind)+len(payloadKey)+len(payload)+1)
	b = append(append(append(append(append(b, head...), id...), mid...), kind...), payloadKey...)
	return append(append(b, payload...), '}')
}

func (f framing) Next(b []byte, id string, payload []byte) []byte {
	return f.message(b, id, f.next, payload)
}

func (f framing) Error(b []byte, id string, errs []byte) []byte {
	return f.message(b, id, "error", errs)
}

func (f framing) Complete(b []byte, id string) []byte {
	const end = `{"id":"`
	b = socket.AppendHeader(b, socket.OpText, len(end)+len(id)+len(`","type":"complete"}`))
	return append(append(append(b, end...), id...), `","type":"complete"}`...)
}

// message is what a client said.
type message struct {
	kind    string
	id      string // as it stands between quotes in JSON
	rawID   string
	payload json.RawMessage // nil: none, or null
}

var errMalformed = socket.CloseError{Code: 4400, Reason: "Invalid message received"}

// parse reads a message: one JSON object, with nothing behind it.
func parse(data []byte) (m message, err error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil || fields == nil {
		return m, errMalformed
	}
	if !text(fields["type"], &m.kind) {
		return m, errMalformed
	}
	if raw, ok := fields["id"]; ok && !text(raw, &m.rawID) {
		return m, errMalformed
	}
	if m.rawID != "" {
		b, err := json.Marshal(m.rawID)
		if err != nil {
			return m, errMalformed
		}
		m.id = string(b[1 : len(b)-1])
	}
	if p := fields["payload"]; len(p) > 0 && string(p) != "null" {
		m.payload = p
	}
	return m, nil
}

// text reads a JSON string and nothing else.
func text(raw json.RawMessage, to *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, to) == nil
}

func isObject(raw json.RawMessage) bool { return raw == nil || raw[0] == '{' }

// request reads the payload of subscribe.
func request(payload json.RawMessage) (*graphql.RawParams, error) {
	if payload == nil || !isObject(payload) {
		return nil, errMalformed
	}
	var p struct {
		Query         *string        `json:"query"`
		OperationName *string        `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    map[string]any `json:"extensions"`
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if d.Decode(&p) != nil || p.Query == nil && p.Extensions["persistedQuery"] == nil {
		return nil, errMalformed
	}
	params := &graphql.RawParams{Variables: p.Variables, Extensions: p.Extensions}
	if p.Query != nil {
		params.Query = *p.Query
	}
	if p.OperationName != nil {
		params.OperationName = *p.OperationName
	}
	return params, nil
}

// authorization finds the token in the payload of connection_init: under authorization, in any letter case, there or in
// headers. ok is false when it is not a string.
func authorization(payload json.RawMessage) (token string, ok bool) {
	var fields map[string]json.RawMessage
	if payload == nil || json.Unmarshal(payload, &fields) != nil {
		return "", true
	}
	var nested json.RawMessage
	for k, v := range fields {
		switch {
		case strings.EqualFold(k, "authorization") && string(v) != "null":
			return token, text(v, &token)
		case strings.EqualFold(k, "headers"):
			nested = v
		}
	}
	if len(nested) == 0 || nested[0] != '{' {
		return "", true
	}
	clear(fields)
	if json.Unmarshal(nested, &fields) != nil {
		return "", true
	}
	for k, v := range fields {
		if strings.EqualFold(k, "authorization") && string(v) != "null" {
			return token, text(v, &token)
		}
	}
	return "", true
}
