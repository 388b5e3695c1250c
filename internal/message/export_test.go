package message

import "github.com/parley-chat/parley/internal/store"

// CommitTogether commits sends as one batch.
func (s *Service) CommitTogether(sends []*store.Send) {
	items := make([]item, len(sends))
	for i, x := range sends {
		items[i] = item{send: x, done: make(chan struct{})}
	}
	s.committer.commit(items)
}
