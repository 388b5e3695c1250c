package bot

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// MaxGrace is for how long at most a secret that was replaced still works.
const MaxGrace = 24 * time.Hour

// NewKey is a key with its newest secret, which nobody is told again.
type NewKey struct {
	Key      chat.APIKey
	Bot      chat.Bot
	Text     string
	Position chat.Position
}

// CreateKey makes a key for a bot. expires is zero for never. Errors: BAD_USER_INPUT; NOT_FOUND; CONFLICT for more than
// MaxKeys.
func (s *Service) CreateKey(ctx context.Context, owner, bot chat.ID, name string, scopes []chat.Scope, expires time.Time) (*NewKey, error) {
	name, err := chat.NewName(name, "name")
	switch {
	case err != nil:
		return nil, err
	case len(scopes) == 0:
		return nil, chat.BadInput("at least one scope", "input", "scopes")
	case !expires.IsZero() && !expires.After(s.Now()):
		return nil, chat.BadInput("a time to come", "input", "expiresAt")
	case expires.Year() >= 2200:
		return nil, chat.BadInput("a time before the year 2200; leave it out for a key that does not expire", "input", "expiresAt")
	}
	k := chat.APIKey{ID: chat.NewID(chat.KindAPIKey), Bot: bot, Name: name, Allows: chat.ScopesOf(scopes...), ExpiresAt: store.Micros(expires), Session: chat.NewID(chat.KindSession)}
	return s.secret(ctx, owner, &k, func(tx *store.Tx) ([]chat.Session, error) {
		if n, err := tx.CountAPIKeys(bot); err != nil {
			return nil, err
		} else if n >= s.MaxKeys {
			return nil, chat.Conflict(fmt.Sprintf("the bot has %d keys, which is as many as it may have; revoke one", n))
		}
		k.CreatedAt = tx.Now
		return nil, tx.InsertAPIKey(k)
	})
}

// RotateKey gives a key a new secret, and lets the old one work for a while. Errors: BAD_USER_INPUT, NOT_FOUND; CONFLICT for a
// key that has expired.
func (s *Service) RotateKey(ctx context.Context, owner, key chat.ID, grace time.Duration) (*NewKey, error) {
	if grace < 0 || grace > MaxGrace {
		return nil, chat.BadInput(fmt.Sprintf("0 to %.0f seconds", MaxGrace.Seconds()), "input", "graceSeconds")
	}
	k, err := s.key(ctx, owner, key)
	if err != nil {
		return nil, err
	}
	return s.secret(ctx, owner, &k, func(tx *store.Tx) ([]chat.Session, error) {
		if k, err = tx.APIKey(key); err != nil { // as it is now that it cannot change
			return nil, err
		}
		if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(tx.Now) {
			return nil, chat.Conflict("the key has expired; make another one")
		}
		old := k.Session
		k.Session = chat.NewID(chat.KindSession)
		if grace == 0 {
			return tx.EndExpired(old)
		}
		until := tx.Now.Add(grace)
		if err := tx.ShortenSession(old, until); err != nil {
			return nil, err
		}
		return nil, s.Jobs.Insert(ctx, tx, EndSecret{old}, &job.Options{ScheduledAt: until})
	})
}

// secret stores, after do, a secret for the session that do leaves in the key.
func (s *Service) secret(ctx context.Context, owner chat.ID, k *chat.APIKey, do func(*store.Tx) ([]chat.Session, error)) (*NewKey, error) {
	var text string
	bot, pos, err := s.change(ctx, owner, k.Bot, func(tx *store.Tx) ([]chat.Session, error) {
		ended, err := do(tx)
		if err != nil {
			return nil, err
		}
		var hash [32]byte
		text, hash = token.NewKey(token.APIKey, k.Session)
		return ended, tx.SetSecret(*k, hash)
	})
	if err != nil {
		return nil, err
	}
	k.LastUsedAt = time.Time{}
	return &NewKey{Key: *k, Bot: *bot, Text: text, Position: pos}, nil
}

// RevokeKey ends a key at once, with all that is connected with it. Errors: NOT_FOUND.
func (s *Service) RevokeKey(ctx context.Context, owner, key chat.ID) (*chat.Bot, chat.Position, error) {
	k, err := s.key(ctx, owner, key)
	if err != nil {
		return nil, 0, err
	}
	return s.change(ctx, owner, k.Bot, func(tx *store.Tx) ([]chat.Session, error) {
		if _, err := tx.APIKey(key); err != nil { // revoked meanwhile
			return nil, err
		}
		return tx.DeleteAPIKey(key)
	})
}

// key reads a key of one of the owner's bots. Errors: NOT_FOUND.
func (s *Service) key(ctx context.Context, owner, key chat.ID) (chat.APIKey, error) {
	if key.Kind != chat.KindAPIKey {
		return chat.APIKey{}, chat.ErrNotFound
	}
	return s.store.APIKeyOf(ctx, owner, key)
}

// EndSecret is the end of a secret that was replaced.
type EndSecret struct {
	Session chat.ID `json:"session"`
}

// Kind is required by River.
func (EndSecret) Kind() string { return "end_api_key_secret" }

// InsertOpts is required by River.
func (EndSecret) InsertOpts() job.Options {
	return job.Options{Queue: job.Maintenance, Priority: 1}
}

// EndSecret closes what is still connected with a secret that was replaced. (It has expired, but sockets were told of another
// time.)
func (s *Service) EndSecret(ctx context.Context, j *job.Job[EndSecret]) error {
	var ended []chat.Session
	var at time.Time
	_, err := s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) (err error) {
		ended, err = tx.EndExpired(j.Args.Session)
		at = tx.Now
		end(tx, ended)
		return err
	})
	for _, x := range ended {
		s.Revoked.Ended(x.ID, at)
	}
	return err
}
