package graph_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"

	"github.com/parley-chat/parley/graph"
	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

// fixture answers operations as somebody, without a server.
type fixture struct {
	*testing.T
	store *store.Store
	*graph.Resolver
}

func fixtures(t *testing.T, test func(f fixture)) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		r := &graph.Resolver{Users: user.New(s, nil, &token.Revoked{}, user.Config{}), Friends: friend.New(s, friend.Config{}),
			Conversations: conversation.New(s, conversation.Config{}), Messages: message.New(s, message.Config{}),
			Applied: func() chat.Position { return 0 }}
		s.On(chat.FriendRequestAccepted, r.Friends.OnAccepted)
		s.On(chat.FriendshipMade, r.Conversations.OnFriendshipMade)
		s.On(chat.FriendshipEnded, r.Conversations.OnFriendshipEnded)
		test(fixture{t, s, r})
	})
}

func as(u chat.ID) context.Context {
	return chat.WithViewer(context.Background(), chat.Viewer{User: u})
}

// do runs an operation and returns its data, and the code of its first error.
func (f fixture) do(ctx context.Context, query string, vars map[string]any) (data string, code any) {
	f.Helper()
	exec := executor.New(generated.NewExecutableSchema(generated.Config{Resolvers: f.Resolver}))
	exec.SetErrorPresenter(graph.PresentError(slog.New(slog.DiscardHandler)))
	exec.Use(graph.Context{Resolver: f.Resolver})
	ctx = graphql.StartOperationTrace(ctx)
	oc, errs := exec.CreateOperationContext(ctx, &graphql.RawParams{Query: query, Variables: vars})
	if len(errs) > 0 {
		f.Fatal(errs)
	}
	answers, ctx := exec.DispatchOperation(ctx, oc)
	r := answers(ctx)
	if len(r.Errors) > 0 {
		return string(r.Data), r.Errors[0].Extensions["code"]
	}
	return string(r.Data), nil
}

func (f fixture) wants(ctx context.Context, query string, vars map[string]any, want string) {
	f.Helper()
	if got, code := f.do(ctx, query, vars); code != nil || got != want {
		f.Errorf("%s\n got %s %v\nwant %s", query, got, code, want)
	}
}

func TestFriendsAndTheirConversation(t *testing.T) {
	fixtures(t, func(f fixture) {
		p := testkit.MustAddUsers(f, f.store, 3)
		a, b := p[0], p[1]
		f.wants(as(a), `mutation($u: ID!) { sendFriendRequest(input: {userId: $u}) { request { status answeredAt from { displayName } to { displayName } } } }`,
			map[string]any{"u": b.String()}, `{"sendFriendRequest":{"request":{"status":"PENDING","answeredAt":null,"from":{"displayName":"User 0"},"to":{"displayName":"User 1"}}}}`)
		data, _ := f.do(as(b), `{ friendRequests { nodes { id } } }`, nil)
		var in struct {
			FriendRequests struct{ Nodes []struct{ ID string } }
		}
		if err := json.Unmarshal([]byte(data), &in); err != nil || len(in.FriendRequests.Nodes) != 1 {
			f.Fatal(data, err)
		}
		r := map[string]any{"r": in.FriendRequests.Nodes[0].ID}
		accept := `mutation($r: ID!) { acceptFriendRequest(input: {requestId: $r}) { request { status } friendship { user { displayName }
			conversation { kind title writable memberCount role peer { displayName } unreadCount lastMessage { id } members { nodes { role user { displayName } } } receipts { nodes { seq readAt user { displayName } } } } } } }`
		if _, code := f.do(as(a), accept, r); code != "FORBIDDEN" {
			f.Error(code)
		}
		if _, code := f.do(as(p[2]), accept, r); code != "NOT_FOUND" {
			f.Error(code)
		}
		if _, code := f.do(context.Background(), accept, r); code != "UNAUTHENTICATED" {
			f.Error(code)
		}
		f.wants(as(b), accept, r, `{"acceptFriendRequest":{"request":{"status":"ACCEPTED"},"friendship":{"user":{"displayName":"User 0"},`+
			`"conversation":{"kind":"DIRECT","title":null,"writable":true,"memberCount":2,"role":"MEMBER","peer":{"displayName":"User 0"},"unreadCount":0,"lastMessage":null,`+
			`"members":{"nodes":[{"role":"MEMBER","user":{"displayName":"User 0"}},{"role":"MEMBER","user":{"displayName":"User 1"}}]},`+
			`"receipts":{"nodes":[{"seq":0,"readAt":null,"user":{"displayName":"User 0"}}]}}}}}`)
		f.wants(as(a), `mutation($u: ID!) { blockUser(input: {userId: $u}) { user { displayName relationship } } }`,
			map[string]any{"u": b.String()}, `{"blockUser":{"user":{"displayName":"User 1","relationship":"BLOCKED"}}}`)
		f.wants(as(a), `{ blockedUsers { nodes { displayName } } friends { nodes { since } } conversations { nodes { writable } } }`, nil,
			`{"blockedUsers":{"nodes":[{"displayName":"User 1"}]},"friends":{"nodes":[]},"conversations":{"nodes":[{"writable":false}]}}`)
	})
}

