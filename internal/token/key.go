package token

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/parley-chat/parley/internal/chat"
)

// The kinds of keys, by what their texts begin with.
const (
	APIKey  = "prl_"
	HookKey = "prlh_"
)

// A key is its kind, 26 digits of the id of what it opens (those of the id's own text), 43 of a secret of 256 bits and 6 of
// a checksum of all of that, as those of other services are: whoever looks for secrets that got into public finds it by
// prlh?_[0-9a-z]{26}[0-9A-Za-z]{49}, and the checksum says that it is one.
const (
	keyID, keySecret, keySum = 26, 43, 6
)

// IsAPIKey says whether a bearer means to be an API key.
func IsAPIKey(bearer string) bool { return strings.HasPrefix(bearer, APIKey) }

// NewKey makes a key with a new secret. Whoever knows the secret knows the text of this hash: nothing else is stored.
func NewKey(kind string, id chat.ID) (text string, hash [sha256.Size]byte) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	text = KeyPrefix(kind, id) + base62(new(big.Int).SetBytes(secret[:]), keySecret)
	text += checksum(text)
	return text, sha256.Sum256([]byte(text))
}

// KeyPrefix is the part of a key's text that is no secret.
func KeyPrefix(kind string, id chat.ID) string {
	return kind + id.String()[len(id.Kind.String())+1:]
}

// ReadKey reads the text of a key: the id of what it opens, and the hash to compare. false: it is none, or not quite.
func ReadKey(kind, text string, of chat.Kind) (id chat.ID, hash [sha256.Size]byte, ok bool) {
	rest, ok := strings.CutPrefix(text, kind)
	if !ok || len(rest) != keyID+keySecret+keySum || checksum(text[:len(text)-keySum]) != text[len(text)-keySum:] {
		return chat.ID{}, hash, false
	}
	id, err := chat.ParseID(of.String() + "_" + rest[:keyID])
	return id, sha256.Sum256([]byte(text)), err == nil
}

func checksum(text string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text)))), keySum)
}

func base62(n *big.Int, digits int) string {
	s := n.Text(62)
	return strings.Repeat("0", digits-len(s)) + s
}
