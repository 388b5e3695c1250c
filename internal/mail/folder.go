package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
)

// folder keeps the newest mails as files that mail programs open. Their names begin with the time.
type folder struct {
	path      string
	keep      int
	showLinks bool
	log       *slog.Logger

	mu sync.Mutex // one mail at a time, so that the count is right
}

// ours finds the files that folder made: it removes nothing else. A draft is left behind by a crash.
var ours = regexp.MustCompile(`^\d{8}T\d{6}Z-[a-z]+-[0-9a-f]{8}\.eml(\.draft)?$`)

// deliver writes the duplicate of a mail over it: its name follows from the action.
func (f *folder) deliver(_ context.Context, l *letter) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return fmt.Errorf("make the folder of mails: %w", err)
	}
	name := filepath.Join(f.path, l.at.UTC().Format("20060102T150405Z")+"-"+l.kind+"-"+l.id[:8]+".eml")
	draft := name + ".draft"
	if err := errors.Join(os.WriteFile(draft, l.data, 0o600), os.Rename(draft, name)); err != nil {
		return fmt.Errorf("keep a mail: %w", err)
	}
	attributes := []any{"kind", l.kind, "user", l.user, "file", name}
	if f.showLinks {
		attributes = append(attributes, "link", l.link)
	}
	f.log.Info("mail", attributes...)
	return f.prune()
}

// prune removes the oldest.
func (f *folder) prune() error {
	entries, err := os.ReadDir(f.path) // in the order of their names
	if err != nil {
		return fmt.Errorf("look through the mails: %w", err)
	}
	var mails []string
	for _, e := range entries {
		if e.Type().IsRegular() && ours.MatchString(e.Name()) {
			mails = append(mails, filepath.Join(f.path, e.Name()))
		}
	}
	for _, name := range mails[:max(0, len(mails)-f.keep)] {
		if e := os.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
