package demo

import (
	"encoding/json"
	"fmt"

	"github.com/parley-chat/parley/internal/client"
)

const (
	sendRequest = `mutation($input: SendFriendRequestInput!) { sendFriendRequest(input: $input) { request { id } } }`
	accept      = `mutation($input: AcceptFriendRequestInput!) { acceptFriendRequest(input: $input) { cursor friendship { conversation { id } } } }`
	send        = `mutation($input: SendMessageInput!) { sendMessage(input: $input) { cursor message { id seq } } }`
	read        = `mutation($input: MarkReadInput!) { markRead(input: $input) { cursor conversation { unreadCount } } }`
	typing      = `mutation($input: SetTypingInput!) { setTyping(input: $input) { until } }`
	createGroup = `mutation($input: CreateGroupInput!) { createGroup(input: $input) { cursor conversation { id } } }`
	remove      = `mutation($input: RemoveMemberInput!) { removeMember(input: $input) { cursor } }`
)

// script is the conversation. Whoever does something sees it too, as their other devices would.
func (p *play) script() {
	alice, bob, carol := p.enter("Alice"), p.enter("Bob"), p.enter("Carol")
	defer func() {
		for _, x := range []*person{alice, bob, carol} {
			x.socket.Close()
		}
	}()

	p.say("\n— A friend request, and what follows from accepting it —")
	direct := befriend(bob, alice)

	p.say("\n— Typing, a message, a receipt —")
	watch := alice.watches(`subscription($c: ID!) { typingChanged(conversationId: $c) { users { displayName } } }`, client.Vars{"c": direct})
	alice.told(watch, "nobody typing", `{"typingChanged":{"users":[]}}`)
	bob.does("types", typing, client.Vars{"conversationId": direct})
	alice.told(watch, "Bob typing", `{"typingChanged":{"users":[{"displayName":"Bob"}]}}`)
	bob.says(direct, "Hi Alice!")
	for _, x := range []*person{alice, bob} {
		x.sees("MessageAdded", "#1 Bob: Hi Alice!")
	}
	alice.told(watch, "nobody typing", `{"typingChanged":{"users":[]}}`)
	alice.does("reads it", read, client.Vars{"conversationId": direct, "seq": 1})
	for _, x := range []*person{alice, bob} {
		x.sees("ReceiptUpdated", "Alice has read up to #1")
	}
	carol.seesNothing()

	p.say("\n— A group —")
	befriend(carol, alice)
	var made struct{ Conversation struct{ ID string } }
	out := alice.does("makes a group with Bob and Carol", createGroup, client.Vars{"title": "Picnic", "memberIds": []string{bob.id, carol.id}})
	p.must(json.Unmarshal(out["createGroup"], &made))
	group := made.Conversation.ID
	for _, x := range []*person{alice, bob, carol} {
		x.sees("ConversationCreated", `group "Picnic" of 3`)
	}
	carol.says(group, "I bring cake")
	for _, x := range []*person{alice, bob, carol} {
		x.sees("MessageAdded", "#1 Carol: I bring cake")
	}

	p.say("\n— Carol is removed in mid-flow, and sees nothing more —")
	alice.does("removes Carol", remove, client.Vars{"conversationId": group, "userId": carol.id})
	for _, x := range []*person{alice, bob, carol} {
		x.sees("MemberRemoved", "Carol")
	}
	bob.says(group, "Where is the cake?")
	for _, x := range []*person{alice, bob} {
		x.sees("MessageAdded", "#2 Bob: Where is the cake?")
	}
	carol.seesNothing()
	err := carol.Do(p.ctx, send, client.Vars{"input": client.Vars{"conversationId": group, "body": "Hello?", "clientKey": "x"}}, nil)
	if client.Code(err) != "NOT_FOUND" {
		p.fail("Carol should be refused, but: %v", err)
	}
	p.say("         Carol  is refused: %v", err)

	p.say("\n— Bob loses his network, and resumes by cursor —")
	presence := alice.watches(`subscription { presenceChanged { snapshot presences { user { displayName } status } } }`, nil)
	bob.socket.Cut()
	p.say("Bob    loses his network; his last cursor is %s", bob.cursor)
	for i := 3; i <= 5; i++ {
		alice.says(group, fmt.Sprintf("Bob, this is number %d", i))
		alice.sees("MessageAdded", fmt.Sprintf("#%d Alice: Bob, this is number %d", i, i))
	}
	bob.connect()
	p.say("Bob    comes back after %s", bob.cursor)
	for i := 3; i <= 5; i++ {
		bob.sees("MessageAdded", fmt.Sprintf("#%d Alice: Bob, this is number %d", i, i))
	}
	bob.sees("CaughtUp", "")
	bob.says(group, "Here I am")
	for _, x := range []*person{alice, bob} {
		x.sees("MessageAdded", "#6 Bob: Here I am")
	}
	p.noFlapping(presence)
	carol.seesNothing()
	p.say("\nEverybody saw what they should, in order, once.")
}

// noFlapping makes sure that nobody was told that Bob had gone.
func (p *play) noFlapping(s *client.Subscription) {
	for {
		select {
		case r := <-s.C:
			var data struct {
				PresenceChanged struct {
					Presences []struct {
						User   named
						Status string
					}
				}
			}
			p.must(json.Unmarshal(r.Data, &data))
			for _, x := range data.PresenceChanged.Presences {
				if x.Status != "ONLINE" {
					p.fail("Alice was told that %s is %s", x.User.DisplayName, x.Status)
				}
				p.say("         Alice  sees %s %s", x.User.DisplayName, x.Status)
			}
		default:
			return
		}
	}
}

// says sends a message.
func (x *person) says(conversation, body string) {
	x.does("says "+fmt.Sprintf("%q", body), send, client.Vars{"conversationId": conversation, "body": body, "clientKey": body})
}

// befriend lets one ask the other, who accepts, and returns their direct conversation.
func befriend(asker, asked *person) (conversation string) {
	p := asker.p
	asker.does("asks "+asked.name, sendRequest, client.Vars{"userId": asked.id})
	var request string
	for _, x := range []*person{asked, asker} {
		request = x.sees("FriendRequestSent", asker.name+" → "+asked.name+" is PENDING").Request.ID
	}
	out := asked.does("accepts", accept, client.Vars{"requestId": request})
	var accepted struct {
		Friendship struct{ Conversation struct{ ID string } }
	}
	p.must(json.Unmarshal(out["acceptFriendRequest"], &accepted))
	for _, pair := range [][2]*person{{asked, asker}, {asker, asked}} {
		x, friend := pair[0], pair[1]
		x.sees("FriendRequestAccepted", asker.name+" → "+asked.name+" is ACCEPTED")
		x.sees("FriendshipMade", friend.name)
		if c := x.sees("ConversationCreated", "direct conversation"); c.Conversation.ID != accepted.Friendship.Conversation.ID {
			p.fail("the conversation that appeared is not that of the friendship")
		}
	}
	return accepted.Friendship.Conversation.ID
}
