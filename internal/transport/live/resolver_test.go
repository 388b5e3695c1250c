package live_test

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/graph/model"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/live"
)

type gqlError = gqlerror.Error

type root struct {
	generated.ResolverRoot
	s *stage
}

type (
	subscriptions struct {
		generated.SubscriptionResolver
		s *stage
	}
	queries struct {
		generated.QueryResolver
		s *stage
	}
	mutations struct {
		generated.MutationResolver
		s *stage
	}
	messages struct {
		generated.MessageResolver
		s *stage
	}
	conversations struct{ generated.ConversationResolver }
	users         struct{ generated.UserResolver }
	presences     struct {
		generated.PresenceResolver
		s *stage
	}
	typing struct{}
)

func (r *root) Subscription() generated.SubscriptionResolver   { return subscriptions{s: r.s} }
func (r *root) Query() generated.QueryResolver                 { return queries{s: r.s} }
func (r *root) Mutation() generated.MutationResolver           { return mutations{s: r.s} }
func (r *root) Message() generated.MessageResolver             { return messages{s: r.s} }
func (r *root) Conversation() generated.ConversationResolver   { return conversations{} }
func (r *root) User() generated.UserResolver                   { return users{} }
func (r *root) Presence() generated.PresenceResolver           { return presences{s: r.s} }
func (r *root) TypingChanged() generated.TypingChangedResolver { return typing{} }

func (q queries) Me(ctx context.Context) (*chat.User, error) {
	v, ok := chat.ViewerFrom(ctx)
	if !ok {
		return nil, nil
	}
	return &chat.User{ID: v.User, Username: "me"}, nil
}

