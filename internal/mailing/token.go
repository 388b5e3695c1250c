package mailing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// TokenArgs has the mail sent that a stored token is for.
type TokenArgs struct {
	Token chat.ID `json:"token"`
}

// Kind is for the queue.
func (TokenArgs) Kind() string { return "mail_token" }

// InsertOpts is for the queue. Somebody waits for these mails: they overtake others.
func (TokenArgs) InsertOpts() job.Options { return job.Options{Queue: job.Mail, Priority: 1} }

// Insert has the mail sent that a token is for, which is stored in the same transaction.
func (s *Service) Insert(ctx context.Context, tx *store.Tx, id chat.ID) error {
	return s.jobs.Insert(ctx, tx, TokenArgs{id}, nil)
}

// SendToken sends the mail that a token is for, unless that was used, withdrawn or has expired.
func (s *Service) SendToken(ctx context.Context, j *job.Job[TokenArgs]) error {
	t, err := s.store.MailToken(ctx, j.Args.Token)
	if errors.Is(err, chat.ErrNotFound) || err == nil && (t.User.IsZero() || !s.now().Before(t.ExpiresAt)) {
		return nil
	} else if err != nil {
		return err
	}
	u, _, err := s.store.Mailbox(ctx, t.User)
	if errors.Is(err, chat.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	c, err := s.content(t)
	if err != nil {
		return job.Cancel(err)
	}
	return s.deliver(ctx, mail.Message{User: u, Address: t.Email, Key: t.ID.String(), At: t.CreatedAt, Content: c})
}

func (s *Service) content(t chat.MailToken) (mail.Content, error) {
	valid := t.ExpiresAt.Sub(t.CreatedAt).Truncate(time.Minute)
	switch t.Kind {
	case chat.MailWelcome:
		return mail.Welcome{Token: s.tokens.Link(token.ForAddress, t.ID), Valid: valid}, nil
	case chat.MailVerify:
		return mail.Verification{Token: s.tokens.Link(token.ForAddress, t.ID), Valid: valid}, nil
	case chat.MailReset:
		return mail.PasswordReset{Token: s.tokens.Link(token.ForPassword, t.ID), Valid: valid}, nil
	case chat.MailChanged:
		return mail.AddressChanged{}, nil
	}
	return nil, fmt.Errorf("a token of kind %q leads to no mail", t.Kind)
}
