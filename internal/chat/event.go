package chat

import "time"

// EventType says what happened. Its text is what the log stores and what clients filter by.
type EventType string

// The events of the log. The comment says the topics an event is published to, and what Subject and the other fields
// mean. Two-sided ones are published once to each side: two entries, one for each topic.
const (
	FriendRequestSent      EventType = "FRIEND_REQUEST_SENT"      // user:from, user:to; Subject is the request
	FriendRequestAccepted  EventType = "FRIEND_REQUEST_ACCEPTED"  // user:from, user:to; Subject is the request
	FriendRequestRejected  EventType = "FRIEND_REQUEST_REJECTED"  // user:from, user:to; Subject is the request
	FriendRequestCancelled EventType = "FRIEND_REQUEST_CANCELLED" // user:from, user:to; Subject is the request
	FriendshipMade         EventType = "FRIENDSHIP_MADE"          // user:each; Subject is the friend, Conversation their direct one
	FriendshipEnded        EventType = "FRIENDSHIP_ENDED"         // user:each; Subject is the former friend, Conversation their direct one
	UserBlocked            EventType = "USER_BLOCKED"             // user:blocker; Subject is the blocked user
	UserUnblocked          EventType = "USER_UNBLOCKED"           // user:blocker; Subject is the user
	ProfileChanged         EventType = "PROFILE_CHANGED"          // user:self and user:each friend; Subject is the user
	AccountUpdated         EventType = "ACCOUNT_UPDATED"          // user:self; Subject is the user
	BotUpdated             EventType = "BOT_UPDATED"              // user:owner; Subject is the bot: it was made or deleted, or its keys have changed
	SessionStarted         EventType = "SESSION_STARTED"          // user:owner; Subject is the session
	SessionEnded           EventType = "SESSION_ENDED"            // user:owner; Subject is the session: its sockets are closed at this position
	ConversationCreated    EventType = "CONVERSATION_CREATED"     // conversation; Members are its first members: their spans begin here
	ConversationUpdated    EventType = "CONVERSATION_UPDATED"     // conversation
	ConversationDeleted    EventType = "CONVERSATION_DELETED"     // conversation; every span ends here
	MemberAdded            EventType = "MEMBER_ADDED"             // conversation; Subject is the user, whose span begins here; Role
	MemberRemoved          EventType = "MEMBER_REMOVED"           // conversation; Subject is the user, whose span ends here; Count
	MemberLeft             EventType = "MEMBER_LEFT"              // conversation; Subject is the user, whose span ends here; Count
	MemberRoleChanged      EventType = "MEMBER_ROLE_CHANGED"      // conversation; Subject is the user; Role
	MessageAdded           EventType = "MESSAGE_ADDED"            // conversation; Subject is the message, Seq its seq
	ReceiptUpdated         EventType = "RECEIPT_UPDATED"          // conversation; Subject is the reader, Seq how far

	NotificationPreferencesChanged   EventType = "NOTIFICATION_PREFERENCES_CHANGED"   // user:self; Subject is the user
	ConversationNotificationsChanged EventType = "CONVERSATION_NOTIFICATIONS_CHANGED" // user:self; Subject is the user; Conversation, Level, Until
	ExportUpdated                    EventType = "EXPORT_UPDATED"                     // user:owner; the export of their data was asked for, or is ready
	NotificationAdded                EventType = "NOTIFICATION_ADDED"                 // user:self; Subject is the notification; Count
	NotificationRead                 EventType = "NOTIFICATION_READ"                  // user:self; Subject is the notification; Count
	NotificationsRead                EventType = "NOTIFICATIONS_READ"                 // user:self; Subject is the last of those that are read now; Count
)

// LogEvents are all events of the log.
var LogEvents = []EventType{
	FriendRequestSent, FriendRequestAccepted, FriendRequestRejected, FriendRequestCancelled, FriendshipMade, FriendshipEnded, UserBlocked, UserUnblocked,
	ProfileChanged, AccountUpdated, BotUpdated, SessionStarted, SessionEnded, ConversationCreated, ConversationUpdated, ConversationDeleted, MemberAdded, MemberRemoved, MemberLeft,
	MemberRoleChanged, MessageAdded, ReceiptUpdated, NotificationPreferencesChanged, ConversationNotificationsChanged,
	ExportUpdated,
	NotificationAdded, NotificationRead, NotificationsRead,
}

