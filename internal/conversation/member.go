package conversation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// AddMembers adds friends of viewer's to a group, and leaves those as they are who are members already. Errors:
// BAD_USER_INPUT for none or more than MaxAdded; NOT_FOUND when viewer is not a member, and, with the path of the input,
// when one of the users is neither a member nor a friend of viewer's; FORBIDDEN; CONFLICT when the group would be too large.
func (s *Service) AddMembers(ctx context.Context, viewer, group chat.ID, users []chat.ID) (c chat.Conversation, _ chat.Position, err error) {
	if group.Kind != chat.KindConversation {
		return c, 0, chat.ErrNotFound
	}
	if len(users) < 1 || len(users) > MaxAdded {
		return c, 0, chat.BadInput("1 to 100 users at once", "input", "userIds")
	}
	users = others(viewer, users)
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		// So that the friends stay friends. Users are locked before conversations, and all at once: what follows may lock them again.
		if _, err := tx.LockUsers(append(users, viewer)...); err != nil {
			return err
		}
		return locked(ctx, tx, viewer, group, func(tx *store.Tx, g chat.Conversation, me chat.Member) error {
			if err := Check(g.Kind, me.Role, Add, ""); err != nil {
				return err
			}
			there, err := tx.MembersAmong(g.ID, users)
			if err != nil {
				return err
			}
			fresh := slices.DeleteFunc(slices.Clone(users), func(u chat.ID) bool { return slices.Contains(there, u) })
			if err := friendsOnly(ctx, tx, viewer, fresh, "userIds"); err != nil {
				return err
			}
			if c = g; len(fresh) == 0 {
				return nil
			}
			if c.MemberCount += len(fresh); c.MemberCount > s.MaxMembers {
				return s.full()
			}
			if err := tx.UpdateConversation(c); err != nil {
				return err
			}
			room := c
			for _, u := range fresh {
				tx.Emit(chat.Event{Type: chat.MemberAdded, Subject: u, Detail: chat.Detail{Role: chat.RoleMember}, Rows: chat.Rows{Conversation: &room}}, chat.ConversationTopic(g.ID))
			}
			return tx.InsertMembers(newcomers(tx, g, fresh))
		})
	})
	return c, pos, err
}

// RemoveMember removes another member from a group. Errors: BAD_USER_INPUT for oneself; NOT_FOUND when viewer is not a
// member, and, with the path of the input, when user is not; FORBIDDEN.
func (s *Service) RemoveMember(ctx context.Context, viewer, group, user chat.ID) (c chat.Conversation, _ chat.Position, err error) {
	pos, err := s.changeMember(ctx, viewer, group, user, Remove, func(tx *store.Tx, g chat.Conversation, _, _ chat.Member) error {
		c = g
		return depart(tx, &c, user, chat.MemberRemoved)
	})
	return c, pos, err
}

// LeaveGroup ends viewer's own membership. An owner hands over to the admin, or else to the member, who has been there
// longest; when nobody is left the group is deleted. Errors: NOT_FOUND; FORBIDDEN for a direct conversation.
func (s *Service) LeaveGroup(ctx context.Context, viewer, group chat.ID) (chat.Position, error) {
	return s.change(ctx, viewer, group, func(tx *store.Tx, g chat.Conversation, me chat.Member) error {
		if err := Check(g.Kind, me.Role, Leave, ""); err != nil {
			return err
		}
		if me.Role != chat.RoleOwner {
			return depart(tx, &g, viewer, chat.MemberLeft)
		}
		next, err := tx.Successor(g.ID, viewer)
		if errors.Is(err, chat.ErrNotFound) {
			if err := depart(tx, &g, viewer, chat.MemberLeft); err != nil {
				return err
			}
			return remove(tx, g)
		} else if err != nil {
			return err
		}
		if err := setRole(tx, g, next.User, chat.RoleOwner); err != nil {
			return err
		}
		return depart(tx, &g, viewer, chat.MemberLeft)
	})
}

