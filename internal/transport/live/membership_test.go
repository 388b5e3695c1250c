package live_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/live"
	"github.com/parley-chat/parley/internal/transport/socket"
	"github.com/parley-chat/parley/internal/transport/ws"
)

const feedQuery = `subscription($after: Cursor) { events(after: $after) { __typename cursor ... on MemberAdded { conversation { title } } ... on ConversationUpdated { conversation { title } } ... on MessageAdded { message { conversation { title } } } } }`

func kinds(t *testing.T, c *client, n int) (got []string) {
	t.Helper()
	for range n {
		g := c.get()
		_, k, _ := strings.Cut(g, `"__typename":"`)
		k, _, _ = strings.Cut(k, `"`)
		if strings.Contains(g, `"complete"`) {
			got = append(got, "complete")
			continue
		}
		if strings.Contains(g, `"closed"`) {
			k += " closed"
		}
		got = append(got, fmt.Sprint(cursorOf(t, g), " ", k))
	}
	return got
}

func wantKinds(t *testing.T, c *client, want ...string) {
	t.Helper()
	if got := kinds(t, c, len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A feed begins and ends to hear a conversation at the positions of the viewer's membership, and a replay shows the same.
func TestMembershipCuts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 2)
	a, b := s.connect(token(1, 1)), s.connect(token(2, 2))
	a.sub("1", feedQuery)
	b.sub("1", feedQuery)
	s.say(1, "1")
	s.change(chat.MemberAdded, 1, 1)
	s.say(1, "3")
	s.change(chat.MemberRemoved, 1, 1)
	s.say(1, "5")
	s.change(chat.MemberAdded, 1, 1)
	s.say(1, "7")
	s.change(chat.ConversationDeleted, 1, 0)
	s.say(1, "9: nobody is there")
	wantKinds(t, a, "2 MemberAdded", "3 MessageAdded", "4 MemberRemoved", "6 MemberAdded", "7 MessageAdded", "8 ConversationDeleted")
	wantKinds(t, b, "1 MessageAdded", "2 MemberAdded", "3 MessageAdded", "4 MemberRemoved", "5 MessageAdded", "6 MemberAdded", "7 MessageAdded", "8 ConversationDeleted")
	a.quiet()
	b.quiet()
	replay := s.connect(token(1, 3))
	replay.start("r", feedQuery, "after", at(0))
	wantKinds(t, replay, "2 MemberAdded closed", "3 MessageAdded closed", "4 MemberRemoved", "6 MemberAdded closed", "7 MessageAdded closed", "8 ConversationDeleted", "9 CaughtUp")
	replay.quiet()
}

// All of it in one batch: the positions count, not the batches. Who is out by its end finds the conversation closed, for
// what is loaded may be as new as that.
func TestMembershipCutsWithinABatch(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 2)
	a, b := s.connect(token(1, 1)), s.connect(token(2, 2))
	a.sub("1", feedQuery)
	b.sub("1", feedQuery)
	s.log.add(message(1, "1"), s.event(chat.MemberAdded, 1, 1), message(1, "3"), s.event(chat.MemberLeft, 1, 1), message(1, "5"))
	wantKinds(t, a, "2 MemberAdded closed", "3 MessageAdded closed", "4 MemberLeft")
	wantKinds(t, b, "1 MessageAdded", "2 MemberAdded", "3 MessageAdded", "4 MemberLeft", "5 MessageAdded")
	a.quiet()
}

func TestConversationSubscriptionEnds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1, 2)
	const q = `subscription($c: ID!) { conversationUpdated(conversationId: $c) { __typename cursor conversationId } }`
	a, b := s.connect(token(1, 1)), s.connect(token(2, 2))
	for _, c := range []*client{a, b} {
		c.sub("c", q, "c", conv(1))
		c.sub("m", messageQuery, "c", conv(1))
		c.start("t", `subscription($c: ID!) { typingChanged(conversationId: $c) { conversationId } }`, "c", conv(1))
		c.get()
	}
	s.change(chat.MemberRemoved, 1, 1)
	got := map[string]int{}
	for range 4 {
		m := a.get()
		got[m[:8]+fmt.Sprint(strings.Contains(m, "complete"))]++
	}
	if fmt.Sprint(got) != `map[{"id":"cfalse:1 {"id":"ctrue:1 {"id":"mtrue:1 {"id":"ttrue:1]` {
		t.Error(got)
	}
	wantKinds(t, b, "1 MemberRemoved")
	a.start("m", messageQuery, "c", conv(1)) // the id is free, the conversation is not there
	if g := a.get(); !strings.Contains(g, "NOT_FOUND") {
		t.Error(g)
	}
	s.change(chat.ConversationDeleted, 1, 0)
	for range 4 {
		b.get()
	}
	b.quiet()
	eventually(t, "no listener", func() bool { return s.live.Stats().Listeners == 0 })
}

