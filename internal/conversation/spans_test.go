package conversation_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/store"
)

// Whatever happens to a group, the spans that the store keeps are those that the log tells, the members are those whose
// span is open, and their number is the one that the group says.
func TestSpansAreWhatTheLogTells(t *testing.T) {
	worlds(t, conversation.Config{}, func(w world) {
		p := w.friendsOf(5)
		for i, a := range p[1:] {
			for _, b := range p[i+2:] {
				w.befriend(a, b)
			}
		}
		rapid.Check(w.T, func(t *rapid.T) {
			start := w.head()
			g := w.group(p[0], rapid.SliceOf(rapid.SampledFrom(p[1:])).Draw(t, "first")...)
			person := rapid.SampledFrom(p)
			role := rapid.SampledFrom([]chat.Role{chat.RoleOwner, chat.RoleAdmin, chat.RoleMember})
			for range rapid.IntRange(0, 15).Draw(t, "steps") {
				who, whom := person.Draw(t, "who"), person.Draw(t, "whom")
				before := w.head()
				var err error
				switch rapid.SampledFrom([]string{"add", "add", "remove", "leave", "role", "delete"}).Draw(t, "what") {
				case "add":
					_, _, err = w.AddMembers(ctx, who, g, []chat.ID{whom, person.Draw(t, "and")})
				case "remove":
					_, _, err = w.RemoveMember(ctx, who, g, whom)
				case "leave":
					_, err = w.LeaveGroup(ctx, who, g)
				case "role":
					_, _, err = w.SetMemberRole(ctx, who, g, whom, role.Draw(t, "role"))
				case "delete":
					if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
						_, err = w.DeleteGroup(ctx, who, g)
					}
				}
				if chat.CodeOf(err) == chat.CodeInternal || err != nil && w.head() != before {
					t.Fatal(err)
				}
			}
			w.checkSpans(t, g, p, start)
		})
	})
}

func (w world) checkSpans(t *rapid.T, g chat.ID, people []chat.ID, start chat.Position) {
	topic := chat.ConversationTopic(g)
	spans, roles := map[chat.ID][]chat.Span{}, map[chat.ID]chat.Role{}
	begin := func(u chat.ID, r chat.Role, at chat.Position) {
		spans[u], roles[u] = append(spans[u], chat.Span{Topic: topic, From: at - 1}), r
	}
	end := func(u chat.ID, at chat.Position) {
		spans[u][len(spans[u])-1].To = at
		delete(roles, u)
	}
	deleted := false
	events, err := w.store.Events(ctx, start, 1000)
	w.code("", err)
	for _, e := range events {
		switch e.Type {
		case chat.ConversationCreated:
			for _, u := range e.Detail.Members {
				begin(u, chat.RoleMember, e.Position)
			}
			roles[e.Actor] = chat.RoleOwner
		case chat.MemberAdded:
			begin(e.Subject, e.Detail.Role, e.Position)
		case chat.MemberRemoved, chat.MemberLeft:
			end(e.Subject, e.Position)
		case chat.MemberRoleChanged:
			roles[e.Subject] = e.Detail.Role
		case chat.ConversationDeleted:
			deleted = true
			for u := range roles {
				end(u, e.Position)
			}
		}
	}
	for _, u := range people {
		all, err := w.store.Spans(ctx, store.SpanQuery{User: u, After: start}, store.SpanQuery{User: u, Conversation: topic.ID, After: start})
		w.code("", err)
		got := slices.DeleteFunc(all[0], func(s chat.Span) bool { return s.Topic != topic })
		if !sameSpans(got, all[1]) {
			t.Errorf("spans %v, asked for one conversation %v", got, all[1])
		}
		slices.SortFunc(got, func(a, b chat.Span) int { return int(a.From - b.From) })
		if fmt.Sprint(got) != fmt.Sprint(spans[u]) {
			t.Errorf("spans %v, the log tells %v", got, spans[u])
		}
	}
	users, now := w.roles(g)
	owners := 0
	for i, u := range users {
		if roles[u] != now[i] {
			t.Errorf("role %s, the log tells %s", now[i], roles[u])
		}
		if now[i] == chat.RoleOwner {
			owners++
		}
	}
	if len(users) != len(roles) || deleted != (len(users) == 0) || !deleted && owners != 1 {
		t.Errorf("%d members, the log tells %d; %d owners; deleted: %v", len(users), len(roles), owners, deleted)
	}
}

func sameSpans(a, b []chat.Span) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s chat.Span) bool { return !slices.Contains(b, s) })
}
