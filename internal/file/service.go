// Package file has the rules of files: what may be uploaded, what is made of it, who may read it, and when it goes.
package file

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/picture"
	"github.com/parley-chat/parley/internal/store"
)

// Config is what may be chosen.
type Config struct {
	MaxUpload int64 // bytes; 0 means 5 MiB
	// MaxUnused is how many uploads of a user's may wait to be used, and MaxUnusedSize how large they may be together; 0
	// means 20 and 50 MiB.
	MaxUnused     int
	MaxUnusedSize int64
	PerMinute     int           // uploads of a user; 0 means 30, less is no limit
	Keep          time.Duration // of an upload that nothing uses; 0 means a day
	PublicURL     string        // what links begin with; empty: they are paths of this server's
	Now           func() time.Time
}

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	store *store.Store
	Config
	rate     *limit.Shared
	decoding chan struct{} // held while a picture is decoded: one is large enough
}

// New makes the service.
func New(s *store.Store, c Config) *Service {
	if c.MaxUpload == 0 {
		c.MaxUpload = 5 << 20
	}
	if c.MaxUnused == 0 {
		c.MaxUnused = 20
	}
	if c.MaxUnusedSize == 0 {
		c.MaxUnusedSize = 50 << 20
	}
	if c.PerMinute == 0 {
		c.PerMinute = 30
	}
	if c.Keep == 0 {
		c.Keep = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return &Service{store: s, Config: c, rate: limit.NewShared(limit.Config{N: c.PerMinute, Now: c.Now}, s.TakeLimit), decoding: make(chan struct{}, 1)}
}

// ErrTooLarge is the refusal of an upload for its size.
var ErrTooLarge = chat.BadInput("the file is too large; make it smaller")

// Upload stores a picture of the viewer's, without the metadata that it may hold. It is theirs alone until it is used, and
// goes after Keep if it is not. Errors: BAD_USER_INPUT, ErrTooLarge; CONFLICT when too much waits to be used; RATE_LIMITED.
func (s *Service) Upload(ctx context.Context, v chat.Viewer, content io.Reader) (chat.ID, error) {
	if err := s.rate.Allow(ctx, "upload "+v.User.String()); err != nil {
		return chat.ID{}, err
	}
	f := chat.File{ID: chat.NewID(chat.KindFile), Owner: v.User, Purpose: chat.FileAvatar, Size: s.MaxUpload}
	if _, err := s.store.Write(ctx, v.User, func(tx *store.Tx) error {
		if _, err := tx.LockUsers(v.User); err != nil { // so that several at once are counted
			return err
		}
		n, size, err := tx.UnusedUploads(v.User)
		if err != nil {
			return err
		}
		if n >= s.MaxUnused || size+f.Size > s.MaxUnusedSize {
			return chat.Conflict("too many of your uploads wait to be used; use them, or come back when they have gone")
		}
		f.CreatedAt, f.ExpiresAt = tx.Now, tx.Now.Add(s.Keep)
		_, err = tx.InsertFile(f)
		return err
	}); err != nil {
		return chat.ID{}, err
	}
	err := s.write(ctx, &f, content)
	if err == nil {
		_, err = s.store.Write(ctx, v.User, func(tx *store.Tx) error { return tx.CompleteFile(f) })
	}
	if err != nil { // at once, so that it does not count; or else Purge does it
		_, _ = s.store.Write(context.WithoutCancel(ctx), v.User, func(tx *store.Tx) error { return tx.DeleteFile(f.ID) })
		return chat.ID{}, err
	}
	return f.ID, nil
}

func (s *Service) write(ctx context.Context, f *chat.File, content io.Reader) error {
	w := s.store.WriteFile(ctx, f.ID)
	is, err := picture.Clean(w, &bounded{content, s.MaxUpload})
	if err != nil {
		return err
	}
	f.ContentType, f.Width, f.Height, f.Orientation = is.Type, is.Width, is.Height, is.Orientation
	f.Size, f.SHA256, err = w.Finish()
	return err
}

// bounded is a reader that fails where too much comes.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// URL is where a picture is found, or a square one of so many pixels made of it, if size is not 0.
func (s *Service) URL(file chat.ID, size int) string {
	if size == 0 {
		return s.PublicURL + "/files/" + file.String()
	}
	return fmt.Sprintf("%s/files/%s?size=%d", s.PublicURL, file, size)
}

// Picture finds what URL leads to, for whoever knows it. final says that it will always be this: a thumbnail is the picture
// itself until it is made. Errors: NOT_FOUND, also while nothing uses the picture.
func (s *Service) Picture(ctx context.Context, file chat.ID, size int) (f chat.File, final bool, err error) {
	if file.Kind != chat.KindFile {
		return f, false, chat.ErrNotFound
	}
	f, err = s.store.FileByID(ctx, file, s.Now())
	if err == nil && (f.Purpose != chat.FileAvatar || !f.ExpiresAt.IsZero()) {
		err = chat.ErrNotFound
	}
	if err != nil || size == 0 {
		return f, true, err
	}
	thumbnails, err := s.store.Thumbnails(ctx, f.ID)
	for _, t := range thumbnails {
		if t.Width == size {
			return t, true, nil
		}
	}
	return f, false, err
}

// Content reads a file, a little at a time.
func (s *Service) Content(ctx context.Context, f chat.File) io.Reader {
	return s.store.ReadFile(ctx, f)
}
