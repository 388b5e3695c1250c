package user_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

func TestMain(m *testing.M) {
	// gorm's cache of prepared statements has a goroutine for life, one a database.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

const password = "correct horse"

// clock runs, and can be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

type bundle struct {
	*user.Service
	url     string
	store   *store.Store
	tokens  *token.Tokens
	revoked *token.Revoked
	clock   *clock
	hashes  *atomic.Int64
	mails   chan chat.ID // the tokens of mails that were to be sent, also those of transactions that failed
}

// each runs a test on each database. Limits are off unless c sets them.
func each(t *testing.T, c user.Config, test func(t *testing.T, b *bundle)) {
	t.Helper()
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		b := &bundle{url: url, clock: &clock{}, hashes: &atomic.Int64{}, mails: make(chan chat.ID, 1000)}
		var err error
		b.store, err = store.Open(context.Background(), store.Config{URL: url, Conns: 8, Unsynced: true, Now: b.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.store.Close)
		if _, err := b.store.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.tokens, err = token.New(token.Config{Secret: []byte("0123456789abcdef0123456789abcdef"), Now: b.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		b.Service, b.revoked = b.node(c)
		test(t, b)
	})
}

// node is the service of one more node on the same database.
func (b *bundle) node(c user.Config) (*user.Service, *token.Revoked) {
	if c.SignInsPerUser == 0 {
		c.SignInsPerUser = -1
	}
	if c.SignInsPerAddr == 0 {
		c.SignInsPerAddr = -1
	}
	if c.MailsPerHour == 0 {
		c.MailsPerHour = -1
	}
	c.Send = func(_ context.Context, _ *store.Tx, id chat.ID) error { b.mails <- id; return nil }
	if hashed := c.Hashed; hashed == nil {
		c.Hashed = func() { b.hashes.Add(1) }
	}
	c.Now = b.clock.now
	revoked := token.NewRevoked(b.tokens.AccessTTL(), b.clock.now)
	return user.New(b.store, b.tokens, revoked, c), revoked
}

// advance puts the clock forward, and the database's too, as far as limits go by it.
func (b *bundle) advance(t *testing.T, d time.Duration) {
	t.Helper()
	b.clock.advance(d)
	driver, source := "pgx", b.url
	if path, ok := strings.CutPrefix(b.url, "sqlite:"); ok {
		driver, source = "sqlite3", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), fmt.Sprint("UPDATE limits SET full_at = full_at - ", d.Microseconds())); err != nil {
		t.Fatal(err)
	}
}

var laptop = token.Client{Addr: "192.0.2.7", UserAgent: "laptop"}

func (b *bundle) signUp(t *testing.T, name string) *user.SignedIn {
	t.Helper()
	in, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (b *bundle) signIn(t *testing.T, name string) *user.SignedIn {
	t.Helper()
	in, err := b.SignIn(t.Context(), laptop, name, password)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func viewer(in *user.SignedIn) chat.Viewer {
	return chat.Viewer{User: in.User.ID, Session: in.Session.ID}
}

func (b *bundle) accepted(t *testing.T, in *user.SignedIn) bool {
	t.Helper()
	v, expires, err := b.Authenticate(t.Context(), in.Access)
	switch {
	case chat.CodeOf(err) == chat.CodeUnauthenticated:
		return false
	case err != nil || v != viewer(in) || !expires.Equal(in.AccessExpires):
		t.Fatal(v, expires, err)
	}
	return true
}

func (b *bundle) head(t *testing.T) chat.Position {
	t.Helper()
	h, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.Position
}

// happened checks the log after a position: types, and what is common to all of a user's own events.
func (b *bundle) happened(t *testing.T, after chat.Position, of chat.ID, want ...chat.EventType) []*chat.Event {
	t.Helper()
	events, err := b.store.Events(t.Context(), after, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []chat.EventType
	for _, e := range events {
		got = append(got, e.Type)
		if e.Topic != chat.UserTopic(of) {
			t.Errorf("%s is told to %v", e.Type, e.Topic)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("happened: %v, not %v", got, want)
	}
	return events
}

func wantCode(t *testing.T, err error, code chat.Code, path ...string) {
	t.Helper()
	if chat.CodeOf(err) != code {
		t.Fatalf("%v, not %s", err, code)
	}
	var e *chat.Error
	if errors.As(err, &e) && !slices.Equal(e.Path, path) {
		t.Fatalf("path %v, not %v", e.Path, path)
	}
}

func ptr[T any](v T) *T { return &v }
