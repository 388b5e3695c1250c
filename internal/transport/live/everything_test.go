package live_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/graph/model"
	"github.com/parley-chat/parley/internal/chat"
)

// everything answers every field below a subscription, always alike; where a field is marked @viewer, by who looks.
type everything struct{ generated.ResolverRoot }

type (
	everyConversation struct{}
	everyRequest      struct{}
	everyMember       struct{}
	everyMessage      struct{}
	everyReceipt      struct{}
	everyPresence     struct{}
	everyTyping       struct{}
	everySession      struct{}
	everyUser         struct{}
	everyExport       struct{}
	everySubscription struct{}
	everyPreference   struct{}
	everyNotification struct{}
)

func (everything) Conversation() generated.ConversationResolver   { return everyConversation{} }
func (everything) FriendRequest() generated.FriendRequestResolver { return everyRequest{} }
func (everything) Member() generated.MemberResolver               { return everyMember{} }
func (everything) Message() generated.MessageResolver             { return everyMessage{} }
func (everything) Receipt() generated.ReceiptResolver             { return everyReceipt{} }
func (everything) Presence() generated.PresenceResolver           { return everyPresence{} }
func (everything) TypingChanged() generated.TypingChangedResolver { return everyTyping{} }
func (everything) Session() generated.SessionResolver             { return everySession{} }
func (everything) User() generated.UserResolver                   { return everyUser{} }
func (everything) Export() generated.ExportResolver               { return everyExport{} }
func (everything) Subscription() generated.SubscriptionResolver   { return everySubscription{} }
func (everything) Notification() generated.NotificationResolver   { return everyNotification{} }
func (everything) NotificationPreferencesChanged() generated.NotificationPreferencesChangedResolver {
	return everyPreference{}
}

var someTime = time.Unix(1800000000, 0)

func someUser(n int) *chat.User {
	return &chat.User{ID: user(n), Username: fmt.Sprint("u", n), DisplayName: fmt.Sprint("User ", n), Bio: "b", CreatedAt: someTime}
}

func someConversation() *chat.Conversation {
	return &chat.Conversation{ID: conv(1), Kind: chat.Group, Title: "Group", CreatedAt: someTime, UpdatedAt: someTime, MemberCount: 2}
}

func someMessage(n int) *chat.Message {
	return &chat.Message{ID: id(chat.KindMessage, n), Conversation: conv(1), Seq: int64(n), Body: fmt.Sprint("message ", n), Sender: user(1), CreatedAt: someTime}
}

func looking(ctx context.Context) int {
	v, _ := chat.ViewerFrom(ctx)
	return int(v.User.UUID[15])
}

// pageOf has as many items as are asked for, from one end or the other.
func pageOf[E, N any](first *int, after *string, last *int, before *string, node func(n int) N, edge func(string, *N) E) ([]E, []N, *chat.PageInfo) {
	from, step, n := 1, 1, 5
	if first != nil {
		n = *first
	} else if last != nil {
		from, step, n = 9, -1, *last
	}
	nodes, edges := []N{}, []E{}
	for i := range max(0, min(n, 5)) {
		nodes = append(nodes, node(from+i*step))
	}
	for i := range nodes {
		edges = append(edges, edge(fmt.Sprint("at", i), &nodes[i]))
	}
	return edges, nodes, &chat.PageInfo{HasNextPage: after != nil, HasPreviousPage: before != nil}
}

func (everyConversation) Title(context.Context, *chat.Conversation) (*string, error) {
	return &someConversation().Title, nil
}

func (everyConversation) AvatarURL(_ context.Context, _ *chat.Conversation, size model.AvatarSize) (*string, error) {
	return avatar(size)
}

func (everyUser) AvatarURL(_ context.Context, _ *chat.User, size model.AvatarSize) (*string, error) {
	return avatar(size)
}

func avatar(size model.AvatarSize) (*string, error) {
	link := "/files/" + string(size)
	return &link, nil
}

func (everyExport) Status(context.Context, *chat.Export) (model.ExportStatus, error) {
	return model.ExportStatusReady, nil
}

