package store

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"hash"
	"io"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// ChunkSize is how much of a file one row holds, and how much of it is in memory while it is written or read.
const ChunkSize = 256 << 10

const fileColumns = "f.id, f.owner_id, f.purpose, f.parent_id, f.content_type, f.size, f.width, f.height, f.orientation, f.sha256, f.created_at, f.expires_at"

func scanFile(r rows) (f chat.File, err error) {
	err = r.Scan(scanID(&f.ID, chat.KindFile), scanID(&f.Owner, chat.KindUser), &f.Purpose, scanID(&f.Parent, chat.KindFile), &f.ContentType,
		&f.Size, &f.Width, &f.Height, &f.Orientation, &f.SHA256, scanTime(&f.CreatedAt), scanTime(&f.ExpiresAt))
	return f, err
}

// FileByID reads what is known of a file that is whole and has not expired, or chat.ErrNotFound.
func (r reader) FileByID(ctx context.Context, file chat.ID, at time.Time) (chat.File, error) {
	f, err := one(r.db.WithContext(ctx), scanFile, "SELECT "+fileColumns+" FROM files f WHERE f.id = ? AND f.sha256 IS NOT NULL AND (f.expires_at IS NULL OR f.expires_at > ?)",
		id(file), r.at(Micros(at)))
	return f, translate(err)
}

// Thumbnails reads those of a picture, or some of them: they are made one after another.
func (r reader) Thumbnails(ctx context.Context, picture chat.ID) ([]chat.File, error) {
	l, err := list(r.db.WithContext(ctx), scanFile, "SELECT "+fileColumns+" FROM files f WHERE f.parent_id = ?", id(picture))
	return l, translate(err)
}

// UnusedUploads says how many uploads of a user's nothing uses, and how large they are or may become.
func (tx *Tx) UnusedUploads(owner chat.ID) (n int, size int64, err error) {
	type sums struct {
		n    int
		size int64
	}
	s, err := one(tx.db, func(r rows) (s sums, err error) { err = r.Scan(&s.n, &s.size); return s, err },
		"SELECT count(*), CAST(coalesce(sum(size), 0) AS bigint) FROM files WHERE owner_id = ? AND purpose = 'AVATAR' AND expires_at > ?", id(owner), tx.at(tx.Now))
	return s.n, s.size, err
}

// InsertFile stores a file. Without a SHA256 it has no content yet, and nobody sees it: write it, and complete it. Of two
// thumbnails of a size the first stays: it says whether this is it.
func (tx *Tx) InsertFile(f chat.File) (bool, error) {
	n, err := tx.exec(`INSERT INTO files (id, owner_id, purpose, parent_id, content_type, size, width, height, orientation, sha256, created_at, expires_at)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (parent_id, width) WHERE parent_id IS NOT NULL DO NOTHING`,
		id(f.ID), id(f.Owner), string(f.Purpose), id(f.Parent), f.ContentType, f.Size, f.Width, f.Height, f.Orientation, blob(f.SHA256), tx.at(f.CreatedAt), tx.at(f.ExpiresAt))
	return n > 0, err
}

// InsertChunk stores a piece of a file. The first is 0.
func (tx *Tx) InsertChunk(file chat.ID, n int, data []byte) error {
	_, err := tx.exec(insertChunk, id(file), n, blob(data))
	return err
}

const insertChunk = "INSERT INTO file_chunks (file_id, n, data) VALUES (?,?,?)"

// blob keeps gorm from expanding a slice that follows a parenthesis; nil is NULL.
type blob []byte

func (b blob) Value() (driver.Value, error) {
	if b == nil {
		return nil, nil //nolint:nilnil // NULL
	}
	return []byte(b), nil
}

// CompleteFile says what a file is that has been written, or returns chat.ErrNotFound when it is gone.
func (tx *Tx) CompleteFile(f chat.File) error {
	n, err := tx.exec("UPDATE files SET content_type = ?, size = ?, width = ?, height = ?, orientation = ?, sha256 = ?, expires_at = ? WHERE id = ? AND sha256 IS NULL",
		f.ContentType, f.Size, f.Width, f.Height, f.Orientation, blob(f.SHA256), tx.at(f.ExpiresAt), id(f.ID))
	return found1(n, err)
}

