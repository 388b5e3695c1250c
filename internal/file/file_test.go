package file_test

import (
	"bytes"
	"context"
	"errors"
	"image/color"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/file"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMain(m *testing.M) {
	// gorm's cache of prepared statements has a goroutine for life, one a database.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

type bundle struct {
	*file.Service
	store *store.Store
	ann   chat.Viewer
	ahead atomic.Int64 // of the clock
}

func each(t *testing.T, c file.Config, test func(t *testing.T, b *bundle)) {
	t.Helper()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		b := &bundle{store: s, ann: chat.Viewer{User: testkit.MustAddUsers(t, s, 1)[0]}}
		c := c
		c.Now = func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
		b.Service = file.New(s, c)
		test(t, b)
	})
}

func (b *bundle) upload(content []byte) (chat.ID, error) {
	return b.Upload(context.Background(), b.ann, bytes.NewReader(content))
}

func (b *bundle) mustUpload(t *testing.T, content []byte) chat.ID {
	t.Helper()
	id, err := b.upload(content)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bundle) mustUse(t *testing.T, id chat.ID) {
	t.Helper()
	if _, err := b.store.Write(t.Context(), b.ann.User, func(tx *store.Tx) error { return tx.UseUpload(b.ann.User, id) }); err != nil {
		t.Fatal(err)
	}
}

