package app

import (
	"context"
	"encoding/base64"
	"fmt"
	netmail "net/mail"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/push"
	"github.com/parley-chat/parley/internal/pushing"
	"github.com/parley-chat/parley/internal/token"
)

// openPush makes what tells browsers.
func (a *App) openPush(c config.Config, secret []byte, notifications *notification.Service) (*pushing.Service, error) {
	key, err := pushKey(c, secret)
	if err != nil {
		return nil, err
	}
	contact := c.PushContact
	if contact == "" {
		from, err := netmail.ParseAddress(c.MailFrom)
		if err != nil {
			return nil, err
		}
		contact = "mailto:" + from.Address
	}
	sender, err := push.New(a.outbound, key, contact, time.Now)
	if err != nil {
		return nil, fmt.Errorf("PARLEY_PUSH_CONTACT: %w", err)
	}
	return pushing.New(a.store, a.jobs, sender, key, pushing.Config{
		Check:  a.outbound.Check,
		Online: func(user chat.ID) bool { return a.presence.Online(user) },
		Wants: func(ctx context.Context, user chat.ID, kind chat.NotificationKind, conversation, from chat.ID) (bool, error) {
			want, err := notifications.WantPush(ctx, notification.Occasion{Kind: kind, Conversation: conversation, From: from, At: time.Now()}, []chat.ID{user})
			return len(want) > 0, err
		},
		Log: a.log,
	}), nil
}

// pushKey is the one that is set, or follows from the secret: the same on every node, and after every start.
func pushKey(c config.Config, secret []byte) (push.Key, error) {
	if c.PushKey != "" {
		key, err := push.ParseKey(c.PushKey)
		if err != nil {
			return key, fmt.Errorf("PARLEY_PUSH_KEY: %w", err)
		}
		return key, nil
	}
	for {
		var err error
		if secret, err = token.Derive(secret, "parley web push v1"); err != nil {
			return push.Key{}, err
		}
		// One in four billion is no key.
		if key, err := push.ParseKey(base64.RawURLEncoding.EncodeToString(secret)); err == nil {
			return key, nil
		}
	}
}
