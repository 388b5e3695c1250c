package app

import (
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/token"
)

// openMail is called once the address is known: links in mails begin with it.
func (a *App) openMail(c config.Config, tokens *token.Tokens) (*mailing.Service, error) {
	mailer, err := mail.New(mail.Config{
		URL: c.SMTPURL, From: c.MailFrom, PublicURL: a.URL(), Folder: c.MailFolder(), ShowLinks: !c.Production(), Log: a.log,
	})
	if err != nil {
		return nil, err
	}
	return mailing.New(a.store, a.jobs, mailer, tokens, mailing.Config{}), nil
}
