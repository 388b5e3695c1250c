// Package user has the rules of accounts, passwords, sessions and profiles.
package user

import (
	"context"
	"runtime"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// Config is what may be chosen.
type Config struct {
	// RefreshTTL is how long a session lives unless it is refreshed; 0 means 30 days.
	RefreshTTL time.Duration
	// MaxSessions is how many live sessions a user may have: a sign-in ends those that were used longest ago. 0 means 50.
	MaxSessions int
	// SignInsPerUser is how many sign-ins a minute are tried for one username (and changes of password for one user), on
	// all nodes together; 0 means 5, less is no limit.
	SignInsPerUser int
	// SignInsPerAddr is how many sign-ins and sign-ups a minute are tried for one client address, or for one /64 of
	// IPv6, on all nodes together; 0 means 20, less is no limit.
	SignInsPerAddr int
	// MailsPerHour is how many mails an hour may be asked for by a user, for an address, and to reset a password, on all nodes
	// together; 0 means 5, less is no limit.
	MailsPerHour int
	// Send has the mail sent that a token is for, as a job of the transaction; nil means that none are.
	Send func(ctx context.Context, tx *store.Tx, mailToken chat.ID) error
	// Hashers is how many passwords are hashed at once, at 19 MiB each; 0 means one for each CPU.
	Hashers int
	// Hashed is told of each password that was hashed, for a metric; nil means nobody is.
	Hashed func()
	Now    func() time.Time // nil means time.Now
}

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	store   *store.Store
	tokens  *token.Tokens
	revoked *token.Revoked
	hasher  hasher
	perUser *limit.Shared
	perAddr *limit.Shared
	mails   *limit.Shared
	send    func(ctx context.Context, tx *store.Tx, mailToken chat.ID) error
	ttl     time.Duration
	most    int
	now     func() time.Time
}

// New makes the service. Sessions that it ends are put into revoked at once; whoever follows the log puts those there
// that other nodes end.
func New(s *store.Store, tokens *token.Tokens, revoked *token.Revoked, c Config) *Service {
	for setting, otherwise := range map[*int]int{&c.MaxSessions: 50, &c.SignInsPerUser: 5, &c.SignInsPerAddr: 20, &c.MailsPerHour: 5, &c.Hashers: runtime.GOMAXPROCS(0)} {
		if *setting == 0 {
			*setting = otherwise
		}
	}
	if c.RefreshTTL == 0 {
		c.RefreshTTL = 30 * 24 * time.Hour
	}
	if c.Send == nil {
		c.Send = func(context.Context, *store.Tx, chat.ID) error { return nil }
	}
	if c.Hashed == nil {
		c.Hashed = func() {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{
		store: s, tokens: tokens, revoked: revoked, ttl: c.RefreshTTL, most: c.MaxSessions, now: c.Now,
		hasher:  hasher{slots: make(chan struct{}, c.Hashers), hashed: c.Hashed},
		perUser: limit.NewShared(limit.Config{N: c.SignInsPerUser, Now: c.Now}, s.TakeLimit),
		perAddr: limit.NewShared(limit.Config{N: c.SignInsPerAddr, Now: c.Now}, s.TakeLimit),
		mails:   limit.NewShared(limit.Config{N: c.MailsPerHour, Per: time.Hour, Now: c.Now}, s.TakeLimit),
		send:    c.Send,
	}
}

// LoadRevoked puts the sessions into the set of revoked ones that were ended before this node began to follow the log.
// It is called once the node does, and before it serves.
func (s *Service) LoadRevoked(ctx context.Context) error {
	ended, err := s.store.SessionsEndedSince(ctx, s.revoked.Since())
	for _, e := range ended {
		s.revoked.Ended(e.ID, e.At)
	}
	return err
}

// Authenticate says who acts with an access token, and when it stops working. Errors: UNAUTHENTICATED.
func (s *Service) Authenticate(_ context.Context, bearer string) (chat.Viewer, time.Time, error) {
	v, expires, err := s.tokens.ReadAccess(bearer)
	if err == nil && s.revoked.Has(v.Session) {
		err = &chat.Error{Code: chat.CodeUnauthenticated, Message: "the session has ended; sign in again"}
	}
	if err != nil {
		return chat.Viewer{}, time.Time{}, err
	}
	return v, expires, nil
}

// User reads one user. Errors: NOT_FOUND.
func (s *Service) User(ctx context.Context, id chat.ID) (*chat.User, error) {
	found, err := s.ByIDs(ctx, []chat.ID{id})
	if err != nil {
		return nil, err
	}
	if u := found[id]; u != nil {
		return u, nil
	}
	return nil, chat.ErrNotFound
}

// ByIDs reads users in one statement. Ids that name no user are left out.
func (s *Service) ByIDs(ctx context.Context, ids []chat.ID) (map[chat.ID]*chat.User, error) {
	found, err := s.store.Users(ctx, ids)
	if err != nil {
		return nil, err
	}
	users := make(map[chat.ID]*chat.User, len(found))
	for i := range found {
		users[found[i].ID] = &found[i]
	}
	return users, nil
}

// Search reads a page of the users whose username or display name begins with a text, by username. Errors:
// BAD_USER_INPUT.
func (s *Service) Search(ctx context.Context, text string, p chat.Page) (chat.List[chat.User], error) {
	prefix, err := searchText(text)
	if err != nil {
		return chat.List[chat.User]{}, err
	}
	return s.store.SearchUsers(ctx, prefix, p)
}
