package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// soon is how fast an ended session must be silent.
const soon = time.Second

func (s *stage) dial(c *client.Client) *client.Socket {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	socket, err := c.Dial(ctx)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(socket.Close)
	return socket
}

func (s *stage) listen(socket *client.Socket, query string, vars client.Vars) *client.Subscription {
	s.Helper()
	sub, err := socket.Subscribe(query, vars, 1000)
	if err != nil {
		s.Fatal(err)
	}
	return sub
}

// item is the next one of a subscription; false at its end.
func (s *stage) item(sub *client.Subscription, within time.Duration) (client.Response, bool) {
	s.Helper()
	select {
	case r, ok := <-sub.C:
		if len(r.Errors) > 0 {
			s.Fatal(r.Errors)
		}
		return r, ok
	case <-time.After(within):
		s.Fatal("nothing came")
	}
	return client.Response{}, false
}

// until reads items up to the first that contains a text, and returns them all as text.
func (s *stage) until(sub *client.Subscription, text string) (all []string) {
	s.Helper()
	for {
		r, ok := s.item(sub, time.Minute)
		if !ok {
			s.Fatalf("ended before %s: %v", text, sub.Err())
		}
		if all = append(all, string(r.Data)); strings.Contains(string(r.Data), text) {
			return all
		}
	}
}

// rest reads a subscription to its orderly end.
func (s *stage) rest(sub *client.Subscription) (all []string) {
	s.Helper()
	for {
		r, ok := s.item(sub, time.Minute)
		if !ok {
			if !errors.Is(sub.Err(), client.ErrComplete) {
				s.Errorf("ended with %v", sub.Err())
			}
			return all
		}
		all = append(all, string(r.Data))
	}
}

func (s *stage) secretless(what string, items []string) {
	s.Helper()
	for _, x := range items {
		if strings.Contains(x, "SECRET") {
			s.Errorf("%s: %s", what, x)
		}
	}
}

const plainConversation = `{ id kind title createdAt updatedAt memberCount writable lastMessage { body }
	members(first: 5) { nodes { role user { username } } } messages(last: 5) { nodes { body } } `

// TestExMembersReplay: old events are replayed to somebody who was there; what their conversation has become since is
// not told, whichever way leads to it.
func TestExMembersReplay(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	shut := func(id, made string) map[string]any {
		none := map[string]any{"nodes": []any{}}
		return map[string]any{"id": id, "kind": "GROUP", "title": nil, "createdAt": made, "updatedAt": made, // which the id tells too
			"memberCount": 0., "writable": false, "lastMessage": nil, "members": none, "messages": none}
	}
	testkit.URLs(t, func(t *testing.T, url string) {
		s := newStage(t, sdl, testkit.MustRunApp(t, url).URL())
		member := s.cast["member"]
		room := s.make("owner", "member")
		var c struct{ Conversation struct{ CreatedAt string } }
		testkit.MustDo(t, member.Client, `query($id: ID!) { conversation(id: $id) { createdAt } }`, client.Vars{"id": room}, &c)
		s.do("owner", "sendMessage", "conversationId", room, "body", "said before", "clientKey", "1")
		s.do("owner", "updateGroup", "conversationId", room, "title", "named before")
		s.do("member", "markRead", "conversationId", room, "seq", 1)
		s.do("owner", "setMemberRole", "conversationId", room, "userId", member.ID, "role", "ADMIN")
		s.do("owner", "removeMember", "conversationId", room, "userId", member.ID)
		s.do("owner", "updateGroup", "conversationId", room, "title", "SECRET title")
		s.do("owner", "sendMessage", "conversationId", room, "body", "SECRET body", "clientKey", "2")
		if err := member.Do(s.Context(), `query($id: ID!) { conversation(id: $id) { id } }`, client.Vars{"id": room}, nil); client.Code(err) != "NOT_FOUND" {
			t.Error(err)
		}

		for name, viewers := range map[string]string{
			"shared":     "",
			"one viewer": `role peer { id } unreadCount receipts(first: 5) { nodes { seq } }`,
		} {
			conversation := "conversation " + plainConversation + viewers + "}"
			sub := s.listen(s.dial(member.Client), `subscription($after: Cursor) { events(after: $after) { __typename
				... on ConversationCreated { `+conversation+` } ... on ConversationUpdated { `+conversation+` } ... on MemberAdded { `+conversation+` }
				... on MessageAdded { message { body `+conversation+` } } } }`, client.Vars{"after": member.Cursor})
			items := s.until(sub, "CaughtUp")
			s.secretless(name, items)
			want := shut(room, c.Conversation.CreatedAt)
			if viewers != "" {
				want["role"], want["peer"], want["unreadCount"], want["receipts"] = nil, nil, 0., map[string]any{"nodes": []any{}}
			}
			var met []string
			for _, item := range items {
				var e struct {
					Events struct {
						Typename     string `json:"__typename"`
						Conversation map[string]any
						Message      struct{ Conversation map[string]any }
					}
				}
				if err := json.Unmarshal([]byte(item), &e); err != nil {
					t.Fatal(err)
				}
				for _, c := range []map[string]any{e.Events.Conversation, e.Events.Message.Conversation} {
					if c["id"] != room {
						continue
					}
					if met = append(met, e.Events.Typename); !reflect.DeepEqual(c, want) {
						t.Errorf("%s, %s:\n got %v\nwant %v", name, e.Events.Typename, c, want)
					}
				}
			}
			if all := []string{"ConversationCreated", "MessageAdded", "ConversationUpdated"}; !slices.Equal(met, all) {
				t.Errorf("%s: met the conversation in %v, want %v: %v", name, met, all, items)
			}
			if !strings.Contains(strings.Join(items, ""), "said before") || !strings.Contains(items[len(items)-2], "MemberRemoved") {
				t.Errorf("%s: not what was seen: %v", name, items)
			}
		}
	})
}

