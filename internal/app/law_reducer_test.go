package app_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// changes is the subscription of a client that keeps everything: what each event is asked for is what reduce needs.
const changes = `subscription($after: Cursor) { events(after: $after) {
  __typename cursor at
  ... on FriendRequestSent { request { ...asked } }
  ... on FriendRequestAccepted { request { ...asked } }
  ... on FriendRequestRejected { request { ...asked } }
  ... on FriendRequestCancelled { request { ...asked } }
  ... on FriendshipMade { user { ...person } conversationId }
  ... on FriendshipEnded { user { id } }
  ... on UserBlocked { user { id } }
  ... on UserUnblocked { user { id } }
  ... on ProfileChanged { user { ...person } }
  ... on AccountUpdated { account { ...account } }
  ... on BotUpdated { botId bot { ...robot } }
  ... on SessionStarted { session { ...device } }
  ... on SessionEnded { sessionId }
  ... on ConversationCreated { conversationId conversation { ...room } }
  ... on ConversationUpdated { conversationId conversation { ...room } }
  ... on ConversationDeleted { conversationId }
  ... on MemberAdded { conversationId conversation { ...room } user { id } role }
  ... on MemberRemoved { conversationId user { id } memberCount }
  ... on MemberLeft { conversationId user { id } memberCount }
  ... on MemberRoleChanged { conversationId conversation { incomingWebhooks { ...hook } } user { id } role }
  ... on MessageAdded { conversationId message { id seq body createdAt sender { id } } }
  ... on ExportUpdated { export { ...copy } }
  ... on ReceiptUpdated { conversationId receipt { user { id } seq readAt } }
  ... on NotificationPreferencesChanged { preferences { ...wishes } }
  ... on ConversationNotificationsChanged { conversationId level mutedUntil }
  ... on NotificationAdded { notification { ...told } unreadCount }
  ... on NotificationRead { notificationId unreadCount }
  ... on NotificationsRead { through unreadCount }
} }` + fragments

type event struct {
	Typename       string `json:"__typename"`
	Cursor         string
	At             time.Time
	Request        knownRequest
	User           profile
	Role           string
	MemberCount    int
	Account        knownAccount
	BotID          string
	Bot            *robot
	Session        knownSession
	SessionID      string
	ConversationID string
	Conversation   *wireRoom
	Message        knownMessage
	Receipt        receipt
	Preferences    wishes
	Level          string
	MutedUntil     *time.Time
	Export         *knownExport
	Notification   knownNotification
	NotificationID string
	Through        string
	UnreadCount    int
}

// reduce is what a client does with events: it returns the state that they lead to.
//
// Each event sets what it says; none adds to what was there. So it does no harm to apply events that the state shows
// already, which is what happens between a query and the subscription that begins at its cursor.
func reduce(before state, events []event) state {
	if len(events) == 0 {
		return before
	}
	s := before.clone()
	for _, e := range events {
		s.apply(e)
	}
	s.derive()
	return s
}

func (s *state) apply(e event) {
	switch e.Typename {
	case "CaughtUp":
		// What is shown from here on is as new as can be.

	case "FriendRequestSent", "FriendRequestAccepted", "FriendRequestRejected", "FriendRequestCancelled":
		s.Requests[e.Request.ID] = e.Request // as it stands now, which may be later than this event

	case "FriendshipMade":
		s.Friends[e.User.ID] = knownFriend{e.User, e.At, e.ConversationID}
	case "FriendshipEnded":
		delete(s.Friends, e.User.ID) // that their conversation is silent comes as a ConversationUpdated

	case "UserBlocked":
		s.Blocked[e.User.ID] = true
	case "UserUnblocked":
		delete(s.Blocked, e.User.ID)

	case "ProfileChanged":
		if e.User.ID == s.Me.ID {
			s.Me = e.User
		} else if f, ok := s.Friends[e.User.ID]; ok { // else the friendship is over by now
			f.Profile = e.User
			s.Friends[e.User.ID] = f
		}

	case "AccountUpdated":
		s.Account = e.Account
	case "BotUpdated":
		if delete(s.Bots, e.BotID); e.Bot != nil {
			s.Bots[e.BotID] = *e.Bot
		}

	case "SessionStarted":
		s.Sessions[e.Session.ID] = e.Session
	case "SessionEnded":
		delete(s.Sessions, e.SessionID)

	case "NotificationPreferencesChanged":
		s.Preferences = e.Preferences

	case "ExportUpdated":
		s.Export = e.Export
	case "NotificationAdded":
		s.Notifications[e.Notification.ID], s.UnreadNotifications = e.Notification, e.UnreadCount // as it is now
	case "NotificationRead":
		s.UnreadNotifications = e.UnreadCount
		s.readNotifications(e, func(id string) bool { return id == e.NotificationID })
	case "NotificationsRead":
		s.UnreadNotifications = e.UnreadCount
		s.readNotifications(e, func(id string) bool { return id <= e.Through })

	case "ConversationCreated":
		s.enter(e)
	case "ConversationDeleted":
		delete(s.Conversations, e.ConversationID)
	case "MemberAdded":
		if e.User.ID == s.Me.ID {
			s.enter(e) // with what was said before
		} else if r := s.Conversations[e.ConversationID]; r != nil {
			r.add(e)
			r.MemberCount = e.Conversation.MemberCount
		}
	case "MemberRemoved", "MemberLeft":
		if e.User.ID == s.Me.ID {
			delete(s.Conversations, e.ConversationID)
		} else if r := s.Conversations[e.ConversationID]; r != nil {
			r.remove(e.User.ID)
			r.MemberCount = e.MemberCount
		}

	default: // what happens within a conversation; it is not there if the viewer has left it since
		if r := s.Conversations[e.ConversationID]; r != nil {
			r.apply(s.Me.ID, e)
		}
	}
}

