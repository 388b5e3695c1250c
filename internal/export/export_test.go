package export_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/export"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/token"
)

func TestMain(m *testing.M) {
	// gorm's cache of prepared statements has a goroutine for life, one a database.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

type bundle struct {
	*export.Service
	store *store.Store
	ann   chat.Viewer
	ahead atomic.Int64 // of the clock
	mails atomic.Int64
}

func each(t *testing.T, test func(t *testing.T, b *bundle)) {
	t.Helper()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		b := &bundle{store: s, ann: chat.Viewer{User: testkit.MustAddUsers(t, s, 1)[0]}}
		tokens, err := token.New(token.Config{Secret: []byte(strings.Repeat("k", 32))})
		if err != nil {
			t.Fatal(err)
		}
		b.Service = export.New(s, tokens, export.Config{
			Now:  func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) },
			Send: func(context.Context, chat.ID, string, time.Time, mail.Content) error { b.mails.Add(1); return nil },
		})
		test(t, b)
	})
}

func (b *bundle) mustRequest(t *testing.T) *job.Job[export.Args] {
	t.Helper()
	e, _, err := b.Request(t.Context(), b.ann)
	if err != nil {
		t.Fatal(err)
	}
	return &job.Job[export.Args]{Args: export.Args{User: e.User, RequestedAt: e.RequestedAt}}
}

func (b *bundle) mustOf(t *testing.T) *chat.Export {
	t.Helper()
	e, err := b.Of(t.Context(), b.ann)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// mustRead reads what an export's link leads to.
func (b *bundle) mustRead(t *testing.T, e *chat.Export) *zip.Reader {
	t.Helper()
	_, query, _ := strings.Cut(b.URL(e), "?until=")
	until, key, _ := strings.Cut(query, "&key=")
	f, err := b.File(t.Context(), e.File, until, key)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(b.store.ReadFile(t.Context(), f))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(all), f.Size)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// An attempt that is killed leaves nothing that anybody sees, and what it has written goes; the next makes the whole.
func TestKilled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bundle) {
		work := b.mustRequest(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Make(ctx, work); err == nil {
			t.Error("a cancelled attempt succeeds")
		}
		// One that was killed between two pieces.
		half := chat.File{ID: chat.NewID(chat.KindFile), Owner: b.ann.User, Purpose: chat.FileExport, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		if _, err := b.store.Write(t.Context(), b.ann.User, func(tx *store.Tx) error { _, err := tx.InsertFile(half); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.WriteFile(t.Context(), half.ID).Write(make([]byte, store.ChunkSize+1)); err != nil {
			t.Fatal(err)
		}
		if e := b.mustOf(t); e == nil || !e.File.IsZero() {
			t.Error(e)
		}
		_, query, _ := strings.Cut(b.URL(&chat.Export{File: half.ID}), "?until=")
		until, key, _ := strings.Cut(query, "&key=")
		if _, err := b.File(t.Context(), half.ID, until, key); chat.CodeOf(err) != chat.CodeNotFound {
			t.Error("half an export is shown:", err)
		}
		if err := b.Make(t.Context(), work); err != nil {
			t.Fatal(err)
		}
		if z := b.mustRead(t, b.mustOf(t)); len(z.File) != 8 {
			t.Error(z.File)
		}
	})
}

// Of attempts that run at once one is heard, and tells of it once.
func TestTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bundle) {
		head := func() chat.Position {
			h, err := b.store.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return h.Position
		}
		work := b.mustRequest(t)
		before := head()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := b.Make(t.Context(), work); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := head() - before; n != 1 {
			t.Errorf("%d events", n)
		}
		b.mustRead(t, b.mustOf(t))
		if n, err := b.store.TrimFiles(t.Context(), time.Now().Add(time.Minute), 1000); err != nil {
			t.Error(n, err)
		}
		b.mustRead(t, b.mustOf(t)) // what the others have written is gone, and this is not
	})
}

