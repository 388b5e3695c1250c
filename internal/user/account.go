package user

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// How long what mails lead to can be done.
const (
	verifyWithin = 72 * time.Hour
	resetWithin  = 30 * time.Minute
	tellWithin   = 48 * time.Hour // as long as it is tried
)

// Account reads what the viewer sees of themselves alone. Errors: NOT_FOUND.
func (s *Service) Account(ctx context.Context, v chat.Viewer) (*chat.Account, error) {
	found, err := s.store.Accounts(ctx, []chat.ID{v.User})
	if err == nil && len(found) == 0 {
		err = chat.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

// ChangeEmail has a mail sent to an address by which the viewer shows that it is theirs; until then it is nobody's, and they
// keep the one that they have. To say the latter again calls a change off. Errors: UNAUTHENTICATED when the current password
// is wrong, BAD_USER_INPUT, RATE_LIMITED.
func (s *Service) ChangeEmail(ctx context.Context, v chat.Viewer, email, current string) (*chat.Account, chat.Position, error) {
	if !isEmail(email) {
		return nil, 0, errEmail
	}
	hash, err := s.confirm(ctx, v, current)
	if err != nil {
		return nil, 0, err
	}
	if err := s.mayMail(ctx, v.User, email); err != nil {
		return nil, 0, err
	}
	var a chat.Account
	pos, err := s.store.Write(ctx, v.User, func(tx *store.Tx) error {
		u, err := lockConfirmed(tx, v, hash)
		if err != nil {
			return err
		}
		if a, err = account(ctx, tx, u.ID); err != nil {
			return err
		}
		before := a.UnverifiedEmail
		if a.UnverifiedEmail = email; email == a.Email {
			a.UnverifiedEmail = ""
		}
		if err := tx.DeleteMailTokens(u.ID, chat.MailWelcome, chat.MailVerify); err != nil {
			return err
		}
		if a.UnverifiedEmail != "" {
			if err := s.mail(ctx, tx, chat.MailVerify, u.ID, email, verifyWithin); err != nil {
				return err
			}
		}
		if a.UnverifiedEmail == before {
			return nil
		}
		emitAccount(tx, u)
		return tx.SetUnverifiedEmail(u.ID, a.UnverifiedEmail)
	})
	return &a, pos, err
}

// ResendVerification sends the mail once more by which the viewer shows that their address is theirs. Errors: CONFLICT when
// there is none to show it of, RATE_LIMITED.
func (s *Service) ResendVerification(ctx context.Context, v chat.Viewer) (*chat.Account, chat.Position, error) {
	known, err := s.Account(ctx, v)
	if err != nil {
		return nil, 0, err
	}
	if known.UnverifiedEmail != "" {
		if err := s.mayMail(ctx, v.User, known.UnverifiedEmail); err != nil {
			return nil, 0, err
		}
	}
	var a chat.Account
	pos, err := s.store.Write(ctx, v.User, func(tx *store.Tx) error {
		_, _, err := tx.LockUser(v.User)
		if err != nil {
			return err
		}
		if a, err = account(ctx, tx, v.User); err != nil {
			return err
		}
		if a.UnverifiedEmail == "" || a.UnverifiedEmail != known.UnverifiedEmail {
			return chat.Conflict("there is no address that waits to be verified")
		}
		return s.mail(ctx, tx, chat.MailVerify, v.User, a.UnverifiedEmail, verifyWithin)
	})
	return &a, pos, err
}

// VerifyEmail takes the token of a mail as the proof that its address is the user's, whoever comes with it. A former address
// is told. Errors: BAD_USER_INPUT when the token is worth nothing, CONFLICT when the address is another account's by now.
func (s *Service) VerifyEmail(ctx context.Context, link string) (email string, _ chat.Position, err error) {
	t, err := s.MailToken(ctx, token.ForAddress, link)
	if err != nil {
		return "", 0, err
	}
	pos, err := s.store.Write(ctx, t.User, func(tx *store.Tx) error {
		u, err := s.use(tx, t)
		if err != nil {
			return err
		}
		before, err := account(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		switch free, err := tx.SetEmail(u.ID, t.Email); {
		case err != nil:
			return err
		case !free:
			return chat.Conflict("this address is another account's; give that one up, or choose another address")
		}
		// What went to the former address is worth nothing any more.
		if err := tx.DeleteMailTokens(u.ID, chat.MailWelcome, chat.MailVerify, chat.MailReset); err != nil {
			return err
		}
		emitAccount(tx, u)
		if before.Email == "" || strings.EqualFold(before.Email, t.Email) {
			return nil
		}
		return s.mail(ctx, tx, chat.MailChanged, u.ID, before.Email, tellWithin)
	})
	return t.Email, pos, err
}

// RequestPasswordReset has a mail sent by which a user can set a new password, if login is a username or a verified address,
// and the user has one. Nobody learns whether that is so: the same is done, in the same time. Errors: RATE_LIMITED.
func (s *Service) RequestPasswordReset(ctx context.Context, c token.Client, login string) (chat.Position, error) {
	key, ok := chat.CleanUsername(login)
	if !ok {
		if key = ""; isEmail(login) {
			key = strings.ToLower(login)
		}
	}
	if err := s.admit(ctx, c); err != nil {
		return 0, err
	}
	// By what was said, and not by whom it is: the limit would tell.
	if err := s.mails.Allow(ctx, "reset "+key); err != nil {
		return 0, err
	}
	user, email, err := s.store.FindMailbox(ctx, key)
	if err != nil && !errors.Is(err, chat.ErrNotFound) {
		return 0, err
	}
	return s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		return s.mail(ctx, tx, chat.MailReset, user, email, resetWithin) // to nobody, if need be
	})
}

// ResetPassword sets a new password by the token of a mail, and ends every session of the user. Errors: BAD_USER_INPUT,
// RATE_LIMITED.
func (s *Service) ResetPassword(ctx context.Context, c token.Client, link, wanted string) (*chat.User, chat.Position, error) {
	if err := newPassword(wanted, "newPassword"); err != nil {
		return nil, 0, err
	}
	if err := s.admit(ctx, c); err != nil {
		return nil, 0, err
	}
	t, err := s.MailToken(ctx, token.ForPassword, link)
	if err != nil {
		return nil, 0, err
	}
	hash, err := s.hasher.hash(ctx, wanted)
	if err != nil {
		return nil, 0, err
	}
	var u chat.User
	pos, _, err := s.end(ctx, t.User, func(tx *store.Tx) (_ []chat.Session, err error) {
		if u, err = s.use(tx, t); err != nil {
			return nil, err
		}
		if err := setPassword(ctx, tx, u, hash); err != nil {
			return nil, err
		}
		return tx.EndSessions(u.ID)
	})
	return &u, pos, err
}

// setPassword stores a new password. What mails could do that were sent before is over: a change of address, too, which
// somebody may have begun who knew the old one. The user is locked.
func setPassword(ctx context.Context, tx *store.Tx, u chat.User, hash string) error {
	if err := tx.SetPasswordHash(u.ID, hash); err != nil {
		return err
	}
	if err := tx.DeleteMailTokens(u.ID, chat.MailReset); err != nil {
		return err
	}
	a, err := account(ctx, tx, u.ID)
	if err != nil || a.Email == "" || a.UnverifiedEmail == "" {
		return err
	}
	if err := tx.DeleteMailTokens(u.ID, chat.MailVerify); err != nil {
		return err
	}
	emitAccount(tx, u)
	return tx.SetUnverifiedEmail(u.ID, "")
}

// account reads a locked user's.
func account(ctx context.Context, tx *store.Tx, user chat.ID) (chat.Account, error) {
	found, err := tx.Accounts(ctx, []chat.ID{user})
	if err != nil || len(found) == 0 {
		return chat.Account{}, errors.Join(err, chat.ErrNotFound)
	}
	return found[0], nil
}

// emitAccount tells the user. The account is read when they are: an address stands in no log.
func emitAccount(tx *store.Tx, u chat.User) {
	tx.Emit(chat.Event{Type: chat.AccountUpdated, Subject: u.ID, Rows: chat.Rows{Actor: &u}}, chat.UserTopic(u.ID))
}

// mail stores a token and has its mail sent.
func (s *Service) mail(ctx context.Context, tx *store.Tx, k chat.MailTokenKind, to chat.ID, email string, within time.Duration) error {
	t := chat.MailToken{ID: chat.NewID(chat.KindMailToken), Kind: k, User: to, Email: email, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(within)}
	if err := tx.InsertMailToken(t); err != nil {
		return err
	}
	return s.send(ctx, tx, t.ID)
}

// mayMail counts a mail against the user who asks for it, and against the address that somebody says is theirs.
func (s *Service) mayMail(ctx context.Context, by chat.ID, email string) error {
	if err := s.mails.Allow(ctx, "by "+by.String()); err != nil {
		return err
	}
	return s.mails.Allow(ctx, "to "+strings.ToLower(email))
}

var (
	errLink    = chat.BadInput("this link is not complete; copy all of it from the mail", "input", "token")
	errExpired = chat.BadInput("this link has expired; ask for a new mail", "input", "token")
	errUsed    = chat.BadInput("this link was used already, or is worth nothing any more", "input", "token")
)

// MailToken reads what a link's token stands for (token.ForAddress or ForPassword), and does not use it. Errors: BAD_USER_INPUT.
func (s *Service) MailToken(ctx context.Context, purpose, link string) (chat.MailToken, error) {
	within := verifyWithin
	if purpose == token.ForPassword {
		within = resetWithin
	}
	id, ok := s.tokens.ReadLink(purpose, link, chat.KindMailToken)
	if !ok {
		return chat.MailToken{}, errLink
	}
	t, err := s.store.MailToken(ctx, id)
	gone := errors.Is(err, chat.ErrNotFound)
	if gone { // an id tells when it was made
		t.ExpiresAt = time.UnixMilli(int64(binary.BigEndian.Uint64(id.UUID[:8]) >> 16)).Add(within) //nolint:gosec // 48 bits
	} else if err != nil {
		return t, err
	}
	if !s.now().Before(t.ExpiresAt) {
		return t, errExpired
	}
	if gone {
		return t, errUsed
	}
	return t, nil
}

// use locks the user and takes the token: of those who come with it at once, one gets it.
func (s *Service) use(tx *store.Tx, t chat.MailToken) (chat.User, error) {
	u, _, err := tx.LockUser(t.User)
	if err != nil {
		return u, err
	}
	there, err := tx.UseMailToken(t.ID)
	if err == nil && !there {
		err = errUsed
	}
	return u, err
}
