package user

import (
	"context"
	"errors"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// SignedIn is a session with its tokens.
type SignedIn struct {
	User          chat.User
	Session       chat.Session
	Access        string
	AccessExpires time.Time
	Refresh       string
	Position      chat.Position // as of which this was read
}

var (
	errCredentials = &chat.Error{Code: chat.CodeUnauthenticated, Message: "wrong username or password", Path: []string{"input"}}
	errRefresh     = &chat.Error{Code: chat.CodeUnauthenticated, Message: "the refresh token is not valid, or no longer; sign in again"}
)

// NewAccount is what somebody signs up with. Without DisplayName they are shown by their username; Email is sent a mail by which
// they show that it is theirs.
type NewAccount struct {
	Username, Password string
	DisplayName, Email *string
}

// SignUp makes an account and signs it in. Errors: BAD_USER_INPUT, CONFLICT when the username is taken, RATE_LIMITED.
func (s *Service) SignUp(ctx context.Context, c token.Client, n NewAccount) (*SignedIn, error) {
	name, err := chat.NewUsername(n.Username)
	if err != nil {
		return nil, err
	}
	if err := newPassword(n.Password, "password"); err != nil {
		return nil, err
	}
	u := chat.User{ID: chat.NewID(chat.KindUser), Username: name, DisplayName: name}
	if n.DisplayName != nil {
		if u.DisplayName, err = chat.NewName(*n.DisplayName, "displayName"); err != nil {
			return nil, err
		}
	}
	if n.Email != nil && !isEmail(*n.Email) {
		return nil, errEmail
	}
	if err := s.admit(ctx, c); err != nil {
		return nil, err
	}
	if n.Email != nil {
		if err := s.mayMail(ctx, u.ID, *n.Email); err != nil {
			return nil, err
		}
	}
	hash, err := s.hasher.hash(ctx, n.Password)
	if err != nil {
		return nil, err
	}
	session := newSession(u.ID, c)
	pos, err := s.store.Write(ctx, u.ID, func(tx *store.Tx) error {
		u.CreatedAt = tx.Now
		switch free, err := tx.InsertUser(u, hash); {
		case err != nil:
			return err
		case !free:
			return chat.Conflict("this username is taken")
		}
		if n.Email != nil {
			if err := tx.SetUnverifiedEmail(u.ID, *n.Email); err != nil {
				return err
			}
			if err := s.mail(ctx, tx, chat.MailWelcome, u.ID, *n.Email, verifyWithin); err != nil {
				return err
			}
		}
		return s.start(tx, u, &session)
	})
	if err != nil {
		return nil, err
	}
	return s.signedIn(u, session, 1, pos)
}

// SignIn starts a session. Who fails learns neither from the answer nor from its time whether there is such a user.
// Errors: UNAUTHENTICATED, RATE_LIMITED, FORBIDDEN (suspended, and the password is right).
func (s *Service) SignIn(ctx context.Context, c token.Client, name, password string) (*SignedIn, error) {
	name, ok := chat.CleanUsername(name)
	if err := s.admit(ctx, c); err != nil {
		return nil, err
	}
	if err := s.perUser.Allow(ctx, "name "+name); err != nil { // one bucket for all that cannot be names
		return nil, err
	}
	known := store.Credentials{PasswordHash: unknownUser}
	if ok {
		switch found, err := s.store.Credentials(ctx, name); {
		case err == nil && found.PasswordHash != "": // nobody signs in as a bot
			known = found
		case err != nil && !errors.Is(err, chat.ErrNotFound):
			return nil, err
		}
	}
	switch right, err := s.hasher.matches(ctx, password, known.PasswordHash); {
	case err != nil:
		return nil, err
	case !right || known.User.IsZero():
		return nil, errCredentials
	}
	var u chat.User
	session := newSession(known.User, c)
	pos, _, err := s.end(ctx, known.User, func(tx *store.Tx) (surplus []chat.Session, err error) {
		var hash string
		if u, hash, err = tx.LockUser(known.User); err != nil {
			return nil, err
		}
		if hash != known.PasswordHash { // changed meanwhile: what was right is wrong now
			return nil, errCredentials
		}
		if surplus, err = tx.EndSurplusSessions(u.ID, s.most-1); err != nil {
			return nil, err
		}
		return surplus, s.start(tx, u, &session)
	})
	if err != nil {
		return nil, err
	}
	return s.signedIn(u, session, 1, pos)
}

// Refresh exchanges the newest refresh token of a session for new tokens. An older one ends the session: somebody else
// may have a copy. Errors: UNAUTHENTICATED.
func (s *Service) Refresh(ctx context.Context, refreshToken string) (*SignedIn, error) {
	id, generation, err := s.tokens.ReadRefresh(refreshToken)
	if err != nil {
		return nil, err
	}
	var u chat.User
	var session chat.Session
	pos, _, err := s.end(ctx, chat.ID{}, func(tx *store.Tx) ([]chat.Session, error) {
		u = chat.User{}
		known, err := tx.Sessions(ctx, []chat.ID{id})
		if err != nil || len(known) == 0 {
			return nil, err
		}
		// Locked, so that no change of the user falls between what is read of them and the position as of which it is.
		locked, _, err := tx.LockUser(known[0].User)
		if err != nil {
			return nil, err
		}
		session, err = tx.RotateSession(id, generation, tx.Now.Add(s.ttl))
		if errors.Is(err, chat.ErrNotFound) {
			return tx.EndReusedSession(id, generation)
		}
		if err == nil {
			u = locked
		}
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	if u.ID.IsZero() {
		return nil, errRefresh
	}
	return s.signedIn(u, session, generation+1, pos)
}

// admit counts a sign-in or sign-up against the client's address. Without an address there is nothing to count against.
func (s *Service) admit(ctx context.Context, c token.Client) error {
	if c.Addr == "" {
		return nil
	}
	return s.perAddr.Allow(ctx, "addr "+limit.Network(c.Addr))
}

func newSession(user chat.ID, c token.Client) chat.Session {
	return chat.Session{ID: chat.NewID(chat.KindSession), User: user, UserAgent: userAgent(c.UserAgent), Address: c.Addr}
}

func (s *Service) start(tx *store.Tx, u chat.User, session *chat.Session) error {
	session.CreatedAt, session.LastUsedAt, session.ExpiresAt = tx.Now, tx.Now, tx.Now.Add(s.ttl)
	if err := tx.InsertSession(*session); err != nil {
		return err
	}
	row := *session
	tx.Emit(chat.Event{Type: chat.SessionStarted, Subject: session.ID, Rows: chat.Rows{Actor: &u, Session: &row}}, chat.UserTopic(u.ID))
	return nil
}

func (s *Service) signedIn(u chat.User, session chat.Session, generation int64, pos chat.Position) (*SignedIn, error) {
	access, expires, err := s.tokens.Access(chat.Viewer{User: u.ID, Session: session.ID}, session.LastUsedAt)
	if err != nil {
		return nil, err
	}
	return &SignedIn{User: u, Session: session, Access: access, AccessExpires: expires, Refresh: s.tokens.Refresh(session.ID, generation), Position: pos}, nil
}
