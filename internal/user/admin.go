package user

import (
	"context"
	"errors"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// SetAdmin makes a user an administrator, who may look at and act on what operators do, or takes that away again. It counts
// at once, on every node. Errors: NOT_FOUND.
func (s *Service) SetAdmin(ctx context.Context, name string, admin bool) error {
	id, err := s.named(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.SetAdmin(id, admin) })
	return err
}

// SignInAdmin starts a session for an administrator, and returns its refresh token. Errors: those of SignIn, and FORBIDDEN.
func (s *Service) SignInAdmin(ctx context.Context, c token.Client, name, password string) (refreshToken string, err error) {
	in, err := s.SignIn(ctx, c, name, password)
	if err != nil {
		return "", err
	}
	switch admin, err := s.IsAdmin(ctx, in.User.ID); {
	case err != nil:
		return "", err
	case !admin:
		if _, err := s.SignOut(ctx, chat.Viewer{User: in.User.ID, Session: in.Session.ID}); err != nil {
			return "", err
		}
		return "", chat.Forbidden("this is for administrators; an operator makes you one with: parley admin <your username>")
	}
	return in.Refresh, nil
}

// Holder says whose a live session is, by its newest refresh token, which stays what it is. Errors: UNAUTHENTICATED.
func (s *Service) Holder(ctx context.Context, refreshToken string) (chat.ID, error) {
	id, generation, err := s.tokens.ReadRefresh(refreshToken)
	if err != nil {
		return chat.ID{}, err
	}
	user, err := s.store.Holder(ctx, id, generation, s.now())
	if errors.Is(err, chat.ErrNotFound) {
		err = errRefresh
	}
	return user, err
}

// IsAdmin says whether a user is an administrator now.
func (s *Service) IsAdmin(ctx context.Context, id chat.ID) (bool, error) {
	return s.store.IsAdmin(ctx, id)
}