// What happens while a listener is being admitted is not lost, whether or not the admission saw it.
func TestChangesDuringAdmission(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	s.admitting = func() {
		s.admitting = nil
		s.change(chat.MemberRemoved, 1, 1)
		s.change(chat.MemberAdded, 2, 1)
		s.say(1, "3: not for them")
		s.say(2, "4")
	}
	a := s.connect(token(1, 1))
	a.start("1", feedQuery, "after", at(0))
	wantKinds(t, a, "1 MemberRemoved", "2 MemberAdded", "4 MessageAdded", "4 CaughtUp")
	s.say(1, "5")
	s.say(2, "6")
	wantKinds(t, a, "6 MessageAdded")
}

// A member whose socket is full is owed what came before the cut, and gets nothing after it.
func TestCutWhileBehind(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *stage, c *socket.Config, _ *live.Config, _ *ws.Config) { c.MaxQueued = 32 << 10 })
	s.in(1, 1, 2)
	a, b := s.connect(token(1, 1)), s.connect(token(2, 2))
	a.sub("1", messageQuery, "c", conv(1))
	b.sub("1", messageQuery, "c", conv(1))
	text := strings.Repeat("x", 20000)
	for i := range 1000 {
		if i == 700 {
			s.change(chat.MemberRemoved, 1, 1)
		}
		s.say(1, text)
		b.get()
	}
	for i := range 700 {
		if p := cursorOf(t, a.get()); p != chat.Position(i+1) {
			t.Fatalf("%d at %d", p, i+1)
		}
	}
	a.want(`{"id":"1","type":"complete"}`)
	a.quiet()
}

// What is queued for a socket that does not read when its user is removed is taken back, and executed anew as for somebody
// who is no member. Nothing is lost or doubled, and what else is queued stays.
func TestCutTakesBackWhatIsQueued(t *testing.T) {
	t.Parallel()
	const query = `subscription($after: Cursor) { events(after: $after) { __typename cursor ... on MessageAdded { message { body conversation { title } } } } }`
	const queued = 8
	for name, end := range map[string]chat.EventType{"removed": chat.MemberRemoved, "left": chat.MemberLeft, "deleted": chat.ConversationDeleted} {
		s := newStage(t, func(_ *stage, c *socket.Config, _ *live.Config, _ *ws.Config) { c.MaxQueued = 64 << 20 })
		s.in(1, 1)
		s.in(2, 1)
		a := s.connect(token(1, 1))
		a.sub("feed", query)
		a.sub("other", messageQuery, "c", conv(2))
		text := strings.Repeat("x", 20000)
		for s.sockets.Stats().Parked == 0 {
			s.say(1, text)
		}
		first := s.log.Applied() + 1
		for range queued {
			s.say(1, text)
			s.say(2, "other")
		}
		if n := s.sockets.Stats().Behind; n > 0 {
			t.Fatalf("%d streams fell behind: nothing is put to the test", n)
		}
		last := s.change(end, 1, 1)
		s.say(1, "not for them")
		mark := s.say(2, "other")
		var others []chat.Position
		for next := chat.Position(1); next <= mark; {
			m := a.get()
			p := cursorOf(t, m)
			switch closed := strings.Contains(m, "closed"); {
			case strings.HasPrefix(m, `{"id":"other"`):
				others = append(others, p)
				continue
			case p == last+1, p != next:
				t.Fatalf("%s: %d after %d", name, p, next-1)
			case p >= first && p < last && !strings.Contains(m, "other") && !closed:
				t.Errorf("%s: what was queued at %d was delivered as to a member", name, p)
			}
			if next++; next == last+1 {
				next++
			}
		}
		if len(others) != queued+1 {
			t.Errorf("%s: the other subscription heard %v", name, others)
		}
		a.quiet()
	}
}

