package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Suspend ends every session of a user and every API key of their bots, and none begins until Restore: every node that follows the log closes their sockets
// and refuses their tokens. It says how many sessions have ended. Errors: NOT_FOUND.
func (s *Service) Suspend(ctx context.Context, name string) (int, error) {
	id, err := s.named(ctx, name)
	if err != nil {
		return 0, err
	}
	_, ended, err := s.end(ctx, chat.ID{}, func(tx *store.Tx) ([]chat.Session, error) {
		if err := tx.Suspend(id); err != nil {
			return nil, err
		}
		return tx.EndSessions(id)
	})
	return len(ended), err
}

// Restore lets a suspended user sign in again. Errors: NOT_FOUND.
func (s *Service) Restore(ctx context.Context, name string) error {
	id, err := s.named(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.Restore(id) })
	return err
}

func (s *Service) named(ctx context.Context, name string) (chat.ID, error) {
	key, _ := chat.CleanUsername(name)
	known, err := s.store.Credentials(ctx, key)
	if errors.Is(err, chat.ErrNotFound) {
		err = &chat.Error{Code: chat.CodeNotFound, Message: fmt.Sprintf("there is no user %q", name)}
	}
	return known.User, err
}
