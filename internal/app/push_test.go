package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// mustPush waits until somebody was pushed to, and then until nothing waits to be pushed, and returns all that was since.
func mustPush(t *testing.T, s *store.Store, p *testkit.PushService, to string) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all := p.MustWait(t, ctx, to)
	mustBeDone(t, s, job.Notify)
	texts := map[string][]string{}
	for _, a := range append(all, p.Take()...) {
		if a.Err != nil {
			t.Error(a.To, a.Err)
		}
		texts[a.To] = append(texts[a.To], a.Text)
	}
	return texts
}

// mustBeDone waits until no job of a queue is to be done.
func mustBeDone(t *testing.T, s *store.Store, queue string) {
	t.Helper()
	eventually(t, func() error { return undone(t.Context(), s, queue) })
}

// undone says which jobs of a queue are to be done, if any.
func undone(ctx context.Context, s *store.Store, queue string) error {
	stats, err := s.JobStats(ctx)
	for _, j := range stats {
		if j.Queue == queue {
			err = errors.Join(err, fmt.Errorf("%d jobs are %s", j.Count, j.State))
		}
	}
	return err
}

// pushed are those who were pushed to.
func pushed(texts map[string][]string) string {
	var who []string
	for name := range texts {
		who = append(who, name)
	}
	slices.Sort(who)
	return strings.Join(who, " ")
}

// What replaces what at a push service tells it nothing: of one conversation each browser has a topic of its own, and it stays.
func TestPushTopics(t *testing.T) {
	t.Parallel()
	p := testkit.MustPushService(t)
	url := testkit.SQLiteURL(t)
	a := testkit.MustRunApp(t, url, p.Settings()...)
	s := testkit.MustOpenStore(t, url)
	people := mustMeet(t, a.URL(), 3)
	room := mustCreateGroup(t, people[0], people[1], people[2])
	p.MustSubscribe(t, people[1].Client, "bob", nil)
	p.MustSubscribe(t, people[2].Client, "cat", nil)
	topics := map[string][]string{}
	for _, to := range []string{"bob", "cat"} { // who is told again
		mustSend(t, people[0].Client, room, "for "+to)
		all := p.MustWait(t, t.Context(), to)
		mustBeDone(t, s, job.Notify)
		for _, a := range append(all, p.Take()...) {
			topics[a.To] = append(topics[a.To], a.Header.Get("Topic"))
		}
	}
	b, c := topics["bob"], topics["cat"]
	if len(b) != 2 || len(c) != 2 || b[0] == "" || b[0] != b[1] || c[0] != c[1] || b[0] == c[0] || strings.Contains(b[0]+c[0], "cnv_") {
		t.Error(topics)
	}
}

// A message reaches the browsers of those who are away, sealed, and says what is new.
func TestPush(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		p := testkit.MustPushService(t)
		a := testkit.MustRunApp(t, url, p.Settings()...)
		s := testkit.MustOpenStore(t, url)
		people := mustMeet(t, a.URL(), 3)
		ann, bob, cat := people[0], people[1], people[2]
		room := mustCreateGroup(t, ann, bob, cat)
		p.MustSubscribe(t, ann.Client, "ann", nil)
		p.MustSubscribe(t, bob.Client, "bob", nil)
		p.MustSubscribe(t, cat.Client, "cat", func(w http.ResponseWriter) { w.WriteHeader(http.StatusGone) })
		m := mustSend(t, ann.Client, room, "is  there\ncake?").SendMessage.Message
		got := mustPush(t, s, p, "bob")
		if pushed(got) != "bob cat" || len(got["bob"]) != 1 || len(got["cat"]) != 1 {
			t.Fatal(got)
		}
		var text struct {
			Kind, Title, Body, ConversationID, MessageID, URL string
			Count                                             int
		}
		if err := json.Unmarshal([]byte(got["bob"][0]), &text); err != nil || text.Kind != "GROUP_MESSAGE" || text.Title != "A group" || text.Body != "Person 0: is there cake?" ||
			text.ConversationID != room || text.MessageID != m.ID || text.URL != "/conversations/"+room || text.Count != 1 {
			t.Errorf("%s %v", got["bob"][0], err)
		}
		if left, err := s.PushesOf(t.Context(), []chat.ID{mustID(t, cat.ID)}, time.Now()); err != nil || len(left) != 0 {
			t.Error("a subscription that is gone is kept:", left, err)
		}

		// What the others say is for ann too, and a direct conversation is titled by who speaks.
		direct := testkit.MustDirect(t, bob.Client, ann.ID)
		mustSend(t, bob.Client, direct, "yes")
		got = mustPush(t, s, p, "ann")
		if err := json.Unmarshal([]byte(got["ann"][0]), &text); err != nil || pushed(got) != "ann" || text.Kind != "DIRECT_MESSAGE" || text.Title != "Person 1" || text.Body != "yes" {
			t.Error(got, err)
		}

		// What is said meanwhile goes into one push, and so does what was not read before.
		before := mustSend(t, ann.Client, room, "1").SendMessage.Message.Seq
		for n := range 20 {
			mustSend(t, ann.Client, room, fmt.Sprint(n+2))
		}
		got = mustPush(t, s, p, "bob")
		last := got["bob"][len(got["bob"])-1]
		if err := json.Unmarshal([]byte(last), &text); err != nil || text.Body != "Person 0: 21" || text.Count != int(before)+20 || len(got["bob"]) > 3 {
			t.Errorf("%d pushes, the last is %s", len(got["bob"]), last)
		}
	})
}