// One a day; the new one takes the place of the old, which goes; the mail tells of the newest alone.
func TestAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bundle) {
		first := b.mustRequest(t)
		if _, _, err := b.Request(t.Context(), b.ann); chat.CodeOf(err) != chat.CodeConflict {
			t.Error(err)
		}
		if err := b.Make(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Request(t.Context(), b.ann); chat.CodeOf(err) != chat.CodeRateLimited {
			t.Error(err)
		}
		old := b.mustOf(t)
		link := b.URL(old)
		told := &job.Job[export.MailArgs]{JobRow: &rivertype.JobRow{}, Args: export.MailArgs{User: old.User, File: old.File}}
		if err := b.SendMail(t.Context(), told); err != nil || b.mails.Load() != 1 {
			t.Error(b.mails.Load(), err)
		}
		// A day later, by the database's rows: the store's clock goes by itself.
		day := *old
		day.RequestedAt = day.RequestedAt.Add(-24 * time.Hour)
		if _, err := b.store.Write(t.Context(), b.ann.User, func(tx *store.Tx) error { return tx.PutExport(day) }); err != nil {
			t.Fatal(err)
		}
		second := b.mustRequest(t)
		if err := b.Make(t.Context(), first); err != nil || !b.mustOf(t).File.IsZero() {
			t.Error("the job of the first one makes the second:", err)
		}
		if err := b.Make(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if err := b.SendMail(t.Context(), told); err != nil || b.mails.Load() != 1 {
			t.Error("a mail of what is gone:", b.mails.Load(), err)
		}
		_, query, _ := strings.Cut(link, "?until=")
		until, key, _ := strings.Cut(query, "&key=")
		if _, err := b.File(t.Context(), old.File, until, key); chat.CodeOf(err) != chat.CodeNotFound {
			t.Error("the one before is still there:", err)
		}
		newest := b.mustOf(t)
		_, query, _ = strings.Cut(b.URL(newest), "?until=")
		until, key, _ = strings.Cut(query, "&key=")
		for minutes, works := range map[int]bool{0: true, 9: true, 21: false} {
			b.ahead.Store(int64(minutes) * int64(time.Minute))
			if _, err := b.File(t.Context(), newest.File, until, key); (err == nil) != works {
				t.Error(minutes, err)
			}
		}
		b.ahead.Store(int64(8 * 24 * time.Hour))
		if e := b.mustOf(t); e != nil {
			t.Error("a week later:", e)
		}
	})
}

// Statements grow with pages, not with rows; what is written is read a page at a time.
func TestManyPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bundle) {
		const n = 1203
		group := chat.NewID(chat.KindConversation)
		if _, err := b.store.Write(t.Context(), b.ann.User, func(tx *store.Tx) error {
			if err := tx.InsertConversation(chat.Conversation{ID: group, Kind: chat.Group, Title: "Club", CreatedAt: tx.Now, UpdatedAt: tx.Now, MemberCount: 1}); err != nil {
				return err
			}
			tx.Emit(chat.Event{Type: chat.ConversationCreated, Detail: chat.Detail{Members: []chat.ID{b.ann.User}}}, chat.ConversationTopic(group))
			return tx.InsertMembers([]chat.Member{{Conversation: group, User: b.ann.User, Role: chat.RoleOwner, JoinedAt: tx.Now}})
		}); err != nil {
			t.Fatal(err)
		}
		sends := make([]*store.Send, n)
		for i := range sends {
			sends[i] = &store.Send{ID: chat.NewID(chat.KindMessage), Conversation: group, Sender: b.ann.User, Key: fmt.Sprint(i), Body: fmt.Sprint("message ", i)}
		}
		if err := b.store.Commit(t.Context(), &store.Batch{At: time.Now(), Sends: sends}); err != nil {
			t.Fatal(err)
		}
		if err := b.Make(t.Context(), b.mustRequest(t)); err != nil {
			t.Fatal(err)
		}
		for _, f := range b.mustRead(t, b.mustOf(t)).File {
			if f.Name != "messages.jsonl" {
				continue
			}
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(r)
			if lines := strings.Split(strings.TrimSpace(string(all)), "\n"); err != nil || len(lines) != n || !strings.Contains(lines[n-1], fmt.Sprintf(`"seq":%d`, n)) {
				t.Errorf("%d lines, %v", len(lines), err)
			}
		}
	})
}
