package bot_test

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/token"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

// bundle is a store with the services that bots need, joined as the program joins them. ann owns bots, bob does not.
type bundle struct {
	*testing.T
	*bot.Service
	store         *store.Store
	revoked       *token.Revoked
	messages      *message.Service
	conversations *conversation.Service
	clock         *clock
	count         *counter
	ann, bob      chat.ID
}

func each(t *testing.T, c bot.Config, test func(b *bundle)) {
	t.Helper()
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		b := &bundle{T: t, clock: &clock{}, count: &counter{}}
		var err error
		b.store, err = store.Open(context.Background(), store.Config{URL: url, Conns: 4, Unsynced: true, Now: b.clock.now, Log: b.count.log()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.store.Close)
		if _, err := b.store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		jobs, err := job.New(b.store)
		if err != nil {
			t.Fatal(err)
		}
		b.revoked = token.NewRevoked(time.Minute, b.clock.now)
		b.messages = message.New(b.store, message.Config{})
		b.messages.Start()
		t.Cleanup(b.messages.Stop)
		key := sha256.Sum256([]byte("of the tests"))
		c := c
		c.Store, c.Jobs, c.Revoked, c.Send, c.SealKey, c.Now = b.store, jobs, b.revoked, b.messages.Send, key[:], b.clock.now
		if b.Service, err = bot.New(c); err != nil {
			t.Fatal(err)
		}
		b.conversations = conversation.New(b.store, conversation.Config{})
		b.store.On(chat.FriendshipMade, b.conversations.OnFriendshipMade)
		for _, e := range []chat.EventType{chat.MemberLeft, chat.MemberRemoved, chat.ConversationDeleted} {
			b.store.On(e, b.OnGone)
		}
		people := testkit.MustAddUsers(t, b.store, 2)
		b.ann, b.bob = people[0], people[1]
		test(b)
	})
}

func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) code(want chat.Code, err error) {
	b.Helper()
	if got := chat.CodeOf(err); got != want {
		b.Errorf("%q, want %q: %v", got, want, err)
	}
}

// bot is one of ann's.
func (b *bundle) bot(name string) chat.ID {
	b.Helper()
	x, _, err := b.Create(b.Context(), b.ann, name, "A bot")
	b.must(err)
	return x.User.ID
}

func (b *bundle) key(of chat.ID, scopes ...chat.Scope) *bot.NewKey {
	b.Helper()
	k, err := b.CreateKey(b.Context(), b.ann, of, "key", scopes, time.Time{})
	b.must(err)
	return k
}

// from is a request from an address.
func (b *bundle) from(addr string) context.Context {
	return token.WithCarrier(b.Context(), &token.Carrier{Client: token.Client{Addr: addr}})
}

func (b *bundle) accepts(key string) bool {
	b.Helper()
	_, _, err := b.Authenticate(b.Context(), key)
	if err != nil {
		b.code(chat.CodeUnauthenticated, err)
	}
	return err == nil
}
