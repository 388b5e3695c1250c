package conversation

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// SetAvatar makes an upload of viewer's the avatar of a group, or removes what it has, if file is zero. The file of the one
// before is deleted. Errors: NOT_FOUND, also unless it is an upload of theirs that nothing uses; FORBIDDEN.
func (s *Service) SetAvatar(ctx context.Context, viewer, group, file chat.ID) (c chat.Conversation, _ chat.Position, err error) {
	pos, err := s.change(ctx, viewer, group, func(tx *store.Tx, g chat.Conversation, me chat.Member) error {
		if err := Check(g.Kind, me.Role, Update, ""); err != nil {
			return err
		}
		if c = g; c.Avatar == file {
			return nil
		}
		if err := forget(tx, g); err != nil {
			return err
		}
		if !file.IsZero() {
			if err := tx.UseUpload(viewer, file); err != nil {
				return err
			}
		}
		c.Avatar = file
		return update(tx, c)
	})
	return c, pos, err
}

// forget deletes the file of a group's avatar.
func forget(tx *store.Tx, g chat.Conversation) error {
	if g.Avatar.IsZero() {
		return nil
	}
	return tx.DeleteFile(g.Avatar)
}
