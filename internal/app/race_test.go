package app_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-chat/parley/internal/app"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// Races between requests have exact outcomes.
func TestRaces(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url)
		db := testkit.MustOpenStore(t, url)
		people := mustMeet(t, a.URL(), 3)
		alice, bob := people[1], people[2] // friends of people[0], and not of each other
		t.Run("crossed requests", func(t *testing.T) { crossedRequests(t, alice, bob) })
		t.Run("accept and cancel", func(t *testing.T) { acceptAndCancel(t, alice, bob) })
		t.Run("same key", func(t *testing.T) { sameKey(t, a, people[0]) })
		t.Run("send and remove", func(t *testing.T) { sendAndRemove(t, db, people[0], alice) })
		mustCheck(t, db)
	})
}

// asked is the answer to a friend request.
type asked struct {
	SendFriendRequest struct{ Request struct{ ID, Status string } }
}

func befriend(t *testing.T, from, to *client.Account) (a asked, err error) {
	err = from.Do(t.Context(), `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { request { id status } } }`, client.Vars{"u": to.ID}, &a)
	return a, err
}

func mustUnfriend(t *testing.T, a, b *client.Account) {
	t.Helper()
	testkit.MustDo(t, a.Client, `mutation($u: ID!) { removeFriend(input: {userId: $u}) { cursor } }`, client.Vars{"u": b.ID}, nil)
}

// direct is the conversation of two friends; empty if they are not. Both see the same.
func direct(t *testing.T, a, b *client.Account) string {
	t.Helper()
	of := func(viewer, friend *client.Account) (found string) {
		var out struct {
			Friends struct {
				Nodes []struct{ User, Conversation struct{ ID string } }
			}
		}
		testkit.MustDo(t, viewer.Client, `{ friends { nodes { user { id } conversation { id } } } }`, nil, &out)
		for _, f := range out.Friends.Nodes {
			if f.User.ID == friend.ID {
				if found != "" {
					t.Error("a friend is listed twice")
				}
				found = f.Conversation.ID
			}
		}
		return found
	}
	first, second := of(a, b), of(b, a)
	if first != second {
		t.Errorf("one sees the conversation %q, the other %q", first, second)
	}
	return first
}

// Two who ask each other at once are friends: one request is accepted by the other.
func crossedRequests(t *testing.T, alice, bob *client.Account) {
	conversation := ""
	for range 10 {
		answers := make([]asked, 2)
		atOnce(2, func(i int) {
			from, to := alice, bob
			if i == 1 {
				from, to = bob, alice
			}
			var err error
			if answers[i], err = befriend(t, from, to); err != nil {
				t.Error(err)
			}
		})
		one, two := answers[0].SendFriendRequest.Request, answers[1].SendFriendRequest.Request
		if one.ID != two.ID || (one.Status == "ACCEPTED") == (two.Status == "ACCEPTED") {
			t.Errorf("%+v and %+v, want one request, accepted by the second who asked", one, two)
		}
		now := direct(t, alice, bob)
		if now == "" || conversation != "" && now != conversation {
			t.Errorf("the direct conversation is %q, and was %q", now, conversation)
		}
		conversation = now
		mustUnfriend(t, alice, bob)
	}
}

// 200 accept and cancel one request at once: one wins.
func acceptAndCancel(t *testing.T, alice, bob *client.Account) {
	for range 3 {
		a, err := befriend(t, alice, bob)
		if err != nil {
			t.Fatal(err)
		}
		var accepted, cancelled atomic.Int64
		atOnce(200, func(i int) {
			who, text, won := bob, `mutation($r: ID!) { acceptFriendRequest(input: {requestId: $r}) { request { status } friendship { conversation { id } } } }`, &accepted
			if i%2 == 1 {
				who, text, won = alice, `mutation($r: ID!) { cancelFriendRequest(input: {requestId: $r}) { request { status } } }`, &cancelled
			}
			switch err := who.Do(t.Context(), text, client.Vars{"r": a.SendFriendRequest.Request.ID}, nil); {
			case err == nil:
				won.Add(1)
			case client.Code(err) != "CONFLICT":
				t.Error(err)
			}
		})
		if accepted.Load()+cancelled.Load() != 1 {
			t.Errorf("%d accepted and %d cancelled", accepted.Load(), cancelled.Load())
		}
		if friends := direct(t, alice, bob) != ""; friends != (accepted.Load() == 1) {
			t.Errorf("they are friends: %t", friends)
		}
		if accepted.Load() == 1 {
			mustUnfriend(t, alice, bob)
		}
	}
}

// A message that 50 connections send at once, with one key, is one message.
func sameKey(t *testing.T, a *app.App, sender *client.Account) {
	room := mustCreateGroup(t, sender)
	for round := range 5 {
		answers := make([]sent, 50)
		atOnce(len(answers), func(i int) {
			c := client.Client{URL: a.URL(), Token: sender.Token, HTTP: mustHTTP(t)}
			var err error
			if answers[i], err = send(t.Context(), &c, room, "once", fmt.Sprint("key ", round)); err != nil {
				t.Error(err)
			}
		})
		for _, x := range answers {
			if x != answers[0] || x.SendMessage.Message.Seq != int64(round+1) {
				t.Errorf("%+v and %+v", x, answers[0])
			}
		}
	}
	if ids, _ := mustHistory(t, sender.Client, room); len(ids) != 5 {
		t.Errorf("%d messages, want 5", len(ids))
	}
}

// Somebody is removed while they send from 20 connections: what was acknowledged stands before the removal in the log,
// and is stored; everything else is NOT_FOUND.
func sendAndRemove(t *testing.T, db *store.Store, owner, member *client.Account) {
	for range 5 {
		room := mustCreateGroup(t, owner, member)
		var mu sync.Mutex
		acked := map[string]bool{}
		last := chat.Position(0)
		ready := make(chan struct{})
		removed := make(chan chat.Position, 1)
		go func() {
			<-ready
			var out struct{ RemoveMember struct{ Cursor string } }
			err := owner.Do(t.Context(), `mutation($c: ID!, $u: ID!) { removeMember(input: {conversationId: $c, userId: $u}) { cursor } }`, client.Vars{"c": room, "u": member.ID}, &out)
			if err != nil {
				t.Error(err)
			}
			c, _ := chat.ParseCursor(out.RemoveMember.Cursor)
			removed <- c.Position
		}()
		atOnce(20, func(w int) {
			for n := 0; ; n++ {
				s, err := send(t.Context(), member.Client, room, "before the end", fmt.Sprint(room, w, n))
				if err != nil {
					if client.Code(err) != "NOT_FOUND" {
						t.Error(err)
					}
					return
				}
				c, _ := chat.ParseCursor(s.SendMessage.Cursor)
				mu.Lock()
				acked[s.SendMessage.Message.ID] = true
				last = max(last, c.Position)
				if len(acked) == 100 {
					close(ready)
				}
				mu.Unlock()
			}
		})
		end := <-removed
		if last >= end {
			t.Errorf("a message was acknowledged at %d, after the removal at %d", last, end)
		}
		after := 0
		for _, e := range mustEvents(t, db) {
			if e.Topic.ID.String() == room && e.Position > end {
				after++
			}
		}
		ids, _ := mustHistory(t, owner.Client, room)
		for _, id := range ids {
			if !acked[id] {
				t.Errorf("%s is stored and was refused", id)
			}
		}
		if len(ids) != len(acked) || after > 0 {
			t.Errorf("%d messages are stored and %d were acknowledged; %d events follow the removal", len(ids), len(acked), after)
		}
	}
}