func TestGroups(t *testing.T) {
	fixtures(t, func(f fixture) {
		p := testkit.MustAddUsers(f, f.store, 3)
		for _, u := range p[1:] {
			q, _, err := f.Friends.Request(context.Background(), p[0], u)
			if err == nil {
				_, _, _, err = f.Friends.Accept(context.Background(), u, q.ID)
			}
			if err != nil {
				f.Fatal(err)
			}
		}
		data, code := f.do(as(p[0]), `mutation($m: [ID!]!) { createGroup(input: {title: "Team", memberIds: $m}) { conversation { id title role memberCount peer { id } } } }`,
			map[string]any{"m": []any{p[1].String()}})
		var made struct {
			CreateGroup struct{ Conversation struct{ ID chat.ID } }
		}
		if err := json.Unmarshal([]byte(data), &made); err != nil || code != nil {
			f.Fatal(data, code, err)
		}
		g := map[string]any{"g": made.CreateGroup.Conversation.ID.String(), "u": p[1].String(), "v": p[2].String()}
		f.wants(as(p[0]), `mutation($g: ID!, $u: ID!, $v: ID!) {
			updateGroup(input: {conversationId: $g, title: "Crew"}) { conversation { title } }
			addMembers(input: {conversationId: $g, userIds: [$v]}) { conversation { memberCount } }
			setMemberRole(input: {conversationId: $g, userId: $u, role: ADMIN}) { conversation { members { nodes { role } } } }
			removeMember(input: {conversationId: $g, userId: $v}) { conversation { memberCount members(first: 1) { pageInfo { hasNextPage } } } } }`, g,
			`{"updateGroup":{"conversation":{"title":"Crew"}},"addMembers":{"conversation":{"memberCount":3}},`+
				`"setMemberRole":{"conversation":{"members":{"nodes":[{"role":"OWNER"},{"role":"ADMIN"},{"role":"MEMBER"}]}}},`+
				`"removeMember":{"conversation":{"memberCount":2,"members":{"pageInfo":{"hasNextPage":true}}}}}`)
		one := `query($g: ID!) { conversation(id: $g) { title role } }`
		f.wants(as(p[1]), one, g, `{"conversation":{"title":"Crew","role":"ADMIN"}}`)
		if _, code := f.do(as(p[2]), one, g); code != "NOT_FOUND" {
			f.Error(code)
		}
		f.wants(as(p[0]), `mutation($g: ID!) { leaveGroup(input: {conversationId: $g}) { conversationId } }`, g, `{"leaveGroup":{"conversationId":"`+made.CreateGroup.Conversation.ID.String()+`"}}`)
		f.wants(as(p[1]), one, g, `{"conversation":{"title":"Crew","role":"OWNER"}}`)
		f.wants(as(p[1]), `mutation($g: ID!) { deleteGroup(input: {conversationId: $g}) { conversationId } }`, g, `{"deleteGroup":{"conversationId":"`+made.CreateGroup.Conversation.ID.String()+`"}}`)
		if _, code := f.do(as(p[1]), one, g); code != "NOT_FOUND" {
			f.Error(code)
		}
	})
}