// What somebody is notified of is pushed too, and a mention only where messages are not.
func TestPushOfNotifications(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		p := testkit.MustPushService(t)
		a := testkit.MustRunApp(t, url, p.Settings()...)
		s := testkit.MustOpenStore(t, url)
		people := mustMeet(t, a.URL(), 3)
		ann, bob, cat := people[0], people[1], people[2]
		eve := testkit.MustSignUp(t, a.URL(), "Eve")
		p.MustSubscribe(t, bob.Client, "bob", nil)
		p.MustSubscribe(t, cat.Client, "cat", nil)
		ask := func(of *client.Account) {
			t.Helper()
			testkit.MustDo(t, eve.Client, `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { cursor } }`, client.Vars{"u": of.ID}, nil)
		}
		expect := func(to string, want ...string) {
			t.Helper()
			got := mustPush(t, s, p, to)
			if pushed(got) != to || len(got[to]) != 1 {
				t.Fatal(got)
			}
			for _, w := range want {
				if !strings.Contains(got[to][0], w) {
					t.Errorf("no %s in %s", w, got[to][0])
				}
			}
		}
		ask(bob)
		expect("bob", `"kind":"FRIEND_REQUEST"`, `"title":"Eve"`, `"url":"/friends"`)
		testkit.MustDo(t, cat.Client, `mutation { updateNotificationPreferences(input: {kinds: [{kind: FRIEND_REQUEST, push: false}]}) { cursor } }`, nil, nil)
		ask(cat)
		room := mustCreateGroup(t, ann, bob)
		expect("bob", `"kind":"ADDED_TO_GROUP"`, `"body":"Person 0 added you"`, room)
		var me struct{ Me struct{ Username string } }
		testkit.MustDo(t, bob.Client, `{ me { username } }`, nil, &me)
		mustSend(t, ann.Client, room, "@"+me.Me.Username+" look")
		expect("bob", `"kind":"GROUP_MESSAGE"`)
		testkit.MustDo(t, bob.Client, `mutation($c: ID!) { setConversationNotifications(input: {conversationId: $c, level: MENTIONS}) { cursor } }`, client.Vars{"c": room}, nil)
		mustSend(t, ann.Client, room, "nobody")
		mustSend(t, ann.Client, room, "and @"+me.Me.Username+" again")
		expect("bob", `"kind":"MENTION"`, `"body":"Person 0: and @`+me.Me.Username+` again"`)
	})
}

// Nobody is pushed what they have seen, or may not see (any more).
func TestWhoIsNotPushed(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		p := testkit.MustPushService(t)
		a := testkit.MustRunApp(t, url, p.Settings()...)
		s := testkit.MustOpenStore(t, url)
		notPushed(t, s, p, a.URL(), a.URL())
	})
}

