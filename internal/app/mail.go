package app

import (
	"context"
	"net/http"
	netmail "net/mail"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/page"
	"github.com/parley-chat/parley/internal/user"
)

// wishes names mails that can be turned off as the preferences do. Those of messages are the digest.
var wishes = map[string]chat.NotificationKind{
	mail.FriendRequest{}.Kind(): chat.NotifyFriendRequest, mail.NewDevice{}.Kind(): chat.NotifyNewDevice, mail.Digest{}.Kind(): chat.NotifyDirectMessage,
}

// openMail is called once the address is known: links in mails begin with it.
func (a *App) openMail(c config.Config, tokens *token.Tokens, notifications *notification.Service) (*mailing.Service, error) {
	mailer, err := mail.New(mail.Config{
		URL: c.SMTPURL, From: c.MailFrom, PublicURL: a.URL(), Folder: c.MailFolder(), ShowLinks: !c.Production(), Log: a.log,
	})
	if err != nil {
		return nil, err
	}
	return mailing.New(a.store, a.jobs, mailer, tokens, mailing.Config{
		Wants: func(ctx context.Context, user chat.ID, kind string) (bool, error) {
			return notifications.WantsMail(ctx, user, wishes[kind])
		},
		TurnOff: func(ctx context.Context, user chat.ID, kind string) error {
			if wishes[kind] == chat.NotifyDirectMessage {
				return notifications.DigestOff(ctx, user)
			}
			off := []chat.NotificationPreference{{Kind: wishes[kind], Mail: new(false)}}
			_, _, err := notifications.Update(ctx, user, notification.Change{Kinds: off})
			return err
		},
	}), nil
}

// mailPages are those that mails lead to.
func (a *App) mailPages(c config.Config, users *user.Service, mailings *mailing.Service) map[string]http.Handler {
	site := ""
	if from, err := netmail.ParseAddress(c.MailFrom); err == nil {
		site = from.Name
	}
	return page.New(page.Config{Site: site, Users: users, Mailings: mailings, Log: a.log})
}