// TestRemovedHearNothing: what a removed member listened to ends with the removal, on the same socket.
func TestRemovedHearNothing(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	testkit.URLs(t, func(t *testing.T, url string) {
		s := newStage(t, sdl, testkit.MustRunApp(t, url).URL())
		member := s.cast["member"]
		made := s.do("owner", "createGroup", "title", "Club", "memberIds", []string{member.ID})
		room := client.Vars{"c": made["conversation"].(map[string]any)["id"], "after": made["cursor"]} // the node may be behind it
		socket := s.dial(member.Client)
		feed := s.listen(socket, `subscription { events { __typename ... on MessageAdded { message { body } } ... on ConversationUpdated { conversation { title } } } }`, nil)
		s.until(feed, "CaughtUp")
		narrow := map[string]*client.Subscription{}
		for name, q := range map[string]string{
			"messages":     `subscription($c: ID!, $after: Cursor) { messageAdded(conversationId: $c, after: $after) { __typename message { body } } }`,
			"conversation": `subscription($c: ID!, $after: Cursor) { conversationUpdated(conversationId: $c, after: $after) { __typename ... on ConversationUpdated { conversation { title } } } }`,
			"typing":       `subscription($c: ID!) { typingChanged(conversationId: $c) { __typename users { id } } }`,
		} {
			narrow[name] = s.listen(socket, q, room)
			if _, ok := s.item(narrow[name], time.Minute); !ok { // CaughtUp, or the snapshot: it listens
				t.Fatal(narrow[name].Err())
			}
		}
		s.do("owner", "removeMember", "conversationId", room["c"], "userId", member.ID)
		s.until(feed, "MemberRemoved")
		s.do("owner", "updateGroup", "conversationId", room["c"], "title", "SECRET title")
		s.do("owner", "sendMessage", "conversationId", room["c"], "body", "SECRET body", "clientKey", "1")
		s.do("owner", "setTyping", "conversationId", room["c"])
		s.do("member", "updateProfile", "bio", "later")
		if after := s.until(feed, "ProfileChanged"); len(after) != 1 {
			t.Errorf("heard %v after the removal", after)
		}
		last := map[string][]string{"messages": nil, "typing": nil, "conversation": {`{"conversationUpdated":{"__typename":"MemberRemoved"}}`}}
		for name, sub := range narrow {
			if heard := s.rest(sub); !slices.Equal(heard, last[name]) {
				t.Errorf("%s: heard %v, want %v", name, heard, last[name])
			}
		}
	})
}

// TestRemovedOnAnotherNode: a node that learns of a removal together with what came before and after it shows the removed
// member nothing of the latter.
func TestRemovedOnAnotherNode(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	testkit.URLs(t, func(t *testing.T, url string) {
		s := newStage(t, sdl, testkit.MustRunApp(t, url).URL())
		member := *s.cast["member"].Client
		member.URL = testkit.MustRunApp(t, url).URL()
		const room = `conversation { title lastMessage { body } messages(last: 3) { nodes { body } } `
		var feeds []*client.Subscription
		for _, viewers := range []string{"}", "unreadCount }"} {
			feed := s.listen(s.dial(&member), `subscription { events { __typename ... on ConversationUpdated { `+room+viewers+` } ... on MessageAdded { message { `+room+viewers+` } } } }`, nil)
			s.until(feed, "CaughtUp")
			feeds = append(feeds, feed)
		}
		for range 3 {
			room := s.make("owner", "member")
			s.do("owner", "sendMessage", "conversationId", room, "body", "before", "clientKey", room)
			s.do("owner", "updateGroup", "conversationId", room, "title", "before")
			s.do("owner", "removeMember", "conversationId", room, "userId", s.cast["member"].ID)
			s.do("owner", "updateGroup", "conversationId", room, "title", "SECRET title")
			s.do("owner", "sendMessage", "conversationId", room, "body", "SECRET body", "clientKey", "after "+room)
			for _, feed := range feeds {
				s.secretless("before the removal", s.until(feed, "MemberRemoved"))
			}
		}
	})
}