// SetMemberRole gives another member a role. Giving RoleOwner away makes viewer an admin. Errors: as those of RemoveMember.
func (s *Service) SetMemberRole(ctx context.Context, viewer, group, user chat.ID, role chat.Role) (c chat.Conversation, _ chat.Position, err error) {
	pos, err := s.changeMember(ctx, viewer, group, user, SetRole, func(tx *store.Tx, g chat.Conversation, me, target chat.Member) error {
		c = g
		if target.Role == role {
			return nil
		}
		if role == chat.RoleOwner {
			if err := setRole(tx, g, me.User, chat.RoleAdmin); err != nil {
				return err
			}
		}
		return setRole(tx, g, user, role)
	})
	return c, pos, err
}

// changeMember runs fn with the memberships of viewer and of another user, if viewer may do the action to them.
func (s *Service) changeMember(ctx context.Context, viewer, group, user chat.ID, a Action, fn func(_ *store.Tx, _ chat.Conversation, me, target chat.Member) error) (chat.Position, error) {
	return s.change(ctx, viewer, group, func(tx *store.Tx, g chat.Conversation, me chat.Member) error {
		if g.Kind != chat.Group {
			return Check(g.Kind, me.Role, a, "")
		}
		if user == viewer {
			return chat.BadInput("a member other than yourself", "input", "userId")
		}
		target, err := tx.CurrentMembership(ctx, g.ID, user)
		if user.Kind != chat.KindUser || errors.Is(err, chat.ErrNotFound) {
			return notFound("userId")
		} else if err != nil {
			return err
		}
		if err := Check(g.Kind, me.Role, a, target.Role); err != nil {
			return err
		}
		return fn(tx, g, me, target)
	})
}

// depart ends a membership and counts one member less.
func depart(tx *store.Tx, g *chat.Conversation, user chat.ID, t chat.EventType) error {
	if err := tx.EndMembership(g.ID, user); err != nil {
		return err
	}
	g.MemberCount--
	tx.Emit(chat.Event{Type: t, Subject: user, Detail: chat.Detail{Count: g.MemberCount}}, chat.ConversationTopic(g.ID))
	return tx.UpdateConversation(*g)
}

func setRole(tx *store.Tx, g chat.Conversation, user chat.ID, role chat.Role) error {
	tx.Emit(chat.Event{Type: chat.MemberRoleChanged, Subject: user, Detail: chat.Detail{Role: role}}, chat.ConversationTopic(g.ID))
	return tx.SetRole(g.ID, user, role)
}

// newcomers are new members who have read everything that was said before them.
func newcomers(tx *store.Tx, c chat.Conversation, users []chat.ID) []chat.Member {
	members := make([]chat.Member, len(users))
	for i, u := range users {
		members[i] = chat.Member{Conversation: c.ID, User: u, Role: chat.RoleMember, JoinedAt: tx.Now, ReadSeq: c.LastSeq}
	}
	return members
}

// others are users without viewer and without repetitions.
func others(viewer chat.ID, users []chat.ID) []chat.ID {
	var out []chat.ID
	for _, u := range users {
		if u != viewer && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// friendsOnly refuses users who are not all friends of viewer's. Errors: NOT_FOUND with the input's path.
func friendsOnly(ctx context.Context, tx *store.Tx, viewer chat.ID, users []chat.ID, path string) error {
	if len(users) == 0 {
		return nil
	}
	friends, err := tx.FriendsAmong(ctx, viewer, users)
	if err != nil {
		return err
	}
	for _, u := range users {
		if !slices.Contains(friends, u) {
			return notFound(path)
		}
	}
	return nil
}

func notFound(path string) error {
	return &chat.Error{Code: chat.CodeNotFound, Message: chat.ErrNotFound.Message, Path: []string{"input", path}}
}

func (s *Service) full() error {
	return chat.Conflict(fmt.Sprintf("a group has at most %d members", s.MaxMembers))
}