// What was executed for a member who is removed before it is delivered is executed anew.
func TestCutWhileCatchingUp(t *testing.T) {
	t.Parallel()
	reading, removed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := newStage(t, func(_ *stage, _ *socket.Config, c *live.Config, _ *ws.Config) {
		c.PerEvent = func(ctx context.Context, e *chat.Event) context.Context {
			if e.Type == chat.MessageAdded {
				once.Do(func() {
					close(reading)
					<-removed
				})
			}
			return perEvent(ctx, e)
		}
	})
	s.in(1, 1)
	for range 3 {
		s.say(1, "before")
	}
	a := s.connect(token(1, 1))
	a.start("1", feedQuery, "after", at(1))
	<-reading
	s.change(chat.MemberRemoved, 1, 1)
	close(removed)
	wantKinds(t, a, "2 MessageAdded closed", "3 MessageAdded closed", "4 MemberRemoved", "4 CaughtUp")
	a.quiet()
}

// So is what was pushed to a member who is still being greeted.
func TestCutWhileGreeted(t *testing.T) {
	t.Parallel()
	greeting, removed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := newStage(t, func(_ *stage, _ *socket.Config, c *live.Config, _ *ws.Config) {
		c.PerEvent = func(ctx context.Context, e *chat.Event) context.Context {
			if e.Type == chat.CaughtUp {
				once.Do(func() {
					close(greeting)
					<-removed
				})
			}
			return perEvent(ctx, e)
		}
	})
	s.in(1, 1)
	a := s.connect(token(1, 1))
	a.start("1", feedQuery)
	<-greeting
	for range 3 {
		s.say(1, "before")
	}
	s.change(chat.MemberRemoved, 1, 1)
	close(removed)
	wantKinds(t, a, "1 MessageAdded closed", "2 MessageAdded closed", "3 MessageAdded closed", "4 MemberRemoved", "4 CaughtUp")
	a.quiet()
}

func TestSessionEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	mine, other := s.connect(token(1, 1)), s.connect(token(1, 2))
	mine.sub("1", feedQuery)
	other.sub("1", feedQuery)
	s.log.add(&chat.Event{Topic: chat.UserTopic(user(1)), Type: chat.SessionEnded, Subject: session(1)}, message(1, "after"))
	mine.wantClose(4401)
	wantKinds(t, other, "1 SessionEnded", "2 MessageAdded")
	late := s.dial(ws.TransportWS) // authenticated by whoever has not heard of it yet
	late.put(`{"type":"connection_init","payload":{"authorization":%q}}`, token(1, 1))
	late.wantClose(4401)
	eventually(t, "only the other is here", func() bool { return s.here.Load() == 1 })
}

func TestPresence(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.friends[user(1)] = []chat.ID{user(2), user(3)}
	s.online[user(2)] = true
	const q = `subscription { presenceChanged { snapshot presences { user { id } status } } }`
	c := s.connect(token(1, 1))
	c.start("p", q)
	item := func(snapshot bool, ps ...string) string {
		return fmt.Sprintf(`{"id":"p","type":"next","payload":{"data":{"presenceChanged":{"snapshot":%v,"presences":[%s]}}}}`, snapshot, strings.Join(ps, ","))
	}
	p := func(u int, status string) string {
		return fmt.Sprintf(`{"user":{"id":%q},"status":%q}`, user(u), status)
	}
	signal := func(u int, online bool) {
		s.mu.Lock()
		s.online[user(u)] = online
		s.mu.Unlock()
		s.live.Signal(&chat.Event{Type: chat.PresenceSignal, Topic: chat.PresenceTopic(user(u)), Rows: chat.Rows{Presences: []chat.Presence{{User: user(u), Online: online}}}})
	}
	c.want(item(true, p(2, "ONLINE"), p(3, "OFFLINE")))
	signal(3, true)
	c.want(item(false, p(3, "ONLINE")))
	s.mu.Lock()
	s.online[user(4)] = true
	s.friends[user(1)] = []chat.ID{user(2), user(3), user(4)}
	s.mu.Unlock()
	s.log.add(&chat.Event{Topic: chat.UserTopic(user(1)), Type: chat.FriendshipMade, Subject: user(4)})
	c.want(item(true, p(2, "ONLINE"), p(3, "ONLINE"), p(4, "ONLINE")))
	s.log.add(&chat.Event{Topic: chat.UserTopic(user(1)), Type: chat.FriendshipEnded, Subject: user(3)})
	signal(3, false)
	signal(4, false)
	c.want(item(false, p(4, "OFFLINE")))
}

