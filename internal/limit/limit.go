// Package limit bounds how often something may be done for each of many keys, wherever there are several nodes too.
//
// What is rare and must be exact is counted in the database, by whichever node it is tried on (Shared). What is frequent is
// counted in memory, and what other nodes have let through is learned from the log (Sends). Memory is bounded by both.
package limit

import (
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Config says how often.
type Config struct {
	// N is how often within Per, all at once or spread; 0 or less: no limit.
	N   int
	Per time.Duration // 0 means a minute
	// Keys is how many keys are remembered; 0 means 100,000. Beyond that, those that were used longest ago are
	// forgotten.
	Keys int
	Now  func() time.Time // nil means time.Now
}

func (c Config) withDefaults() Config {
	if c.Per == 0 {
		c.Per = time.Minute
	}
	if c.Keys == 0 {
		c.Keys = 100_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func tooOften(wait time.Duration) error {
	return &chat.Error{Code: chat.CodeRateLimited, Message: "too often; try again later", RetryAfter: wait}
}

// recent is a map that remembers what was used within keep, if that is not more than most. There are two generations: the
// old one is dropped when the young one is keep old, or has half of most.
type recent[V any] struct {
	keep       time.Duration
	most       int
	young, old map[[16]byte]*V
	born       time.Time // the young one
}

// find is nil where nothing is remembered.
func (r *recent[V]) find(k [16]byte) *V {
	if v := r.young[k]; v != nil {
		return v
	}
	return r.old[k]
}

// use is find that makes what is not there.
func (r *recent[V]) use(k [16]byte, now time.Time) *V {
	if now.Sub(r.born) >= r.keep {
		r.age(now)
	}
	v := r.young[k]
	if v != nil {
		return v
	}
	if v = r.old[k]; v == nil {
		v = new(V)
	}
	if len(r.young) >= max(1, r.most/2) {
		r.age(now)
	}
	delete(r.old, k)
	r.young[k] = v
	return v
}

func (r *recent[V]) age(now time.Time) {
	r.young, r.old, r.born = map[[16]byte]*V{}, r.young, now
}

func (r *recent[V]) len() int { return len(r.young) + len(r.old) }
