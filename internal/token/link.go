package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/parley-chat/parley/internal/chat"
)

// A link token is base64url of a UUID and an HMAC of it and of what it is for. There is one text for each.
const linkSize = 16 + sha256.Size

// What link tokens are for.
const (
	ForAddress     = "address"     // shows that an address is somebody's
	ForPassword    = "password"    // sets a new password
	ForUnsubscribe = "unsubscribe" // turns mails off; a blank and their kind follow
	ForExport      = "export"      // gives the copy of somebody's data; a blank and until when follow
)

// Link makes the token of a link that is sent to somebody, for one purpose. It is the same however often it is made, and
// cannot be made of what the database holds.
func (t *Tokens) Link(purpose string, id chat.ID) string {
	return base64.RawURLEncoding.EncodeToString(t.signLink(purpose, id.UUID[:]))
}

// ReadLink reads an authentic link token, whether or not it is still worth anything: the id, to be of the given kind.
func (t *Tokens) ReadLink(purpose, token string, kind chat.Kind) (id chat.ID, ok bool) {
	var b [linkSize]byte
	if len(token) != base64.RawURLEncoding.EncodedLen(linkSize) {
		return chat.ID{}, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(token))
	if err != nil || n != linkSize || !hmac.Equal(b[:], t.signLink(purpose, b[:16])) {
		return chat.ID{}, false
	}
	id.Kind = kind
	copy(id.UUID[:], b[:])
	return id, true
}

func (t *Tokens) signLink(purpose string, id []byte) []byte {
	mac := hmac.New(sha256.New, t.link)
	mac.Write(id) // of one length: what follows cannot be taken for a part of it
	mac.Write([]byte(purpose))
	return mac.Sum(append(make([]byte, 0, linkSize), id...))
}
