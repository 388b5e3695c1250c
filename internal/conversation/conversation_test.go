package conversation_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

var ctx = context.Background()

// world is a store with both services, joined as the program joins them.
type world struct {
	*testing.T
	store *store.Store
	*conversation.Service
	friends *friend.Service
}

func worlds(t *testing.T, c conversation.Config, test func(w world)) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w := world{t, s, conversation.New(s, c), friend.New(s, friend.Config{})}
		s.On(chat.FriendRequestAccepted, w.friends.OnAccepted)
		s.On(chat.FriendshipMade, w.OnFriendshipMade)
		s.On(chat.FriendshipEnded, w.OnFriendshipEnded)
		test(w)
	})
}

// friendsOf makes n users: the first is a friend of all others.
func (w world) friendsOf(n int) []chat.ID {
	w.Helper()
	p := testkit.MustAddUsers(w, w.store, n)
	for _, u := range p[1:] {
		w.befriend(p[0], u)
	}
	return p
}

func (w world) befriend(a, b chat.ID) chat.Friendship {
	w.Helper()
	r, _, err := w.friends.Request(ctx, a, b)
	w.code("", err)
	_, f, _, err := w.friends.Accept(ctx, b, r.ID)
	w.code("", err)
	return f
}

func (w world) group(owner chat.ID, members ...chat.ID) chat.ID {
	w.Helper()
	c, _, err := w.CreateGroup(ctx, owner, "Group", members)
	w.code("", err)
	return c.ID
}

func (w world) code(want chat.Code, err error) {
	w.Helper()
	if got := chat.CodeOf(err); got != want {
		w.Errorf("%q, want %q: %v", got, want, err)
	}
}

func (w world) notFound(err error) {
	w.Helper()
	if !errors.Is(err, chat.ErrNotFound) {
		w.Errorf("%v, want the identical NOT_FOUND", err)
	}
}

func (w world) head() chat.Position {
	w.Helper()
	h, err := w.store.Head(ctx)
	w.code("", err)
	return h.Position
}

type seen struct {
	typ     chat.EventType
	subject chat.ID
	role    chat.Role
}

func (w world) emitted(after chat.Position, group chat.ID, want ...seen) []*chat.Event {
	w.Helper()
	l, err := w.store.Events(ctx, after, 1000)
	w.code("", err)
	var got []seen
	for _, e := range l {
		if e.Topic != chat.ConversationTopic(group) {
			w.Errorf("an event of %v", e.Topic)
		}
		got = append(got, seen{e.Type, e.Subject, e.Detail.Role})
	}
	if !slices.Equal(got, want) {
		w.Errorf("events %v, want %v", got, want)
	}
	return l
}

// roles reads the members with their roles, in the order in which they joined.
func (w world) roles(group chat.ID) (users []chat.ID, roles []chat.Role) {
	w.Helper()
	l, err := w.Members(ctx, group, chat.Page{Limit: 100})
	w.code("", err)
	for _, m := range l.Nodes {
		users, roles = append(users, m.User), append(roles, m.Role)
	}
	found, err := w.ByIDs(ctx, []chat.ID{group})
	if w.code("", err); found[group] != nil && found[group].MemberCount != len(users) {
		w.Errorf("member_count %d, %d members", found[group].MemberCount, len(users))
	}
	return users, roles
}

func TestCreateGroup(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(4)
		stranger := testkit.MustAddUsers(w, w.store, 1)[0]
		before := w.head()
		c, pos, err := w.CreateGroup(ctx, p[0], "  Über uns ", []chat.ID{p[1], p[2], p[1], p[0]})
		w.code("", err)
		if c.Title != "Über uns" || c.MemberCount != 3 || c.Kind != chat.Group || pos != before+1 {
			w.Errorf("%+v at %d", c, pos)
		}
		e := w.emitted(before, c.ID, seen{typ: chat.ConversationCreated})
		if !slices.Equal(e[0].Detail.Members, p[:3]) {
			w.Errorf("members %v", e[0].Detail.Members)
		}
		if users, roles := w.roles(c.ID); !slices.Equal(users, p[:3]) || !slices.Equal(roles, []chat.Role{chat.RoleOwner, chat.RoleMember, chat.RoleMember}) {
			w.Errorf("%v %v", users, roles)
		}
		before = w.head()
		for title, code := range map[string]chat.Code{"": chat.CodeBadInput, "   ": chat.CodeBadInput, strings.Repeat("ü", 101): chat.CodeBadInput,
			"a\x00b": chat.CodeBadInput, "\xff": chat.CodeBadInput} {
			_, _, err := w.CreateGroup(ctx, p[0], title, nil)
			w.code(code, err)
			_, _, err = w.UpdateGroup(ctx, p[0], c.ID, title)
			w.code(code, err)
		}
		for _, other := range []chat.ID{stranger, chat.NewID(chat.KindUser), {Kind: chat.KindMessage, UUID: p[1].UUID}} {
			_, _, err := w.CreateGroup(ctx, p[0], "x", []chat.ID{p[1], other})
			w.code(chat.CodeNotFound, err)
		}
		_, _, err = w.CreateGroup(ctx, p[0], "x", make([]chat.ID, 101))
		w.code(chat.CodeBadInput, err)
		w.emitted(before, c.ID)
		_, _, err = w.CreateGroup(ctx, p[0], strings.Repeat("ü", 100), nil)
		w.code("", err)
	})
}

