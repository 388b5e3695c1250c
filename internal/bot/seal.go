package bot

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/parley-chat/parley/internal/chat"
)

// seal keeps what must be known again out of the database's backups: AES-GCM, with the nonce before what is sealed, bound to
// the thing it belongs to.
type seal struct{ cipher.AEAD }

func newSeal(key []byte) (seal, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return seal{}, err
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	return seal{a}, err
}

func (s seal) close(plain string, of chat.ID) []byte {
	return s.Seal(nil, nil, []byte(plain), of.UUID[:])
}

func (s seal) open(sealed []byte, of chat.ID) (string, error) {
	plain, err := s.Open(nil, nil, sealed, of.UUID[:])
	return string(plain), err
}
