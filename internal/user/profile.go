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
		if name, err = chat.NewName(*newName, "displayName"); err != nil {
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
		return profileChanged(ctx, tx, u)
	})
	return &u, pos, err
}

// ChangePassword sets a new password and ends every session of the viewer but this one. Errors: UNAUTHENTICATED when the
// current password is wrong, BAD_USER_INPUT, RATE_LIMITED.
func (s *Service) ChangePassword(ctx context.Context, v chat.Viewer, current, wanted string) (*chat.User, chat.Position, error) {
	if err := newPassword(wanted, "newPassword"); err != nil {
		return nil, 0, err
	}
	known, err := s.confirm(ctx, v, current)
	if err != nil {
		return nil, 0, err
	}
	hash, err := s.hasher.hash(ctx, wanted)
	if err != nil {
		return nil, 0, err
	}
	var u chat.User
	pos, _, err := s.end(ctx, v.User, func(tx *store.Tx) (_ []chat.Session, err error) {
		if u, err = lockConfirmed(tx, v, known); err != nil {
			return nil, err
		}
		if err := setPassword(ctx, tx, u, hash); err != nil {
			return nil, err
		}
		return tx.EndOtherSessions(v.User, v.Session)
	})
	return &u, pos, err
}

var errCurrentPassword = &chat.Error{Code: chat.CodeUnauthenticated, Message: "the current password is wrong", Path: []string{"currentPassword"}}

// confirm says that the viewer knows their password, whose hash it returns for lockConfirmed.
func (s *Service) confirm(ctx context.Context, v chat.Viewer, current string) (hash string, err error) {
	if err := s.perUser.Allow(ctx, "user "+v.User.String()); err != nil {
		return "", err
	}
	known, err := s.store.CredentialsOf(ctx, v.User)
	if err != nil {
		return "", err
	}
	right, err := s.hasher.matches(ctx, current, known.PasswordHash)
	if err == nil && !right {
		err = errCurrentPassword
	}
	return known.PasswordHash, err
}

// lockConfirmed locks the viewer, whose password and session are still what they were.
func lockConfirmed(tx *store.Tx, v chat.Viewer, hash string) (chat.User, error) {
	u, kept, err := tx.LockUser(v.User)
	if err != nil {
		return u, err
	}
	if kept != hash { // somebody else was faster
		return u, errCurrentPassword
	}
	live, err := tx.IsLive(v.User, v.Session)
	if err == nil && !live {
		err = chat.ErrUnauthenticated
	}
	return u, err
}
