package live_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
)

// events opens a stream and returns its lines, without comments.
func (s *stage) events(method, token, accept, query, vars string) (*http.Response, func() string) {
	s.t.Helper()
	var r *http.Request
	var err error
	if method == http.MethodGet {
		r, err = http.NewRequest(method, s.url+"/graphql?query="+url.QueryEscape(query)+"&variables="+url.QueryEscape(vars), nil)
	} else {
		r, err = http.NewRequest(method, s.url+"/graphql", strings.NewReader(`{"query":`+quote(query)+`,"variables":`+vars+`}`))
	}
	must(s.t, err)
	r.Header.Set("Accept", accept)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", token)
	tr := &http.Transport{}
	resp, err := (&http.Client{Transport: tr}).Do(r)
	must(s.t, err)
	s.t.Cleanup(func() { _ = resp.Body.Close(); tr.CloseIdleConnections() })
	b := bufio.NewReader(resp.Body)
	return resp, func() string {
		for {
			l, err := b.ReadString('\n')
			if err != nil {
				return err.Error()
			}
			if l = strings.TrimSuffix(l, "\n"); l != "" && l[0] != ':' {
				return l
			}
		}
	}
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func wantLines(t *testing.T, next func() string, lines ...string) {
	t.Helper()
	for _, w := range lines {
		if g := next(); g != w {
			t.Fatalf("got  %s\nwant %s", g, w)
		}
	}
}

const stream = "text/event-stream"

func TestEventStream(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		first := s.log.Applied()
		resp, next := s.events(method, token(1, 1), stream, messageQuery, `{"c":"`+conv(1).String()+`"}`)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
			t.Error(resp)
		}
		wantLines(t, next, "event: next", `data: {"data":{"messageAdded":{"__typename":"CaughtUp","cursor":"`+at(first)+`"}}}`)
		s.say(1, "hello")
		wantLines(t, next, "event: next", `data: {"data":{"messageAdded":{"__typename":"MessageAdded","cursor":"`+at(first+1)+`","message":{"body":"hello","sender":{"username":"nine"}}}}}`)
	}
	if n := s.live.Stats().Executions; n != 2 {
		t.Errorf("executions: %d", n)
	}
	_, next := s.events(http.MethodPost, token(1, 2), stream, messageQuery, `{"c":"`+conv(1).String()+`"}`)
	next()
	next()
	s.change(chat.MemberRemoved, 1, 1)
	wantLines(t, next, "event: complete", "data:", "EOF")
	eventually(t, "no listener", func() bool { return s.live.Stats().Listeners == 0 })
}

func TestEventStreamOfOneResult(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, tc := range []struct{ method, query, data string }{
		{"POST", `{me{username}}`, `{"data":{"me":{"username":"me"}}}`},
		{"GET", `{me{username}}`, `{"data":{"me":{"username":"me"}}}`},
		{"POST", `mutation{signOut{cursor}}`, `{"data":{"signOut":{"cursor":"` + at(0) + `"}}}`},
		{"GET", `mutation{signOut{cursor}}`, `{"errors":[{"message":"mutations need POST","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{"POST", `{x}`, `{"errors":[{"message":"Cannot query field \"x\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`},
	} {
		_, next := s.events(tc.method, token(1, 1), stream+";q=0.9, application/json;q=0.5", tc.query, "{}")
		wantLines(t, next, "event: next", "data: "+tc.data, "event: complete", "data:", "EOF")
	}
	resp, _ := s.events("POST", token(1, 1), stream, `{me`, "[]")
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest || strings.Contains(string(b), "{me") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	for accept, want := range map[string]bool{
		stream: true, "*/*": false, "application/json": false, stream + ";q=0": false, "text/event-streams": false,
		"application/json, " + stream: false, stream + ", application/json": true, "application/json, " + stream + ";q=0.5": false,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Accept", accept)
		if s.sse.Supports(r) != want {
			t.Errorf("%s: %v", accept, !want)
		}
	}
}

func TestEventStreamIsCut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, revoked := s.events("POST", token(1, 1), stream, feedQuery, "{}")
	_, drained := s.events("POST", token(1, 2), stream, feedQuery, "{}")
	for _, next := range []func() string{revoked, drained} {
		next()
		next()
	}
	s.log.add(&chat.Event{Topic: chat.UserTopic(user(1)), Type: chat.SessionEnded, Subject: session(1)})
	wantLines(t, revoked, "EOF")
	drained()
	drained()
	must(t, s.sse.Drain(t.Context()))
	wantLines(t, drained, "EOF")
	resp, _ := s.events("POST", token(1, 2), stream, feedQuery, "{}")
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Error(resp.Status)
	}
}

// A connection that cannot be hijacked is served through the handler.
func TestEventStreamOverHTTP2(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, _ := viewerOf(r.Header.Get("Authorization"))
		s.handler.ServeHTTP(w, r.WithContext(chat.WithViewer(r.Context(), v)))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader(`{"query":`+quote(messageQuery)+`,"variables":{"c":"`+conv(1).String()+`"}}`))
	must(t, err)
	r.Header.Set("Accept", stream)
	r.Header.Set("Authorization", token(1, 1))
	resp, err := srv.Client().Do(r)
	must(t, err)
	b := bufio.NewReader(resp.Body)
	for _, want := range []string{"CaughtUp", "over HTTP/2"} {
		for {
			l, err := b.ReadString('\n')
			must(t, err)
			if strings.Contains(l, want) {
				break
			}
		}
		if want == "CaughtUp" {
			s.say(1, "over HTTP/2")
		}
	}
	if resp.ProtoMajor != 2 {
		t.Error(resp.Proto)
	}
	_ = resp.Body.Close()
	eventually(t, "gone", func() bool { return s.live.Stats().Sockets == 0 })
}