// Sockets on one node keep the jobs of the other from pushing.
func TestWhoIsNotPushedByAnotherNode(t *testing.T) {
	t.Parallel()
	p := testkit.MustPushService(t)
	c := testkit.MustCluster(t, testkit.MustNATS(t), 2, p.Settings()...)
	mustConnect(t, c.Nodes...)
	notPushed(t, testkit.MustOpenStore(t, c.URL), p, c.Nodes[0].URL(), c.Nodes[1].URL())
}

// notPushed has people with sockets on one node, which a message on the other finds: each does something before it is
// pushed, and is not.
func notPushed(t *testing.T, s *store.Store, p *testkit.PushService, one, two string) {
	people := mustMeet(t, one, 14)
	ann, away := people[0], people[9]
	room := mustCreateGroup(t, ann, people[1:]...)
	session := map[string]*client.Client{}
	var sockets []*client.Socket
	names := []string{"ann", "leaves", "stays", "reads", "removed", "blocks", "signs-out", "unsubscribes", "moves", "away", "mutes", "kind-off", "only-mentions", "quiet"}
	for i, who := range people {
		session[names[i]] = who.Client
		p.MustSubscribe(t, who.Client, names[i], nil)
		if who == away {
			continue
		}
		c := *who.Client
		c.URL = two
		socket, err := c.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(socket.Close)
		sockets = append(sockets, socket)
	}
	eventually(t, func() error { // the nodes tell each other
		var out struct {
			Conversation struct {
				Members struct {
					Nodes []struct {
						User struct{ Presence struct{ Status string } }
					}
				}
			}
		}
		testkit.MustDo(t, ann.Client, `query($c: ID!) { conversation(id: $c) { members { nodes { user { presence { status } } } } } }`, client.Vars{"c": room}, &out)
		online := 0
		for _, m := range out.Conversation.Members.Nodes {
			if m.User.Presence.Status == "ONLINE" {
				online++
			}
		}
		if online != 13 {
			return fmt.Errorf("%d are online", online)
		}
		return nil
	})
	seq := mustSend(t, ann.Client, room, "who is there?").SendMessage.Message.Seq
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got := p.MustWait(t, ctx, "away"); len(got) != 1 {
		t.Error(got)
	}
	// Those who are away were told, and the others are looked at again in ten seconds.
	do := func(name, mutation string, vars client.Vars) {
		t.Helper()
		testkit.MustDo(t, session[name], mutation, vars, nil)
	}
	do("reads", `mutation($c: ID!, $s: Int!) { markRead(input: {conversationId: $c, seq: $s}) { cursor } }`, client.Vars{"c": room, "s": seq})
	do("ann", `mutation($c: ID!, $u: ID!) { removeMember(input: {conversationId: $c, userId: $u}) { cursor } }`, client.Vars{"c": room, "u": people[4].ID})
	do("blocks", `mutation($u: ID!) { blockUser(input: {userId: $u}) { cursor } }`, client.Vars{"u": ann.ID})
	do("signs-out", `mutation { signOut { cursor } }`, nil)
	do("unsubscribes", `mutation($e: String!) { unsubscribeFromPush(input: {endpoint: $e}) { cursor } }`, client.Vars{"e": p.URL + "/unsubscribes"})
	notify := `mutation($input: SetConversationNotificationsInput!) { setConversationNotifications(input: $input) { cursor } }`
	do("mutes", notify, client.Vars{"input": client.Vars{"conversationId": room, "mutedUntil": time.Now().Add(time.Hour)}})
	do("only-mentions", notify, client.Vars{"input": client.Vars{"conversationId": room, "level": "MENTIONS"}})
	prefer := `mutation($input: UpdateNotificationPreferencesInput!) { updateNotificationPreferences(input: $input) { cursor } }`
	do("kind-off", prefer, client.Vars{"input": client.Vars{"kinds": []any{client.Vars{"kind": "GROUP_MESSAGE", "push": false}}}})
	hour := time.Now().UTC().Hour()
	do("quiet", prefer, client.Vars{"input": client.Vars{"quietHours": client.Vars{"start": fmt.Sprintf("%02d:00", hour), "end": fmt.Sprintf("%02d:00", (hour+2)%24)}}})
	p.MustSubscribe(t, away.Client, "moves", nil)
	for i, socket := range sockets {
		if names[i] != "stays" {
			socket.Close()
		}
	}
	if got := mustPush(t, s, p, "leaves"); pushed(got) != "leaves" {
		t.Errorf("pushed to %v", got)
	}
}

