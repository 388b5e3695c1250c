package mailing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/token"
)

func TestMain(m *testing.M) {
	// gorm's cache of prepared statements has a goroutine for life, one a database.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

type bundle struct {
	*testing.T
	*mailing.Service
	store  *store.Store
	jobs   *job.Client
	tokens *token.Tokens
	folder string
	ahead  time.Duration
	off    map[string]bool // what is turned off, by user and kind
	fail   error           // of asking
	people []chat.ID       // the first has an address
}

func each(t *testing.T, test func(b *bundle)) {
	t.Helper()
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		b := &bundle{T: t, store: s, folder: t.TempDir(), off: map[string]bool{}, people: testkit.MustAddUsers(t, s, 3)}
		var err error
		if b.jobs, err = job.New(s); err != nil {
			t.Fatal(err)
		}
		if b.tokens, err = token.New(token.Config{Secret: []byte(testkit.Secret)}); err != nil {
			t.Fatal(err)
		}
		b.Service = b.node(mail.Config{Folder: b.folder})
		b.write(func(tx *store.Tx) error {
			_, err := tx.SetEmail(b.people[0], "ada@example.org")
			return errors.Join(err, tx.SetUnverifiedEmail(b.people[1], "bob@example.org"))
		})
		test(b)
	})
}

func (b *bundle) node(c mail.Config) *mailing.Service {
	b.Helper()
	c.From, c.PublicURL, c.Log = "Parley <parley@example.org>", "https://chat.example.org", slog.New(slog.DiscardHandler)
	m, err := mail.New(c)
	if err != nil {
		b.Fatal(err)
	}
	key := func(u chat.ID, kind string) string { return u.String() + kind }
	return mailing.New(b.store, b.jobs, m, b.tokens, mailing.Config{
		Now:     func() time.Time { return time.Now().Add(b.ahead) },
		Wants:   func(_ context.Context, u chat.ID, kind string) (bool, error) { return !b.off[key(u, kind)], b.fail },
		TurnOff: func(_ context.Context, u chat.ID, kind string) error { b.off[key(u, kind)] = true; return nil },
	})
}

func (b *bundle) write(f func(tx *store.Tx) error) {
	b.Helper()
	if _, err := b.store.Write(b.Context(), chat.ID{}, f); err != nil {
		b.Fatal(err)
	}
}

// mails are the files, oldest first, and they are taken away.
func (b *bundle) mails() (all []string) {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(b.folder, "*.eml"))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, string(text))
		_ = os.Remove(name)
	}
	return all
}

func (b *bundle) want(n int, err error) []string {
	b.Helper()
	got := b.mails()
	if err != nil || len(got) != n {
		b.Fatalf("%d mails, %v, want %d", len(got), err, n)
	}
	return got
}

func header(mail, name string) string {
	for line := range strings.SplitSeq(mail, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return value
		}
	}
	return ""
}

func TestSend(t *testing.T) {
	each(t, func(b *bundle) {
		ctx, at, ada := b.Context(), time.Now().Add(-time.Hour), b.people[0]
		export := mail.Export{Valid: time.Hour}
		got := b.want(1, b.Send(ctx, ada, "key", at, export))[0]
		if header(got, "To") != "<ada@example.org>" || header(got, "List-Unsubscribe") != "" || header(got, "Date") != at.Format(time.RFC1123Z) {
			b.Error(got)
		}
		again := b.want(1, b.Send(ctx, ada, "key", at, export))[0]
		other := b.want(1, b.Send(ctx, ada, "another key", at, export))[0]
		if id := header(got, "Message-ID"); id == "" || header(again, "Message-ID") != id || header(other, "Message-ID") == id {
			b.Error(got, again, other)
		}
		b.want(0, b.Send(ctx, b.people[1], "key", at, export)) // has not verified it
		b.want(0, b.Send(ctx, b.people[2], "key", at, export)) // has none
		b.want(0, b.Send(ctx, chat.NewID(chat.KindUser), "key", at, export))
		b.write(func(tx *store.Tx) error { return tx.Suspend(ada) })
		b.want(0, b.Send(ctx, ada, "key", at, export))
		b.write(func(tx *store.Tx) error { return tx.Restore(ada) })
		b.want(1, b.Send(ctx, ada, "key", at, export))
	})
}