func (q queries) User(ctx context.Context, id chat.ID) (*chat.User, error) {
	select { // until the test says so, or the operation is cancelled
	case <-q.s.block:
		return &chat.User{ID: id, Username: "late"}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m mutations) SignOut(ctx context.Context) (*model.SignOutPayload, error) {
	if _, err := chat.MustViewer(ctx); err != nil {
		return nil, err
	}
	return &model.SignOutPayload{Cursor: chat.Cursor{Epoch: epoch, Position: m.s.log.Applied()}}, nil
}

func cursor(e *chat.Event) chat.Cursor { return chat.Cursor{Epoch: epoch, Position: e.Position} }

func messageAdded(e *chat.Event) (model.MessageEvent, bool) {
	switch e.Type {
	case chat.CaughtUp:
		return model.CaughtUp{Cursor: cursor(e), At: e.At}, true
	case chat.MessageAdded:
		if strings.HasPrefix(e.Rows.Message.Body, "project panics") {
			panic("project")
		}
		return model.MessageAdded{Cursor: cursor(e), At: e.At, Actor: e.Rows.Actor, ConversationID: e.Topic.ID, Message: e.Rows.Message}, true
	}
	return nil, false
}

func anyEvent(e *chat.Event) (model.Event, bool) {
	switch e.Type {
	case chat.ConversationUpdated:
		return model.ConversationUpdated{Cursor: cursor(e), At: e.At, ConversationID: e.Topic.ID, Conversation: e.Rows.Conversation}, true
	case chat.ConversationDeleted:
		return model.ConversationDeleted{Cursor: cursor(e), At: e.At, ConversationID: e.Topic.ID}, true
	case chat.MemberAdded:
		return model.MemberAdded{Cursor: cursor(e), At: e.At, ConversationID: e.Topic.ID, Conversation: e.Rows.Conversation, User: e.Rows.User, Role: e.Detail.Role}, true
	case chat.MemberRemoved:
		return model.MemberRemoved{Cursor: cursor(e), At: e.At, ConversationID: e.Topic.ID, User: e.Rows.User}, true
	case chat.MemberLeft:
		return model.MemberLeft{Cursor: cursor(e), At: e.At, ConversationID: e.Topic.ID, User: e.Rows.User}, true
	case chat.SessionEnded:
		return model.SessionEnded{Cursor: cursor(e), At: e.At, SessionID: e.Subject}, true
	}
	m, ok := messageAdded(e)
	if !ok {
		return nil, false
	}
	return m.(model.Event), true
}

func (r subscriptions) Events(ctx context.Context, after *chat.Cursor, types []chat.EventType) (<-chan model.Event, error) {
	return live.Subscribe(ctx, after, func(ctx context.Context) (live.Admission, error) {
		v, err := chat.MustViewer(ctx)
		if err != nil {
			return live.Admission{}, err
		}
		a := live.Admission{Follow: live.FollowMemberships, Spans: append(r.s.spans(v.User, nil), chat.Span{Topic: chat.UserTopic(v.User)})}
		if r.s.admitting != nil {
			r.s.admitting()
		}
		return a, nil
	}, func(e *chat.Event) (model.Event, bool) {
		if len(types) > 0 && e.Type != chat.CaughtUp {
			wanted := false
			for _, t := range types {
				wanted = wanted || t == e.Type
			}
			if !wanted {
				return nil, false
			}
		}
		return anyEvent(e)
	})
}

func (r subscriptions) member(ctx context.Context, c chat.ID) (live.Admission, error) {
	v, err := chat.MustViewer(ctx)
	if err != nil {
		return live.Admission{}, err
	}
	if r.s.away.Load() > 0 && r.s.away.Add(-1) >= 0 {
		return live.Admission{}, &chat.Error{Code: chat.CodeUnavailable, Message: "try again"}
	}
	topic := chat.ConversationTopic(c)
	spans := r.s.spans(v.User, &topic)
	if !slices.ContainsFunc(spans, func(s chat.Span) bool { return s.To == 0 }) {
		return live.Admission{}, chat.ErrNotFound
	}
	if r.s.admitting != nil {
		r.s.admitting()
	}
	return live.Admission{Follow: live.FollowConversation, Spans: spans}, nil
}

func (r subscriptions) MessageAdded(ctx context.Context, c chat.ID, after *chat.Cursor) (<-chan model.MessageEvent, error) {
	return live.Subscribe(ctx, after, func(ctx context.Context) (live.Admission, error) { return r.member(ctx, c) }, messageAdded)
}

func (r subscriptions) ConversationUpdated(ctx context.Context, c chat.ID, after *chat.Cursor) (<-chan model.ConversationEvent, error) {
	return live.Subscribe(ctx, after, func(ctx context.Context) (live.Admission, error) { return r.member(ctx, c) }, func(e *chat.Event) (model.ConversationEvent, bool) {
		ev, _ := anyEvent(e)
		ce, ok := ev.(model.ConversationEvent)
		return ce, ok
	})
}

func (r subscriptions) PresenceChanged(ctx context.Context, ids []chat.ID) (<-chan *model.PresenceChanged, error) {
	return live.Subscribe(ctx, nil, func(ctx context.Context) (live.Admission, error) {
		v, err := chat.MustViewer(ctx)
		if err != nil {
			return live.Admission{}, err
		}
		a := live.Admission{Follow: live.FollowFriends, Only: ids, Snapshot: func(ctx context.Context) (*chat.Event, error) {
			v, _ := chat.ViewerFrom(ctx)
			return &chat.Event{Type: chat.PresenceSignal, Rows: chat.Rows{Presences: r.s.presence(v.User)}}, nil
		}}
		for _, p := range r.s.presence(v.User) {
			a.Topics = append(a.Topics, chat.PresenceTopic(p.User))
		}
		return a, nil
	}, func(e *chat.Event) (*model.PresenceChanged, bool) {
		return &model.PresenceChanged{Snapshot: e.Rows.Snapshot, Presences: e.Rows.Presences}, true
	})
}

func (s *stage) presence(u chat.ID) (ps []chat.Presence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.friends[u] {
		ps = append(ps, chat.Presence{User: f, Online: s.online[f]})
	}
	return ps
}

func (r subscriptions) TypingChanged(ctx context.Context, c chat.ID) (<-chan *model.TypingChanged, error) {
	return live.Subscribe(ctx, nil, func(ctx context.Context) (live.Admission, error) {
		if _, err := r.member(ctx, c); err != nil {
			return live.Admission{}, err
		}
		t := chat.TypingTopic(c)
		return live.Admission{Follow: live.FollowConversation, Topics: []chat.Topic{t}, Snapshot: func(context.Context) (*chat.Event, error) {
			return &chat.Event{Type: chat.TypingSignal, Topic: t}, nil
		}}, nil
	}, func(e *chat.Event) (*model.TypingChanged, bool) {
		return &model.TypingChanged{ConversationID: e.Topic.ID}, true
	})
}

func (m messages) Sender(ctx context.Context, obj *chat.Message) (*chat.User, error) {
	switch {
	case strings.HasPrefix(obj.Body, "viewer?"):
		if _, ok := chat.ViewerFrom(ctx); ok {
			return nil, errors.New("a viewer in a shared execution")
		}
	case strings.HasPrefix(obj.Body, "panic"):
		panic("boom")
	case strings.HasPrefix(obj.Body, "fail"):
		return nil, errors.New("sender failed")
	case strings.HasPrefix(obj.Body, "gone"):
		return nil, chat.ErrNotFound
	case strings.HasPrefix(obj.Body, "loaders"):
		l, ok := ctx.Value(loadersKey{}).(*loaders)
		if !ok || l.used.Add(1) != 1 {
			return nil, errors.New("stale loaders")
		}
	case m.s.unavailable.Load() > 0 && m.s.unavailable.Add(-1) >= 0:
		return nil, &chat.Error{Code: chat.CodeUnavailable, Message: "try again"}
	}
	return &chat.User{ID: obj.Sender, Username: "nine", DisplayName: "Nine"}, nil
}

func (m messages) Conversation(ctx context.Context, obj *chat.Message) (*chat.Conversation, error) {
	return &chat.Conversation{ID: obj.Conversation, Kind: chat.Group, Closed: chat.IsClosed(ctx)}, nil
}

func (conversations) Title(ctx context.Context, obj *chat.Conversation) (*string, error) {
	t := "open"
	if chat.IsClosed(ctx) {
		t = "closed"
	}
	return &t, nil
}

func (conversations) UnreadCount(ctx context.Context, _ *chat.Conversation) (int, error) {
	v, err := chat.MustViewer(ctx)
	return int(v.User.UUID[15]), err
}

func (users) Relationship(ctx context.Context, obj *chat.User) (chat.Relationship, error) {
	v, err := chat.MustViewer(ctx)
	if v.User == obj.ID {
		return chat.RelationSelf, err
	}
	return chat.RelationNone, err
}

func (p presences) User(_ context.Context, obj *chat.Presence) (*chat.User, error) {
	return &chat.User{ID: obj.User}, nil
}

func (p presences) Status(_ context.Context, obj *chat.Presence) (model.PresenceStatus, error) {
	if obj.Online {
		return model.PresenceStatusOnline, nil
	}
	return model.PresenceStatusOffline, nil
}

func (typing) Users(context.Context, *model.TypingChanged) ([]chat.User, error) {
	return []chat.User{}, nil
}