func (everyExport) URL(context.Context, *chat.Export) (*string, error) {
	link := "/files/export"
	return &link, nil
}

func (everyConversation) Members(_ context.Context, _ *chat.Conversation, first *int, after *string, last *int, before *string) (*model.MemberConnection, error) {
	e, n, p := pageOf(first, after, last, before, func(n int) chat.Member { return chat.Member{User: user(n), Role: chat.RoleMember, JoinedAt: someTime} },
		func(c string, m *chat.Member) model.MemberEdge { return model.MemberEdge{Cursor: c, Node: m} })
	return &model.MemberConnection{Edges: e, Nodes: n, PageInfo: p}, nil
}

func (everyConversation) Role(ctx context.Context, _ *chat.Conversation) (*chat.Role, error) {
	r := chat.RoleMember
	if looking(ctx) == 1 {
		r = chat.RoleOwner
	}
	return &r, nil
}

func (everyConversation) Peer(ctx context.Context, _ *chat.Conversation) (*chat.User, error) {
	return someUser(10 + looking(ctx)), nil
}

func (everyConversation) Writable(context.Context, *chat.Conversation) (bool, error) {
	return true, nil
}

func (everyConversation) LastMessage(context.Context, *chat.Conversation) (*chat.Message, error) {
	return someMessage(9), nil
}

func (everyConversation) UnreadCount(ctx context.Context, _ *chat.Conversation) (int, error) {
	return looking(ctx), nil
}

func (everyConversation) NotificationLevel(ctx context.Context, _ *chat.Conversation) (chat.NotificationLevel, error) {
	if looking(ctx) == 1 {
		return chat.LevelNone, nil
	}
	return chat.LevelAll, nil
}

func (everyConversation) MutedUntil(ctx context.Context, _ *chat.Conversation) (*time.Time, error) {
	t := someTime.Add(time.Duration(looking(ctx)) * time.Hour)
	return &t, nil
}

func (everyNotification) Actor(context.Context, *chat.Notification) (*chat.User, error) {
	return someUser(5), nil
}

func (everyNotification) Conversation(ctx context.Context, _ *chat.Notification) (*chat.Conversation, error) {
	c := someConversation()
	c.MemberCount = looking(ctx)
	return c, nil
}

func (everyNotification) Message(ctx context.Context, _ *chat.Notification) (*chat.Message, error) {
	return someMessage(looking(ctx)), nil
}

func (everyNotification) Request(context.Context, *chat.Notification) (*chat.FriendRequest, error) {
	return nil, nil
}

func (everyPreference) Preferences(context.Context, *model.NotificationPreferencesChanged) (*chat.NotificationPreferences, error) {
	return &chat.NotificationPreferences{TimeZone: "UTC"}, nil
}

func (everyConversation) Messages(_ context.Context, _ *chat.Conversation, first *int, after *string, last *int, before *string) (*model.MessageConnection, error) {
	e, n, p := pageOf(first, after, last, before, func(n int) chat.Message { return *someMessage(n) },
		func(c string, m *chat.Message) model.MessageEdge { return model.MessageEdge{Cursor: c, Node: m} })
	return &model.MessageConnection{Edges: e, Nodes: n, PageInfo: p}, nil
}

func (everyConversation) Receipts(ctx context.Context, _ *chat.Conversation, first *int, after *string, last *int, before *string) (*model.ReceiptConnection, error) {
	who := looking(ctx)
	e, n, p := pageOf(first, after, last, before, func(n int) chat.Receipt { return chat.Receipt{User: user(n), Seq: int64(who)} },
		func(c string, m *chat.Receipt) model.ReceiptEdge { return model.ReceiptEdge{Cursor: c, Node: m} })
	p.HasNextPage = who == 1
	return &model.ReceiptConnection{Edges: e, Nodes: n, PageInfo: p}, nil
}