func TestUnsubscribe(t *testing.T) {
	each(t, func(b *bundle) {
		ctx, at, ada := b.Context(), time.Now(), b.people[0]
		friend := mail.FriendRequest{From: chat.User{Username: "bob"}}
		got := header(b.want(1, b.Send(ctx, ada, "key", at, friend))[0], "List-Unsubscribe")
		_, link, ok := strings.Cut(strings.TrimSuffix(got, ">"), "/mail/unsubscribe?token=")
		if !ok {
			b.Fatal(got)
		}
		if kind, err := b.ReadUnsubscribe(link); kind != "friend" || err != nil {
			b.Fatal(kind, err)
		}
		_, rest, _ := strings.Cut(link, ".")
		for _, bad := range []string{"", ".", rest, "digest." + rest, "export." + rest, link[:len(link)-1], link + "A", "friend." + b.tokens.Link(token.ForAddress, ada)} {
			if err := b.Unsubscribe(ctx, bad); chat.CodeOf(err) != chat.CodeBadInput {
				b.Errorf("%s: %v", bad, err)
			}
		}
		b.want(1, b.Send(ctx, ada, "key", at, friend))
		for range 2 {
			if err := b.Unsubscribe(ctx, link); err != nil {
				b.Fatal(err)
			}
		}
		b.want(0, b.Send(ctx, ada, "key", at, friend))
		b.want(1, b.Send(ctx, ada, "key", at, mail.NewDevice{At: at}))
		b.fail = errors.New("no preferences")
		if err := b.Send(ctx, ada, "key", at, friend); !errors.Is(err, b.fail) {
			b.Error(err)
		}
		b.want(1, b.Send(ctx, ada, "key", at, mail.Export{Valid: time.Hour})) // nobody is asked
	})
}

// An error that will pass leaves the job to another attempt, and one that will not cancels it.
func TestErrors(t *testing.T) {
	each(t, func(b *bundle) {
		refuse := func(code string) *mailing.Service {
			l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				for _, say := range []string{"220 hello", "250 hello", "250 sender", code + " receiver"} {
					_, _ = io.WriteString(conn, say+"\r\n")
					if _, err := conn.Read(make([]byte, 1000)); err != nil {
						return
					}
				}
			}()
			b.Cleanup(func() { _ = l.Close(); <-done })
			return b.node(mail.Config{URL: "smtp://" + l.Addr().String() + "?tls=off"})
		}
		for code, gone := range map[string]bool{"450": false, "550": true} {
			err := refuse(code).Send(b.Context(), b.people[0], "key", time.Now(), mail.Export{Valid: time.Hour})
			var cancelled *rivertype.JobCancelError
			if err == nil || errors.As(err, &cancelled) != gone {
				b.Errorf("%s: %v", code, err)
			}
		}
	})
}

