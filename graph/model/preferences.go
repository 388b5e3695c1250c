package model

import (
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// NotificationPreferencesChanged is a user wanting to be told other things.
type NotificationPreferencesChanged struct {
	Cursor chat.Cursor
	At     time.Time
	Actor  *chat.User
	UserID chat.ID
}

// IsEvent makes it an Event.
func (NotificationPreferencesChanged) IsEvent() {}
