package limit

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Take counts once for a key of which n are allowed within per, or says how long it is until it may be counted again.
// Whoever shares the limit shares what it counts in.
type Take func(ctx context.Context, key [16]byte, n int, per time.Duration) (wait time.Duration, err error)

// atOnce is how many attempts a Shared counts at a time: those that wait meanwhile find most refusals in memory, and the
// database's connections are left to others.
const atOnce = 4

// Shared counts with Take, a few at a time. What Take has refused is refused from memory until the time it named: nothing
// makes that come sooner, and so a flood of attempts costs hardly more than those that are allowed. A nil Shared has no
// limit. It is safe for concurrent use.
type Shared struct {
	c    Config
	take Take
	gate chan struct{} // held while one is counted

	mu      sync.Mutex // guards what follows
	refused recent[time.Time]
}

// NewShared makes a limit; it is nil where there is none.
func NewShared(c Config, take Take) *Shared {
	if c.N <= 0 {
		return nil
	}
	c = c.withDefaults()
	return &Shared{c: c, take: take, gate: make(chan struct{}, atOnce), refused: recent[time.Time]{keep: c.Per, most: c.Keys}}
}

// Allow counts once for key, which may be any text. Errors: RATE_LIMITED with the time to wait, and what is refused does
// not count; those of Take, and then it may have counted; the context's.
func (s *Shared) Allow(ctx context.Context, key string) error {
	if s == nil {
		return nil
	}
	hash := sha256.Sum256([]byte(key))
	k := [16]byte(hash[:16])
	if wait := s.known(k); wait > 0 {
		return tooOften(wait)
	}
	select {
	case s.gate <- struct{}{}:
		defer func() { <-s.gate }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if wait := s.known(k); wait > 0 { // by now
		return tooOften(wait)
	}
	wait, err := s.take(ctx, k, s.c.N, s.c.Per)
	if err != nil || wait <= 0 {
		return err
	}
	now := s.c.Now()
	s.mu.Lock()
	*s.refused.use(k, now) = now.Add(wait)
	s.mu.Unlock()
	return tooOften(wait)
}

// Refused says what Allow would say for a key, as far as is known here, and counts nothing. Errors: RATE_LIMITED.
func (s *Shared) Refused(key string) error {
	if s == nil {
		return nil
	}
	hash := sha256.Sum256([]byte(key))
	if wait := s.known([16]byte(hash[:16])); wait > 0 {
		return tooOften(wait)
	}
	return nil
}

// known is how long a key is refused for, as far as is known here.
func (s *Shared) known(k [16]byte) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := s.refused.find(k); until != nil {
		return until.Sub(s.c.Now())
	}
	return 0
}
