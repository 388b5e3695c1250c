package token

import (
	"sync"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// skew is how far the clocks of two nodes may differ.
const skew = time.Minute

// Revoked is the sessions that were ended while access tokens of theirs may still be valid. It forgets them when the last
// such token has expired, so that it holds no more than are ended in an access token's life. It is safe for concurrent
// use.
type Revoked struct {
	keep time.Duration
	now  func() time.Time

	mu     sync.RWMutex // guards what follows
	ended  map[chat.ID]struct{}
	oldest []revocation // in the order in which they were learned
}

type revocation struct {
	session chat.ID
	until   time.Time
}

// NewRevoked makes an empty set. accessTTL is the life of an access token; a nil now means time.Now.
func NewRevoked(accessTTL time.Duration, now func() time.Time) *Revoked {
	if now == nil {
		now = time.Now
	}
	return &Revoked{keep: accessTTL + skew, now: now, ended: map[chat.ID]struct{}{}}
}

// Since is how far back sessions must be loaded that were ended before this set was made.
func (r *Revoked) Since() time.Time { return r.now().Add(-r.keep) }

// Ended notes that a session was ended.
func (r *Revoked) Ended(session chat.ID, at time.Time) {
	now, until := r.now(), at.Add(r.keep)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.oldest) > 0 && !r.oldest[0].until.After(now) {
		delete(r.ended, r.oldest[0].session)
		r.oldest = r.oldest[1:]
	}
	if _, known := r.ended[session]; !known && until.After(now) {
		r.ended[session] = struct{}{}
		r.oldest = append(r.oldest, revocation{session, until})
	}
}

// Apply notes the sessions that events say were ended.
func (r *Revoked) Apply(events []*chat.Event) {
	for _, e := range events {
		if e.Type == chat.SessionEnded {
			r.Ended(e.Subject, e.At)
		}
	}
}

// Has says whether a session was ended.
func (r *Revoked) Has(session chat.ID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ended := r.ended[session]
	return ended
}

// Len is how many sessions are remembered.
func (r *Revoked) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.ended)
}
