package user

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
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

// IsAdmin says whether a user is an administrator now.
func (s *Service) IsAdmin(ctx context.Context, id chat.ID) (bool, error) {
	return s.store.IsAdmin(ctx, id)
}
