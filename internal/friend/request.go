package friend

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Request asks a user to become friends; when that user has asked viewer already it accepts their request instead. Errors:
// BAD_USER_INPUT for oneself; NOT_FOUND for an unknown user and for one with a block between the two; CONFLICT when they
// are friends, when viewer has asked already, and at the limits of pending requests and of friends.
func (s *Service) Request(ctx context.Context, viewer, user chat.ID) (f chat.FriendRequest, _ chat.Position, err error) {
	if err := another(viewer, user, "you cannot ask yourself"); err != nil {
		return f, 0, err
	}
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if err := pair(tx, viewer, user); err != nil {
			return err
		}
		if blocked, err := tx.Blocked(viewer, user); err != nil {
			return err
		} else if blocked {
			return chat.ErrNotFound
		}
		_, err := tx.Friendship(ctx, viewer, user)
		if friends, err := absent(err); err != nil {
			return err
		} else if friends {
			return chat.Conflict("you are friends already")
		}
		f, err = tx.PendingRequest(viewer, user)
		switch pending, err := absent(err); {
		case err != nil:
			return err
		case pending && f.From == viewer:
			return chat.Conflict("you have asked already")
		case pending:
			return answer(tx, &f, chat.RequestAccepted)
		}
		if n, err := tx.CountPendingRequests(viewer, s.MaxPending); err != nil {
			return err
		} else if n >= s.MaxPending {
			return chat.Conflict("too many of your requests wait for an answer; take some back")
		}
		f = chat.FriendRequest{ID: chat.NewID(chat.KindFriendRequest), From: viewer, To: user, Status: chat.RequestPending, CreatedAt: tx.Now}
		if err := tx.InsertRequest(f); err != nil {
			return err
		}
		emit(tx, chat.FriendRequestSent, f)
		return nil
	})
	return f, pos, err
}

// Accept says yes to a request. It returns the friendship that followed from it too. Errors: NOT_FOUND for everybody but
// the two, FORBIDDEN for the requester, CONFLICT when the request is not pending any more or one of the two has as many
// friends as anybody may have.
func (s *Service) Accept(ctx context.Context, viewer, request chat.ID) (f chat.FriendRequest, _ chat.Friendship, _ chat.Position, err error) {
	f, pos, err := s.settle(ctx, viewer, request, chat.RequestAccepted)
	if err != nil {
		return f, chat.Friendship{}, 0, err
	}
	// Not read from the table: the friendship may be over by now. Their direct conversation is for ever.
	direct, err := s.store.DirectConversation(ctx, f.From, f.To)
	return f, chat.Friendship{Of: viewer, User: f.From, Since: f.AnsweredAt, Conversation: direct}, pos, err
}

// Reject says no to a request. Errors: as those of Accept.
func (s *Service) Reject(ctx context.Context, viewer, request chat.ID) (chat.FriendRequest, chat.Position, error) {
	return s.settle(ctx, viewer, request, chat.RequestRejected)
}

// Cancel takes a request back. Errors: NOT_FOUND for everybody but the two, FORBIDDEN for the recipient, CONFLICT when the
// request is not pending any more.
func (s *Service) Cancel(ctx context.Context, viewer, request chat.ID) (chat.FriendRequest, chat.Position, error) {
	return s.settle(ctx, viewer, request, chat.RequestCancelled)
}

// settle gives a pending request its last status.
func (s *Service) settle(ctx context.Context, viewer, request chat.ID, status chat.RequestStatus) (f chat.FriendRequest, _ chat.Position, err error) {
	if request.Kind != chat.KindFriendRequest {
		return f, 0, chat.ErrNotFound
	}
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) (err error) {
		if f, err = tx.FriendRequest(ctx, request); err != nil {
			return err
		}
		if err := may(viewer, f, status); err != nil {
			return err
		}
		if err := pair(tx, f.From, f.To); err != nil {
			return err
		}
		if f, err = tx.FriendRequest(ctx, request); err != nil { // as it is now that it cannot change any more
			return err
		}
		if f.Status != chat.RequestPending {
			return chat.Conflict("the request is not pending any more")
		}
		return answer(tx, &f, status)
	})
	return f, pos, err
}

func may(viewer chat.ID, f chat.FriendRequest, status chat.RequestStatus) error {
	switch {
	case viewer != f.From && viewer != f.To:
		return chat.ErrNotFound
	case status == chat.RequestCancelled && viewer != f.From:
		return chat.Forbidden("only who asked takes a request back")
	case status != chat.RequestCancelled && viewer != f.To:
		return chat.Forbidden("only who was asked answers a request")
	}
	return nil
}

var answered = map[chat.RequestStatus]chat.EventType{
	chat.RequestAccepted:  chat.FriendRequestAccepted,
	chat.RequestRejected:  chat.FriendRequestRejected,
	chat.RequestCancelled: chat.FriendRequestCancelled,
}

func answer(tx *store.Tx, f *chat.FriendRequest, status chat.RequestStatus) error {
	f.Status, f.AnsweredAt = status, tx.Now
	if err := tx.AnswerRequest(*f); err != nil {
		return err
	}
	emit(tx, answered[status], *f)
	return nil
}

// emit tells both sides; the request travels along.
func emit(tx *store.Tx, t chat.EventType, f chat.FriendRequest) {
	tx.Emit(chat.Event{Type: t, Subject: f.ID, Rows: chat.Rows{Request: &f}}, chat.UserTopic(f.From), chat.UserTopic(f.To))
}