func (everyRequest) From(context.Context, *chat.FriendRequest) (*chat.User, error) {
	return someUser(3), nil
}
func (everyRequest) To(context.Context, *chat.FriendRequest) (*chat.User, error) {
	return someUser(4), nil
}

func (everyMember) User(_ context.Context, m *chat.Member) (*chat.User, error) {
	return someUser(int(m.User.UUID[15])), nil
}

func (everyMessage) Conversation(context.Context, *chat.Message) (*chat.Conversation, error) {
	return someConversation(), nil
}
func (everyMessage) Sender(context.Context, *chat.Message) (*chat.User, error) {
	return someUser(1), nil
}

func (everyReceipt) User(_ context.Context, r *chat.Receipt) (*chat.User, error) {
	return someUser(int(r.User.UUID[15])), nil
}

func (everyPresence) User(context.Context, *chat.Presence) (*chat.User, error) {
	return someUser(5), nil
}
func (everyPresence) Status(_ context.Context, p *chat.Presence) (model.PresenceStatus, error) {
	if p.Online {
		return model.PresenceStatusOnline, nil
	}
	return model.PresenceStatusOffline, nil
}

func (everyTyping) Users(context.Context, *model.TypingChanged) ([]chat.User, error) {
	return []chat.User{*someUser(6), *someUser(7)}, nil
}

func (everySession) Current(ctx context.Context, _ *chat.Session) (bool, error) {
	return looking(ctx) == 1, nil
}

func (everyUser) Relationship(ctx context.Context, _ *chat.User) (chat.Relationship, error) {
	return []chat.Relationship{chat.RelationNone, chat.RelationSelf, chat.RelationFriend}[looking(ctx)], nil
}

func (everyUser) Presence(ctx context.Context, u *chat.User) (*chat.Presence, error) {
	return &chat.Presence{User: u.ID, Online: looking(ctx) == 1, LastSeenAt: someTime.Add(time.Duration(looking(ctx)))}, nil
}

// someEvents is an event of each type.
func someEvents() []model.Event {
	c, u, request := chat.Cursor{Epoch: epoch, Position: 1}, someUser(8), &chat.FriendRequest{ID: id(chat.KindFriendRequest, 1), Status: chat.RequestPending, CreatedAt: someTime}
	return []model.Event{
		model.CaughtUp{Cursor: c, At: someTime},
		model.FriendRequestSent{Cursor: c, At: someTime, Actor: u, Request: request},
		model.FriendRequestAccepted{Cursor: c, At: someTime, Actor: u, Request: request},
		model.FriendRequestRejected{Cursor: c, At: someTime, Actor: u, Request: request},
		model.FriendRequestCancelled{Cursor: c, At: someTime, Actor: u, Request: request},
		model.FriendshipMade{Cursor: c, At: someTime, Actor: u, User: u, ConversationID: conv(1)},
		model.FriendshipEnded{Cursor: c, At: someTime, Actor: u, User: u, ConversationID: conv(1)},
		model.UserBlocked{Cursor: c, At: someTime, Actor: u, User: u},
		model.UserUnblocked{Cursor: c, At: someTime, Actor: u, User: u},
		model.ProfileChanged{Cursor: c, At: someTime, Actor: u, User: u},
		model.BotUpdated{Cursor: c, At: someTime, Actor: u, BotID: u.ID, Bot: &chat.Bot{User: *u, Keys: []chat.APIKey{{ID: id(chat.KindAPIKey, 1), Name: "Key", CreatedAt: someTime}}}},
		model.SessionStarted{Cursor: c, At: someTime, Actor: u, Session: &chat.Session{ID: session(1), CreatedAt: someTime, LastUsedAt: someTime, ExpiresAt: someTime}},
		model.SessionEnded{Cursor: c, At: someTime, Actor: u, SessionID: session(1)},
		model.ConversationCreated{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), Conversation: someConversation()},
		model.ConversationUpdated{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), Conversation: someConversation()},
		model.ConversationDeleted{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1)},
		model.MemberAdded{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), Conversation: someConversation(), User: u, Role: chat.RoleAdmin},
		model.MemberRemoved{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), User: u, MemberCount: 1},
		model.MemberLeft{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), User: u, MemberCount: 1},
		model.MemberRoleChanged{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), Conversation: someConversation(), User: u, Role: chat.RoleAdmin},
		model.MessageAdded{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), Message: someMessage(1)},
		model.ReceiptUpdated{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), Receipt: &chat.Receipt{User: user(2), Seq: 3}},
		model.NotificationPreferencesChanged{Cursor: c, At: someTime, Actor: u},
		model.ConversationNotificationsChanged{Cursor: c, At: someTime, Actor: u, ConversationID: conv(1), Level: chat.LevelNone, MutedUntil: &someTime},
		model.NotificationAdded{Cursor: c, At: someTime, Actor: u, Notification: &chat.Notification{ID: id(chat.KindNotification, 1), Kind: chat.NotifyMention, CreatedAt: someTime}},
		model.NotificationRead{Cursor: c, At: someTime, Actor: u, NotificationID: id(chat.KindNotification, 1), UnreadCount: 1},
		model.NotificationsRead{Cursor: c, At: someTime, Actor: u, Through: id(chat.KindNotification, 1)},
	}
}