// rows counts the uploads that nothing uses, half-written ones included.
func (b *bundle) rows(t *testing.T) (n int) {
	t.Helper()
	_, err := b.store.Write(t.Context(), b.ann.User, func(tx *store.Tx) (err error) { n, _, err = tx.UnusedUploads(b.ann.User); return err })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var small = testkit.Picture(8, 8, color.White)

// Nobody fills the database with what nothing uses, also not by doing it all at once.
func TestQuota(t *testing.T) {
	t.Parallel()
	each(t, file.Config{MaxUnused: 3, PerMinute: -1}, func(t *testing.T, b *bundle) {
		var wg sync.WaitGroup
		var stored, refused atomic.Int64
		for range 12 {
			wg.Go(func() {
				switch _, err := b.upload(small); chat.CodeOf(err) {
				case "":
					stored.Add(1)
				case chat.CodeConflict:
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if stored.Load() != 3 || refused.Load() != 9 {
			t.Errorf("%d stored, %d refused", stored.Load(), refused.Load())
		}
	})
	each(t, file.Config{MaxUpload: 1000, MaxUnusedSize: 2500, PerMinute: -1}, func(t *testing.T, b *bundle) {
		for n := 0; ; n++ { // what is being written counts as the largest that it may become
			_, err := b.upload(small)
			if chat.CodeOf(err) == chat.CodeConflict && n >= 2500/1000 {
				break
			}
			if err != nil || n > 50 {
				t.Fatal(n, err)
			}
		}
	})
	each(t, file.Config{PerMinute: 2}, func(t *testing.T, b *bundle) {
		for n := range 3 {
			if _, err := b.upload(small); (n == 2) != (chat.CodeOf(err) == chat.CodeRateLimited) {
				t.Error(n, err)
			}
		}
	})
}

// What fails leaves nothing.
func TestFailures(t *testing.T) {
	t.Parallel()
	each(t, file.Config{MaxUpload: 2000, PerMinute: -1}, func(t *testing.T, b *bundle) {
		broken := errors.New("broken")
		large := testkit.Picture(8, 8, color.White)
		large = append(large[:33:33], append(bytes.Repeat([]byte("\x00\x00\x00\x00tEXt\x00\x00\x00\x00"), 500), large[33:]...)...)
		if _, err := b.upload(large); !errors.Is(err, file.ErrTooLarge) {
			t.Error(err)
		}
		if _, err := b.upload(small[:40]); chat.CodeOf(err) != chat.CodeBadInput {
			t.Error(err)
		}
		if _, err := b.Upload(t.Context(), b.ann, io.MultiReader(bytes.NewReader(small[:40]), failing{broken})); !errors.Is(err, broken) {
			t.Error(err)
		}
		if n := b.rows(t); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// What nothing uses goes after its time, with its content, and so does what was left half-written; what is used stays.
func TestPurge(t *testing.T) {
	t.Parallel()
	each(t, file.Config{PerMinute: -1}, func(t *testing.T, b *bundle) {
		used, unused := b.mustUpload(t, small), b.mustUpload(t, small)
		b.mustUse(t, used)
		half := chat.File{ID: chat.NewID(chat.KindFile), Owner: b.ann.User, Purpose: chat.FileAvatar, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(24 * time.Hour)}
		if _, err := b.store.Write(t.Context(), b.ann.User, func(tx *store.Tx) error { _, err := tx.InsertFile(half); return err }); err != nil {
			t.Fatal(err)
		}
		w := b.store.WriteFile(t.Context(), half.ID)
		if _, err := w.Write(make([]byte, 100*store.ChunkSize+1)); err != nil { // more than a transaction deletes
			t.Fatal(err)
		}
		content := func(id chat.ID) (n int) {
			all, _ := io.ReadAll(b.Content(t.Context(), chat.File{ID: id, Size: 1 << 40}))
			return len(all)
		}
		if _, _, err := b.Picture(t.Context(), half.ID, 0); chat.CodeOf(err) != chat.CodeNotFound {
			t.Error("half a file is shown:", err)
		}
		for _, day := range []int{0, 2} {
			b.ahead.Store(int64(day) * int64(24*time.Hour))
			if err := b.Purge(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			there := day == 0
			if (content(half.ID) > 0) != there || (content(unused) > 0) != there || content(used) == 0 {
				t.Errorf("day %d: %d, %d, %d", day, content(half.ID), content(unused), content(used))
			}
		}
		if n := b.rows(t); n != 0 {
			t.Errorf("%d are left", n)
		}
		if _, _, err := b.Picture(t.Context(), used, 0); err != nil {
			t.Error(err)
		}
	})
}

// Thumbnails are made once, however often and at once it is tried, and go with the picture.
func TestThumbnails(t *testing.T) {
	t.Parallel()
	each(t, file.Config{PerMinute: -1}, func(t *testing.T, b *bundle) {
		id := b.mustUpload(t, testkit.Picture(300, 200, color.Black))
		b.mustUse(t, id)
		if f, final, err := b.Picture(t.Context(), id, 64); err != nil || final || f.ID != id {
			t.Error("until there is a thumbnail:", f, final, err)
		}
		work := &job.Job[file.Thumbnails]{Args: file.Thumbnails{Picture: id}}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if err := b.MakeThumbnails(t.Context(), work); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		made, err := b.store.Thumbnails(t.Context(), id)
		if err != nil || len(made) != 2 {
			t.Fatal(made, err)
		}
		for _, m := range made {
			if f, final, err := b.Picture(t.Context(), id, m.Width); err != nil || !final || f.ID != m.ID || f.Size == 0 {
				t.Error(f, final, err)
			}
			if all, err := io.ReadAll(b.Content(t.Context(), m)); err != nil || int64(len(all)) != m.Size {
				t.Error(len(all), err)
			}
			if _, _, err := b.Picture(t.Context(), m.ID, 0); chat.CodeOf(err) != chat.CodeNotFound {
				t.Error("a thumbnail has a link of its own:", err)
			}
		}
		if _, err := b.store.Write(t.Context(), b.ann.User, func(tx *store.Tx) error { return tx.DeleteFile(id) }); err != nil {
			t.Fatal(err)
		}
		if made, err := b.store.Thumbnails(t.Context(), id); err != nil || len(made) != 0 {
			t.Error(made, err)
		}
		if err := b.MakeThumbnails(t.Context(), work); err != nil {
			t.Error("of what is gone:", err)
		}
	})
}

// A file passes through in pieces: what is in memory does not grow with it.
func TestMemory(t *testing.T) {
	const pieces, at = 24, store.ChunkSize
	for _, url := range []string{testkit.SQLiteURL(t), testkit.MigratedPostgresURL(t)} { // one by one: the heap is weighed
		s := testkit.MustOpenStore(t, url)
		user := testkit.MustAddUsers(t, s, 1)[0]
		f := chat.File{ID: chat.NewID(chat.KindFile), Owner: user, Purpose: chat.FileExport, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		if _, err := s.Write(t.Context(), user, func(tx *store.Tx) error { _, err := tx.InsertFile(f); return err }); err != nil {
			t.Fatal(err)
		}
		random := rand.NewChaCha8([32]byte{1})
		var most, held uint64
		weigh := func() {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			if most = max(most, m.HeapAlloc); held == 0 {
				held = m.HeapAlloc
			}
		}
		weigh()
		w := s.WriteFile(t.Context(), f.ID)
		for range pieces {
			if _, err := io.CopyN(w, random, at); err != nil {
				t.Fatal(err)
			}
			weigh()
		}
		var err error
		if f.Size, f.SHA256, err = w.Finish(); err != nil || f.Size != pieces*at {
			t.Fatal(f.Size, err)
		}
		r := s.ReadFile(t.Context(), f)
		for {
			if _, err := io.CopyN(io.Discard, r, at); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			weigh()
		}
		t.Logf("%d KiB on the way of %d KiB", (most-held)>>10, f.Size>>10)
		if most-held > 8*at { // one is written, one is read, and the drivers have some
			t.Error("that is too much")
		}
	}
}
