package clients_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/web/clients/go/generated"
	parley "github.com/parley-chat/parley/web/packages/parley-go"
)

// TestClient: people who do not disturb one another, at one server.
func TestClient(t *testing.T) {
	url := testkit.SQLiteURL(t)
	a := testkit.MustRunApp(t, url)
	for name, try := range map[string]func(*stage){
		"operations": tryQueriesMutationsAndSubscriptions, "tokens": tryTokens, "ends": tryEnds, "refusals": tryRefusals,
		"cut":    func(s *stage) { tryResume(s, func() { s.wire.cut() }, func() { s.wire.mend(s.app.Addr()) }) },
		"silent": func(s *stage) { tryResume(s, s.wire.silence, func() {}) },
	} {
		t.Run(name, func(t *testing.T) {
			try(stageAt(t, url, a))
		})
	}
}

func tryQueriesMutationsAndSubscriptions(s *stage) {
	t := s.T
	c, _ := s.connect(parley.Options{})
	me, err := generated.Me(t.Context(), s.http)
	if err != nil || me.Me == nil || !strings.HasPrefix(me.Me.Username, "ann-") || me.Me.CreatedAt.IsZero() {
		t.Fatalf("%+v, %v", me, err)
	}
	messages, _ := s.listen(c)
	if s.next(messages) != nil {
		t.Error("no CaughtUp at the end of an empty replay")
	}
	s.say("hello")
	s.hear(messages, "hello")
	room, err := generated.Conversation(t.Context(), s.http, s.group, nil)
	if err != nil || len(room.Conversation.Messages.Nodes) != 1 || room.Conversation.Messages.Nodes[0].Body != "hello" {
		t.Errorf("%+v, %v", room, err)
	}

	typing, id, err := generated.Typing(t.Context(), c, s.group) // has no cursor
	if err != nil {
		t.Fatal(err)
	}
	if first := <-typing; first.Errors != nil || len(first.Data.TypingChanged.Users) != 0 {
		t.Errorf("%+v", first)
	}
	if err := c.Unsubscribe(id); err != nil {
		t.Error(err)
	}
	if _, open := <-typing; open {
		t.Error("the channel is open after Unsubscribe")
	}

	events, _, err := generated.Events(t.Context(), c, &s.began, []generated.EventType{generated.EventTypeMessageAdded})
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := (<-events).Data.Events.(*generated.EventsEventsMessageAdded); !ok || e.Message.Body != "hello" || e.ConversationId != s.group {
		t.Errorf("%+v", e)
	}
}

// TestRestart: the server goes, and another one comes.
func TestRestart(t *testing.T) {
	s := newStage(t)
	tryResume(s, func() {}, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		old := s.app
		s.app = testkit.MustRunApp(t, s.url) // another node on the same database
		s.wire.mend(s.app.Addr())
		if err := old.Drain(ctx); err != nil {
			t.Error(err)
		}
		old.Stop()
	})
	s.began = s.reached
	tryResume(s, func() {
		s.wire.cut()
		s.app.Stop()
		s.app = testkit.MustRunApp(t, s.url)
	}, func() { s.wire.mend(s.app.Addr()) })
}

// tryResume: whatever happens between the client and the server, each message comes once and in order.
func tryResume(s *stage, begin, end func()) {
	back := make(chan struct{}, 100)
	c, errs := s.connect(parley.Options{Status: func(connected bool, _ error) {
		if connected {
			back <- struct{}{}
		}
	}})
	items, _ := s.listen(c)
	<-back
	s.say("before")
	s.say("just before")
	s.hear(items, "before", "just before")
	begin()
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("missed ", i))
		s.say(want[i])
	}
	end()
	select {
	case <-back:
	case err := <-errs:
		s.Fatal(err)
	case <-time.After(20 * time.Second):
		s.Fatal("did not come back")
	}
	s.hear(items, want...)
	s.say("after")
	s.hear(items, "after")
	if err := c.Close(); err != nil {
		s.Error(err)
	}
	for r := range items {
		if _, ok := r.Data.MessageAdded.(*generated.MessagesMessageAddedCaughtUp); !ok {
			s.Errorf("%+v", r)
		}
	}
}

