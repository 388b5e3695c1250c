package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SigningKey is the configured secret or, in development, the one kept in the data folder. Processes that start at once
// agree on it: it appears under its name complete, and only once.
func (c Config) SigningKey() ([]byte, error) {
	if c.Secret != "" {
		return []byte(c.Secret), nil
	}
	if c.Production() {
		return nil, &Error{"PARLEY_SECRET", "is missing", secretHint}
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	name := filepath.Join(c.DataDir, "secret")
	switch key, err := readSecret(name); {
	case err == nil:
		return key, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := createSecret(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("keep the development secret: %w", err)
	}
	return readSecret(name)
}

// createSecret fails with fs.ErrExist when somebody else was faster.
func createSecret(name string) error {
	var random [MinSecret]byte
	_, _ = rand.Read(random[:])
	text := hex.EncodeToString(random[:]) + "\n"

	draft := fmt.Sprintf("%s.%s", name, hex.EncodeToString(random[:4]))
	if err := writeNew(draft, text); err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft) }()
	err := os.Link(draft, name)
	if err != nil && !errors.Is(err, fs.ErrExist) { // a file system without hard links
		return writeNew(name, text)
	}
	return err
}

func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// readSecret waits a little for a file that is still being written, which happens only without hard links.
func readSecret(name string) ([]byte, error) {
	for try := 0; ; try++ {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if key := strings.TrimSpace(string(b)); len(key) >= MinSecret {
			return []byte(key), nil
		}
		if try == 20 {
			return nil, &Error{name, "is shorter than 32 bytes", "delete it; a new one is made at the next start, and everybody signs in again"}
		}
		time.Sleep(25 * time.Millisecond)
	}
}
