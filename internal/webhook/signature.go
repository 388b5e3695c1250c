package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// The headers of Standard Webhooks.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// Tolerance is how far the clocks of sender and receiver may be apart, and for how long an id has to be remembered for a
// message not to be taken twice.
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	scheme       = "v1,"
	minSecret    = 24
	maxSecret    = 64
	maxID        = 256
)

// Secret is what signs the messages of one endpoint. Printed, it does not show; Text does.
type Secret struct{ key []byte }

// NewSecret makes one.
func NewSecret() Secret {
	s := Secret{make([]byte, 32)}
	_, _ = rand.Read(s.key) // never fails
	return s
}

// ParseSecret reads what Text wrote. The error is BAD_USER_INPUT.
func ParseSecret(text string) (Secret, error) {
	coded, ok := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(coded)
	if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, chat.BadInput("a secret is whsec_ and 24 to 64 bytes in base64")
	}
	return Secret{key}, nil
}

// Text is the form in which receivers are given a secret.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s.key) }

func (s Secret) String() string { return secretPrefix + "…" }

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

func (s Secret) sign(id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// validID says whether an id leaves no doubt where it ends: with a full stop in it, one signature could fit two messages.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '.' })
}

// Sign adds the headers that prove where a message comes from. While a secret is being replaced, the new and the old one both
// sign.
func Sign(h http.Header, id string, at time.Time, body []byte, secrets ...Secret) error {
	if !validID(id) || len(secrets) == 0 {
		return errors.New("a webhook needs a secret, and an id of printable characters without a full stop")
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		signatures[i] = scheme + base64.StdEncoding.EncodeToString(s.sign(id, timestamp, body))
	}
	h.Set(headerID, id)
	h.Set(headerTimestamp, timestamp)
	h.Set(headerSignature, strings.Join(signatures, " "))
	return nil
}

// Verify says which message it is that somebody sent, if they know one of the secrets and sent it just now. A message that
// comes a second time has the same id; that is for the caller to notice. The error is UNAUTHENTICATED.
func Verify(h http.Header, body []byte, now time.Time, secrets ...Secret) (id string, err error) {
	id, timestamp := h.Get(headerID), h.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if !validID(id) || err != nil {
		return "", refused("the headers webhook-id and webhook-timestamp are missing, or not what they should be")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return "", refused("webhook-timestamp is too far from this server's time; sign again when sending again, and set the clock")
	}
	for _, s := range secrets {
		want := s.sign(id, timestamp, body)
		for signature := range strings.FieldsSeq(h.Get(headerSignature)) {
			coded, ok := strings.CutPrefix(signature, scheme)
			got, err := base64.StdEncoding.DecodeString(coded)
			if ok && err == nil && hmac.Equal(got, want) {
				return id, nil
			}
		}
	}
	return "", refused("webhook-signature does not fit; sign id.timestamp.body, byte by byte as sent, with the secret")
}

func refused(message string) error {
	return &chat.Error{Code: chat.CodeUnauthenticated, Message: message}
}
