// Package notification holds the rules of what people are told besides what they see anyway: what they want to be told, on
// which channels and when, and the list of notifications in the app.
//
// Every change of a user's list locks the user's row first, before the list is looked at. So an event that says how many
// entries are not read, or that all up to one are, holds for everything that precedes it in the log.
package notification

import (
	"time"

	"github.com/parley-chat/parley/internal/store"
)

// Config has the limits. Zero values mean the defaults.
type Config struct {
	Retention  time.Duration // of entries; 0: 90 days
	MaxEntries int           // of one user, the newest; 0: 1,000
}

// Service holds the rules.
type Service struct {
	store *store.Store
	Config
}

// New makes the service. It registers nothing: see the On methods.
func New(s *store.Store, c Config) *Service {
	if c.Retention == 0 {
		c.Retention = 90 * 24 * time.Hour
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = 1000
	}
	return &Service{s, c}
}
