package user

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// UpdateProfile changes what others see of the viewer; nil leaves a value as it is. The viewer and their friends hear of
// it if anything is different. Errors: BAD_USER_INPUT.
func (s *Service) UpdateProfile(ctx context.Context, v chat.Viewer, newName, newBio *string) (*chat.User, chat.Position, error) {
	var name, about string
	var err error
	if newName != nil {
		if name, err = displayName(*newName); err != nil {
			return nil, 0, err
		}
	}
	if newBio != nil {
		if about, err = bio(*newBio); err != nil {
			return nil, 0, err
		}
	}
	var u chat.User
	pos, err := s.store.Write(ctx, v.User, func(tx *store.Tx) error {
		before, _, err := tx.LockUser(v.User)
		if err != nil {
			return err
		}
		u = before
		if newName != nil {
			u.DisplayName = name
		}
		if newBio != nil {
			u.Bio = about
		}
		if u == before {
			return nil
		}
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
		row := u
		tx.Emit(chat.Event{Type: chat.ProfileChanged, Subject: u.ID, Rows: chat.Rows{Actor: &row, User: &row}}, topics...)
		return nil
	})
	return &u, pos, err
}

// ChangePassword sets a new password and ends every session of the viewer but this one. Errors: UNAUTHENTICATED when the
// current password is wrong, BAD_USER_INPUT, RATE_LIMITED.
func (s *Service) ChangePassword(ctx context.Context, v chat.Viewer, current, wanted string) (*chat.User, chat.Position, error) {
	if err := newPassword(wanted, "newPassword"); err != nil {
		return nil, 0, err
	}
	if err := s.perUser.Allow(ctx, "user "+v.User.String()); err != nil {
		return nil, 0, err
	}
	known, err := s.store.CredentialsOf(ctx, v.User)
	if err != nil {
		return nil, 0, err
	}
	wrong := &chat.Error{Code: chat.CodeUnauthenticated, Message: "the current password is wrong"}
	switch right, err := s.hasher.matches(ctx, current, known.PasswordHash); {
	case err != nil:
		return nil, 0, err
	case !right:
		return nil, 0, wrong
	}
	hash, err := s.hasher.hash(ctx, wanted)
	if err != nil {
		return nil, 0, err
	}
	var u chat.User
	pos, _, err := s.end(ctx, v.User, func(tx *store.Tx) ([]chat.Session, error) {
		var kept string
		var err error
		if u, kept, err = tx.LockUser(v.User); err != nil {
			return nil, err
		}
		if kept != known.PasswordHash { // somebody else was faster
			return nil, wrong
		}
		if live, err := tx.IsLive(v.User, v.Session); err != nil || !live {
			if err == nil {
				err = chat.ErrUnauthenticated
			}
			return nil, err
		}
		if err := tx.SetPasswordHash(v.User, hash); err != nil {
			return nil, err
		}
		return tx.EndOtherSessions(v.User, v.Session)
	})
	return &u, pos, err
}
