// Package friend holds the rules of friend requests, friendships and blocks.
//
// Every change of how two users stand to each other locks both users' rows first, so that such changes happen one after
// another. Accepting a request changes the request and nothing else: the friendship is a consequence (OnAccepted), and so
// is whatever follows from the friendship, all in the same transaction.
package friend

import (
	"context"
	"errors"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Config has the limits. Zero values mean the defaults.
type Config struct {
	MaxFriends int // of one user; 0: 5,000
	MaxPending int // requests of one user that wait for an answer; 0: 500
}

// Service holds the rules.
type Service struct {
	store *store.Store
	Config
}

// New makes the service. It registers nothing: see OnAccepted.
func New(s *store.Store, c Config) *Service {
	if c.MaxFriends == 0 {
		c.MaxFriends = 5000
	}
	if c.MaxPending == 0 {
		c.MaxPending = 500
	}
	return &Service{s, c}
}

// Friends reads a page of user's friendships, the newest first.
func (s *Service) Friends(ctx context.Context, user chat.ID, p chat.Page) (chat.List[chat.Friendship], error) {
	return s.store.FriendshipPage(ctx, user, p)
}

// FriendIDs reads the ids of all of user's friends.
func (s *Service) FriendIDs(ctx context.Context, user chat.ID) ([]chat.ID, error) {
	return s.store.FriendIDs(ctx, user)
}

// RequestPage reads a page of the requests that user made (outgoing) or got, the newest first.
func (s *Service) RequestPage(ctx context.Context, user chat.ID, outgoing bool, status chat.RequestStatus, p chat.Page) (chat.List[chat.FriendRequest], error) {
	return s.store.RequestPage(ctx, user, outgoing, status, p)
}

// Blocked reads a page of the users whom user has blocked, the newest block first.
func (s *Service) Blocked(ctx context.Context, user chat.ID, p chat.Page) (chat.List[chat.ID], error) {
	return s.store.BlockPage(ctx, user, p)
}

// Requests reads friend requests by id, whoever they are between: what a viewer meets of them is theirs already.
func (s *Service) Requests(ctx context.Context, ids []chat.ID) (map[chat.ID]*chat.FriendRequest, error) {
	l, err := s.store.FriendRequests(ctx, ids)
	out := make(map[chat.ID]*chat.FriendRequest, len(l))
	for i := range l {
		out[l[i].ID] = &l[i]
	}
	return out, err
}

// Relationships says how each of users stands to viewer.
func (s *Service) Relationships(ctx context.Context, viewer chat.ID, users []chat.ID) (map[chat.ID]chat.Relationship, error) {
	found, err := s.store.Relationships(ctx, viewer, users)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		if u == viewer {
			found[u] = chat.RelationSelf
		} else if _, ok := found[u]; !ok {
			found[u] = chat.RelationNone
		}
	}
	return found, nil
}

// pair locks the rows of two users. Errors: NOT_FOUND when one of them does not exist.
func pair(tx *store.Tx, a, b chat.ID) error {
	found, err := tx.LockUsers(a, b)
	if err == nil && len(found) < 2 {
		return chat.ErrNotFound
	}
	return err
}

// another refuses the viewer themself, and what is not a user. Errors: BAD_USER_INPUT, NOT_FOUND.
func another(viewer, user chat.ID, self string) error {
	switch {
	case user == viewer:
		return chat.BadInput(self, "input", "userId")
	case user.Kind != chat.KindUser:
		return chat.ErrNotFound
	}
	return nil
}

// absent turns NOT_FOUND into false.
func absent(err error) (found bool, _ error) {
	if errors.Is(err, chat.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
