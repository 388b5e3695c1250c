package ws

import (
	"bytes"
	"encoding/json"

	"github.com/parley-chat/parley/internal/transport/request"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// The subprotocols, as they are negotiated.
const (
	TransportWS = "graphql-transport-ws"
	Legacy      = "graphql-ws"
)

// framing writes an operation's messages. It is comparable, so that the same bytes are recognised.
type framing struct{ next string }

// As interfaces, so that no operation needs a copy of its own.
var modernFraming, legacyFraming socket.Framing = &framing{"next"}, &framing{"data"}

const head, mid, payloadKey = `{"id":"`, `","type":"`, `","payload":`

func (f *framing) message(b []byte, id, kind string, payload []byte) []byte {
	b = socket.AppendHeader(b, socket.OpText, len(head)+len(id)+len(mid)+len(kind)+len(payloadKey)+len(payload)+1)
	b = append(append(append(append(append(b, head...), id...), mid...), kind...), payloadKey...)
	return append(append(b, payload...), '}')
}

func (f *framing) Next(b []byte, id string, payload []byte) []byte {
	return f.message(b, id, f.next, payload)
}

func (f *framing) Error(b []byte, id string, errs []byte) []byte {
	return f.message(b, id, "error", errs)
}

func (f *framing) Complete(b []byte, id string) []byte {
	const end = `{"id":"`
	b = socket.AppendHeader(b, socket.OpText, len(end)+len(id)+len(`","type":"complete"}`))
	return append(append(append(b, end...), id...), `","type":"complete"}`...)
}

// message is what a client said.
type message struct {
	kind    string
	id      string // as it stands between quotes in JSON
	rawID   string
	payload []byte // nil: none, or null; it stands in what was read
}

var errMalformed = socket.CloseError{Code: 4400, Reason: "Invalid message received"}

// parse reads a message: one JSON object, with nothing behind it.
func parse(data []byte) (m message, err error) {
	fine, typed := true, false
	ok := request.Object(data, func(name, value []byte) {
		ok := true
		switch string(name) {
		case "type":
			m.kind, ok = request.Text(value)
			typed = ok
		case "id":
			m.rawID, ok = request.Text(value)
		case "payload":
			m.payload = nil
			if !request.Null(value) {
				m.payload = value
			}
		}
		fine = fine && ok
	})
	if !ok || !fine || !typed {
		return m, errMalformed
	}
	if m.rawID != "" {
		b, err := json.Marshal(m.rawID)
		if err != nil {
			return m, errMalformed
		}
		m.id = string(b[1 : len(b)-1])
	}
	return m, nil
}

func isObject(payload []byte) bool { return payload == nil || payload[0] == '{' }

// authorization finds the token in the payload of connection_init: under authorization, in any letter case, there or in
// headers. ok is false when it is not a string.
func authorization(payload []byte) (token string, ok bool) {
	token, found, ok, headers := authorizationIn(payload)
	if !found && len(headers) > 0 {
		token, found, ok, _ = authorizationIn(headers)
	}
	return token, ok || !found
}

func authorizationIn(object []byte) (token string, found, ok bool, headers []byte) {
	request.Object(object, func(name, value []byte) {
		switch {
		case bytes.EqualFold(name, []byte("authorization")) && !request.Null(value):
			found = true
			token, ok = request.Text(value)
		case bytes.EqualFold(name, []byte("headers")):
			headers = value
		}
	})
	return token, found, ok, headers
}