// What is queued of a friend's presence for a socket that does not read is taken back when they are friends no more.
func TestUnfriendTakesBackWhatIsQueued(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *stage, c *socket.Config, _ *live.Config, _ *ws.Config) { c.MaxQueued = 64 << 20 })
	s.in(1, 1)
	s.friends[user(1)] = []chat.ID{user(2), user(3)}
	c := s.connect(token(1, 1))
	c.sub("m", messageQuery, "c", conv(1))
	c.start("p", `subscription { presenceChanged { snapshot presences { user { id } status } } }`)
	c.get()
	text := strings.Repeat("x", 20000)
	messages := 0
	for ; s.sockets.Stats().Parked == 0; messages++ {
		s.say(1, text)
	}
	for _, u := range []int{2, 3} { // when the second is executed, the first is queued
		executed := s.live.Stats().Executions
		s.live.Signal(&chat.Event{Type: chat.PresenceSignal, Topic: chat.PresenceTopic(user(u)), Rows: chat.Rows{Presences: []chat.Presence{{User: user(u), Online: true}}}})
		eventually(t, "executed", func() bool { return s.live.Stats().Executions > executed })
	}
	s.mu.Lock()
	s.friends[user(1)] = []chat.ID{user(3)}
	s.mu.Unlock()
	s.log.add(&chat.Event{Topic: chat.UserTopic(user(1)), Type: chat.FriendshipEnded, Subject: user(2)})
	for snapshot := false; messages > 0 || !snapshot; {
		g := c.get()
		if strings.Contains(g, `"id":"m"`) {
			messages--
			continue
		}
		if strings.Contains(g, user(2).String()) {
			t.Errorf("told %s", g)
		}
		snapshot = strings.Contains(g, `"snapshot":true`)
	}
	c.quiet()
}

// A friend's presence that is executed for one listener while their friendship ends is not delivered.
func TestUnfriendWhileExecuting(t *testing.T) {
	t.Parallel()
	executing, ended := make(chan struct{}), make(chan struct{})
	s := newStage(t, func(_ *stage, _ *socket.Config, c *live.Config, _ *ws.Config) {
		c.PerEvent = func(ctx context.Context, e *chat.Event) context.Context {
			if e.Type == chat.PresenceSignal && e.Topic == chat.PresenceTopic(user(2)) {
				close(executing)
				<-ended
			}
			return perEvent(ctx, e)
		}
	})
	s.friends[user(1)] = []chat.ID{user(2), user(3)}
	c := s.connect(token(1, 1))
	c.start("p", `subscription { presenceChanged { presences { user { id relationship } } } }`)
	c.get()
	signal := func(u int) {
		s.live.Signal(&chat.Event{Type: chat.PresenceSignal, Topic: chat.PresenceTopic(user(u)), Rows: chat.Rows{Presences: []chat.Presence{{User: user(u), Online: true}}}})
	}
	signal(2)
	<-executing
	s.log.add(&chat.Event{Topic: chat.UserTopic(user(1)), Type: chat.FriendshipEnded, Subject: user(2)})
	close(ended)
	signal(3)
	if g := c.get(); !strings.Contains(g, user(3).String()) {
		t.Errorf("told %s", g)
	}
}

// Nobody is told who types in a conversation that is being deleted.
func TestTypingEndsWithTheConversation(t *testing.T) {
	t.Parallel()
	deleting, typed := make(chan struct{}), make(chan struct{})
	s := newStage(t, func(_ *stage, _ *socket.Config, c *live.Config, _ *ws.Config) {
		c.PerEvent = func(ctx context.Context, e *chat.Event) context.Context {
			if e.Type == chat.ConversationDeleted {
				close(deleting)
				<-typed
			}
			return perEvent(ctx, e)
		}
	})
	s.in(1, 1)
	s.in(2, 1)
	c := s.connect(token(1, 1))
	c.sub("feed", feedQuery)
	for i := range 2 {
		c.start(fmt.Sprint(i+1), `subscription($c: ID!) { typingChanged(conversationId: $c) { conversationId } }`, "c", conv(i+1))
		c.get()
	}
	var change sync.WaitGroup
	change.Go(func() { s.change(chat.ConversationDeleted, 1, 0) })
	<-deleting
	for i := range 2 {
		s.live.Signal(&chat.Event{Type: chat.TypingSignal, Topic: chat.TypingTopic(conv(i + 1))})
	}
	for g := ""; !strings.HasPrefix(g, `{"id":"2"`); {
		if g = c.get(); strings.HasPrefix(g, `{"id":"1","type":"next"`) {
			t.Errorf("told %s", g)
		}
	}
	close(typed)
	change.Wait()
}

