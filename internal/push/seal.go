package push

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
)

// What RFC 8291, section 4, says of the sizes: one record, and not more than every push service takes.
const (
	maxRecord = 4096
	saltSize  = 16
	authSize  = 16
	pointSize = 65
	overhead  = saltSize + 4 + 1 + pointSize + aesTag
	aesTag    = 16
	delimiter = 2

	// MaxBody is how long a message can be.
	MaxBody = maxRecord - overhead - 1

	// step hides the length of messages: their padded lengths are multiples of it, or the longest one.
	step = 1024
)

// padded is the length of a message with its delimiter and padding.
func padded(length int) int { return min((length/step+1)*step, MaxBody+1) }

// seal encrypts a message after RFC 8291 as one record of RFC 8188, padded to a size. The sender's key and the salt are used
// once.
func seal(s Subscription, sender *ecdh.PrivateKey, salt, message []byte, size int) ([]byte, error) {
	shared, err := sender.ECDH(s.key)
	if err != nil {
		return nil, err
	}
	public := sender.PublicKey().Bytes()
	secret, err1 := hkdf.Key(sha256.New, shared, s.auth, "WebPush: info\x00"+string(s.key.Bytes())+string(public), sha256.Size)
	key, err2 := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: aes128gcm\x00", 16)
	nonce, err3 := hkdf.Key(sha256.New, secret, salt, "Content-Encoding: nonce\x00", 12)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, size)
	plain[copy(plain, message)] = delimiter
	head := slices.Concat(salt, binary.BigEndian.AppendUint32(nil, maxRecord), []byte{pointSize}, public)
	return aead.Seal(head, nonce, plain, nil), nil
}
