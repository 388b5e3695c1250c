package token

import (
	"crypto/sha256"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parley-chat/parley/internal/chat"
)

type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
}

// Access makes an access token, a JWT, for a viewer as of now, and says when it stops working.
func (t *Tokens) Access(v chat.Viewer, now time.Time) (token string, expires time.Time, err error) {
	now = now.UTC().Truncate(time.Second) // what a JWT can say
	expires = now.Add(t.ttl)
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.issuer, Audience: jwt.ClaimStrings{t.audience}, Subject: v.User.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Session: v.Session.String(),
	}).SignedString(t.access)
	return token, expires, err
}

// known is what a token was found to say.
type known struct {
	viewer  chat.Viewer
	expires time.Time
}

// maxKnown bounds how many tokens are remembered: about 200 bytes each, and who is busy shows the same token again and again.
const maxKnown = 1024

// ReadAccess says whose access token it is, and when it stops working. The error is UNAUTHENTICATED. Whether the session
// was ended meanwhile is for Revoked to say.
//
// Tokens whose signature was found good lately are recognised by their hash, and only their time is looked at again.
func (t *Tokens) ReadAccess(token string) (chat.Viewer, time.Time, error) {
	sum := sha256.Sum256([]byte(token))
	if k, ok := t.known.Get(sum); ok && t.now().Before(k.expires) {
		return k.viewer, k.expires, nil
	}
	v, expires, err := t.verify(token)
	if err == nil {
		t.known.Add(sum, known{v, expires})
	}
	return v, expires, err
}

func (t *Tokens) verify(token string) (chat.Viewer, time.Time, error) {
	var c claims
	_, err := t.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.access, nil })
	if err != nil {
		return chat.Viewer{}, time.Time{}, refused("the access token is not valid, or no longer", err)
	}
	user, err1 := chat.ParseID(c.Subject)
	session, err2 := chat.ParseID(c.Session)
	if err1 != nil || err2 != nil || user.Kind != chat.KindUser || session.Kind != chat.KindSession {
		return chat.Viewer{}, time.Time{}, refused("the access token is not valid, or no longer", nil)
	}
	return chat.Viewer{User: user, Session: session}, c.ExpiresAt.UTC(), nil
}

func refused(message string, cause error) error {
	return &chat.Error{Code: chat.CodeUnauthenticated, Message: message, Cause: cause}
}
