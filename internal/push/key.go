package push

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenLife is how long a push service may believe a token; RFC 8292 allows a day, and clocks differ.
const tokenLife = 12 * time.Hour

// Key is by what push services know this installation (VAPID, RFC 8292). Browsers subscribe to it: with another key, all
// subscriptions are void. Printed, it does not show; Text does.
type Key struct {
	private *ecdsa.PrivateKey
	text    string
	public  string
}

// NewKey makes one.
func NewKey() (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, err
	}
	return keyOf(private)
}

// ParseKey reads what Text wrote, which is also how other Web Push libraries write private keys.
func ParseKey(text string) (Key, error) {
	raw, err := decode(text)
	if err != nil {
		return Key{}, fmt.Errorf("a VAPID key is 32 bytes in base64url: %w", err)
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return Key{}, fmt.Errorf("a VAPID key is 32 bytes in base64url: %w", err)
	}
	return keyOf(private)
}

func keyOf(private *ecdsa.PrivateKey) (Key, error) {
	raw, err := private.Bytes()
	if err != nil {
		return Key{}, err
	}
	public, err := private.PublicKey.Bytes()
	if err != nil {
		return Key{}, err
	}
	return Key{private, base64.RawURLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(public)}, nil
}

// Text is the private key.
func (k Key) Text() string { return k.text }

// Public is what browsers are given as applicationServerKey.
func (k Key) Public() string { return k.public }

func (k Key) String() string { return "VAPID key " + k.public }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// authorization proves to the push service at an origin who sends.
func (k Key) authorization(origin, contact string, now time.Time) (string, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"aud": origin, "exp": now.Add(tokenLife).Unix(), "sub": contact,
	}).SignedString(k.private)
	return "vapid t=" + token + ", k=" + k.public, err
}
