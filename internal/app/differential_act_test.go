package app_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// room is a conversation, more often than not one of the first, which have several members.
func (d *differential) room() string {
	if d.IntN(3) > 0 {
		return d.rooms[d.IntN(3)]
	}
	return d.rooms[d.IntN(len(d.rooms))]
}

// act is one random mutation that succeeds.
func (d *differential) act() {
	for range 1000 {
		if d.try() {
			return
		}
	}
	d.Fatal("nothing can be done any more")
}

func (d *differential) try() bool {
	i, j := d.IntN(len(d.people)), d.IntN(len(d.people))
	who, other := d.people[i], d.people[j]
	room := d.room()
	var out struct {
		Out struct {
			Cursor       string
			Conversation struct{ ID string }
			Request      struct{ ID string }
		}
	}
	do := func(c *client.Client, field, selection string, input client.Vars) bool {
		err := c.Do(context.Background(), fmt.Sprintf(`mutation($input: %s%sInput!) { out: %s(input: $input) { cursor %s } }`, strings.ToUpper(field[:1]), field[1:], field, selection),
			client.Vars{"input": input}, &out)
		switch client.Code(err) {
		case "":
			if err != nil {
				d.Fatal(err)
			}
			d.cursor = out.Out.Cursor
			return true
		case "FORBIDDEN", "NOT_FOUND", "CONFLICT", "BAD_USER_INPUT":
			return false
		}
		d.Fatalf("%s: %v", field, err)
		return false
	}
	text := fmt.Sprintf("%d <&> \u2028 \U0001f600", d.Uint32())
	in := func(more ...any) client.Vars {
		v := client.Vars{"conversationId": room}
		for i := 0; i < len(more); i += 2 {
			v[more[i].(string)] = more[i+1]
		}
		return v
	}
	switch d.IntN(30) {
	default:
		return do(who.Client, "sendMessage", "", in("body", text, "clientKey", text))
	case 0, 1:
		return do(who.Client, "markRead", "", in("seq", 1+d.IntN(5)))
	case 2, 3:
		return do(who.Client, "updateProfile", "", client.Vars{"displayName": text[:20], "bio": text})
	case 4, 5:
		return do(who.Client, "updateGroup", "", in("title", text))
	case 6, 7:
		return do(d.people[d.IntN(2)].Client, "addMembers", "", in("userIds", []string{other.ID}))
	case 8:
		return do(d.people[d.IntN(2)].Client, "removeMember", "", in("userId", other.ID))
	case 9:
		return d.IntN(3) == 0 && do(who.Client, "leaveGroup", "", in())
	case 10:
		return do(who.Client, "setMemberRole", "", in("userId", other.ID, "role", []string{"OWNER", "ADMIN", "MEMBER"}[d.IntN(3)]))
	case 11:
		ok := do(who.Client, "createGroup", "conversation { id }", client.Vars{"title": text, "memberIds": []string{other.ID}})
		if ok {
			d.rooms = append(d.rooms, out.Out.Conversation.ID)
		}
		return ok
	case 12:
		return d.IntN(4) == 0 && do(who.Client, "deleteGroup", "", in())
	case 13, 14:
		ok := do(who.Client, "sendFriendRequest", "request { id }", client.Vars{"userId": other.ID})
		if ok {
			d.requests = append(d.requests, friendRequest{out.Out.Request.ID, who, other})
		}
		return ok
	case 15, 16:
		if len(d.requests) == 0 {
			return false
		}
		r := d.requests[d.IntN(len(d.requests))]
		switch d.IntN(4) {
		case 0:
			return do(r.from.Client, "cancelFriendRequest", "", client.Vars{"requestId": r.id})
		case 1:
			return do(r.to.Client, "rejectFriendRequest", "", client.Vars{"requestId": r.id})
		}
		return do(r.to.Client, "acceptFriendRequest", "", client.Vars{"requestId": r.id})
	case 17:
		return do(who.Client, []string{"removeFriend", "blockUser"}[d.IntN(2)], "", client.Vars{"userId": other.ID})
	case 18:
		return do(who.Client, "unblockUser", "", client.Vars{"userId": other.ID})
	case 19:
		if len(d.devices) == 0 || d.IntN(2) == 0 {
			d.devices = append(d.devices, d.signIn(i))
			return true
		}
		var over struct{ SignOut struct{ Cursor string } }
		testkit.MustDo(d, d.devices[0], `mutation { signOut { cursor } }`, nil, &over)
		d.devices, d.cursor = d.devices[1:], over.SignOut.Cursor
		return true
	}
}
