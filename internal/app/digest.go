package app

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/digest"
	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/store"
)

// openDigest makes what mails people what they have not read.
func (a *App) openDigest(mailings *mailing.Service, notifications *notification.Service) *digest.Service {
	return digest.New(a.store, a.jobs, digest.Config{
		Hours: func(ctx context.Context, tx *store.Tx, users []chat.ID) (map[chat.ID]digest.Hour, error) {
			found, err := notifications.DigestHours(ctx, tx, users)
			hours := make(map[chat.ID]digest.Hour, len(found))
			for u, h := range found {
				hours[u] = digest.Hour(h)
			}
			return hours, err
		},
		Online: func(user chat.ID) bool { return a.presence.Online(user) },
		Mail:   mailings.Send,
	})
}
