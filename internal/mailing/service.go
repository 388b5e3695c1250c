// Package mailing has the rules of which mail goes to whom, and when.
//
// Each mail is a job, which is inserted in the transaction of what it tells of: it is sent at least once if that is
// committed, and never if not. Its arguments are ids. What the mail says is read when it is sent, and who should not get
// it any more does not.
package mailing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// Config is what may be left out.
type Config struct {
	// Wants says whether a user wants mails of one of the Kinds; nil means that everybody does.
	Wants func(ctx context.Context, user chat.ID, kind string) (bool, error)
	// TurnOff makes it so that a user does not. nil means that mails cannot be turned off, and then those that must be are
	// not sent: digests.
	TurnOff func(ctx context.Context, user chat.ID, kind string) error
	Now     func() time.Time // nil means time.Now
}

// Kinds are those of mails that a user may turn off. The others tell what somebody has just asked for, or what they must
// know to keep their account.
var Kinds = []string{mail.FriendRequest{}.Kind(), mail.NewDevice{}.Kind(), mail.Digest{}.Kind()}

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	store  *store.Store
	jobs   *job.Client
	mailer *mail.Mailer
	tokens *token.Tokens
	now    func() time.Time
	Config
}

// New makes the service.
func New(s *store.Store, jobs *job.Client, mailer *mail.Mailer, tokens *token.Tokens, c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{store: s, jobs: jobs, mailer: mailer, tokens: tokens, now: c.Now, Config: c}
}

// Send sends a mail to a user's address. It is for jobs: the key names what the mail tells of, and at is when that was
// (the job's CreatedAt, and not the time of this attempt), so that a job that runs twice sends the same mail twice, which
// receivers notice. Nothing is sent, and nothing is wrong, when the user has no verified address, is suspended, or has
// turned such mails off. An error that another attempt would not mend cancels the job.
func (s *Service) Send(ctx context.Context, to chat.ID, key string, at time.Time, c mail.Content) error {
	u, address, err := s.store.Mailbox(ctx, to)
	switch {
	case errors.Is(err, chat.ErrNotFound), err == nil && address == "":
		return nil
	case err != nil:
		return err
	}
	m := mail.Message{User: u, Address: address, Key: key, At: at, Content: c}
	if kind := c.Kind(); slices.Contains(Kinds, kind) {
		if s.Wants != nil {
			if wanted, err := s.Wants(ctx, to, kind); err != nil || !wanted {
				return err
			}
		}
		if s.TurnOff != nil {
			m.Unsubscribe = s.unsubscribe(to, kind)
		}
	}
	return s.deliver(ctx, m)
}

func (s *Service) deliver(ctx context.Context, m mail.Message) error {
	err := s.mailer.Send(ctx, m)
	if errors.Is(err, mail.ErrPermanent) {
		return job.Cancel(err)
	}
	return err
}

func (s *Service) unsubscribe(user chat.ID, kind string) string {
	return kind + "." + s.tokens.Link(token.ForUnsubscribe+" "+kind, user)
}

// errUnsubscribe is for tokens that were not made here.
var errUnsubscribe = chat.BadInput("this link is not complete; copy all of it from the mail", "input", "token")

// ReadUnsubscribe says of which of the Kinds the mails are that a token turns off. Errors: BAD_USER_INPUT.
func (s *Service) ReadUnsubscribe(link string) (kind string, err error) {
	_, kind, err = s.read(link)
	return kind, err
}

// Unsubscribe turns mails off by the token that came with one. It works for ever, and as often as it is used. Errors:
// BAD_USER_INPUT, NOT_FOUND when the user is no more.
func (s *Service) Unsubscribe(ctx context.Context, link string) error {
	user, kind, err := s.read(link)
	if err != nil {
		return err
	}
	return s.TurnOff(ctx, user, kind)
}

func (s *Service) read(link string) (user chat.ID, kind string, err error) {
	kind, rest, _ := strings.Cut(link, ".")
	user, ok := s.tokens.ReadLink(token.ForUnsubscribe+" "+kind, rest, chat.KindUser)
	if !ok || s.TurnOff == nil || !slices.Contains(Kinds, kind) {
		return chat.ID{}, "", errUnsubscribe
	}
	return user, kind, nil
}
