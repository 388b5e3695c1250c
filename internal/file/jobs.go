package file

import (
	"bufio"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/picture"
	"github.com/parley-chat/parley/internal/store"
)

// Sizes are the thumbnails that each avatar gets: squares of so many pixels.
var Sizes = []int{256, 64}

// Thumbnails asks for those of a picture.
type Thumbnails struct {
	Picture chat.ID `json:"picture"`
}

// Kind names the job.
func (Thumbnails) Kind() string { return "thumbnails" }

// InsertOpts keep it from being made for each change of what has the avatar.
func (Thumbnails) InsertOpts() job.Options {
	return job.Options{Queue: job.Files, UniqueOpts: job.Unique{ByArgs: true}}
}

// OnChanged asks for the thumbnails of the avatar that a change may have brought.
func (*Service) OnChanged(e *chat.Event) job.Args {
	var avatar chat.ID
	switch r := e.Rows; {
	case e.Type == chat.ProfileChanged && e.Topic.ID == e.Subject && r.User != nil: // once, of all who are told
		avatar = r.User.Avatar
	case e.Type == chat.ConversationUpdated && r.Conversation != nil:
		avatar = r.Conversation.Avatar
	}
	if avatar.IsZero() {
		return nil
	}
	return Thumbnails{avatar}
}

// MakeThumbnails makes those that are missing. It may run twice, also at once: of each size the first stays. What cannot be
// decoded, although it has the right structure, has none.
func (s *Service) MakeThumbnails(ctx context.Context, j *job.Job[Thumbnails]) error {
	f, err := s.store.FileByID(ctx, j.Args.Picture, s.Now())
	if chat.CodeOf(err) == chat.CodeNotFound {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	made, err := s.store.Thumbnails(ctx, f.ID)
	if err != nil || len(made) == len(Sizes) {
		return err
	}
	squares, err := s.squares(ctx, f)
	if chat.CodeOf(err) == chat.CodeBadInput {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.store.Write(ctx, f.Owner, func(tx *store.Tx) error {
		for _, q := range squares {
			sum := sha256.Sum256(q.Data)
			t := chat.File{ID: chat.NewID(chat.KindFile), Owner: f.Owner, Purpose: chat.FileThumbnail, Parent: f.ID, ContentType: q.Type,
				Size: int64(len(q.Data)), Width: q.Size, Height: q.Size, SHA256: sum[:], CreatedAt: tx.Now}
			is, err := tx.InsertFile(t)
			if err != nil {
				return err
			}
			n := 0
			for chunk := range slices.Chunk(q.Data, store.ChunkSize) {
				if !is {
					break
				}
				if err := tx.InsertChunk(t.ID, n, chunk); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	return err
}

func (s *Service) squares(ctx context.Context, f chat.File) ([]picture.Square, error) {
	select {
	case s.decoding <- struct{}{}:
		defer func() { <-s.decoding }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	is := picture.Info{Type: f.ContentType, Width: f.Width, Height: f.Height, Orientation: f.Orientation}
	return picture.Squares(bufio.NewReader(s.store.ReadFile(ctx, f)), is, Sizes...)
}

// Purge asks for what has expired to be deleted.
type Purge struct{}

// Kind names the job.
func (Purge) Kind() string { return "purge_files" }

// InsertOpts name the queue.
func (Purge) InsertOpts() job.Options { return job.Options{Queue: job.Files} }

const (
	// PurgeEvery is how often.
	PurgeEvery = 10 * time.Minute

	purgeMax   = 40          // rows in one transaction: 10 MiB
	purgeAfter = time.Minute // clocks of nodes may differ: what one takes for expired may just be used by another
)

// Purge deletes what has expired: uploads that nothing has used, exports, and what was left by whoever was killed while
// writing. A piece at a time, so that nobody waits long.
func (s *Service) Purge(ctx context.Context, _ *job.Job[Purge]) error {
	before := s.Now().Add(-purgeAfter)
	for n := int64(1); n > 0; {
		var err error
		if n, err = s.store.TrimFiles(ctx, before, purgeMax); err != nil {
			return err
		}
	}
	return nil
}