// TestEndedSessionsAreSilent: however a session ends, its sockets are closed within a second and its token is worth
// nothing from the answer on.
func TestEndedSessionsAreSilent(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		url = testkit.MustRunApp(t, url).URL()
		s := &stage{T: t, url: url}
		for name, end := range map[string]func(first *client.Client, other signedIn) error{
			"signOut": func(_ *client.Client, other signedIn) error {
				return other.Do(t.Context(), `mutation { signOut { cursor } }`, nil, nil)
			},
			"revokeSession": func(first *client.Client, other signedIn) error {
				return first.Do(t.Context(), `mutation($id: ID!) { revokeSession(input: {sessionId: $id}) { cursor } }`, client.Vars{"id": other.session}, nil)
			},
			"changePassword": func(first *client.Client, _ signedIn) error {
				return first.Do(t.Context(), `mutation { changePassword(input: {currentPassword: "correct horse battery", newPassword: "battery horse correct"}) { cursor } }`, nil, nil)
			},
		} {
			a := testkit.MustSignUp(t, url, "Somebody")
			s.cast = map[string]*client.Account{"somebody": a}
			other := s.signIn("somebody")
			const feed = `subscription { events(types: [SESSION_ENDED]) { __typename } }`
			kept, lost := s.listen(s.dial(a.Client), feed, nil), s.listen(s.dial(other.Client), feed, nil)
			s.until(kept, "CaughtUp")
			s.until(lost, "CaughtUp")
			if err := end(a.Client, other); err != nil {
				t.Fatal(name, err)
			}
			if err := other.Do(t.Context(), `{ sessions { nodes { id } } }`, nil, nil); client.Code(err) != string(chat.CodeUnauthenticated) {
				t.Errorf("%s: the token still works: %v", name, err)
			}
			if r, more := s.item(lost, soon); more {
				t.Errorf("%s: was told %s", name, r.Data)
			} else if code := client.CloseCode(lost.Err()); code != 4401 {
				t.Errorf("%s: ended with %v", name, lost.Err())
			}
			if _, err := other.Dial(t.Context()); client.CloseCode(err) != 4403 {
				t.Errorf("%s: dialled again: %v", name, err)
			}
			s.until(kept, "SessionEnded")
			if err := a.Do(t.Context(), `{ sessions { nodes { id } } }`, nil, nil); err != nil {
				t.Errorf("%s: the other session: %v", name, err)
			}
		}
	})
}

// TestPresenceIsForFriends: a stranger's coming shows nowhere, nor does that of somebody who has just ended a friendship.
func TestPresenceIsForFriends(t *testing.T) {
	t.Parallel()
	sdl := mustSchema(t)
	testkit.URLs(t, func(t *testing.T, url string) {
		s := newStage(t, sdl, testkit.MustRunApp(t, url).URL())
		for _, end := range []string{"removeFriend", "blockUser"} {
			watcher, friend, stranger := testkit.MustSignUp(t, s.url, "Watcher"), testkit.MustSignUp(t, s.url, "Friend"), testkit.MustSignUp(t, s.url, "Nobody")
			s.cast["friend"] = friend
			marks := []*client.Account{testkit.MustSignUp(t, s.url, "Mark One"), testkit.MustSignUp(t, s.url, "Mark Two")}
			for _, f := range append(marks, friend) {
				testkit.MustBefriend(t, watcher, f)
			}
			socket := s.dial(watcher.Client)
			feed := s.listen(socket, `subscription { events { __typename } }`, nil)
			s.until(feed, "CaughtUp")
			const fields = `{ snapshot presences { status user { id } } } }`
			all := s.listen(socket, `subscription { presenceChanged `+fields, nil)
			some := s.listen(socket, `subscription($u: [ID!]) { presenceChanged(userIds: $u) `+fields,
				client.Vars{"u": []string{friend.ID, stranger.ID, marks[0].ID, marks[1].ID}})
			for _, sub := range []*client.Subscription{all, some} {
				first, _ := s.item(sub, time.Minute)
				if text := string(first.Data); strings.Contains(text, stranger.ID) || !strings.Contains(text, friend.ID) {
					t.Errorf("%s: the snapshot is %s", end, text)
				}
			}
			other := testkit.MustSignUp(t, s.url, "Other Friend") // stays one, and asks the same
			testkit.MustBefriend(t, other, friend)
			kept := s.listen(s.dial(other.Client), `subscription { presenceChanged `+fields, nil)
			s.item(kept, time.Minute)
			s.do("friend", end, "userId", watcher.ID)
			s.until(feed, "FriendshipEnded")
			s.dial(stranger.Client)
			s.dial(friend.Client)
			s.until(kept, friend.ID)
			// What was published before the first mark's coming is out when the second's comes.
			for _, m := range marks {
				s.dial(m.Client)
				for _, sub := range []*client.Subscription{all, some} {
					for _, item := range s.until(sub, m.ID) {
						if strings.Contains(item, friend.ID) || strings.Contains(item, stranger.ID) {
							t.Errorf("%s: told %s", end, item)
						}
					}
				}
			}
		}
	})
}