func TestNobodyButMembersFindsAConversation(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(4)
		g := w.group(p[0], p[1], p[2])
		_, err := w.LeaveGroup(ctx, p[2], g)
		w.code("", err)
		gone := w.group(p[0], p[1])
		_, err = w.DeleteGroup(ctx, p[0], gone)
		w.code("", err)
		before := w.head()
		type try struct{ viewer, group chat.ID }
		for _, x := range []try{{p[3], g}, {p[2], g}, {p[0], gone}, {p[0], chat.NewID(chat.KindConversation)}, {p[0], chat.ID{Kind: chat.KindUser, UUID: g.UUID}}} {
			_, err := w.Get(ctx, x.viewer, x.group)
			w.notFound(err)
			_, _, err = w.UpdateGroup(ctx, x.viewer, x.group, "x")
			w.notFound(err)
			_, err = w.DeleteGroup(ctx, x.viewer, x.group)
			w.notFound(err)
			_, err = w.LeaveGroup(ctx, x.viewer, x.group)
			w.notFound(err)
			_, _, err = w.AddMembers(ctx, x.viewer, x.group, []chat.ID{p[0]})
			w.notFound(err)
			_, _, err = w.RemoveMember(ctx, x.viewer, x.group, p[1])
			w.notFound(err)
			_, _, err = w.SetMemberRole(ctx, x.viewer, x.group, p[1], chat.RoleAdmin)
			w.notFound(err)
		}
		found, err := w.ByIDs(ctx, []chat.ID{g, gone})
		if w.code("", err); found[g] == nil || found[gone] != nil {
			w.Errorf("%v", found)
		}
		ms, err := w.Memberships(ctx, p[2], []chat.ID{g, gone})
		if w.code("", err); len(ms) != 0 {
			w.Errorf("%v", ms)
		}
		w.emitted(before, g)
	})
}

func TestRolesDecide(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(5)
		owner, admin, member, other, out := p[0], p[1], p[2], p[3], p[4]
		g := w.group(owner, admin, member, other)
		role := func(v, u chat.ID, r chat.Role) error { _, _, err := w.SetMemberRole(ctx, v, g, u, r); return err }
		remove := func(v, u chat.ID) error { _, _, err := w.RemoveMember(ctx, v, g, u); return err }
		add := func(v chat.ID, u ...chat.ID) error { _, _, err := w.AddMembers(ctx, v, g, u); return err }
		title := func(v chat.ID, s string) error { _, _, err := w.UpdateGroup(ctx, v, g, s); return err }

		before := w.head()
		w.code("", role(owner, admin, chat.RoleAdmin))
		w.code("", role(owner, admin, chat.RoleAdmin))
		w.emitted(before, g, seen{chat.MemberRoleChanged, admin, chat.RoleAdmin})

		before = w.head()
		_, err := w.DeleteGroup(ctx, admin, g)
		for _, err := range []error{title(member, "x"), add(member, out), remove(member, other), remove(admin, owner), role(admin, member, chat.RoleAdmin), err} {
			w.code(chat.CodeForbidden, err)
		}
		for _, err := range []error{remove(owner, owner), role(owner, owner, chat.RoleMember), add(owner), add(owner, make([]chat.ID, 101)...)} {
			w.code(chat.CodeBadInput, err)
		}
		for _, err := range []error{remove(owner, out), remove(owner, chat.NewID(chat.KindUser)), role(owner, out, chat.RoleAdmin), add(admin, out), add(owner, chat.NewID(chat.KindUser))} {
			w.code(chat.CodeNotFound, err)
		}
		w.code("", title(admin, "Group")) // as it is
		w.code("", add(admin, member, owner, admin))
		w.emitted(before, g)

		w.code("", title(admin, "New"))
		w.code("", remove(admin, other))
		w.code("", add(owner, other, out, other))
		w.emitted(before, g, seen{chat.ConversationUpdated, chat.ID{}, ""}, seen{chat.MemberRemoved, other, ""},
			seen{chat.MemberAdded, other, chat.RoleMember}, seen{chat.MemberAdded, out, chat.RoleMember})
		if users, _ := w.roles(g); !slices.Equal(users, []chat.ID{owner, admin, member, other, out}) {
			w.Errorf("%v", users)
		}

		before = w.head()
		w.code("", role(owner, member, chat.RoleOwner))
		w.emitted(before, g, seen{chat.MemberRoleChanged, owner, chat.RoleAdmin}, seen{chat.MemberRoleChanged, member, chat.RoleOwner})
		w.code(chat.CodeForbidden, remove(owner, admin))
		w.code("", remove(member, owner))
		w.code("", role(member, admin, chat.RoleMember))
	})
}