// eventsOf delivers what is of a type, and notes the names.
func eventsOf[T any](ctx context.Context, all []model.Event, wanted func(name string) bool) (<-chan T, error) {
	ch := make(chan T, len(all))
	defer close(ch)
	types := ctx.Value(toldKey{}).(*[]string)
	for _, e := range all {
		name := strings.TrimPrefix(fmt.Sprintf("%T", e), "model.")
		if t, ok := e.(T); ok && wanted(name) {
			*types = append(*types, name)
			ch <- t
		}
	}
	return ch, nil
}

func all(string) bool { return true }

func (everySubscription) Events(ctx context.Context, _ *chat.Cursor, types []chat.EventType) (<-chan model.Event, error) {
	return eventsOf[model.Event](ctx, someEvents(), func(name string) bool {
		return types == nil || name == "CaughtUp" || slices.ContainsFunc(types, func(t chat.EventType) bool { return strings.EqualFold(strings.ReplaceAll(string(t), "_", ""), name) })
	})
}

func (everySubscription) MessageAdded(ctx context.Context, _ chat.ID, _ *chat.Cursor) (<-chan model.MessageEvent, error) {
	return eventsOf[model.MessageEvent](ctx, someEvents(), all)
}

func (everySubscription) FriendRequestUpdated(ctx context.Context, _ *chat.Cursor) (<-chan model.FriendRequestEvent, error) {
	return eventsOf[model.FriendRequestEvent](ctx, someEvents(), all)
}

func (everySubscription) NotificationAdded(ctx context.Context, _ *chat.Cursor) (<-chan model.NotificationEvent, error) {
	return eventsOf[model.NotificationEvent](ctx, someEvents(), all)
}

func (everySubscription) ConversationUpdated(ctx context.Context, _ chat.ID, _ *chat.Cursor) (<-chan model.ConversationEvent, error) {
	return eventsOf[model.ConversationEvent](ctx, someEvents(), all)
}

func one[T any](ctx context.Context, name string, v T) (<-chan T, error) {
	types := ctx.Value(toldKey{}).(*[]string)
	*types = append(*types, name)
	ch := make(chan T, 1)
	defer close(ch)
	ch <- v
	return ch, nil
}

func (everySubscription) PresenceChanged(ctx context.Context, users []chat.ID) (<-chan *model.PresenceChanged, error) {
	p := &model.PresenceChanged{Snapshot: true, Presences: []chat.Presence{{User: user(5), Online: true}}}
	for _, u := range users {
		p.Presences = append(p.Presences, chat.Presence{User: u, LastSeenAt: someTime})
	}
	return one(ctx, "PresenceChanged", p)
}

func (everySubscription) TypingChanged(ctx context.Context, c chat.ID) (<-chan *model.TypingChanged, error) {
	return one(ctx, "TypingChanged", &model.TypingChanged{ConversationID: c})
}
