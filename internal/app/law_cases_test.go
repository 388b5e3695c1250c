package app_test

import (
	"fmt"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

type vars = client.Vars

// changing, idle and refused are the three ways in which a mutation can end.
func changing(name string, prepare func(w *world) mutation) law {
	return law{name: name, prepare: prepare}
}

func idle(name string, prepare func(w *world) mutation) law {
	return law{name: name, prepare: prepare, quiet: true}
}

func refused(code, name string, prepare func(w *world) mutation) law {
	return law{name: name, prepare: prepare, code: code, quiet: true}
}

// allLaws is what is known of each mutation.
func allLaws() map[string][]law {
	laws := map[string][]law{}
	for _, of := range []map[string][]law{accountLaws(), mailLaws(), friendLaws(), groupLaws(), messageLaws(), notificationLaws(), pushLaws(), fileLaws(), webhookLaws(), botLaws()} {
		for name, l := range of {
			laws[name] = append(laws[name], l...)
		}
	}
	return laws
}

const password = "correct horse battery"

// device is a second session of somebody's.
type device struct {
	*client.Client
	session, refresh string
}

func (p *person) device() device {
	var out struct {
		SignIn struct {
			AccessToken, RefreshToken string
			Session                   ref
		}
	}
	testkit.MustDo(p.w, &client.Client{URL: p.w.url}, `mutation($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken session { id } } }`,
		vars{"input": vars{"username": p.Username(), "password": password}}, &out)
	return device{&client.Client{URL: p.w.url, Token: out.SignIn.AccessToken}, out.SignIn.Session.ID, out.SignIn.RefreshToken}
}

func (p *person) do(field, inputType, selection string, input vars, to any) {
	testkit.MustDo(p.w, p.Client, fmt.Sprintf(`mutation($input: %s!) { out: %s(input: $input) { %s } }`, inputType, field, selection), vars{"input": input}, to)
}

func (w *world) name() string { w.keys++; return fmt.Sprintf("name-%d", w.keys) }

// group is ann's, with bob and cat; fay has left it. It is deleted after the law.
func (w *world) group() string {
	var out struct{ Out struct{ Conversation ref } }
	w.ann.do("createGroup", "CreateGroupInput", "conversation { id }", vars{"title": "Picnic", "memberIds": []string{w.bob.ID, w.cat.ID, w.fay.ID}}, &out)
	id := out.Out.Conversation.ID
	w.bob.say(id, "cake?")
	w.fay.say(id, "not for me")
	w.fay.do("leaveGroup", "LeaveGroupInput", "cursor", vars{"conversationId": id}, nil)
	w.undo = append(w.undo, func() {
		for _, p := range w.people { // whoever owns it by now
			if p.Do(w.Context(), `mutation($id: ID!) { deleteGroup(input: {conversationId: $id}) { cursor } }`, vars{"id": id}, nil) == nil {
				return
			}
		}
	})
	return id
}

func (p *person) say(conversation, body string) (key string) {
	key = p.w.name()
	p.do("sendMessage", "SendMessageInput", "cursor", vars{"conversationId": conversation, "body": body, "clientKey": key}, nil)
	return key
}

func (p *person) setRole(group string, user *person, role string) {
	p.do("setMemberRole", "SetMemberRoleInput", "cursor", vars{"conversationId": group, "userId": user.ID, "role": role}, nil)
}

// inGroup is a mutation by somebody in a fresh group.
func inGroup(by func(w *world) *person, more func(w *world, group string) vars) func(w *world) mutation {
	return func(w *world) mutation {
		input := vars{"conversationId": w.group()}
		if more != nil {
			for k, v := range more(w, input["conversationId"].(string)) {
				input[k] = v
			}
		}
		return mutation{by(w).Client, input}
	}
}

func ann(w *world) *person { return w.ann }
func bob(w *world) *person { return w.bob }
func cat(w *world) *person { return w.cat }
func dan(w *world) *person { return w.dan }
func fay(w *world) *person { return w.fay }

// ask makes a request that is over after the law, as is what came of it.
func (w *world) ask(from, to *person) string {
	var out struct{ Out struct{ Request ref } }
	from.do("sendFriendRequest", "SendFriendRequestInput", "request { id }", vars{"userId": to.ID}, &out)
	w.part(from, to)
	return out.Out.Request.ID
}

// part makes two people strangers after the law, unless they were friends from the beginning.
func (w *world) part(a, b *person) {
	if a.first.Relations[b.ID] == "FRIEND" {
		return
	}
	w.undo = append(w.undo, func() {
		a.do("blockUser", "BlockUserInput", "cursor", vars{"userId": b.ID}, nil)
		a.do("unblockUser", "UnblockUserInput", "cursor", vars{"userId": b.ID}, nil)
	})
}

// block blocks somebody until the law is over.
func (w *world) block(by, user *person) {
	by.do("blockUser", "BlockUserInput", "cursor", vars{"userId": user.ID}, nil)
	unblock := func() { by.do("unblockUser", "UnblockUserInput", "cursor", vars{"userId": user.ID}, nil) }
	w.undo = append(w.undo, unblock)
}

// unblock takes a block back after the law.
func (w *world) unblock(by, user *person) {
	w.undo = append(w.undo, func() { by.do("unblockUser", "UnblockUserInput", "cursor", vars{"userId": user.ID}, nil) })
}

// unfriend ends a friendship until the law is over.
func (w *world) unfriend(a, b *person) {
	a.do("removeFriend", "RemoveFriendInput", "cursor", vars{"userId": b.ID}, nil)
	w.reunite(a, b)
}

// reunite makes two people friends after the law.
func (w *world) reunite(a, b *person) {
	w.undo = append(w.undo, func() {
		if _, friends := w.seen(a).Friends[b.ID]; !friends && a.first.Relations[b.ID] == "FRIEND" {
			testkit.MustBefriend(w, a.Account, b.Account)
		}
	})
}

func (w *world) seen(p *person) state { s, _ := p.look(); return s }

// direct is the conversation of two friends.
func (w *world) direct(a, b *person) string { return w.seen(a).Friends[b.ID].Conversation }

func (w *world) lastSeq(p *person, conversation string) int {
	return w.seen(p).Conversations[conversation].lastSeq()
}
