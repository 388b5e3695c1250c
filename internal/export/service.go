// Package export has the rules of the copies of their data that users may ask for.
package export

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// Config is what may be chosen.
type Config struct {
	Every     time.Duration // how often a user may ask; 0 means once a day
	Keep      time.Duration // how long a copy is kept; 0 means 7 days
	PublicURL string        // what links begin with; empty: they are paths of this server's
	// Send sends the mail which tells that it is ready; nil: nobody is told by mail.
	Send func(ctx context.Context, to chat.ID, key string, at time.Time, c mail.Content) error
	Now  func() time.Time // nil means time.Now
}

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	store  *store.Store
	tokens *token.Tokens
	Config
}

// New makes the service. tokens sign its links.
func New(s *store.Store, tokens *token.Tokens, c Config) *Service {
	if c.Every == 0 {
		c.Every = 24 * time.Hour
	}
	if c.Keep == 0 {
		c.Keep = 7 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return &Service{s, tokens, c}
}

// Request asks for a copy of the viewer's data, in the place of the one before. Errors: CONFLICT while one is being made,
// RATE_LIMITED when the last was asked for less than a day ago.
func (s *Service) Request(ctx context.Context, v chat.Viewer) (e chat.Export, _ chat.Position, err error) {
	pos, err := s.store.Write(ctx, v.User, func(tx *store.Tx) error {
		if _, err := tx.LockUsers(v.User); err != nil {
			return err
		}
		before, err := tx.Exports(ctx, []chat.ID{v.User})
		if err != nil {
			return err
		}
		for _, b := range before {
			switch wait := b.RequestedAt.Add(s.Every).Sub(tx.Now); {
			case wait > 0 && b.File.IsZero():
				return chat.Conflict("an export of your data is being made already")
			case wait > 0:
				return &chat.Error{Code: chat.CodeRateLimited, Message: "an export of your data was made lately; download that, or ask again later", RetryAfter: wait}
			case !b.File.IsZero():
				if err := tx.ExpireFile(b.File); err != nil {
					return err
				}
			}
		}
		e = chat.Export{User: v.User, RequestedAt: tx.Now, ExpiresAt: tx.Now.Add(s.Keep)}
		if err := tx.PutExport(e); err != nil {
			return err
		}
		told(tx, e)
		return nil
	})
	return e, pos, err
}

func told(tx *store.Tx, e chat.Export) {
	tx.Emit(chat.Event{Type: chat.ExportUpdated, Subject: e.User, Rows: chat.Rows{Export: &e}}, chat.UserTopic(e.User))
}

// Of reads the viewer's newest export; nil when there is none, or none any more.
func (s *Service) Of(ctx context.Context, v chat.Viewer) (*chat.Export, error) {
	l, err := s.store.Exports(ctx, []chat.ID{v.User})
	if err != nil || len(l) == 0 || !s.Now().Before(l[0].ExpiresAt) {
		return nil, err
	}
	return &l[0], nil
}

// linkFor is the time for which a link works at least. Links of the same ten minutes are the same.
const linkFor = 10 * time.Minute

// URL is a link to a finished export, which works for whoever has it, for ten to twenty minutes from now.
func (s *Service) URL(e *chat.Export) string {
	until := s.Now().Truncate(linkFor).Add(2 * linkFor).Unix()
	return fmt.Sprintf("%s/files/%s?until=%d&key=%s", s.PublicURL, e.File, until, s.tokens.Link(purpose(until), e.File))
}

func purpose(until int64) string { return token.ForExport + " " + strconv.FormatInt(until, 10) }

// File finds what URL leads to. Errors: NOT_FOUND for any other link, and for one whose time is over.
func (s *Service) File(ctx context.Context, file chat.ID, until, key string) (chat.File, error) {
	end, err := strconv.ParseInt(until, 10, 64)
	if err != nil || s.Now().Unix() >= end {
		return chat.File{}, chat.ErrNotFound
	}
	if of, ok := s.tokens.ReadLink(purpose(end), key, chat.KindFile); !ok || of != file {
		return chat.File{}, chat.ErrNotFound
	}
	f, err := s.store.FileByID(ctx, file, s.Now())
	if err == nil && f.Purpose != chat.FileExport {
		err = chat.ErrNotFound
	}
	return f, err
}

// Args asks for an export to be made.
type Args struct {
	User        chat.ID   `json:"user"`
	RequestedAt time.Time `json:"requested_at"`
}

// Kind names the job.
func (Args) Kind() string { return "export" }

// InsertOpts name the queue. Thumbnails go first.
func (Args) InsertOpts() job.Options { return job.Options{Queue: job.Files, Priority: 3} }

// MailArgs asks for the mail which tells that one is ready.
type MailArgs struct {
	User chat.ID `json:"user"`
	File chat.ID `json:"file"`
}

// Kind names the job.
func (MailArgs) Kind() string { return "mail_export" }

// InsertOpts name the queue.
func (MailArgs) InsertOpts() job.Options { return job.Options{Queue: job.Mail, Priority: 2} }

// OnUpdated has an export made that was asked for, and a mail sent when it is ready.
func (*Service) OnUpdated(e *chat.Event) job.Args {
	switch x := e.Rows.Export; {
	case x == nil:
		return nil
	case x.File.IsZero():
		return Args{x.User, x.RequestedAt}
	default:
		return MailArgs{x.User, x.File}
	}
}

// SendMail tells that an export is ready, if it still is the newest.
func (s *Service) SendMail(ctx context.Context, j *job.Job[MailArgs]) error {
	e, err := s.Of(ctx, chat.Viewer{User: j.Args.User})
	if err != nil || e == nil || e.File != j.Args.File || s.Send == nil {
		return err
	}
	return s.Send(ctx, e.User, "export "+e.File.String(), j.CreatedAt, mail.Export{Valid: s.Keep})
}

// MakeTimeout is how long it may take to make one.
const MakeTimeout = time.Hour

// Make makes an export. It may be killed and run again, and run twice at once: each attempt writes a file of its own, which
// nobody sees, and the first to finish is heard. What the others have written expires.
func (s *Service) Make(ctx context.Context, j *job.Job[Args]) error {
	e := chat.Export{User: j.Args.User, RequestedAt: j.Args.RequestedAt}
	waits, err := s.store.Exports(ctx, []chat.ID{e.User})
	if err != nil || len(waits) == 0 || !waits[0].RequestedAt.Equal(e.RequestedAt) || !waits[0].File.IsZero() {
		return err // made, or asked for anew
	}
	f := chat.File{ID: chat.NewID(chat.KindFile), Owner: e.User, Purpose: chat.FileExport, ContentType: "application/zip"}
	if _, err := s.store.Write(ctx, e.User, func(tx *store.Tx) error {
		f.CreatedAt, f.ExpiresAt = tx.Now, tx.Now.Add(2*MakeTimeout)
		_, err := tx.InsertFile(f)
		return err
	}); err != nil {
		return err
	}
	w := s.store.WriteFile(ctx, f.ID)
	if err = s.write(ctx, w, e.User); err == nil {
		f.Size, f.SHA256, err = w.Finish()
	}
	if err == nil {
		_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
			e.File, e.ExpiresAt = f.ID, tx.Now.Add(s.Keep)
			f.ExpiresAt = e.ExpiresAt
			switch first, err := tx.FinishExport(e); {
			case err != nil:
				return err
			case !first:
				return errLate
			}
			told(tx, e)
			return tx.CompleteFile(f)
		})
	}
	if err != nil {
		_, _ = s.store.Write(context.WithoutCancel(ctx), chat.ID{}, func(tx *store.Tx) error { return tx.ExpireFile(f.ID) })
	}
	if errors.Is(err, errLate) {
		return nil
	}
	return err
}

var errLate = errors.New("another attempt has finished first")