func TestTokens(t *testing.T) {
	each(t, func(b *bundle) {
		made := map[chat.MailTokenKind]chat.MailToken{}
		for k, path := range map[chat.MailTokenKind]string{chat.MailWelcome: "/verify?token=3D", chat.MailVerify: "/verify?token=3D", chat.MailReset: "/reset?token=3D", chat.MailChanged: "from now on"} {
			m := chat.MailToken{ID: chat.NewID(chat.KindMailToken), Kind: k, User: b.people[2], Email: "new@example.org", CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
			made[k] = m
			b.write(func(tx *store.Tx) error { return tx.InsertMailToken(m) })
			run := func() error {
				return b.SendToken(b.Context(), &job.Job[mailing.TokenArgs]{JobRow: &rivertype.JobRow{}, Args: mailing.TokenArgs{Token: m.ID}})
			}
			one, two := b.want(1, run())[0], b.want(1, run())[0]
			flat := strings.ReplaceAll(one, "=\r\n", "")
			if !strings.Contains(strings.ToLower(flat), strings.ToLower(path)) || header(one, "To") != "<new@example.org>" {
				b.Error(k, flat)
			}
			strip := func(s string) string { // the boundary between the parts is made up for each
				return strings.ReplaceAll(s, header(s, " boundary"), "")
			}
			if header(one, "Message-ID") != header(two, "Message-ID") || len(strip(one)) != len(strip(two)) {
				b.Error("twice is not the same:", one, two)
			}
			b.ahead = time.Hour
			b.want(0, run()) // has expired
			b.ahead = 0
			b.write(func(tx *store.Tx) error { return tx.Suspend(b.people[2]) })
			b.want(0, run())
			b.write(func(tx *store.Tx) error { return tx.Restore(b.people[2]) })
			b.write(func(tx *store.Tx) error { _, err := tx.UseMailToken(m.ID); return err })
			b.want(0, run()) // was used
		}
		nobody := chat.MailToken{ID: chat.NewID(chat.KindMailToken), Kind: chat.MailReset, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		b.write(func(tx *store.Tx) error { return tx.InsertMailToken(nobody) })
		b.want(0, b.SendToken(b.Context(), &job.Job[mailing.TokenArgs]{JobRow: &rivertype.JobRow{}, Args: mailing.TokenArgs{Token: nobody.ID}}))
	})
}

func (b *bundle) count() (n int) {
	b.Helper()
	stats, err := b.store.JobStats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range stats {
		n += s.Count
	}
	return n
}

// A job is there if and only if its cause is.
func TestRollback(t *testing.T) {
	each(t, func(b *bundle) {
		boom := errors.New("boom")
		for _, err := range []error{boom, nil} {
			_, got := b.store.Write(b.Context(), chat.ID{}, func(tx *store.Tx) error {
				return errors.Join(b.Insert(b.Context(), tx, chat.NewID(chat.KindMailToken)), err)
			})
			if !errors.Is(got, err) {
				b.Fatal(got)
			}
			if n := b.count(); (n == 1) != (err == nil) {
				b.Errorf("%d jobs after %v", n, err)
			}
		}
	})
}

func TestDevices(t *testing.T) {
	each(t, func(b *bundle) {
		jobs := 0
		signIn := func(u chat.ID, agent string, strange bool) {
			b.Helper()
			b.write(func(tx *store.Tx) error {
				s := chat.Session{ID: chat.NewID(chat.KindSession), User: u, UserAgent: agent}
				return b.OnSessionStarted(b.Context(), tx, &chat.Event{Subject: s.ID, Topic: chat.UserTopic(u), Rows: chat.Rows{Session: &s}})
			})
			before := jobs
			if jobs = b.count(); (jobs > before) != strange {
				b.Errorf("%s: told: %v", agent, jobs > before)
			}
		}
		ada, bob := b.people[0], b.people[1]
		signIn(ada, "Firefox/144.0 (Linux)", false)
		signIn(ada, "Firefox/145.0.1 (linux)", false)
		signIn(ada, "Safari/18", true)
		signIn(ada, "Safari/19_1", false)
		signIn(ada, "", true)
		signIn(ada, "", false)
		signIn(bob, "Safari/18", false)
		for i := range 50 { // the oldest are forgotten
			signIn(ada, "device "+strings.Repeat("x", i), true)
		}
		signIn(ada, "device "+strings.Repeat("x", 49), false)
		signIn(ada, "device ", false)
		signIn(ada, "Firefox/144.0 (Linux)", true)
	})
}

// Nobody is sent a mail again and again by who asks, takes that back and asks again.
func TestFriendRequestsAgain(t *testing.T) {
	each(t, func(b *bundle) {
		ada, bob, cat := b.people[0], b.people[1], b.people[2]
		for _, from := range []chat.ID{bob, bob, cat, bob} {
			asked := &chat.Event{Actor: from, Subject: chat.NewID(chat.KindFriendRequest), Topic: chat.UserTopic(ada)}
			b.write(func(tx *store.Tx) error { return b.jobs.Insert(b.Context(), tx, b.OnFriendRequestSent(asked), nil) })
		}
		stats, err := b.store.JobStats(b.Context())
		if err != nil || len(stats) != 1 || stats[0].Count != 2 {
			b.Error(stats, err)
		}
	})
}

func TestFriendRequests(t *testing.T) {
	each(t, func(b *bundle) {
		ada, bob := b.people[0], b.people[1]
		f := chat.FriendRequest{ID: chat.NewID(chat.KindFriendRequest), From: bob, To: ada, Status: chat.RequestPending, CreatedAt: time.Now()}
		b.write(func(tx *store.Tx) error { return tx.InsertRequest(f) })
		var made []job.Args
		for _, side := range []chat.ID{bob, ada} {
			if args := b.OnFriendRequestSent(&chat.Event{Actor: bob, Subject: f.ID, Topic: chat.UserTopic(side)}); args != nil {
				made = append(made, args)
			}
		}
		if want := []job.Args{mailing.FriendArgs{Request: f.ID, From: bob, To: ada}}; !slices.Equal(made, want) {
			b.Fatal(fmt.Sprint(made))
		}
		run := func() error {
			return b.SendFriend(b.Context(), &job.Job[mailing.FriendArgs]{JobRow: &rivertype.JobRow{CreatedAt: f.CreatedAt}, Args: mailing.FriendArgs{Request: f.ID}})
		}
		b.want(1, run())
		f.Status, f.AnsweredAt = chat.RequestCancelled, time.Now()
		b.write(func(tx *store.Tx) error { return tx.AnswerRequest(f) })
		b.want(0, run())
	})
}
