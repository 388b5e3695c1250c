package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/parley-chat/parley/internal/chat"
)

// A refresh token is base64url of the session's UUID, the generation and an HMAC of both. There is one text for each.
const (
	refreshBody = 16 + 8
	refreshSize = refreshBody + sha256.Size
)

// Refresh makes the refresh token of a session's generation: 1, 2, 3, … with each refresh.
func (t *Tokens) Refresh(session chat.ID, generation int64) string {
	b := binary.BigEndian.AppendUint64(append(make([]byte, 0, refreshSize), session.UUID[:]...), uint64(generation)) //nolint:gosec // both ways
	return base64.RawURLEncoding.EncodeToString(t.sign(b))
}

// ReadRefresh reads an authentic refresh token, whether or not it is the newest of its session. The error is
// UNAUTHENTICATED.
func (t *Tokens) ReadRefresh(token string) (session chat.ID, generation int64, err error) {
	var b [refreshSize]byte
	if len(token) != base64.RawURLEncoding.EncodedLen(refreshSize) {
		return chat.ID{}, 0, errRefresh
	}
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(token))
	if err != nil || n != refreshSize || !hmac.Equal(b[:], t.sign(append([]byte(nil), b[:refreshBody]...))) {
		return chat.ID{}, 0, errRefresh
	}
	session.Kind = chat.KindSession
	copy(session.UUID[:], b[:])
	return session, int64(binary.BigEndian.Uint64(b[16:])), nil //nolint:gosec // as it was signed
}

func (t *Tokens) sign(body []byte) []byte {
	mac := hmac.New(sha256.New, t.refresh)
	mac.Write(body)
	return mac.Sum(body)
}

var errRefresh = refused("the refresh token is not valid, or no longer", nil)
