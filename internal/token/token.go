// Package token makes and reads what clients prove themselves with: short-lived access tokens, refresh tokens that are
// worth something once, and the tokens of links that are sent to somebody. It also knows which sessions were ended while
// access tokens of theirs may still be about.
//
// Nothing of a token is stored: all kinds are signed, each with a key of its own that is derived from one secret.
package token

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
)

// MinSecret is the length that a secret must have, in bytes.
const MinSecret = 32

// Config says how tokens are made.
type Config struct {
	Secret []byte // at least MinSecret bytes; every node has the same
	// AccessTTL is the life of an access token; 0 means 10 minutes.
	AccessTTL time.Duration
	// Issuer and Audience stand in access tokens, and are asked for; empty means "parley".
	Issuer   string
	Audience string
	Now      func() time.Time // nil means time.Now
}

// Tokens makes and reads tokens. It is safe for concurrent use.
type Tokens struct {
	access, refresh, link []byte
	ttl                   time.Duration
	issuer                string
	audience              string
	parser                *jwt.Parser
	now                   func() time.Time
	known                 *lru.Cache[[sha256.Size]byte, known]
}

// New derives the keys.
func New(c Config) (*Tokens, error) {
	if len(c.Secret) < MinSecret {
		return nil, errors.New("token: the secret must have at least 32 bytes")
	}
	if c.AccessTTL == 0 {
		c.AccessTTL = 10 * time.Minute
	}
	if c.AccessTTL < time.Second {
		return nil, errors.New("token: an access token must live for a second or more")
	}
	if c.Issuer == "" {
		c.Issuer = "parley"
	}
	if c.Audience == "" {
		c.Audience = "parley"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t := &Tokens{ttl: c.AccessTTL, issuer: c.Issuer, audience: c.Audience, now: c.Now}
	var err error
	if t.known, err = lru.New[[sha256.Size]byte, known](maxKnown); err != nil {
		return nil, err
	}
	for to, purpose := range map[*[]byte]string{&t.access: "parley access token v1", &t.refresh: "parley refresh token v1", &t.link: "parley link token v1"} {
		key, err := Derive(c.Secret, purpose)
		if err != nil {
			return nil, err
		}
		*to = key
	}
	t.parser = jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(c.Issuer),
		jwt.WithAudience(c.Audience), jwt.WithExpirationRequired(), jwt.WithTimeFunc(c.Now), jwt.WithStrictDecoding())
	return t, nil
}

// Derive makes of the installation's secret the key for one purpose, 32 bytes: who learns it learns no other.
func Derive(secret []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, purpose, sha256.Size)
}

// AccessTTL is the life of an access token.
func (t *Tokens) AccessTTL() time.Duration { return t.ttl }
