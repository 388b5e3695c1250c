package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sending is how a server is told to publish.
type sending uint8

const (
	byPost     sending = iota // the finished message, to /publish
	byMutation                // sendMessage over HTTP
)

// caller is one HTTP connection that is used again and again.
type caller struct {
	s    *server
	c    net.Conn
	r    *bufio.Reader
	head string
	buf  []byte
}

func newCaller(s *server, token string) (*caller, error) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	path := "/graphql"
	if s.kind == byPost {
		path = "/publish"
	}
	head := "POST " + path + " HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: application/json\r\nAccept: application/graphql-response+json, application/json\r\nAuthorization: Bearer " + token + "\r\nContent-Length: "
	return &caller{s: s, c: c, r: bufio.NewReader(c), head: head}, nil
}

const mutation = `mutation($i: SendMessageInput!) { sendMessage(input: $i) { cursor message { id seq createdAt } } }`

// send publishes one message and waits for the answer.
func (c *caller) send(room, text, key string) error {
	var body string
	if c.s.kind == byMutation {
		body = `{"query":"` + mutation + `","variables":{"i":{"conversationId":"` + room + `","body":"` + text + `","clientKey":"` + key + `"}}}`
	} else { // what Parley says, of the same length
		body = `{"id":"1","type":"next","payload":{"data":{"messageAdded":{"cursor":"AAAAAAAAAAAAAAAAAAAAAA","message":{"id":"msg_01hf0000000000000000000000","seq":1000,"body":"` + text +
			`","createdAt":"2026-11-21T09:30:00.250000Z","sender":{"id":"usr_01hf0000000000000000000000","username":"bench_00000","displayName":"Bench 00000"}}}}}}`
	}
	status, b, err := c.post(body)
	if err == nil && (status != http.StatusOK || c.s.kind == byMutation && !strings.Contains(string(b), `"seq"`)) {
		err = fmt.Errorf("%s refused a message: %d %.200s", c.s.name, status, b)
	}
	return err
}

// post makes one request and reads the answer.
func (c *caller) post(body string) (status int, answer []byte, err error) {
	c.buf = append(append(append(append(c.buf[:0], c.head...), strconv.Itoa(len(body))...), "\r\n\r\n"...), body...)
	if err := c.c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err := c.c.Write(c.buf); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, answer, err
}

var keys atomic.Int64

func text() string {
	return "@" + strconv.FormatInt(time.Now().UnixNano(), 10) + "@ the quick brown fox jumps over the lazy dog, and the dog does not mind at all"
}

func newKey() string { return strconv.FormatInt(keys.Add(1), 36) + "-" + strconv.Itoa(int(started)) }

var started = time.Now().UnixNano()

// traffic is what is published during a measurement.
type traffic struct {
	publishers int
	rate       int // events a second; 0: as fast as they are accepted
	window     int // events that the sockets may be behind
	for_       time.Duration
}

// publish makes the traffic and returns how many events were accepted.
func (t traffic) publish(s *server, l *load, token func(int) string) (int64, error) {
	callers := make([]*caller, t.publishers)
	for i := range callers {
		c, err := newCaller(s, token(i))
		if err != nil {
			return 0, err
		}
		defer c.c.Close()
		callers[i] = c
	}
	var begun atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, len(callers))
	n, before, start := int64(len(l.conns)), l.delivered.Load(), time.Now()
	for i, c := range callers {
		wg.Go(func() {
			for time.Since(start) < t.for_ && errs[i] == nil && l.failed == nil {
				k := begun.Add(1)
				if t.rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(k) * time.Second / time.Duration(t.rate))))
				}
				for k-(l.delivered.Load()-before)/n > int64(t.window) && time.Since(start) < t.for_+10*time.Second {
					time.Sleep(100 * time.Microsecond)
				}
				errs[i] = c.send(l.room, text(), newKey())
			}
		})
	}
	wg.Wait()
	return begun.Load(), errors.Join(errs...)
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(float64(len(d))*q))]
}
