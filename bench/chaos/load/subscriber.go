package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/parley-chat/parley/bench/chaos/history"
)

const (
	fields    = `conversationId message { id seq body }`
	inRoom    = `conversationId user { id }`
	everyKind = `__typename cursor
 ... on MessageAdded { ` + fields + ` }
 ... on MemberAdded { ` + inRoom + ` } ... on MemberRemoved { ` + inRoom + ` } ... on MemberLeft { ` + inRoom + ` } ... on MemberRoleChanged { ` + inRoom + ` }
 ... on ConversationCreated { conversationId } ... on ConversationUpdated { conversationId } ... on ConversationDeleted { conversationId }
 ... on ReceiptUpdated { conversationId receipt { seq user { id } } }
 ... on FriendshipMade { ` + inRoom + ` } ... on FriendshipEnded { ` + inRoom + ` }
 ... on FriendRequestSent { request { id } } ... on FriendRequestAccepted { request { id } }
 ... on FriendRequestRejected { request { id } } ... on FriendRequestCancelled { request { id } }
 ... on SessionStarted { session { id } } ... on SessionEnded { sessionId }
 ... on ProfileChanged { user { id } }
 ... on NotificationAdded { notification { id } } ... on NotificationRead { notificationId } ... on NotificationsRead { through }`
	wholeFeed = `subscription feed($a: Cursor) { e: events(after: $a) { ` + everyKind + ` } }`
	oneRoom   = `subscription room($a: Cursor, $c: ID!) { e: messageAdded(conversationId: $c, after: $a) { __typename cursor ... on MessageAdded { ` + fields + ` } } }`
)

// event is what a subscription delivers.
type event struct {
	Typename       string `json:"__typename"`
	Cursor         string
	ConversationID string
	Message        *struct {
		ID, Body string
		Seq      int64
	}
	User, Request, Session, Notification *struct{ ID string }
	SessionID, NotificationID, Through   string
	Receipt                              *struct {
		Seq  int64
		User struct{ ID string }
	}
}

// record is the event as history has it.
func (e *event) record() history.Record {
	r := history.Record{K: "event", Type: e.Typename, Conv: e.ConversationID, ID: e.SessionID + e.NotificationID + e.Through}
	switch {
	case e.Message != nil:
		r.ID, r.Seq, r.Hash = e.Message.ID, e.Message.Seq, history.Hash(e.Message.Body)
	case e.Receipt != nil:
		r.ID, r.Seq = e.Receipt.User.ID, e.Receipt.Seq
	}
	for _, x := range []*struct{ ID string }{e.User, e.Request, e.Session, e.Notification} {
		if x != nil {
			r.ID = x.ID
		}
	}
	return r
}

// subscriber listens as one person, across connections and nodes, and continues from its last cursor.
type subscriber struct {
	c     *api
	n     int
	p     *person
	room  *room // of a narrow one; nil: the whole feed
	sse   bool
	slow  bool // stops reading now and then
	brief bool // its session will be revoked: it comes back once after that, and then no more
	rnd   *rand.Rand
	conns *atomic.Int64
	pause time.Time // the next time it does

	after    string       // the last cursor
	pos      atomic.Int64 // its position
	caughtUp atomic.Bool
	revoked  atomic.Bool
	node     int
}

// run connects again for ever, until ctx is over.
func (s *subscriber) run(ctx context.Context) {
	pause := 50 * time.Millisecond
	for last := false; ctx.Err() == nil && !last; {
		last = s.brief && s.revoked.Load()
		before := s.pos.Load()
		conn := int(s.conns.Add(1))
		r := history.Record{K: "connect", Conn: conn, Sub: s.n, Node: s.node, Actor: s.p.id, What: "events"}
		if s.room != nil {
			r.What, r.Conv = "messageAdded", s.room.id
		}
		if s.sse {
			r.What += "/sse"
		}
		if s.brief {
			r.Session = s.p.session
		}
		s.c.w.Write(r)
		var err error
		if s.sse {
			err = s.listenSSE(ctx, conn)
		} else {
			err = s.listen(ctx, conn)
		}
		end := history.Record{K: "close", Conn: conn, Close: -1}
		var ce *websocket.CloseError
		if ctx.Err() == nil && !errors.Is(err, errOwn) {
			end.Close = 0
			if errors.As(err, &ce) && ce.Code != websocket.CloseAbnormalClosure {
				end.Close = ce.Code
			}
			if err != nil {
				end.Text = err.Error()
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				end.Close = -1
			}
		}
		s.c.w.Write(end)
		if s.pos.Load() > before {
			pause = 50 * time.Millisecond
		}
		sleep(ctx, jitter(s.rnd, pause))
		pause = min(2*pause, 2*time.Second)
		// Another one at random: in turn, all would end up on the same.
		s.node = (s.node+s.rnd.IntN(max(1, len(s.c.nodes)-1)))%len(s.c.nodes) + 1
	}
}

var errOwn = errors.New("the subscription is over")

func (s *subscriber) query() (string, map[string]any) {
	if s.room != nil {
		return oneRoom, map[string]any{"a": s.after, "c": s.room.id}
	}
	return wholeFeed, map[string]any{"a": s.after}
}

