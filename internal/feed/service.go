// Package feed knows what the log's entries are about, and which part of the log a viewer may see.
package feed

import (
	"context"
	"slices"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Service reads what events refer to.
type Service struct {
	store *store.Store
	spans gather[store.SpanQuery, []chat.Span]
}

// New makes the service.
func New(s *store.Store) *Service {
	return &Service{store: s, spans: gather[store.SpanQuery, []chat.Span]{ask: s.Spans}}
}

// Spans is everything of the log after a position that the viewer may see: their own topic, and their conversations from
// each join to each leave.
func (s *Service) Spans(ctx context.Context, v chat.Viewer, after chat.Position) ([]chat.Span, error) {
	spans, err := s.spans.get(ctx, store.SpanQuery{User: v.User, After: after})
	return append(spans, chat.Span{Topic: chat.UserTopic(v.User)}), err
}

// SpansIn is the part of the log after a position in which the viewer is in a conversation.
// NOT_FOUND unless they are in it now.
func (s *Service) SpansIn(ctx context.Context, v chat.Viewer, conversation chat.ID, after chat.Position) ([]chat.Span, error) {
	if conversation.Kind != chat.KindConversation {
		return nil, chat.ErrNotFound
	}
	spans, err := s.spans.get(ctx, store.SpanQuery{User: v.User, Conversation: conversation, After: after})
	if err == nil && !slices.ContainsFunc(spans, func(s chat.Span) bool { return s.To == 0 }) {
		err = chat.ErrNotFound
	}
	return spans, err
}

// wanted is the ids that a batch of events lacks the rows of.
type wanted struct {
	seen map[chat.ID]bool
	ids  map[chat.Kind][]chat.ID
}

func (w *wanted) add(id chat.ID) {
	if !id.IsZero() && !w.seen[id] {
		w.seen[id] = true
		w.ids[id.Kind] = append(w.ids[id.Kind], id)
	}
}

// Fill loads the rows that the events are about and that did not travel with them, with one statement for each kind of row
// however many events there are. What is gone stays nil.
func (s *Service) Fill(ctx context.Context, events []*chat.Event) error {
	var owners []chat.ID
	w := wanted{map[chat.ID]bool{}, map[chat.Kind][]chat.ID{}}
	for _, e := range events {
		if e.Rows.Actor == nil {
			w.add(e.Actor)
		}
		if about := subject(e); e.Rows.Message == nil && e.Rows.Notification == nil {
			w.add(about)
		}
		if tellsConversation(e.Type) {
			w.add(e.Topic.ID)
		}
		if e.Type == chat.AccountUpdated {
			owners = append(owners, e.Subject)
		}
	}
	accounts, err := load(ctx, owners, s.store.Accounts, func(a *chat.Account) chat.ID { return a.User })
	if err != nil {
		return err
	}
	users, err := load(ctx, w.ids[chat.KindUser], s.store.Users, func(u *chat.User) chat.ID { return u.ID })
	if err != nil {
		return err
	}
	messages, err := load(ctx, w.ids[chat.KindMessage], s.store.Messages, func(m *chat.Message) chat.ID { return m.ID })
	if err != nil {
		return err
	}
	requests, err := load(ctx, w.ids[chat.KindFriendRequest], s.store.FriendRequests, func(r *chat.FriendRequest) chat.ID { return r.ID })
	if err != nil {
		return err
	}
	sessions, err := load(ctx, w.ids[chat.KindSession], s.store.Sessions, func(x *chat.Session) chat.ID { return x.ID })
	if err != nil {
		return err
	}
	conversations, err := load(ctx, w.ids[chat.KindConversation], s.store.Conversations, func(c *chat.Conversation) chat.ID { return c.ID })
	if err != nil {
		return err
	}
	notifications, err := load(ctx, w.ids[chat.KindNotification], s.store.Notifications, func(n *chat.Notification) chat.ID { return n.ID })
	if err != nil {
		return err
	}
	var askers []chat.ID
	for _, e := range events {
		if e.Type == chat.ExportUpdated {
			askers = append(askers, e.Topic.ID)
		}
	}
	exports, err := load(ctx, askers, s.store.Exports, func(x *chat.Export) chat.ID { return x.User })
	if err != nil {
		return err
	}
	bots, err := load(ctx, botIDs(events), s.store.Bots, func(b *chat.Bot) chat.ID { return b.User.ID })
	if err != nil {
		return err
	}
	for _, e := range events {
		r, about := &e.Rows, subject(e)
		if r.Actor == nil {
			r.Actor = users[e.Actor]
		}
		if r.Message == nil {
			r.Message = messages[about]
		}
		if r.Notification == nil {
			r.Notification = notifications[about]
		}
		r.User, r.Request, r.Session = users[about], requests[about], sessions[about]
		if tellsConversation(e.Type) {
			r.Conversation = conversations[e.Topic.ID]
		}
		if e.Type == chat.AccountUpdated {
			r.Account = accounts[e.Subject]
		}
		if e.Type == chat.ExportUpdated {
			r.Export = exports[e.Topic.ID]
		}
		if e.Type == chat.BotUpdated {
			r.Bot = bots[about]
		}
		if e.Type == chat.ReceiptUpdated {
			r.Receipt = &chat.Receipt{Conversation: e.Topic.ID, User: e.Subject, Seq: e.Seq, At: e.At}
		}
	}
	return nil
}

// subject is what the event's rows are about.
func subject(e *chat.Event) chat.ID {
	switch e.Type {
	case chat.SessionEnded, chat.AccountUpdated, chat.NotificationRead, chat.NotificationsRead: // their ids say it all
		return chat.ID{}
	}
	return e.Subject
}

// botIDs are the bots that events show.
func botIDs(events []*chat.Event) (ids []chat.ID) {
	for _, e := range events {
		if e.Type == chat.BotUpdated {
			ids = append(ids, e.Subject)
		}
	}
	return ids
}

// tellsConversation says that events of this type show their conversation.
func tellsConversation(t chat.EventType) bool {
	return t == chat.ConversationCreated || t == chat.ConversationUpdated || t == chat.MemberAdded || t == chat.MemberRoleChanged
}

func load[T any](ctx context.Context, ids []chat.ID, read func(context.Context, []chat.ID) ([]T, error), of func(*T) chat.ID) (map[chat.ID]*T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := read(ctx, ids)
	m := make(map[chat.ID]*T, len(rows))
	for i := range rows {
		m[of(&rows[i])] = &rows[i]
	}
	return m, err
}
