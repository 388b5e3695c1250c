package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/parley-chat/parley/bench/chaos/history"
)

const (
	answerTimeout = 5 * time.Second // a stopped node does not answer: somebody else is asked
	longestPause  = time.Second     // between attempts
)

// person is somebody with a session.
type person struct {
	n         int
	name      string
	id, token string
	session   string
}

// api calls the nodes over HTTP and writes down each attempt.
type api struct {
	nodes []string
	http  *http.Client
	w     *history.Writer
	ops   atomic.Int64
	calm  atomic.Bool // sending is over: slow readers do not stop any more
}

func newAPI(nodes []string, w *history.Writer) *api {
	return &api{nodes: nodes, w: w, http: &http.Client{
		Timeout:   answerTimeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 512, IdleConnTimeout: time.Minute, DisableCompression: true},
	}}
}

// answer is what an attempt came to: data, or an error's code; neither says nothing about what happened.
type answer struct {
	data json.RawMessage
	code string
	text string
}

func (a answer) ok() bool { return a.data != nil }

// final says that trying again would not change the outcome.
func (a answer) final() bool { return a.ok() || a.code != "" && a.code != "RATE_LIMITED" }

// post sends one operation to one node.
func (c *api) post(ctx context.Context, node int, token, query string, vars map[string]any) answer {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		panic(err) // our own variables
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.nodes[node-1]+"/graphql", bytes.NewReader(body))
	if err != nil {
		return answer{text: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{text: err.Error()}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return answer{text: err.Error()}
	}
	var r struct {
		Data   json.RawMessage
		Errors []gqlError
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return answer{text: fmt.Sprintf("status %d: %.100q", resp.StatusCode, b)}
	}
	if len(r.Errors) > 0 {
		switch e := r.Errors[0]; e.Extensions.Code {
		case "UNAVAILABLE", "INTERNAL", "":
			return answer{text: e.Extensions.Code + ": " + e.Message}
		default:
			return answer{code: e.Extensions.Code, text: e.Message}
		}
	}
	return answer{data: r.Data}
}

type gqlError struct {
	Message    string
	Extensions struct{ Code string }
}

// anyNode picks one.
func (c *api) anyNode(r *rand.Rand) int { return 1 + r.IntN(len(c.nodes)) }

// result is what answers have in common. Which of it there is depends on the mutation.
type result struct {
	Cursor  string
	Message struct {
		ID  string
		Seq int64
	}
	Request      struct{ ID string }
	Conversation struct{ ID string }
	Receipt      struct{ Seq int64 }
	User         struct{ ID string }
	Session      struct{ ID string }
	AccessToken  string
}

// do makes one attempt at the mutation named act, whose answer has fields of result. The record holds what is known of it
// before: actor, act and what it is about.
func (c *api) do(ctx context.Context, r history.Record, token, query string, input map[string]any) (int64, result, answer) {
	r.K, r.Op = "invoke", c.ops.Add(1)
	if r.Of == 0 {
		r.Of = r.Op
	}
	c.w.Write(r)
	a := c.post(ctx, r.Node, token, query, map[string]any{"i": input})
	var out struct{ R result }
	if a.ok() {
		if err := json.Unmarshal(a.data, &out); err != nil {
			a = answer{text: err.Error()}
		}
	}
	switch {
	case a.ok():
		x := out.R
		done := history.Record{K: "ok", Op: r.Op, ID: x.Message.ID, Seq: x.Message.Seq}
		if x.Receipt.Seq > 0 {
			done.Seq = x.Receipt.Seq
		}
		for _, id := range []string{x.Request.ID, x.Session.ID, x.Conversation.ID} {
			if done.ID == "" {
				done.ID = id
			}
		}
		var err error
		if done.Epoch, done.Pos, err = history.Cursor(x.Cursor); err != nil {
			done.Text = err.Error()
		}
		c.w.Write(done)
	case a.code != "":
		c.w.Write(history.Record{K: "fail", Op: r.Op, Code: a.code, Text: a.text})
	default:
		c.w.Write(history.Record{K: "unknown", Op: r.Op, Text: a.text})
	}
	return r.Op, out.R, a
}

// until tries again, on another node each time, until the outcome is certain or ctx is over. The first attempt is at r.Node.
func (c *api) until(ctx context.Context, rnd *rand.Rand, r history.Record, token, query string, input map[string]any) (result, answer) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		op, x, a := c.do(ctx, r, token, query, input)
		if a.final() || ctx.Err() != nil {
			return x, a
		}
		if r.Of == 0 {
			r.Of = op
		}
		r.Node = r.Node%len(c.nodes) + 1
		sleep(ctx, time.Duration(float64(pause)*(0.5+rnd.Float64())))
	}
}

// cursor asks where the log stands.
func (c *api) cursor(ctx context.Context, node int) (string, error) {
	a := c.post(ctx, node, "", "{ cursor }", nil)
	var x struct{ Cursor string }
	if !a.ok() {
		return "", errors.New(a.code + " " + a.text)
	}
	err := json.Unmarshal(a.data, &x)
	return x.Cursor, err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

const (
	qSignUp  = `mutation signUp($i: SignUpInput!) { r: signUp(input: $i) { cursor accessToken user { id } session { id } } }`
	qSignIn  = `mutation signIn($i: SignInInput!) { r: signIn(input: $i) { cursor accessToken user { id } session { id } } }`
	qSignOut = `mutation signOut { r: signOut { cursor } }`
	qRevoke  = `mutation revoke($i: RevokeSessionInput!) { r: revokeSession(input: $i) { cursor } }`
	qAsk     = `mutation ask($i: SendFriendRequestInput!) { r: sendFriendRequest(input: $i) { cursor request { id } } }`
	qAccept  = `mutation accept($i: AcceptFriendRequestInput!) { r: acceptFriendRequest(input: $i) { cursor request { id } } }`
	qReject  = `mutation reject($i: RejectFriendRequestInput!) { r: rejectFriendRequest(input: $i) { cursor request { id } } }`
	qCancel  = `mutation cancel($i: CancelFriendRequestInput!) { r: cancelFriendRequest(input: $i) { cursor request { id } } }`
	qGroup   = `mutation group($i: CreateGroupInput!) { r: createGroup(input: $i) { cursor conversation { id } } }`
	qAdd     = `mutation add($i: AddMembersInput!) { r: addMembers(input: $i) { cursor conversation { id } } }`
	qRemove  = `mutation remove($i: RemoveMemberInput!) { r: removeMember(input: $i) { cursor conversation { id } } }`
	qLeave   = `mutation leave($i: LeaveGroupInput!) { r: leaveGroup(input: $i) { cursor } }`
	qSend    = `mutation send($i: SendMessageInput!) { r: sendMessage(input: $i) { cursor message { id seq } } }`
	qRead    = `mutation read($i: MarkReadInput!) { r: markRead(input: $i) { cursor receipt { seq } } }`
)
