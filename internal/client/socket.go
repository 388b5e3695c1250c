package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Socket is a graphql-transport-ws connection. One goroutine reads it, and ends when the connection does; Close waits for
// it.
type Socket struct {
	conn *websocket.Conn
	done chan struct{}
	quit chan struct{} // closed by the first Cut: nobody takes items any more
	once sync.Once

	writing sync.Mutex

	mu   sync.Mutex
	next int
	subs map[string]*Subscription
	err  error
}

// Subscription is one operation on a socket. Its channel is closed after the last item; then Err says why.
type Subscription struct {
	s  *Socket
	id string
	// C has the items as they come. The socket's other operations wait while it is full.
	C   chan Response
	err error // before C is closed
}

// ErrComplete says that the server ended a subscription in order.
var ErrComplete = errors.New("complete")

type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Dial connects and says who it is.
func (c *Client) Dial(ctx context.Context) (*Socket, error) {
	d := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: 10 * time.Second}
	conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(c.URL, "http")+"/graphql", nil)
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	s := &Socket{conn: conn, done: make(chan struct{}), quit: make(chan struct{}), subs: map[string]*Subscription{}}
	init := frame{Type: "connection_init"}
	if c.Token != "" {
		init.Payload, _ = json.Marshal(map[string]string{"authorization": "Bearer " + c.Token})
	}
	var ack frame
	if err = s.write(init); err == nil {
		err = conn.ReadJSON(&ack)
	}
	if err == nil && ack.Type != "connection_ack" {
		err = fmt.Errorf("%s instead of an acknowledgement", ack.Type)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	go s.read()
	return s, nil
}

func (s *Socket) write(f frame) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.conn.WriteJSON(f)
}

func (s *Socket) read() {
	defer close(s.done)
	var err error
	for err == nil {
		var f frame
		if err = s.conn.ReadJSON(&f); err != nil {
			break
		}
		s.mu.Lock()
		sub := s.subs[f.ID]
		s.mu.Unlock()
		switch f.Type {
		case "ping":
			_ = s.write(frame{Type: "pong"})
		case "next":
			if sub != nil {
				var r Response
				if err = json.Unmarshal(f.Payload, &r); err == nil {
					select {
					case sub.C <- r:
					case <-s.quit: // nothing after it either: there would be a hole
						err = net.ErrClosed
					}
				}
			}
		case "error":
			var e Errors
			_ = json.Unmarshal(f.Payload, &e)
			s.end(sub, e)
		case "complete":
			s.end(sub, ErrComplete)
		}
	}
	s.mu.Lock()
	s.err = err
	subs := s.subs
	s.subs = nil
	s.mu.Unlock()
	for _, sub := range subs {
		sub.err = err
		close(sub.C)
	}
}

func (s *Socket) end(sub *Subscription, err error) {
	if sub == nil {
		return
	}
	s.mu.Lock()
	delete(s.subs, sub.id)
	s.mu.Unlock()
	sub.err = err
	close(sub.C)
}

// Subscribe starts an operation. buffer is how many items may wait unread.
func (s *Socket) Subscribe(query string, vars Vars, buffer int) (*Subscription, error) {
	s.mu.Lock()
	if s.subs == nil {
		s.mu.Unlock()
		return nil, s.err
	}
	s.next++
	sub := &Subscription{s: s, id: strconv.Itoa(s.next), C: make(chan Response, buffer)}
	s.subs[sub.id] = sub
	s.mu.Unlock()
	payload, err := json.Marshal(request{query, vars})
	if err != nil {
		return nil, err
	}
	return sub, s.write(frame{ID: sub.id, Type: "subscribe", Payload: payload})
}

// Err says why C was closed: ErrComplete, Errors, or what ended the connection (a *websocket.CloseError has the code).
func (s *Subscription) Err() error { return s.err }

// Next waits for an item and reads its data.
func (s *Subscription) Next(ctx context.Context, to any) error {
	select {
	case r, ok := <-s.C:
		if !ok {
			return s.err
		}
		return r.into(to)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Complete ends an operation. Items that are on their way are thrown away.
func (s *Subscription) Complete() error {
	s.s.mu.Lock()
	delete(s.s.subs, s.id)
	s.s.mu.Unlock()
	return s.s.write(frame{ID: s.id, Type: "complete"})
}

// Cut loses the network: nothing is said to the server.
func (s *Socket) Cut() {
	s.once.Do(func() { close(s.quit) })
	_ = s.conn.NetConn().Close()
	<-s.done
}

// Close leaves in order.
func (s *Socket) Close() {
	s.writing.Lock()
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	s.writing.Unlock()
	s.Cut()
}

// CloseCode is the code with which a connection was closed; 0 if it was not.
func CloseCode(err error) int {
	var c *websocket.CloseError
	if errors.As(err, &c) {
		return c.Code
	}
	return 0
}
