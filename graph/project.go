package graph

import (
	"slices"

	"github.com/parley-chat/parley/graph/model"
	"github.com/parley-chat/parley/internal/chat"
)

// project gives an entry of the log its GraphQL type. It says false for what clients are not told of: an event whose
// content is gone, and types that are not in the schema. It runs once for all listeners and knows no viewer.
func (r *Resolver) project(e *chat.Event) (model.Event, bool) {
	cursor, at, rows := r.cursor(e.Position), e.At, e.Rows
	actor, conversation := rows.Actor, e.ConversationID()
	switch e.Type {
	case chat.CaughtUp:
		return &model.CaughtUp{Cursor: cursor, At: at}, true
	case chat.FriendRequestSent:
		return &model.FriendRequestSent{Cursor: cursor, At: at, Actor: actor, Request: rows.Request}, rows.Request != nil
	case chat.FriendRequestAccepted:
		return &model.FriendRequestAccepted{Cursor: cursor, At: at, Actor: actor, Request: rows.Request}, rows.Request != nil
	case chat.FriendRequestRejected:
		return &model.FriendRequestRejected{Cursor: cursor, At: at, Actor: actor, Request: rows.Request}, rows.Request != nil
	case chat.FriendRequestCancelled:
		return &model.FriendRequestCancelled{Cursor: cursor, At: at, Actor: actor, Request: rows.Request}, rows.Request != nil
	case chat.FriendshipMade:
		return &model.FriendshipMade{Cursor: cursor, At: at, Actor: actor, User: rows.User, ConversationID: conversation}, rows.User != nil
	case chat.FriendshipEnded:
		return &model.FriendshipEnded{Cursor: cursor, At: at, Actor: actor, User: rows.User, ConversationID: conversation}, rows.User != nil
	case chat.UserBlocked:
		return &model.UserBlocked{Cursor: cursor, At: at, Actor: actor, User: rows.User}, rows.User != nil
	case chat.UserUnblocked:
		return &model.UserUnblocked{Cursor: cursor, At: at, Actor: actor, User: rows.User}, rows.User != nil
	case chat.ProfileChanged:
		return &model.ProfileChanged{Cursor: cursor, At: at, Actor: actor, User: rows.User}, rows.User != nil
	case chat.AccountUpdated:
		return &model.AccountUpdated{Cursor: cursor, At: at, Actor: actor, Account: rows.Account}, rows.Account != nil
	case chat.BotUpdated:
		return &model.BotUpdated{Cursor: cursor, At: at, Actor: actor, BotID: e.Subject, Bot: rows.Bot}, true
	case chat.SessionStarted:
		return &model.SessionStarted{Cursor: cursor, At: at, Actor: actor, Session: rows.Session}, rows.Session != nil
	case chat.SessionEnded:
		return &model.SessionEnded{Cursor: cursor, At: at, Actor: actor, SessionID: e.Subject}, true
	case chat.ConversationCreated:
		return &model.ConversationCreated{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, Conversation: rows.Conversation}, rows.Conversation != nil
	case chat.ConversationUpdated:
		return &model.ConversationUpdated{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, Conversation: rows.Conversation}, rows.Conversation != nil
	case chat.ConversationDeleted:
		return &model.ConversationDeleted{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation}, true
	case chat.MemberAdded:
		return &model.MemberAdded{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, Conversation: rows.Conversation, User: rows.User, Role: e.Detail.Role},
			rows.Conversation != nil && rows.User != nil
	case chat.MemberRemoved:
		return &model.MemberRemoved{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, User: rows.User, MemberCount: e.Detail.Count}, rows.User != nil
	case chat.MemberLeft:
		return &model.MemberLeft{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, User: rows.User, MemberCount: e.Detail.Count}, rows.User != nil
	case chat.MemberRoleChanged:
		return &model.MemberRoleChanged{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, Conversation: rows.Conversation, User: rows.User, Role: e.Detail.Role},
			rows.Conversation != nil && rows.User != nil
	case chat.MessageAdded:
		return &model.MessageAdded{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, Message: rows.Message}, rows.Message != nil
	case chat.ReceiptUpdated:
		return &model.ReceiptUpdated{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, Receipt: rows.Receipt}, rows.Receipt != nil
	case chat.NotificationPreferencesChanged:
		return &model.NotificationPreferencesChanged{Cursor: cursor, At: at, Actor: actor, UserID: e.Subject}, true
	case chat.NotificationAdded:
		return &model.NotificationAdded{Cursor: cursor, At: at, Actor: actor, Notification: rows.Notification, UnreadCount: e.Detail.Count}, rows.Notification != nil
	case chat.NotificationRead:
		return &model.NotificationRead{Cursor: cursor, At: at, Actor: actor, NotificationID: e.Subject, UnreadCount: e.Detail.Count}, true
	case chat.NotificationsRead:
		return &model.NotificationsRead{Cursor: cursor, At: at, Actor: actor, Through: e.Subject, UnreadCount: e.Detail.Count}, true
	case chat.ConversationNotificationsChanged:
		m := &model.ConversationNotificationsChanged{Cursor: cursor, At: at, Actor: actor, ConversationID: conversation, Level: e.Detail.Level}
		if u := e.Detail.Until; !u.IsZero() {
			m.MutedUntil = &u
		}
		return m, true
	case chat.ExportUpdated:
		return &model.ExportUpdated{Cursor: cursor, At: at, Actor: actor, Export: rows.Export}, rows.Export != nil
	}
	return nil, false
}

// only projects the events that a narrower subscription delivers: those that implement its interface. CaughtUp implements
// all of them.
func only[T any](r *Resolver) func(*chat.Event) (T, bool) {
	return func(e *chat.Event) (t T, ok bool) {
		m, ok := r.project(e)
		if ok {
			t, ok = m.(T)
		}
		return t, ok
	}
}

// ofTypes projects the events of some types, and CaughtUp; all, if types is nil.
func (r *Resolver) ofTypes(types []chat.EventType) func(*chat.Event) (model.Event, bool) {
	return func(e *chat.Event) (model.Event, bool) {
		if types != nil && e.Type != chat.CaughtUp && !slices.Contains(types, e.Type) {
			return nil, false
		}
		return r.project(e)
	}
}

func presenceChanged(e *chat.Event) (*model.PresenceChanged, bool) {
	return &model.PresenceChanged{Snapshot: e.Rows.Snapshot, Presences: e.Rows.Presences}, e.Type == chat.PresenceSignal
}

func typingChanged(e *chat.Event) (*model.TypingChanged, bool) {
	return &model.TypingChanged{ConversationID: e.ConversationID(), UserIDs: e.Rows.Typing}, e.Type == chat.TypingSignal
}
