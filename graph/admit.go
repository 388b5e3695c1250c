package graph

import (
	"context"
	"slices"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/live"
)

// Who may listen to what: each runs once for a listener, with the viewer.

type admit = func(context.Context) (live.Admission, error)

// wholeFeed admits every signed-in viewer to their own topic and to their conversations.
func (r *Resolver) wholeFeed(after *chat.Cursor) admit {
	return func(ctx context.Context) (a live.Admission, err error) {
		v, err := chat.MustViewer(ctx)
		if err != nil {
			return a, err
		}
		a.Follow = live.FollowMemberships
		a.Spans, err = r.Feed.Spans(ctx, v, r.from(after))
		return a, err
	}
}

// from is the position after which a subscription begins.
func (r *Resolver) from(after *chat.Cursor) chat.Position {
	if after == nil {
		return r.Applied()
	}
	return after.Position
}

// ownTopic admits every signed-in viewer to what concerns them alone.
func (r *Resolver) ownTopic(ctx context.Context) (a live.Admission, err error) {
	v, err := chat.MustViewer(ctx)
	a.Spans = []chat.Span{{Topic: chat.UserTopic(v.User)}}
	return a, err
}

// oneConversation admits its members, to the spans in which they were members.
func (r *Resolver) oneConversation(conversation chat.ID, after *chat.Cursor) admit {
	return func(ctx context.Context) (a live.Admission, err error) {
		v, err := chat.MustViewer(ctx)
		if err != nil {
			return a, err
		}
		a.Follow = live.FollowConversation
		a.Spans, err = r.Feed.SpansIn(ctx, v, conversation, r.from(after))
		return a, err
	}
}

// watch admits the viewer to their own presence and that of their friends: of all, or of those among users.
func (r *Resolver) watch(users []chat.ID) admit {
	return func(ctx context.Context) (a live.Admission, err error) {
		v, err := chat.MustViewer(ctx)
		if err != nil {
			return a, err
		}
		if len(users) > chat.MaxPage {
			return a, chat.BadInput("at most 100", "userIds")
		}
		allowed := func(ctx context.Context) ([]chat.ID, error) {
			friends, err := r.Friends.FriendIDs(ctx, v.User)
			if users == nil {
				return friends, err
			}
			return slices.DeleteFunc(append(friends, v.User), func(u chat.ID) bool { return !slices.Contains(users, u) }), err
		}
		watched, err := allowed(ctx)
		for _, u := range watched {
			a.Topics = append(a.Topics, chat.PresenceTopic(u))
		}
		a.Follow, a.Only = live.FollowFriends, users
		a.Snapshot = func(ctx context.Context) (*chat.Event, error) {
			watched, err := allowed(ctx)
			if err != nil {
				return nil, err
			}
			return r.Presences.Snapshot(ctx, watched)
		}
		return a, err
	}
}

// watchTyping admits the members of a conversation.
func (r *Resolver) watchTyping(conversation chat.ID) admit {
	return func(ctx context.Context) (a live.Admission, err error) {
		v, err := chat.MustViewer(ctx)
		if err != nil {
			return a, err
		}
		if _, err = r.Conversations.Get(ctx, v.User, conversation); err != nil {
			return a, err
		}
		a.Topics, a.Follow = []chat.Topic{chat.TypingTopic(conversation)}, live.FollowConversation
		a.Snapshot = func(context.Context) (*chat.Event, error) { return r.Presences.TypingSnapshot(conversation), nil }
		return a, nil
	}
}
