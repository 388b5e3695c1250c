// Package limit bounds how often something may be done for each of many keys, in bounded memory.
package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-chat/parley/internal/chat"
)

// DefaultKeys is how many keys a Limiter remembers at most.
const DefaultKeys = 100_000

// Config says how often.
type Config struct {
	// N is how often within Per, all at once or spread; 0 or less: no limit.
	N   int
	Per time.Duration // 0 means a minute
	// Keys is how many keys are remembered; 0 means DefaultKeys. Beyond that, those that were used longest ago are
	// forgotten and start anew.
	Keys int
	Now  func() time.Time // nil means time.Now
}

// Limiter counts, with a token bucket for each key. A nil Limiter has no limit. It is safe for concurrent use.
type Limiter struct {
	c Config

	mu sync.Mutex // guards what follows
	// A bucket that was not used for Per is full again and may be forgotten. So there are two generations: a bucket moves
	// to the young one when it is used, and the old one is dropped when the young one is Per old, or has half of Keys.
	young, old map[string]*rate.Limiter
	born       time.Time // of the young ones
}

// New makes a limiter; it is nil where there is no limit.
func New(c Config) *Limiter {
	if c.N <= 0 {
		return nil
	}
	if c.Per == 0 {
		c.Per = time.Minute
	}
	if c.Keys == 0 {
		c.Keys = DefaultKeys
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Limiter{c: c, young: map[string]*rate.Limiter{}, born: c.Now()}
}

// Allow counts once for key. The error is RATE_LIMITED with the time to wait; what was refused does not count.
func (l *Limiter) Allow(key string) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.c.Now()
	take := l.bucket(key, now).ReserveN(now, 1)
	wait := take.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	take.CancelAt(now)
	return &chat.Error{Code: chat.CodeRateLimited, Message: "too often; try again later", RetryAfter: wait}
}

func (l *Limiter) bucket(key string, now time.Time) *rate.Limiter {
	if now.Sub(l.born) >= l.c.Per || len(l.young) >= max(1, l.c.Keys/2) {
		l.young, l.old, l.born = map[string]*rate.Limiter{}, l.young, now
	}
	b := l.young[key]
	if b == nil {
		if b = l.old[key]; b == nil {
			b = rate.NewLimiter(rate.Every(l.c.Per/time.Duration(l.c.N)), l.c.N)
		}
		delete(l.old, key)
		l.young[key] = b
	}
	return b
}

// Keys is how many keys are remembered now.
func (l *Limiter) Keys() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.young) + len(l.old)
}
