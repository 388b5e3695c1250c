package hook

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/webhook"
)

func (s *Service) aead() (cipher.AEAD, error) {
	b, err := aes.NewCipher(s.Key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

// seal makes of a secret what is stored. It opens only beside the id of its webhook.
func (s *Service) seal(id chat.ID, secret webhook.Secret) (string, error) {
	a, err := s.aead()
	if err != nil {
		return "", err
	}
	return base64.RawStdEncoding.EncodeToString(a.Seal(nil, nil, []byte(secret.Text()), id.UUID[:])), nil
}

func (s *Service) open(id chat.ID, sealed string) (webhook.Secret, error) {
	a, err := s.aead()
	if err != nil {
		return webhook.Secret{}, err
	}
	b, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil {
		return webhook.Secret{}, err
	}
	text, err := a.Open(nil, nil, b, id.UUID[:])
	if err != nil {
		return webhook.Secret{}, err
	}
	return webhook.ParseSecret(string(text))
}
