// Package notification holds the rules of what people are told besides what they see anyway: what they want to be told, on
// which channels and when, and the list of notifications in the app.
package notification

import (
	"github.com/parley-chat/parley/internal/store"
)

// Service holds the rules.
type Service struct {
	store *store.Store
}

// New makes the service. It registers nothing.
func New(s *store.Store) *Service { return &Service{s} }