// A browser belongs to whom it was subscribed for last, and only they can take that back.
func TestPushSubscriptions(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		p := testkit.MustPushService(t)
		a := testkit.MustRunApp(t, url, p.Settings()...)
		s := testkit.MustOpenStore(t, url)
		bob, eve := testkit.MustSignUp(t, a.URL(), "Bob"), testkit.MustSignUp(t, a.URL(), "Eve")
		have := func(who *client.Account, want ...string) {
			t.Helper()
			found, err := s.PushesOf(t.Context(), []chat.ID{mustID(t, who.ID)}, time.Now())
			var got []string
			for _, f := range found {
				got = append(got, strings.TrimPrefix(f.Endpoint, p.URL+"/"))
			}
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v %v, want %v", got, err, want)
			}
		}
		unsubscribe := func(who *client.Account, endpoint string) {
			t.Helper()
			testkit.MustDo(t, who.Client, `mutation($e: String!) { unsubscribeFromPush(input: {endpoint: $e}) { cursor } }`, client.Vars{"e": endpoint}, nil)
		}
		endpoint := p.MustSubscribe(t, bob.Client, "x", nil)
		p.MustSubscribe(t, bob.Client, "x", nil)
		unsubscribe(eve, endpoint)
		have(bob, "x")
		p.MustSubscribe(t, eve.Client, "x", nil)
		have(bob)
		have(eve, "x")
		unsubscribe(bob, endpoint)
		have(eve, "x")
		unsubscribe(eve, endpoint)
		have(eve)

		var want []string
		for i := range 13 {
			p.MustSubscribe(t, bob.Client, fmt.Sprintf("b%02d", i), nil)
			if i >= 3 {
				want = append(want, fmt.Sprintf("b%02d", i))
			}
		}
		have(bob, want...)
		if _, err := s.Write(t.Context(), mustID(t, bob.ID), func(tx *store.Tx) error { _, err := tx.EndSessions(mustID(t, bob.ID)); return err }); err != nil {
			t.Fatal(err)
		}
		have(bob) // whether somebody has cleaned up or not

		var key, again struct{ PushPublicKey string }
		testkit.MustDo(t, eve.Client, `{ pushPublicKey }`, nil, &key)
		b := testkit.MustRunApp(t, url, p.Settings()...)
		eve.URL = b.URL()
		testkit.MustDo(t, eve.Client, `{ pushPublicKey }`, nil, &again)
		if len(key.PushPublicKey) != 87 || key != again {
			t.Errorf("%q %q", key, again)
		}
	})
}

// A message costs one statement where nobody is to be pushed to, however many are in the conversation, and few for each
// browser.
func TestStatementsOfPushes(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		p := testkit.MustPushService(t)
		a, counted := mustCount(t, url, p.Settings()...)
		s := testkit.MustOpenStore(t, url)
		people := mustMeet(t, a.URL(), 5)
		room := mustCreateGroup(t, people[0], people[1:]...)
		made := func() (made []string) {
			counted.mu.Lock()
			defer counted.mu.Unlock()
			for _, q := range counted.made {
				if strings.Contains(q, "push_subscriptions") {
					made = append(made, q)
				}
			}
			return made
		}
		counted.of(func() { mustSend(t, people[0].Client, room, "to nobody") })
		eventually(t, func() error {
			if len(made()) == 0 {
				return errors.New("nobody asks whom to push to")
			}
			return nil
		})
		mustBeDone(t, s, job.Notify)
		idle := made()
		if len(idle) != 1 {
			t.Errorf("%d statements for nobody:\n%s", len(idle), strings.Join(idle, "\n"))
		}
		p.MustSubscribe(t, people[1].Client, "one", nil)
		counted.of(func() { mustSend(t, people[0].Client, room, "to one") })
		mustPush(t, s, p, "one")
		busy := made()
		if len(busy) != 6 { // is there any; whom; lock; what; and lock and look once more
			t.Errorf("%d statements for one:\n%s", len(busy), strings.Join(busy, "\n"))
		}
	})
}
