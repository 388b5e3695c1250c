package conversation_test

import (
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
)

// Every cell, in rows of OWNER, ADMIN, MEMBER.
func TestPolicy(t *testing.T) {
	t.Parallel()
	roles := []chat.Role{chat.RoleOwner, chat.RoleAdmin, chat.RoleMember}
	table := []struct {
		action  conversation.Action
		target  chat.Role
		allowed [3]bool
	}{
		{conversation.Update, "", [3]bool{true, true, false}},
		{conversation.Delete, "", [3]bool{true, false, false}},
		{conversation.Add, "", [3]bool{true, true, false}},
		{conversation.Remove, chat.RoleOwner, [3]bool{false, false, false}},
		{conversation.Remove, chat.RoleAdmin, [3]bool{true, false, false}},
		{conversation.Remove, chat.RoleMember, [3]bool{true, true, false}},
		{conversation.SetRole, chat.RoleOwner, [3]bool{false, false, false}},
		{conversation.SetRole, chat.RoleAdmin, [3]bool{true, false, false}},
		{conversation.SetRole, chat.RoleMember, [3]bool{true, false, false}},
		{conversation.Leave, "", [3]bool{true, true, true}},
	}
	told := map[conversation.Action]bool{}
	for _, row := range table {
		told[row.action] = true
		for i, role := range roles {
			want := chat.CodeForbidden
			if row.allowed[i] {
				want = ""
			}
			if got := chat.CodeOf(conversation.Check(chat.Group, role, row.action, row.target)); got != want {
				t.Errorf("%s does %d to %q: %q, want %q", role, row.action, row.target, got, want)
			}
			if got := chat.CodeOf(conversation.Check(chat.Direct, role, row.action, row.target)); got != chat.CodeForbidden {
				t.Errorf("%s does %d to %q in a direct conversation: %q", role, row.action, row.target, got)
			}
		}
		for _, nobody := range []chat.Role{"", "STRANGER"} {
			if got := chat.CodeOf(conversation.Check(chat.Group, nobody, row.action, row.target)); got != chat.CodeForbidden {
				t.Errorf("%q does %d: %q", nobody, row.action, got)
			}
		}
	}
	for _, a := range conversation.Actions {
		if !told[a] {
			t.Errorf("action %d has no row", a)
		}
	}
}
