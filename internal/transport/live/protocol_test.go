package live_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/socket"
	"github.com/parley-chat/parley/internal/transport/ws"
)

// A transcript line begins with > (sent), < (received) or is the close code that ends it.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	const ack, init = `< {"type":"connection_ack"}`, `> {"type":"connection_init"}`
	const auth = `> {"type":"connection_init","payload":{"authorization":"1/1"}}`
	const malformed = "4400"
	for name, tc := range map[string]struct{ protocol, script string }{
		"no subprotocol":                    {"", "4406"},
		"unknown subprotocol":               {"mqtt", "4406"},
		"init timeout":                      {ws.TransportWS, "4408"},
		"legacy init timeout":               {ws.Legacy, "4408"},
		"second init":                       {ws.TransportWS, init + "\n" + ack + "\n" + init + "\n4429"},
		"subscribe before ack":              {ws.TransportWS, `> {"id":"1","type":"subscribe","payload":{"query":"{me{id}}"}}` + "\n4401"},
		"refused init":                      {ws.TransportWS, `> {"type":"connection_init","payload":{"authorization":"bad"}}` + "\n4403"},
		"authorization is a number":         {ws.TransportWS, `> {"type":"connection_init","payload":{"Authorization":7}}` + "\n4403"},
		"authorization in headers":          {ws.TransportWS, `> {"type":"connection_init","payload":{"headers":{"Authorization":"bad"}}}` + "\n4403"},
		"not JSON":                          {ws.TransportWS, "> hello\n" + malformed},
		"an array":                          {ws.TransportWS, "> []\n" + malformed},
		"null":                              {ws.TransportWS, "> null\n" + malformed},
		"no type":                           {ws.TransportWS, "> {}\n" + malformed},
		"type in another case":              {ws.TransportWS, `> {"Type":"ping"}` + "\n" + malformed},
		"unknown type":                      {ws.TransportWS, `> {"type":"start"}` + "\n" + malformed},
		"text after the JSON":               {ws.TransportWS, `> {"type":"ping"} x` + "\n" + malformed},
		"init payload is no object":         {ws.TransportWS, `> {"type":"connection_init","payload":"x"}` + "\n" + malformed},
		"ping payload is no object":         {ws.TransportWS, `> {"type":"ping","payload":1}` + "\n" + malformed},
		"pong payload is no object":         {ws.TransportWS, `> {"type":"pong","payload":[]}` + "\n" + malformed},
		"empty id":                          {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"","type":"subscribe","payload":{"query":"{me{id}}"}}` + "\n" + malformed},
		"id is a number":                    {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":1,"type":"subscribe","payload":{"query":"{me{id}}"}}` + "\n" + malformed},
		"no payload":                        {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"1","type":"subscribe"}` + "\n" + malformed},
		"no query":                          {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"1","type":"subscribe","payload":{}}` + "\n" + malformed},
		"variables is a list":               {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"{me{id}}","variables":[]}}` + "\n" + malformed},
		"complete without id":               {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"type":"complete"}` + "\n" + malformed},
		"ping, before and after init":       {ws.TransportWS, `> {"type":"ping","payload":{"a": 1}}` + "\n" + `< {"type":"pong","payload":{"a": 1}}` + "\n" + `> {"type":"pong"}` + "\n" + init + "\n" + ack + "\n" + `> {"type":"ping","payload":null}` + "\n" + `< {"type":"pong"}`},
		"anonymous":                         {ws.TransportWS, init + "\n" + ack + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"{me{id}}"}}` + "\n" + `< {"id":"1","type":"next","payload":{"data":{"me":null}}}` + "\n" + `< {"id":"1","type":"complete"}` + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"subscription{events{cursor}}"}}` + "\n" + `< {"id":"1","type":"error","payload":[{"message":"sign in first","path":["events"],"locations":[{"line":1,"column":14}],"extensions":{"code":"UNAUTHENTICATED"}}]}`},
		"query and mutation":                {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"q","type":"subscribe","payload":{"query":"{me{username}}"}}` + "\n" + `< {"id":"q","type":"next","payload":{"data":{"me":{"username":"me"}}}}` + "\n" + `< {"id":"q","type":"complete"}` + "\n" + `> {"id":"q","type":"subscribe","payload":{"query":"mutation{signOut{cursor}}"}}` + "\n" + `< {"id":"q","type":"next","payload":{"data":{"signOut":{"cursor":"` + at(0) + `"}}}}` + "\n" + `< {"id":"q","type":"complete"}`},
		"validation error, and no complete": {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"{nothing}"}}` + "\n" + `< {"id":"1","type":"error","payload":[{"message":"Cannot query field \"nothing\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}` + "\n" + `> {"type":"ping"}` + "\n" + `< {"type":"pong"}`},
		"duplicate id":                      {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"query($i:ID!){user(id:$i){id}}","variables":{"i":"` + user(1).String() + `"}}}` + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"{me{id}}"}}` + "\n4409"},
		"complete is not echoed":            {ws.TransportWS, auth + "\n" + ack + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"query($i:ID!){user(id:$i){id}}","variables":{"i":"` + user(1).String() + `"}}}` + "\n" + `> {"id":"1","type":"complete"}` + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"{me{username}}"}}` + "\n" + `< {"id":"1","type":"next","payload":{"data":{"me":{"username":"me"}}}}` + "\n" + `< {"id":"1","type":"complete"}` + "\n" + `> {"id":"none","type":"complete"}` + "\n" + `> {"type":"ping"}` + "\n" + `< {"type":"pong"}`},
		"legacy":                            {ws.Legacy, auth + "\n" + ack + "\n" + `< {"type":"ka"}` + "\n" + `> {"id":"1","type":"start","payload":{"query":"{me{username}}"}}` + "\n" + `< {"id":"1","type":"data","payload":{"data":{"me":{"username":"me"}}}}` + "\n" + `< {"id":"1","type":"complete"}` + "\n" + `> {"id":"2","type":"start","payload":{"query":"{x}"}}` + "\n" + `< {"id":"2","type":"error","payload":[{"message":"Cannot query field \"x\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}` + "\n" + `> {"id":"2","type":"stop"}` + "\n" + `> {"type":"connection_terminate"}` + "\n1000"},
		"legacy refused":                    {ws.Legacy, `> {"type":"connection_init","payload":{"authorization":"bad"}}` + "\n" + `< {"type":"connection_error","payload":{"message":"Forbidden"}}` + "\n4403"},
		"legacy start before init":          {ws.Legacy, `> {"id":"1","type":"start","payload":{"query":"{me{id}}"}}` + "\n4401"},
		"legacy knows no subscribe":         {ws.Legacy, init + "\n" + ack + "\n" + `< {"type":"ka"}` + "\n" + `> {"id":"1","type":"subscribe","payload":{"query":"{me{id}}"}}` + "\n" + malformed},
		"the newer one is preferred":        {ws.Legacy + "," + ws.TransportWS, `> {"type":"ping"}` + "\n" + `< {"type":"pong"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, func(_ *stage, _ *socket.Config, _ *live.Config, c *ws.Config) {
				if strings.Contains(name, "timeout") {
					c.InitTimeout = 50 * time.Millisecond
				}
			})
			c := s.dial(tc.protocol)
			for line := range strings.Lines(tc.script) {
				line = strings.TrimSuffix(line, "\n")
				switch line[0] {
				case '>':
					must(t, c.WriteMessage(websocket.TextMessage, []byte(line[2:])))
				case '<':
					c.want(line[2:])
				default:
					var code int
					_, _ = fmt.Sscan(line, &code)
					c.wantClose(code)
					if _, err := c.read(); err == nil {
						t.Error("something after the close")
					}
				}
			}
		})
	}
}

func TestCookieAndOrigin(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d := websocket.Dialer{Subprotocols: []string{ws.TransportWS}}
	_, resp, err := d.Dial("ws"+s.url[4:], http.Header{"Origin": {"https://evil.example"}})
	if err == nil || resp.StatusCode != http.StatusForbidden {
		t.Error(err, resp)
	}
	c, _, err := d.Dial("ws"+s.url[4:], http.Header{"Cookie": {"token=1/1"}})
	must(t, err)
	cl := &client{t, c}
	cl.put(`{"type":"connection_init"}`)
	cl.want(`{"type":"connection_ack"}`)
	cl.put(`{"id":"1","type":"subscribe","payload":{"query":"{me{username}}"}}`)
	cl.want(`{"id":"1","type":"next","payload":{"data":{"me":{"username":"me"}}}}`)
	_ = c.Close()
}

func TestTokenExpiry(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.mu.Lock()
	s.expires[token(1, 1)] = time.Now().Add(100 * time.Millisecond)
	s.mu.Unlock()
	s.connect(token(1, 1)).wantClose(4403)
	eventually(t, "gone", func() bool { return s.here.Load() == 0 })
	c := s.dial(ws.TransportWS)
	c.put(`{"type":"connection_init","payload":{"authorization":%q}}`, token(1, 1))
	c.wantClose(4403)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *stage, _ *socket.Config, _ *live.Config, c *ws.Config) {
		c.MaxPerUser, c.MaxPerAddress, c.MaxOperations = 2, 4, 2
	})
	a := s.connect(token(1, 1))
	s.connect(token(1, 2))
	c := s.dial(ws.TransportWS)
	c.put(`{"type":"connection_init","payload":{"authorization":%q}}`, token(1, 3))
	c.wantClose(1013)
	for i := range 2 {
		a.start(fmt.Sprint(i), `query($i:ID!){user(id:$i){id}}`, "i", user(1))
	}
	a.start("3", `{me{id}}`)
	a.want(`{"id":"3","type":"error","payload":[{"message":"too many operations on one socket","extensions":{"code":"RATE_LIMITED"}}]}`)
	eventually(t, "the refused one is gone", func() bool { return s.sockets.Stats().Sockets == 2 })
	s.connect(token(2, 1))
	s.connect(token(3, 1))
	_, resp, err := websocket.DefaultDialer.Dial("ws"+s.url[4:], nil)
	if err == nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Error(err, resp)
	}
}

func TestDrainWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	idle, busy := s.connect(token(1, 1)), s.connect(token(1, 2))
	idle.sub("1", messageQuery, "c", conv(1))
	busy.start("q", `query($i:ID!){user(id:$i){username}}`, "i", user(1))
	busy.quiet()
	done := make(chan error)
	go func() { done <- s.ws.Drain(t.Context()) }()
	idle.wantClose(1012)
	_, resp, err := websocket.DefaultDialer.Dial("ws"+s.url[4:], nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Error(err, resp)
	}
	close(s.block)
	busy.want(`{"id":"q","type":"next","payload":{"data":{"user":{"username":"late"}}}}`)
	busy.want(`{"id":"q","type":"complete"}`)
	busy.wantClose(1012)
	must(t, <-done)
	must(t, s.ws.Drain(t.Context()))
}

func TestPings(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *stage, _ *socket.Config, _ *live.Config, c *ws.Config) { c.PingInterval = 40 * time.Millisecond })
	c := s.connect(token(1, 1))
	pings := 0
	c.SetPingHandler(func(string) error { pings++; return nil }) // and does not answer
	if _, err := c.read(); err == nil || pings == 0 {
		t.Error(err, pings)
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := s.connect(token(1, 1))
	frame := func(b0 byte, p string) []byte { return append([]byte{b0, 0x80 | byte(len(p)), 0, 0, 0, 0}, p...) }
	pong := ""
	c.SetPongHandler(func(s string) error { pong = s; return nil })
	for _, b := range append(append(frame(1, `{"type"`), frame(0x89, "hi")...), frame(0x80, `:"ping"}`)...) {
		_, err := c.NetConn().Write([]byte{b}) // byte by byte, fragmented, with a ping between
		must(t, err)
	}
	c.want(`{"type":"pong"}`)
	if pong != "hi" {
		t.Error(pong)
	}
	for code, b := range map[int][]byte{
		1007: frame(0x81, "\xff"),
		1003: frame(0x82, "x"),
		1009: append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, 1<<40)...),
		1002: {0x81, 0x01, 'x'},
		1000: frame(0x88, "\x03\xe8bye"),
		1005: frame(0x88, ""),
	} {
		c := s.connect(token(1, 1))
		_, err := c.NetConn().Write(b)
		must(t, err)
		c.wantClose(code)
	}
}

// An id that is used again at once after complete never gets anything of the operation before it.
func TestIDsAreNotMixed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	s.in(2, 1)
	c := s.connect(token(1, 1))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				s.log.add(message(1, "one"), message(2, "two"))
			}
		}
	}()
	for i := range 100 {
		room := 1 + i%2
		c.start("x", messageQuery, "c", conv(room))
		want := map[int]string{1: "one", 2: "two"}[room]
		for caught, n := false, 0; !caught || n < 3; {
			g := c.get()
			switch {
			case strings.Contains(g, "CaughtUp"):
				caught = true
			case !caught: // of the operation before, from before its complete was read
			case !strings.Contains(g, want):
				t.Fatalf("%d: %s", i, g)
			default:
				n++
			}
		}
		c.put(`{"id":"x","type":"complete"}`)
	}
	close(stop)
	<-done
}
