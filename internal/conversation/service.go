package conversation

import "github.com/parley-chat/parley/internal/store"

// Service holds the rules.
type Service struct{ store *store.Store }