func (s *subscriber) subscribed(conn int) {
	r := history.Record{K: "subscribe", Conn: conn}
	r.Epoch, r.Pos, _ = history.Cursor(s.after)
	s.c.w.Write(r)
}

var small sync.Pool // write buffers

// listen holds one WebSocket until it ends.
func (s *subscriber) listen(ctx context.Context, conn int) error {
	d := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: 10 * time.Second, ReadBufferSize: 2048, WriteBufferSize: 1024, WriteBufferPool: &small}
	if s.slow { // so that the kernel does not hide from the server that nobody reads; with less it comes back late from a pause
		d.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(32 << 10)
			}
			return c, err
		}
	}
	ws, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(s.c.nodes[s.node-1], "http")+"/graphql", nil)
	if resp != nil {
		_ = resp.Body.Close()
		if err != nil {
			err = fmt.Errorf("status %d: %w", resp.StatusCode, err)
		}
	}
	if err != nil {
		return err
	}
	defer ws.Close()
	stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
	defer stop()
	ws.SetReadLimit(1 << 20)
	say := func(kind, id string, payload any) error {
		_ = ws.SetWriteDeadline(time.Now().Add(10 * time.Second))
		m := map[string]any{"type": kind}
		if id != "" {
			m["id"] = id
		}
		if payload != nil {
			m["payload"] = payload
		}
		return ws.WriteJSON(m)
	}
	if err := say("connection_init", "", map[string]any{"Authorization": "Bearer " + s.p.token}); err != nil {
		return err
	}
	for {
		_ = ws.SetReadDeadline(time.Now().Add(45 * time.Second))
		_, b, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err := json.Unmarshal(b, &m); err != nil {
			return fmt.Errorf("not a message: %.100q", b)
		}
		switch m.Type {
		case "connection_ack":
			s.c.w.Write(history.Record{K: "ready", Conn: conn})
			q, vars := s.query()
			s.subscribed(conn)
			if err := say("subscribe", "1", map[string]any{"query": q, "variables": vars}); err != nil {
				return err
			}
		case "ping":
			if err := say("pong", "", nil); err != nil {
				return err
			}
		case "next":
			if err := s.next(ctx, conn, m.Payload); err != nil {
				return err
			}
		case "error":
			var errs []gqlError
			if err := json.Unmarshal(m.Payload, &errs); err != nil || len(errs) == 0 {
				return fmt.Errorf("not an error: %.100q", b)
			}
			s.c.w.Write(history.Record{K: "error", Conn: conn, Code: errs[0].Extensions.Code, Text: errs[0].Message})
			return errOwn
		case "complete":
			s.c.w.Write(history.Record{K: "complete", Conn: conn})
			return errOwn
		}
	}
}

// listenSSE holds one event stream until it ends.
func (s *subscriber) listenSSE(ctx context.Context, conn int) error {
	q, vars := s.query()
	body, err := json.Marshal(map[string]any{"query": q, "variables": vars})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.c.nodes[s.node-1]+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+s.p.token)
	s.subscribed(conn)
	// A stopped node takes the connection and says nothing.
	t := &http.Transport{ResponseHeaderTimeout: 10 * time.Second, DisableKeepAlives: true, DisableCompression: true}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	s.c.w.Write(history.Record{K: "ready", Conn: conn})
	lines := bufio.NewReader(resp.Body)
	for kind := ""; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		k, v, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		switch {
		case k == "event":
			if kind = v; kind == "complete" {
				s.c.w.Write(history.Record{K: "complete", Conn: conn})
				return errOwn
			}
		case k == "data" && kind == "next":
			if err := s.next(ctx, conn, []byte(v)); err != nil {
				return err
			}
		}
	}
}

// next takes one result.
func (s *subscriber) next(ctx context.Context, conn int, payload []byte) error {
	var x struct {
		Data   struct{ E *event }
		Errors []gqlError
	}
	if err := json.Unmarshal(payload, &x); err != nil || x.Data.E == nil {
		if len(x.Errors) == 0 {
			return fmt.Errorf("not a result: %.100q", payload)
		}
		s.c.w.Write(history.Record{K: "error", Conn: conn, Code: x.Errors[0].Extensions.Code, Text: x.Errors[0].Message})
		return nil
	}
	e := x.Data.E
	epoch, pos, err := history.Cursor(e.Cursor)
	if err != nil {
		return err
	}
	var r history.Record
	if e.Typename == "CaughtUp" {
		r.K = "caughtup"
	} else {
		r = e.record()
	}
	r.Conn, r.Pos, r.Epoch = conn, pos, epoch
	s.c.w.Write(r)
	s.after = e.Cursor
	s.pos.Store(pos)
	if r.K == "caughtup" {
		s.caughtUp.Store(true)
	} else if s.slow && !s.c.calm.Load() && time.Now().After(s.pause) {
		d := 3*time.Second + time.Duration(s.rnd.Int64N(int64(7*time.Second)))
		s.pause = time.Now().Add(d + jitter(s.rnd, 30*time.Second))
		s.c.w.Write(history.Record{K: "pause", Conn: conn, For: int64(d)})
		sleep(ctx, d)
	}
	return nil
}