// UseUpload makes an upload of a user's that nothing uses one that is used; chat.ErrNotFound when it is none.
func (tx *Tx) UseUpload(owner, file chat.ID) error {
	if file.Kind != chat.KindFile {
		return chat.ErrNotFound
	}
	n, err := tx.exec("UPDATE files SET expires_at = NULL WHERE id = ? AND owner_id = ? AND purpose = 'AVATAR' AND sha256 IS NOT NULL AND expires_at > ?",
		id(file), id(owner), tx.at(tx.Now))
	return found1(n, err)
}

func found1(n int64, err error) error {
	if err == nil && n == 0 {
		err = chat.ErrNotFound
	}
	return err
}

// DeleteFile deletes a file of at most a few megabytes, with its thumbnails.
func (tx *Tx) DeleteFile(file chat.ID) error {
	_, err := tx.exec("DELETE FROM files WHERE id = ?", id(file))
	return err
}

// ExpireFile leaves the deleting of a large file to TrimFiles.
func (tx *Tx) ExpireFile(file chat.ID) error {
	_, err := tx.exec("UPDATE files SET expires_at = ? WHERE id = ?", tx.at(tx.Now), id(file))
	return err
}

// TrimFiles deletes up to max chunks of files that have expired before a time, and the files that have none left; it says
// how many rows that were.
func (s *Store) TrimFiles(ctx context.Context, before time.Time, max int) (int64, error) {
	t := s.at(Micros(before))
	db := s.write.WithContext(ctx)
	n, err := exec(db, `DELETE FROM file_chunks WHERE (file_id, n) IN (SELECT c.file_id, c.n FROM files f JOIN file_chunks c ON c.file_id = f.id
		WHERE f.expires_at < ? LIMIT ?)`, t, max)
	if err != nil || n > 0 {
		return n, translate(err)
	}
	n, err = exec(db, "DELETE FROM files WHERE id IN (SELECT id FROM files WHERE expires_at < ? LIMIT ?)", t, max)
	if err != nil || n > 0 {
		return n, translate(err)
	}
	n, err = exec(db, "DELETE FROM exports WHERE user_id IN (SELECT user_id FROM exports WHERE expires_at < ? LIMIT ?)", t, max)
	return n, translate(err)
}

// FileWriter writes the content of a file that was inserted without any. What is written is in the database a chunk at a
// time, each in a transaction of its own: nothing is locked while more is waited for.
type FileWriter struct {
	store *Store
	ctx   context.Context //nolint:containedctx // io.Writer has none
	file  chat.ID
	n     int
	chunk []byte
	hash  hash.Hash
	size  int64
}

// WriteFile begins to write.
func (s *Store) WriteFile(ctx context.Context, file chat.ID) *FileWriter {
	return &FileWriter{store: s, ctx: ctx, file: file, chunk: make([]byte, 0, ChunkSize), hash: sha256.New()}
}

func (w *FileWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if len(w.chunk) == ChunkSize {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
		some := min(len(b), ChunkSize-len(w.chunk))
		w.chunk, b, n = append(w.chunk, b[:some]...), b[some:], n+some
	}
	return n, nil
}

func (w *FileWriter) flush() error {
	_, err := exec(w.store.write.WithContext(w.ctx), insertChunk, id(w.file), w.n, blob(w.chunk))
	if err != nil {
		return translate(err)
	}
	w.hash.Write(w.chunk)
	w.n, w.size, w.chunk = w.n+1, w.size+int64(len(w.chunk)), w.chunk[:0]
	return nil
}

// Finish writes what is left, and says how much it was.
func (w *FileWriter) Finish() (size int64, sha256 []byte, err error) {
	if len(w.chunk) > 0 {
		err = w.flush()
	}
	return w.size, w.hash.Sum(nil), err
}

// ReadFile reads the content of a file, a chunk at a time. One that is deleted meanwhile ends with io.ErrUnexpectedEOF.
func (s *Store) ReadFile(ctx context.Context, f chat.File) io.Reader {
	return &fileReader{store: s, ctx: ctx, file: f.ID, left: f.Size}
}

type fileReader struct {
	store *Store
	ctx   context.Context //nolint:containedctx // io.Reader has none
	file  chat.ID
	n     int
	chunk []byte
	left  int64
}

func (r *fileReader) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if len(r.chunk) == 0 {
		l, err := list(r.store.db.WithContext(r.ctx), value[[]byte], "SELECT data FROM file_chunks WHERE file_id = ? AND n = ?", id(r.file), r.n)
		if err != nil {
			return 0, translate(err)
		}
		if len(l) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		r.chunk, r.n = l[0], r.n+1
	}
	n := copy(b, r.chunk)
	r.chunk, r.left = r.chunk[n:], r.left-int64(n)
	return n, nil
}