func TestLeavingHandsOver(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(4)
		g := w.group(p[0], p[1], p[2], p[3])
		_, _, err := w.SetMemberRole(ctx, p[0], g, p[2], chat.RoleAdmin)
		w.code("", err)
		leave := func(u chat.ID, want ...seen) {
			before := w.head()
			_, err := w.LeaveGroup(ctx, u, g)
			w.code("", err)
			w.emitted(before, g, want...)
		}
		leave(p[0], seen{chat.MemberRoleChanged, p[2], chat.RoleOwner}, seen{chat.MemberLeft, p[0], ""})
		leave(p[2], seen{chat.MemberRoleChanged, p[1], chat.RoleOwner}, seen{chat.MemberLeft, p[2], ""})
		leave(p[3], seen{chat.MemberLeft, p[3], ""})
		if users, roles := w.roles(g); !slices.Equal(users, p[1:2]) || roles[0] != chat.RoleOwner {
			w.Errorf("%v %v", users, roles)
		}
		leave(p[1], seen{chat.MemberLeft, p[1], ""}, seen{typ: chat.ConversationDeleted})
		if found, err := w.ByIDs(ctx, []chat.ID{g}); err != nil || len(found) != 0 {
			w.Error(found, err)
		}
	})
}

func TestDirectConversationsCannotBeChanged(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(3)
		f, err := w.friends.Friends(ctx, p[1], chat.Page{Limit: 1})
		w.code("", err)
		d := f.Nodes[0].Conversation
		before := w.head()
		_, _, update := w.UpdateGroup(ctx, p[0], d, "x")
		_, remove := w.DeleteGroup(ctx, p[0], d)
		_, leave := w.LeaveGroup(ctx, p[0], d)
		_, _, add := w.AddMembers(ctx, p[0], d, []chat.ID{p[2]})
		_, _, kick := w.RemoveMember(ctx, p[0], d, p[1])
		_, _, role := w.SetMemberRole(ctx, p[0], d, p[1], chat.RoleAdmin)
		for _, err := range []error{update, remove, leave, add, kick, role} {
			w.code(chat.CodeForbidden, err)
		}
		w.emitted(before, d)
		peers, err := w.Peers(ctx, p[0], []chat.ID{d, w.group(p[0], p[1])})
		if w.code("", err); len(peers) != 1 || peers[d] != p[1] {
			w.Errorf("%v", peers)
		}
	})
}

func TestAGroupHasAMaximum(t *testing.T) {
	worlds(t, conversation.Config{MaxMembers: 3}, func(w world) {
		p := w.friendsOf(5)
		_, _, err := w.CreateGroup(ctx, p[0], "x", p[1:4])
		w.code(chat.CodeConflict, err)
		g := w.group(p[0], p[1])
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			wg.Go(func() { _, _, errs[i] = w.AddMembers(ctx, p[0], g, []chat.ID{p[2+i]}) })
		}
		wg.Wait()
		full := 0
		for _, err := range errs {
			if chat.CodeOf(err) == chat.CodeConflict {
				full++
			}
		}
		if users, _ := w.roles(g); full != 2 || len(users) != 3 {
			w.Errorf("%v: %d members", errs, len(users))
		}
	})
}

func TestListsOfConversations(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(2)
		var want []chat.ID
		for range 4 {
			want = append(want, w.group(p[0], p[1]))
		}
		slices.Reverse(want)
		for _, u := range p {
			l, err := w.Page(ctx, u, chat.Page{Limit: 3})
			w.code("", err)
			rest, err := w.Page(ctx, u, chat.Page{Limit: 3, After: l.Cursors[2]})
			w.code("", err)
			var got []chat.ID
			for _, c := range slices.Concat(l.Nodes, rest.Nodes) {
				got = append(got, c.ID)
			}
			if !slices.Equal(got[:4], want) || len(got) != 5 || rest.Info.HasNextPage || !l.Info.HasNextPage {
				w.Errorf("%v, want %v", got, want)
			}
		}
		for _, place := range []string{"x", "AAAA", "_____________________________________w"} {
			_, err := w.Page(ctx, p[0], chat.Page{Limit: 3, After: place})
			w.code(chat.CodeBadInput, err)
			_, err = w.Members(ctx, want[0], chat.Page{Limit: 3, Before: place})
			w.code(chat.CodeBadInput, err)
		}
		rs, err := w.Receipts(ctx, p[0], want[0], chat.Page{Limit: 3})
		if w.code("", err); len(rs.Nodes) != 1 || rs.Nodes[0].User != p[1] || rs.Nodes[0].Seq != 0 || !rs.Nodes[0].At.IsZero() {
			w.Errorf("%+v", rs.Nodes)
		}
	})
}
