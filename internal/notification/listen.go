package notification

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// OnRequestSent is a store.Listener for FRIEND_REQUEST_SENT.
func (s *Service) OnRequestSent(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	f := e.Rows.Request
	if e.Topic != chat.UserTopic(f.To) { // there is an entry for each side
		return nil
	}
	return s.notify(ctx, tx, chat.Notification{Kind: chat.NotifyFriendRequest, Actor: f.From, Subject: f.ID}, f.To)
}

// OnRequestAnswered is a store.Listener for what ends a friend request: that it was made need not be read any more, and who
// made it is told of a yes.
func (s *Service) OnRequestAnswered(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	f := e.Rows.Request
	if e.Topic != chat.UserTopic(f.To) {
		return nil
	}
	read, err := tx.ReadNotificationAbout(f.To, chat.NotifyFriendRequest, f.ID)
	if err != nil {
		return err
	}
	if _, err := tellRead(ctx, tx, read); err != nil || e.Type != chat.FriendRequestAccepted {
		return err
	}
	return s.notify(ctx, tx, chat.Notification{Kind: chat.NotifyFriendRequestAccepted, Actor: f.To, Subject: f.ID}, f.From)
}

// OnMemberAdded is a store.Listener for MEMBER_ADDED. At the last of those who are added at once it tells all of them.
func (s *Service) OnMemberAdded(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	all := tx.Emitted(e.Type)
	if e != all[len(all)-1] {
		return nil
	}
	var users []chat.ID
	for _, e := range all {
		users = append(users, e.Subject)
	}
	return s.added(ctx, tx, e, users)
}

// OnConversationCreated is a store.Listener for CONVERSATION_CREATED: it tells the first members of a group.
func (s *Service) OnConversationCreated(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	if e.Rows.Conversation.Kind != chat.Group {
		return nil
	}
	return s.added(ctx, tx, e, e.Detail.Members)
}

// added tells those who were added to a group by somebody else.
func (s *Service) added(ctx context.Context, tx *store.Tx, e *chat.Event, users []chat.ID) error {
	var others []chat.ID
	for _, u := range users {
		if u != e.Actor {
			others = append(others, u)
		}
	}
	return s.notify(ctx, tx, chat.Notification{Kind: chat.NotifyAddedToGroup, Actor: e.Actor, Conversation: e.Topic.ID}, others...)
}
