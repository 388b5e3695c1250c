package bot

import (
	"context"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

const (
	// fresh is for how long a secret that was found good is not looked up again. It is shorter than token.Revoked remembers.
	fresh = time.Minute
	// usedEvery is how exactly it is known when a key was last used.
	usedEvery = time.Hour
	// maxKnown bounds how many secrets are remembered, at some 300 bytes each.
	maxKnown = 4096
)

// known is a secret that somebody has shown.
type known struct {
	mu     sync.Mutex // held while it is looked up: who comes meanwhile finds it done
	secret store.Secret
	read   time.Time // zero: not found good so far
}

var errKey = &chat.Error{Code: chat.CodeUnauthenticated, Message: "the API key is not valid, or no longer"}

// Authenticate says which bot acts with an API key, what it may do, and when the key stops working; zero: never. It makes no
// more than a statement a minute for each key. A key has 256 bits that nobody can guess, so that a fast hash will do; what
// guesses cost is bounded for each client address. Errors: UNAUTHENTICATED, RATE_LIMITED, UNAVAILABLE.
func (s *Service) Authenticate(ctx context.Context, key string) (v chat.Viewer, expires time.Time, err error) {
	session, hash, ok := token.ReadKey(token.APIKey, key, chat.KindSession)
	if !ok || s.Revoked.Has(session) {
		return v, expires, errKey // nothing to guess: it costs no statement
	}
	k, ok := s.known.Get(session)
	if !ok {
		k = &known{}
		if before, there, _ := s.known.PeekOrAdd(session, k); there {
			k = before
		}
	}
	secret, err := s.lookUp(ctx, k, session, hash)
	if err != nil || s.Revoked.Has(session) { // meanwhile
		if err == nil {
			err = errKey
		}
		return v, expires, err
	}
	return chat.Viewer{User: secret.Bot, Session: session, Scopes: secret.Scopes}, secret.ExpiresAt, nil
}

func (s *Service) lookUp(ctx context.Context, k *known, session chat.ID, hash [32]byte) (store.Secret, error) {
	fits := func() bool { return subtle.ConstantTimeCompare(k.secret.Hash, hash[:]) == 1 }
	k.mu.Lock()
	defer k.mu.Unlock()
	now := s.Now()
	valid := !k.read.IsZero() && now.Sub(k.read) < fresh && (k.secret.ExpiresAt.IsZero() || now.Before(k.secret.ExpiresAt))
	switch {
	case valid && fits():
		return k.secret, nil
	case valid:
		return store.Secret{}, s.guessed(ctx)
	case k.read.IsZero() || !fits(): // one that was good a moment ago is looked up whatever its neighbours do
		if err := s.wrong.Refused(from(ctx)); err != nil {
			return store.Secret{}, err
		}
	}
	secret, err := s.store.Secret(ctx, session, now)
	switch {
	case errors.Is(err, chat.ErrNotFound):
		s.known.Remove(session)
		k.read = time.Time{}
		return store.Secret{}, s.guessed(ctx)
	case err != nil:
		return store.Secret{}, err
	}
	k.secret, k.read = secret, now
	if !fits() {
		return store.Secret{}, s.guessed(ctx)
	}
	if now.Sub(secret.UsedAt) >= usedEvery || secret.UsedAt.Equal(secret.BeganAt) {
		_ = s.store.SetUsed(ctx, session, now) // worth no failure
	}
	return secret, nil
}

// guessed counts a wrong key against the client's address. Errors: UNAUTHENTICATED, RATE_LIMITED.
func (s *Service) guessed(ctx context.Context) error {
	if err := s.wrong.Allow(ctx, from(ctx)); chat.CodeOf(err) == chat.CodeRateLimited {
		return err
	}
	return errKey
}

func from(ctx context.Context) string { return "key addr " + limit.Network(token.ClientFrom(ctx).Addr) }