// What subscriptions deliver besides: never in the log.
const (
	CaughtUp EventType = "CAUGHT_UP" // the replay is over; Position says up to where
	// Ephemeral signals carry no position and may be merged or lost.
	PresenceSignal EventType = "PRESENCE" // presence:<user>; Presences
	TypingSignal   EventType = "TYPING"   // typing:<conversation>; Typing is who types now
)

// TopicKind says whose audience a Topic is.
type TopicKind uint8

// The kinds of topics. Only the first two stand in the log.
const (
	TopicUser         TopicKind = iota + 1 // what one user sees, on all their devices
	TopicConversation                      // what the members of one conversation see
	TopicPresence                          // a user's coming and going (ephemeral)
	TopicTyping                            // who is typing in a conversation (ephemeral)
)

// Topic is who may see an event.
type Topic struct {
	Kind TopicKind
	ID   ID // a user or a conversation
}

// UserTopic is what u alone sees.
func UserTopic(u ID) Topic { return Topic{TopicUser, u} }

// ConversationTopic is what the members of c see.
func ConversationTopic(c ID) Topic { return Topic{TopicConversation, c} }

// PresenceTopic is u's coming and going.
func PresenceTopic(u ID) Topic { return Topic{TopicPresence, u} }

// TypingTopic is who is typing in c.
func TypingTopic(c ID) Topic { return Topic{TopicTyping, c} }

// Event is an entry of the log: ids and small facts, no content. It carries the state it leads to, so that applying it
// twice is harmless. Events are immutable once they are appended and are shared between goroutines.
type Event struct {
	Position Position
	At       time.Time
	Topic    Topic
	Type     EventType
	Actor    ID // who made the change; zero: the system
	Subject  ID
	Seq      int64
	Detail   Detail

	// Rows is what the event is about, when it travels with it: what was just written, or was loaded for a delivery. It
	// is never stored.
	Rows Rows
}

// Detail is what the log stores of an event besides its columns, as JSON.
type Detail struct {
	Conversation ID   `json:"c,omitzero"`
	Members      []ID `json:"m,omitempty"`
	Role         Role `json:"r,omitempty"`
	Count        int  `json:"n,omitempty"` // members that are left, or unread notifications

	Level NotificationLevel `json:"l,omitempty"`
	Until time.Time         `json:"u,omitzero"` // muted
}

// Rows is the content that an event refers to. What is nil was not loaded, or is gone.
type Rows struct {
	Actor        *User
	User         *User // the subject, where that is a user
	Message      *Message
	Request      *FriendRequest
	Session      *Session
	Account      *Account // never travels between nodes
	Conversation *Conversation
	Receipt      *Receipt
	Export       *Export
	Notification *Notification
	Bot          *Bot

	Snapshot  bool // of an ephemeral signal: it is the whole state
	Presences []Presence
	Typing    []ID
}

// ConversationID is the conversation the event is about; zero if it is about none.
func (e *Event) ConversationID() ID {
	if e.Topic.Kind == TopicConversation || e.Topic.Kind == TopicTyping {
		return e.Topic.ID
	}
	return e.Detail.Conversation
}

// Span is the part of the log in which a viewer may see a topic: From < position ≤ To; To 0 has no end.
type Span struct {
	Topic    Topic
	From, To Position
}

// Covers says whether an event at p is within the span.
func (s Span) Covers(p Position) bool { return p > s.From && (s.To == 0 || p <= s.To) }

// Close is the event as it is delivered to somebody who is no longer in its conversation.
func (e *Event) Close() *Event {
	if e.Rows.Conversation == nil {
		return e
	}
	closed, c := *e, e.Rows.Conversation.Close()
	closed.Rows.Conversation = &c
	return &closed
}
