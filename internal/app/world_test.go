package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// mustHTTP is an HTTP client for many requests at once; its connections end with the test.
func mustHTTP(tb testing.TB) *http.Client {
	tb.Helper()
	t := &http.Transport{MaxIdleConnsPerHost: 256}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// mustMeet signs n people up, the first of whom is everybody's friend.
func mustMeet(tb testing.TB, url string, n int) []*client.Account {
	tb.Helper()
	h := mustHTTP(tb)
	people := make([]*client.Account, n)
	for i := range people {
		people[i] = testkit.MustSignUp(tb, url, fmt.Sprintf("Person %d", i))
		people[i].HTTP = h
		if i > 0 {
			testkit.MustBefriend(tb, people[0], people[i])
		}
	}
	return people
}

// mustCreateGroup makes a group of the owner's.
func mustCreateGroup(tb testing.TB, owner *client.Account, members ...*client.Account) string {
	tb.Helper()
	ids := []string{}
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	var out struct {
		CreateGroup struct{ Conversation struct{ ID string } }
	}
	testkit.MustDo(tb, owner.Client, `mutation($m: [ID!]!) { createGroup(input: {title: "A group", memberIds: $m}) { conversation { id } } }`,
		client.Vars{"m": ids}, &out)
	return out.CreateGroup.Conversation.ID
}

// sent is the answer to a send.
type sent struct {
	SendMessage struct {
		Cursor  string
		Message struct {
			ID   string
			Seq  int64
			Body string
		}
	}
}

func send(ctx context.Context, c *client.Client, conversation, body, key string) (s sent, err error) {
	err = c.Do(ctx, `mutation($c: ID!, $b: String!, $k: String!) {
		sendMessage(input: {conversationId: $c, body: $b, clientKey: $k}) { cursor message { id seq body } }
	}`, client.Vars{"c": conversation, "b": body, "k": key}, &s)
	return s, err
}

func mustSend(tb testing.TB, c *client.Client, conversation, body string) sent {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := send(ctx, c, conversation, body, fmt.Sprintf("%x", rand.Uint64()))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// mustHistory reads all messages of a conversation.
func mustHistory(tb testing.TB, c *client.Client, conversation string) (ids, bodies []string) {
	tb.Helper()
	for after := any(nil); ; {
		var out struct {
			Conversation struct {
				Messages struct {
					Nodes    []struct{ ID, Body string }
					PageInfo struct {
						HasNextPage bool
						EndCursor   string
					}
				}
			}
		}
		testkit.MustDo(tb, c, `query($c: ID!, $a: String) { conversation(id: $c) {
			messages(first: 100, after: $a) { nodes { id body } pageInfo { hasNextPage endCursor } } } }`, client.Vars{"c": conversation, "a": after}, &out)
		for _, m := range out.Conversation.Messages.Nodes {
			ids, bodies = append(ids, m.ID), append(bodies, m.Body)
		}
		if !out.Conversation.Messages.PageInfo.HasNextPage {
			return ids, bodies
		}
		after = out.Conversation.Messages.PageInfo.EndCursor
	}
}

func position(tb testing.TB, cursor string) chat.Position {
	tb.Helper()
	c, err := chat.ParseCursor(cursor)
	if err != nil {
		tb.Fatalf("cursor %q: %v", cursor, err)
	}
	return c.Position
}

func mustID(tb testing.TB, text string) chat.ID {
	tb.Helper()
	id, err := chat.ParseID(text)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// mustEvents reads the whole log.
func mustEvents(tb testing.TB, s *store.Store) (events []*chat.Event) {
	tb.Helper()
	for after := chat.Position(0); ; after = events[len(events)-1].Position {
		page, err := s.Events(context.Background(), after, 1000)
		if err != nil {
			tb.Fatal(err)
		}
		if len(page) == 0 {
			return events
		}
		events = append(events, page...)
	}
}

// mustCheck verifies the log and every counter.
func mustCheck(tb testing.TB, s *store.Store) {
	tb.Helper()
	if err := s.Check(context.Background()); err != nil {
		tb.Error(err)
	}
}

// eventually asks again and again until what returns nil, and fails with its last error.
func eventually(tb testing.TB, what func() error) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) { // most things are done soon
		err := what()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatal(err)
		}
		time.Sleep(wait)
	}
}

// atOnce runs n functions that begin together, and waits for them.
func atOnce(n int, f func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// typeName is the GraphQL type of an event: MESSAGE_ADDED is MessageAdded.
func typeName(t chat.EventType) string {
	words := strings.Split(strings.ToLower(string(t)), "_")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, "")
}

// entitled lists the events after a position that a user may see.
func entitled(tb testing.TB, s *store.Store, log []*chat.Event, user chat.ID, after chat.Position) (out []*chat.Event) {
	tb.Helper()
	answers, err := s.Spans(context.Background(), store.SpanQuery{User: user})
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range log {
		if e.Position > after && (e.Topic == chat.UserTopic(user) || slices.ContainsFunc(answers[0], func(s chat.Span) bool { return s.Topic == e.Topic && s.Covers(e.Position) })) {
			out = append(out, e)
		}
	}
	return out
}