// enter takes a conversation that appears for the viewer, as it is now. Without a role it is told of only because it is in
// the past: the viewer has left it since, which a later event says.
func (s *state) enter(e event) {
	if e.Conversation.Role != nil {
		s.Conversations[e.ConversationID] = e.Conversation.keep()
	}
}

// readNotifications marks those as read that are not.
func (s *state) readNotifications(e event, which func(id string) bool) {
	for id, n := range s.Notifications {
		if n.ReadAt == nil && which(id) {
			n.ReadAt = &e.At
			s.Notifications[id] = n
		}
	}
}

func (r *room) apply(me string, e event) {
	switch e.Typename {
	case "ConversationUpdated":
		r.Title, r.AvatarURL, r.Writable = e.Conversation.Title, e.Conversation.AvatarURL, e.Conversation.Writable
		r.IncomingWebhooks = e.Conversation.IncomingWebhooks
	case "MemberRoleChanged":
		if e.User.ID == me {
			r.Role = &e.Role
			r.IncomingWebhooks = e.Conversation.IncomingWebhooks // admins see them
		}
		for i := range r.Members {
			if r.Members[i].User.ID == e.User.ID {
				r.Members[i].Role = e.Role
			}
		}
	case "MessageAdded":
		m := e.Message
		if m.Seq > len(r.Messages) { // seqs have no gaps: a smaller one is here already
			r.Messages = append(r.Messages, m)
		}
		if m.Seq > r.lastSeq() {
			r.LastMessage, r.UpdatedAt = &last{m.ID, m.Seq}, m.CreatedAt
		}
		r.read(me, receipt{m.Sender, m.Seq, &m.CreatedAt}) // who writes has read
	case "ReceiptUpdated":
		r.read(me, e.Receipt)
	case "ConversationNotificationsChanged":
		r.NotificationLevel, r.MutedUntil = e.Level, e.MutedUntil
	default:
		panic("no law for the event " + e.Typename)
	}
}

// read moves a read mark, never back.
func (r *room) read(me string, x receipt) {
	if x.User.ID == me {
		r.ReadSeq = max(r.ReadSeq, x.Seq)
		return
	}
	for i := range r.Receipts {
		if old := &r.Receipts[i]; old.User.ID == x.User.ID && x.Seq > old.Seq {
			*old = x
		}
	}
}

// add puts the newcomer last, wherever they stood: members are listed as they joined. Their read mark is that of the
// conversation as it is now; if they are not in it any more, a later event says so.
func (r *room) add(e event) {
	r.remove(e.User.ID)
	u := ref{e.User.ID}
	mark := receipt{User: u}
	for _, x := range e.Conversation.Receipts.Nodes {
		if x.User == u {
			mark = x
		}
	}
	r.Members, r.Receipts = append(r.Members, member{u, e.Role, e.At}), append(r.Receipts, mark)
}

func (r *room) remove(user string) {
	r.Members = slices.DeleteFunc(r.Members, func(m member) bool { return m.User.ID == user })
	r.Receipts = slices.DeleteFunc(r.Receipts, func(x receipt) bool { return x.User.ID == user })
}

// derive computes what follows from the rest.
func (s *state) derive() {
	for _, r := range s.Conversations {
		r.UnreadCount = r.lastSeq() - r.ReadSeq
	}
	for len(s.Notifications) > 30 { // more are not looked at
		delete(s.Notifications, slices.Min(slices.Collect(maps.Keys(s.Notifications))))
	}
	for id, n := range s.Notifications {
		n.Conversation, n.Message = nil, nil
		if r := s.Conversations[n.ConversationID]; r != nil { // while the viewer is in it
			n.Conversation = &ref{r.ID}
			for _, m := range r.Messages {
				if m.ID == n.MessageID {
					n.Message = &said{m.ID, m.Body}
				}
			}
		}
		s.Notifications[id] = n
	}
	for u := range s.Relations {
		s.Relations[u] = s.relation(u)
	}
}

func (s *state) relation(user string) string {
	if user == s.Me.ID {
		return "SELF"
	}
	if s.Blocked[user] {
		return "BLOCKED"
	}
	if _, ok := s.Friends[user]; ok {
		return "FRIEND"
	}
	for _, r := range s.Requests {
		switch {
		case r.Status != "PENDING":
		case r.From.ID == user:
			return "REQUEST_RECEIVED"
		case r.To.ID == user:
			return "REQUEST_SENT"
		}
	}
	return "NONE"
}

func (e event) position() chat.Position {
	c, err := chat.ParseCursor(e.Cursor)
	if err != nil {
		panic(err)
	}
	return c.Position
}

func (e event) String() string { return fmt.Sprintf("%s %s", e.Typename, e.ConversationID) }