// Where somebody meets a conversation that they are not in, it tells nothing; where nobody looks, as in an execution that is
// shared by members, what is not marked @viewer can be told.
func TestClosedConversationsTellNothing(t *testing.T) {
	fixtures(t, func(f fixture) {
		p := testkit.MustAddUsers(f, f.store, 2)
		open, _, err := f.Conversations.CreateGroup(context.Background(), p[0], "Secret", nil)
		if err != nil {
			f.Fatal(err)
		}
		closed := open.Close()
		r := f.Conversation()
		for _, x := range []struct {
			name string
			ctx  context.Context
			c    *chat.Conversation
		}{{"closed", as(p[0]), &closed}, {"closed, shared", context.Background(), &closed}, {"stranger", as(p[1]), &open}} {
			ctx := f.WithLoaders(x.ctx)
			title, e1 := r.Title(ctx, x.c)
			writable, e2 := r.Writable(ctx, x.c)
			last, e3 := r.LastMessage(ctx, x.c)
			members, e4 := r.Members(ctx, x.c, nil, nil, nil, nil)
			messages, e5 := r.Messages(ctx, x.c, nil, nil, nil, nil)
			for _, err := range []error{e1, e2, e3, e4, e5} {
				if err != nil {
					f.Fatal(x.name, err)
				}
			}
			if title != nil || writable || last != nil || len(members.Nodes) != 0 || len(members.Edges) != 0 || len(messages.Nodes) != 0 || messages.PageInfo.HasNextPage {
				f.Errorf("%s: %v %v %v %v %v", x.name, title, writable, last, members, messages)
			}
			if _, ok := chat.ViewerFrom(ctx); !ok {
				continue
			}
			role, e1 := r.Role(ctx, x.c)
			peer, e2 := r.Peer(ctx, x.c)
			unread, e3 := r.UnreadCount(ctx, x.c)
			receipts, e4 := r.Receipts(ctx, x.c, nil, nil, nil, nil)
			for _, err := range []error{e1, e2, e3, e4} {
				if err != nil {
					f.Fatal(x.name, err)
				}
			}
			if role != nil || peer != nil || unread != 0 || len(receipts.Nodes) != 0 {
				f.Errorf("%s: %v %v %d %v", x.name, role, peer, unread, receipts)
			}
		}
		shared := f.WithLoaders(context.Background())
		title, err := r.Title(shared, &open)
		if err != nil || title == nil || *title != "Secret" {
			f.Error(title, err)
		}
		members, err := r.Members(shared, &open, nil, nil, nil, nil)
		if err != nil || len(members.Nodes) != 1 {
			f.Error(members, err)
		}
		if _, err := r.Role(shared, &open); chat.CodeOf(err) != chat.CodeUnauthenticated {
			f.Error("a shared execution told a role", err)
		}
	})
}

// Lists within a list of conversations are what each conversation says by itself, whatever is asked of them at once.
func TestListsWithinLists(t *testing.T) {
	fixtures(t, func(f fixture) {
		ctx := context.Background()
		p := testkit.MustAddUsers(f, f.store, 5)
		f.Messages.Start()
		f.Cleanup(f.Messages.Stop)
		for i, u := range p[1:] {
			q, _, err := f.Friends.Request(ctx, p[0], u)
			if err != nil {
				f.Fatal(err)
			}
			_, friendship, _, err := f.Friends.Accept(ctx, u, q.ID)
			if err != nil {
				f.Fatal(err)
			}
			for n := range i {
				if _, err := f.Messages.Send(ctx, chat.Viewer{User: u}, friendship.Conversation, "hello", strconv.Itoa(n)); err != nil {
					f.Fatal(err)
				}
			}
		}
		const fields = ` { id members(first: 1) { nodes { user { displayName } } pageInfo { hasNextPage } } late: members(last: 1) { nodes { user { displayName } } }
			messages(last: 2) { edges { cursor node { seq } } pageInfo { hasPreviousPage } } old: messages(first: 1, after: "1") { nodes { seq } }
			receipts { nodes { seq user { displayName } } } } `
		data, code := f.do(as(p[0]), `{ conversations { nodes`+fields+`} }`, nil)
		var all struct {
			Conversations struct{ Nodes []json.RawMessage }
		}
		if err := json.Unmarshal([]byte(data), &all); err != nil || code != nil || len(all.Conversations.Nodes) != 4 {
			f.Fatal(data, code, err)
		}
		for _, n := range all.Conversations.Nodes {
			var c struct{ ID string }
			if err := json.Unmarshal(n, &c); err != nil {
				f.Fatal(err)
			}
			f.wants(as(p[0]), `query($c: ID!) { conversation(id: $c)`+fields+`}`, map[string]any{"c": c.ID}, `{"conversation":`+string(n)+`}`)
		}
		if _, code := f.do(as(p[0]), `{ conversations { nodes { members(after: "?") { nodes { role } } } } }`, nil); code != "BAD_USER_INPUT" {
			f.Error(code)
		}
	})
}