func tryTokens(s *stage) {
	t := s.T
	var mu sync.Mutex
	var asked []bool
	out := false
	c, errs := s.connect(parley.Options{Token: func(_ context.Context, refused bool) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, refused)
		switch {
		case out && refused:
			return "", parley.ErrSignedOut
		case len(asked) == 2: // after the cut
			return "no token", nil
		}
		return s.token.Load().(string), nil
	}})
	items, _ := s.listen(c)
	if s.next(items) != nil {
		t.Error("no CaughtUp")
	}
	s.wire.cut()
	s.wire.mend(s.app.Addr())
	s.say("with a new token")
	s.hear(items, "with a new token")
	mu.Lock()
	if !slices.Equal(asked, []bool{false, false, true}) {
		t.Errorf("asked for tokens with %v", asked)
	}
	out = true
	mu.Unlock()
	if _, err := generated.SignOut(t.Context(), s.http); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, parley.ErrSignedOut) {
		t.Error(err)
	}
	for r := range items { // is closed
		if r.Errors != nil {
			t.Errorf("%+v", r)
		}
	}
	if _, _, err := generated.Messages(t.Context(), c, s.group, nil); !errors.Is(err, parley.ErrClosed) {
		t.Errorf("subscribed after the end: %v", err)
	}
}

func TestExpiredCursor(t *testing.T) {
	s := newStage(t, "--retention", "1m")
	s.say("old")
	mustTrim(s)
	for name, again := range map[string]func(context.Context, string) (string, error){
		"queried anew": func(ctx context.Context, operation string) (string, error) {
			me, err := generated.Me(ctx, s.http)
			if operation != "Messages" || err != nil {
				t.Errorf("%s, %v", operation, err)
				return "", err
			}
			return me.Cursor, nil
		},
		"given up": nil,
	} {
		c, _ := s.connect(parley.Options{Expired: again})
		items, id := s.listen(c)
		if again != nil {
			if s.next(items) != nil {
				t.Errorf("%s: no CaughtUp", name)
			}
			s.say("new")
			s.hear(items, "new")
			continue
		}
		r := <-items
		if len(r.Errors) != 1 || r.Errors[0].Extensions["code"] != "CURSOR_EXPIRED" {
			t.Errorf("%s: %+v", name, r)
		}
		if _, open := <-items; open {
			t.Errorf("%s: the channel is open", name)
		}
		if err := c.Unsubscribe(id); err != nil {
			t.Error(err)
		}
	}
}

// tryEnds: whoever ends a subscription, and in whatever order, nothing panics, waits for ever or is left behind.
func tryEnds(s *stage) {
	t := s.T
	c, errs := s.connect(parley.Options{Queue: 1})
	completed, id := s.listen(c)
	unread, other := s.listen(c)
	idle, _, err := generated.Events(t.Context(), c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-idle // CaughtUp; nothing of this is taken any more
	for i := range 10 {
		s.say(fmt.Sprint(i))
	}
	if err := c.Unsubscribe(other); err != nil { // while deliver waits for somebody
		t.Error(err)
	}
	if err := c.Unsubscribe(other); err != nil {
		t.Error(err)
	}
	if _, open := <-unread; open {
		t.Error("open after Unsubscribe")
	}
	if _, err := generated.DeleteGroup(t.Context(), s.http, &generated.DeleteGroupInput{ConversationId: s.group}); err != nil {
		t.Fatal(err)
	}
	go func() { // the connection is read only while there is room for what comes
		for range idle { //nolint:revive // thrown away
		}
	}()
	n := 0
	for r := range completed {
		if e, ok := r.Data.MessageAdded.(*generated.MessagesMessageAdded); ok {
			if e.Message.Body != fmt.Sprint(n) {
				t.Errorf("%q, want %d", e.Message.Body, n)
			}
			n++
		}
	}
	if n > 10 {
		t.Errorf("%d messages", n)
	}
	if err := c.Unsubscribe(id); err != nil {
		t.Errorf("after complete: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err, open := <-errs; open {
		t.Error(err)
	}
}

func tryRefusals(s *stage) {
	t := s.T
	c := parley.New("ws://"+s.wire.addr()+"/graphql", parley.Options{Token: func(context.Context, bool) (string, error) { return "no token", nil }})
	if _, err := c.Start(t.Context()); closeCode(err) != 4403 {
		t.Errorf("a bad token: %v", err)
	}
	if _, err := parley.New("ws://"+s.wire.addr()+"/nowhere", parley.Options{}).Start(t.Context()); err == nil {
		t.Error("started at the wrong address")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	ok, _ := s.connect(parley.Options{})
	bad := "not a cursor"
	items, _, err := generated.Messages(t.Context(), ok, s.group, &bad)
	if err != nil {
		t.Fatal(err)
	}
	if r := <-items; len(r.Errors) != 1 || r.Errors[0].Extensions["code"] != "INVALID_CURSOR" {
		t.Errorf("%+v", r)
	}
	if _, open := <-items; open {
		t.Error("open after an error")
	}
}
