package conversation

import "github.com/parley-chat/parley/internal/chat"

// Action is something that a member does to a group.
type Action uint8

// The actions that not every member may do.
const (
	Update  Action = iota + 1 // change the title
	Delete                    // delete the group
	Add                       // add members
	Remove                    // remove a member
	SetRole                   // give a member another role
	Leave                     // leave
)

// Actions are all actions.
var Actions = []Action{Update, Delete, Add, Remove, SetRole, Leave}

// cell is a place in the table: who does what, and to whom if it is done to a member.
type cell struct {
	role   chat.Role
	action Action
	target chat.Role
}

// policy is who may do what in a group. What does not stand here is refused, and so is everything in a direct
// conversation, which is a consequence of a friendship and of nothing else.
var policy = map[cell]bool{
	{chat.RoleOwner, Update, ""}:               true,
	{chat.RoleOwner, Delete, ""}:               true,
	{chat.RoleOwner, Add, ""}:                  true,
	{chat.RoleOwner, Remove, chat.RoleAdmin}:   true,
	{chat.RoleOwner, Remove, chat.RoleMember}:  true,
	{chat.RoleOwner, SetRole, chat.RoleAdmin}:  true,
	{chat.RoleOwner, SetRole, chat.RoleMember}: true,
	{chat.RoleOwner, Leave, ""}:                true,

	{chat.RoleAdmin, Update, ""}:              true,
	{chat.RoleAdmin, Add, ""}:                 true,
	{chat.RoleAdmin, Remove, chat.RoleMember}: true,
	{chat.RoleAdmin, Leave, ""}:               true,

	{chat.RoleMember, Leave, ""}: true,
}

// Check says whether a member with the given role may do the action, to a member with the role target if it is done to
// one. Errors: FORBIDDEN.
func Check(kind chat.ConversationKind, role chat.Role, action Action, target chat.Role) error {
	switch {
	case kind != chat.Group:
		return chat.Forbidden("a direct conversation belongs to its two friends and cannot be changed")
	case !policy[cell{role, action, target}]:
		return chat.Forbidden("your role in this group does not allow this")
	}
	return nil
}
