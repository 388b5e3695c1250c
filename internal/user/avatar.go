package user

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// SetAvatar makes an upload of the viewer's their avatar, or removes what they have, if file is zero. The file of the one
// before is deleted. The viewer and their friends hear of it. Errors: NOT_FOUND unless it is an upload of theirs that
// nothing uses.
func (s *Service) SetAvatar(ctx context.Context, v chat.Viewer, file chat.ID) (*chat.User, chat.Position, error) {
	var u chat.User
	pos, err := s.store.Write(ctx, v.User, func(tx *store.Tx) error {
		var err error
		if u, _, err = tx.LockUser(v.User); err != nil || u.Avatar == file {
			return err
		}
		if !u.Avatar.IsZero() {
			if err := tx.DeleteFile(u.Avatar); err != nil {
				return err
			}
		}
		if !file.IsZero() {
			if err := tx.UseUpload(v.User, file); err != nil {
				return err
			}
		}
		u.Avatar = file
		return profileChanged(ctx, tx, u)
	})
	return &u, pos, err
}

// profileChanged stores a profile and tells the user and their friends.
func profileChanged(ctx context.Context, tx *store.Tx, u chat.User) error {
	if err := tx.UpdateProfile(u); err != nil {
		return err
	}
	friends, err := tx.FriendIDs(ctx, u.ID)
	if err != nil {
		return err
	}
	topics := []chat.Topic{chat.UserTopic(u.ID)}
	for _, f := range friends {
		topics = append(topics, chat.UserTopic(f))
	}
	tx.Emit(chat.Event{Type: chat.ProfileChanged, Subject: u.ID, Rows: chat.Rows{Actor: &u, User: &u}}, topics...)
	return nil
}
