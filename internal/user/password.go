package user

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What a new password is hashed with: OWASP's second choice for argon2id, about 30 ms.
const (
	hashMemory  = 19 * 1024 // KiB
	hashTime    = 2
	hashThreads = 1
	saltSize    = 16
	hashSize    = 32
)

// unknownUser is hashed against when there is nobody to sign in, so that it takes as long. Nobody knows its password.
var unknownUser = phc(make([]byte, saltSize), make([]byte, hashSize))

// hasher hashes passwords, a few at a time: each takes 19 MiB, and a burst of sign-ins must not take all memory.
type hasher struct {
	slots  chan struct{}
	hashed func()
}

// hash makes what is kept of a password: a PHC string.
func (h hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	key, err := h.derive(ctx, password, salt, hashTime, hashMemory, hashThreads, hashSize)
	return phc(salt, key), err
}

// matches says whether kept was made of password.
func (h hasher) matches(ctx context.Context, password, kept string) (bool, error) {
	var version, memory, time uint32
	var threads uint8
	parts := strings.Split(kept, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return false, errPHC
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, errPHC
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || time < 1 || threads < 1 {
		return false, errPHC
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) < saltSize {
		return false, errPHC
	}
	got, err := h.derive(ctx, password, salt, time, memory, threads, uint32(len(want))) //nolint:gosec // as kept
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

func (h hasher) derive(ctx context.Context, password string, salt []byte, time, memory uint32, threads uint8, size uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	h.hashed()
	return argon2.IDKey([]byte(password), salt, time, memory, threads, size), nil
}

var errPHC = errors.New("a password's hash cannot be read")

func phc(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}
