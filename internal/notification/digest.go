package notification

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// DigestHour is at which hour, and by which clocks, somebody wants the mail of what they have not read.
type DigestHour struct {
	Hour  int
	Zone  *time.Location
	Wants bool // and whether
}

// DigestHours reads it of users, as it is within a transaction.
func (s *Service) DigestHours(ctx context.Context, tx *store.Tx, users []chat.ID) (map[chat.ID]DigestHour, error) {
	stored, err := tx.NotificationPreferences(ctx, users)
	out := make(map[chat.ID]DigestHour, len(stored))
	for _, x := range stored {
		p := preferences(x)
		out[x.User] = DigestHour{p.DigestHour, locationOrUTC(p.TimeZone), p.Digest}
	}
	return out, err
}