// Signals are dropped for a full socket; a snapshot follows when it has drained, and what it shows last is true.
func TestSlowReaderOfPresence(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *stage, c *socket.Config, _ *live.Config, _ *ws.Config) { c.MaxQueued = 16 << 10 })
	s.in(1, 1)
	s.friends[user(1)] = []chat.ID{user(2)}
	c := s.connect(token(1, 1))
	c.sub("m", messageQuery, "c", conv(1))
	c.start("p", `subscription { presenceChanged { snapshot presences { status } } }`)
	c.get()
	text := strings.Repeat("x", 20000)
	for i := range 600 {
		s.say(1, text)
		s.mu.Lock()
		s.online[user(2)] = i%2 == 0
		s.mu.Unlock()
		s.live.Signal(&chat.Event{Type: chat.PresenceSignal, Topic: chat.PresenceTopic(user(2)), Rows: chat.Rows{Presences: []chat.Presence{{User: user(2), Online: i%2 == 0}}}})
	}
	presence, messages, snapshot := "", 0, false
	for messages < 600 || !strings.Contains(presence, "OFFLINE") || !snapshot {
		if g := c.get(); strings.Contains(g, `"id":"p"`) {
			presence = g
			snapshot = snapshot || strings.Contains(g, `"snapshot":true`)
		} else {
			messages++
		}
	}
	c.quiet()
}

// Stop does not wait for an operation that runs for ever.
func TestStopCancelsOperations(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := s.connect(token(1, 1))
	c.start("q", `query($i:ID!){user(id:$i){username}}`, "i", user(1))
	c.quiet()
	s.live.Stop()
}

// The database knows of a membership before the log has brought it here: its conversation is heard from its beginning.
func TestListenerAdmittedBeforeItsMembershipIsApplied(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.members[user(1)] = []chat.Span{{Topic: chat.ConversationTopic(conv(1)), From: 1}}
	c := s.connect(token(1, 1))
	c.sub("m", messageQuery, "c", conv(1))
	s.log.add(message(1, "1: not for them"), s.event(chat.MemberAdded, 1, 1), message(1, "3"))
	s.say(1, "4")
	for _, want := range []chat.Position{3, 4} {
		if p := cursorOf(t, c.get()); p != want {
			t.Fatalf("got %d, want %d", p, want)
		}
	}
	c.quiet()
}

// Who left and came back since the cursor is a member: the replay shows both spans and goes on.
func TestConversationReplayOverTwoMemberships(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1)
	s.say(1, "1")
	s.change(chat.MemberRemoved, 1, 1)
	s.say(1, "3: not for them")
	s.change(chat.MemberAdded, 1, 1)
	s.say(1, "5")
	c := s.connect(token(1, 1))
	c.start("m", messageQuery, "c", conv(1), "after", at(0))
	for _, want := range []chat.Position{1, 5, 5} { // the last is CaughtUp
		if p := cursorOf(t, c.get()); p != want {
			t.Fatalf("got %d, want %d", p, want)
		}
	}
	s.say(1, "6")
	if p := cursorOf(t, c.get()); p != 6 {
		t.Fatal(p)
	}
	c.quiet()
}

// A replay that was executed while the content was there does not bring it back for others when it is gone.
func TestReplayForgetsDeletedConversation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.in(1, 1, 2)
	s.say(1, "secret")
	s.change(chat.MemberRemoved, 1, 1)
	replay := func() string {
		c := s.connect(token(1, 1))
		c.start("r", `subscription($after: Cursor) { events(after: $after) { __typename cursor ... on MessageAdded { message { body } } } }`, "after", at(0))
		return c.get()
	}
	hold := s.connect(token(2, 2)) // keeps the group
	hold.sub("r", `subscription($after: Cursor) { events(after: $after) { __typename cursor ... on MessageAdded { message { body } } } }`)
	if g := replay(); !strings.Contains(g, "secret") {
		t.Fatal(g)
	}
	s.log.mu.Lock()
	gone := *s.log.events[0]
	gone.Rows.Message = nil
	s.log.events[0] = &gone
	s.log.mu.Unlock()
	s.change(chat.ConversationDeleted, 1, 0)
	if g := replay(); strings.Contains(g, "secret") {
		t.Error(g)
	}
}
