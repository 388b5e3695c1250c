package bot_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

func TestKeys(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		robot := b.bot("robot")
		k := b.key(robot, chat.ScopeRead, chat.ScopeMessagesSend)
		if !regexp.MustCompile(`^prl_[0-9a-z]{26}[0-9A-Za-z]{49}$`).MatchString(k.Text) || !strings.HasPrefix(k.Text, token.KeyPrefix(token.APIKey, k.Key.Session)) {
			b.Error(k.Text)
		}
		v, expires, err := b.Authenticate(b.Context(), k.Text)
		b.must(err)
		if want := (chat.Viewer{User: robot, Session: k.Key.Session, Scopes: chat.ScopesOf(chat.ScopeRead, chat.ScopeMessagesSend)}); v != want || !expires.IsZero() {
			b.Error(v, want, expires)
		}
		// Whatever is different by a character is no key, and costs no statement.
		n := b.count.statements(func() {
			for i := range k.Text {
				c := byte('0')
				if k.Text[i] == c {
					c = '1'
				}
				if b.accepts(k.Text[:i] + string(c) + k.Text[i+1:]) {
					b.Error("accepted with a wrong character at", i)
				}
			}
			for _, bad := range []string{"", "prl_", k.Text[:len(k.Text)-1], k.Text + "0", strings.ToUpper(k.Text)} {
				if b.accepts(bad) {
					b.Error("accepted:", bad)
				}
			}
		})
		if n != 0 {
			b.Error(n, "statements for what are no keys")
		}
		// The hash is all that is stored: a key of the same session with another secret is not it.
		if forged, _ := token.NewKey(token.APIKey, k.Key.Session); b.accepts(forged) {
			b.Error("another secret is accepted")
		}
		if hook, _ := token.NewKey(token.HookKey, k.Key.Session); b.accepts(hook) {
			b.Error("a webhook's key is accepted")
		}
		page, err := b.Page(b.Context(), b.ann, chat.Page{Limit: 10})
		b.must(err)
		if len(page.Nodes) != 1 || len(page.Nodes[0].Keys) != 1 || page.Nodes[0].Keys[0].LastUsedAt.IsZero() || page.Nodes[0].Keys[0].Name != "key" {
			b.Error(page)
		}
		if l, err := b.store.SessionPage(b.Context(), robot, b.clock.now(), chat.Page{Limit: 10}); err != nil || len(l.Nodes) != 0 {
			b.Error("a key is shown as a sign-in:", l, err)
		}
	})
}

func TestKeysThatAreOver(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		robot := b.bot("robot")
		ctx := b.Context()
		until := b.clock.now().Add(time.Hour)
		short, err := b.CreateKey(ctx, b.ann, robot, "short", []chat.Scope{chat.ScopeRead}, until)
		b.must(err)
		_, expires, err := b.Authenticate(ctx, short.Text)
		b.must(err)
		if !expires.Equal(until.UTC().Truncate(time.Microsecond)) {
			b.Error(expires, until)
		}
		b.clock.advance(time.Hour)
		if b.accepts(short.Text) {
			b.Error("an expired key is accepted")
		}
		_, err = b.RotateKey(ctx, b.ann, short.Key.ID, 0)
		b.code(chat.CodeConflict, err)

		k := b.key(robot, chat.ScopeRead)
		if !b.accepts(k.Text) {
			b.Fatal("a key is refused")
		}
		_, _, err = b.RevokeKey(ctx, b.bob, k.Key.ID)
		b.code(chat.CodeNotFound, err)
		_, _, err = b.RevokeKey(ctx, b.ann, k.Key.ID)
		b.must(err)
		if !b.revoked.Has(k.Key.Session) || b.accepts(k.Text) {
			b.Error("a revoked key is accepted")
		}
		_, err = b.RotateKey(ctx, b.ann, k.Key.ID, 0)
		b.code(chat.CodeNotFound, err)

		// One that was made while its owner was being suspended works no more than those before it.
		late := b.key(robot, chat.ScopeRead)
		suspend := func(do func(*store.Tx) error) {
			_, err := b.store.Write(ctx, chat.ID{}, do)
			b.must(err)
		}
		suspend(func(tx *store.Tx) error { return tx.Suspend(b.ann) })
		if b.accepts(late.Text) {
			b.Error("a bot of somebody's who is suspended acts")
		}
		suspend(func(tx *store.Tx) error { return tx.Restore(b.ann) })

		other := b.key(robot, chat.ScopeRead)
		_, err = b.Delete(ctx, b.ann, robot)
		b.must(err)
		if b.accepts(other.Text) {
			b.Error("a deleted bot acts")
		}
		_, err = b.CreateKey(ctx, b.ann, robot, "new", []chat.Scope{chat.ScopeRead}, time.Time{})
		b.code(chat.CodeNotFound, err)
	})
}

// Another node refuses what was revoked here as soon as it has heard of it, and without that when what it knows is a minute old.
func TestRevokedElsewhere(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		k, other := b.key(b.bot("robot"), chat.ScopeRead), b.key(b.bot("robot2"), chat.ScopeRead)
		c := b.Config
		c.Revoked = token.NewRevoked(time.Minute, b.clock.now)
		node, err := bot.New(c)
		b.must(err)
		for _, text := range []string{k.Text, other.Text} {
			_, _, err = node.Authenticate(b.Context(), text)
			b.must(err)
		}
		for _, x := range []*bot.NewKey{k, other} {
			_, _, err = b.RevokeKey(b.Context(), b.ann, x.Key.ID)
			b.must(err)
		}
		events, err := b.store.Events(b.Context(), 0, 1000)
		b.must(err)
		for _, e := range events {
			if e.Type == chat.SessionEnded && e.Subject == k.Key.Session {
				c.Revoked.Apply([]*chat.Event{e})
			}
		}
		_, _, err = node.Authenticate(b.Context(), k.Text)
		b.code(chat.CodeUnauthenticated, err)
		b.clock.advance(time.Minute)
		_, _, err = node.Authenticate(b.Context(), other.Text)
		b.code(chat.CodeUnauthenticated, err)
	})
}

func TestRotation(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		robot, ctx := b.bot("robot"), b.Context()
		first := b.key(robot, chat.ScopeRead)
		second, err := b.RotateKey(ctx, b.ann, first.Key.ID, time.Hour)
		b.must(err)
		if second.Key.ID != first.Key.ID || second.Text == first.Text || !b.accepts(first.Text) || !b.accepts(second.Text) {
			b.Error("within the grace both work")
		}
		third, err := b.RotateKey(ctx, b.ann, first.Key.ID, 0)
		b.must(err)
		if b.accepts(second.Text) || !b.accepts(third.Text) || !b.accepts(first.Text) {
			b.Error("without a grace the old one works on, or something else does not")
		}
		b.clock.advance(time.Hour)
		if b.accepts(first.Text) || !b.accepts(third.Text) {
			b.Error("the grace does not end")
		}
		// What is still connected with it is closed by a job.
		if b.revoked.Has(first.Key.Session) {
			b.Error("ended without the job")
		}
		end := &job.Job[bot.EndSecret]{Args: bot.EndSecret{Session: first.Key.Session}}
		for range 2 {
			b.must(b.EndSecret(ctx, end))
		}
		if !b.revoked.Has(first.Key.Session) {
			b.Error("the job ends nothing")
		}
		events, err := b.store.Events(ctx, third.Position, 10)
		b.must(err)
		if len(events) != 1 || events[0].Type != chat.SessionEnded || events[0].Subject != first.Key.Session || events[0].Topic != chat.UserTopic(robot) {
			b.Error(events)
		}
		// Revoking ends all secrets.
		_, _, err = b.RevokeKey(ctx, b.ann, first.Key.ID)
		b.must(err)
		if b.accepts(third.Text) {
			b.Error("a revoked key is accepted")
		}
	})
}

// A key costs a statement a minute, however many requests come with it, and at the same time.
func TestStatements(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		k := b.key(b.bot("robot"), chat.ScopeRead)
		use := func() {
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if !b.accepts(k.Text) {
						b.Error("refused")
					}
				})
			}
			all.Wait()
		}
		for i, want := range []int{2, 1, 1} { // and a note of the first use
			if n := b.count.statements(use); n != want {
				b.Errorf("minute %d: %d statements, want %d", i, n, want)
			}
			if n := b.count.statements(use); n != 0 {
				b.Errorf("minute %d: %d more statements", i, n)
			}
			b.clock.advance(time.Minute)
		}
		b.clock.advance(time.Hour)
		if n := b.count.statements(use); n != 2 {
			b.Errorf("an hour later: %d statements", n)
		}
	})
}

// Whoever guesses is soon refused without a look; whoever has been right before, at the same address, is not.
func TestGuessing(t *testing.T) {
	each(t, bot.Config{WrongPerAddr: 5}, func(b *bundle) {
		here, there := b.from("192.0.2.1"), b.from("192.0.2.2")
		robot := b.bot("robot")
		k, unused := b.key(robot, chat.ScopeRead), b.key(robot, chat.ScopeRead)
		_, _, err := b.Authenticate(here, k.Text)
		b.must(err)
		guess := func() error {
			text, _ := token.NewKey(token.APIKey, chat.NewID(chat.KindSession))
			_, _, err := b.Authenticate(here, text)
			return err
		}
		for range 5 {
			b.code(chat.CodeUnauthenticated, guess())
		}
		b.code(chat.CodeRateLimited, guess())
		if n := b.count.statements(func() {
			for range 20 {
				b.code(chat.CodeRateLimited, guess())
			}
		}); n != 0 {
			b.Error(n, "statements for guesses that are refused")
		}
		_, _, err = b.Authenticate(here, unused.Text)
		b.code(chat.CodeRateLimited, err)
		_, _, err = b.Authenticate(there, unused.Text)
		b.must(err)
		b.clock.advance(2 * time.Minute)
		_, _, err = b.Authenticate(here, k.Text)
		b.must(err)
	})
}

func TestLimits(t *testing.T) {
	each(t, bot.Config{MaxBots: 2, MaxKeys: 2}, func(b *bundle) {
		ctx := b.Context()
		var bots []chat.ID
		for i := range 2 {
			bots = append(bots, b.bot(fmt.Sprint("robot", i)))
			b.key(bots[0], chat.ScopeRead)
		}
		_, _, err := b.Create(ctx, b.ann, "robot3", "Robot")
		b.code(chat.CodeConflict, err)
		_, err = b.CreateKey(ctx, b.ann, bots[0], "more", []chat.Scope{chat.ScopeRead}, time.Time{})
		b.code(chat.CodeConflict, err)
		_, _, err = b.Create(ctx, bots[0], "robots-robot", "Robot")
		b.code(chat.CodeForbidden, err)
		_, err = b.Delete(ctx, b.ann, bots[0])
		b.must(err)
		b.bot("robot4")
	})
}

// A suspended owner's bots are silent, too.
func TestSuspendedOwner(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		k := b.key(b.bot("robot"), chat.ScopeRead)
		var ended []chat.Session
		_, err := b.store.Write(b.Context(), chat.ID{}, func(tx *store.Tx) (err error) {
			if err = tx.Suspend(b.ann); err == nil {
				ended, err = tx.EndSessions(b.ann)
			}
			return err
		})
		b.must(err)
		if len(ended) != 1 || ended[0].ID != k.Key.Session || b.accepts(k.Text) {
			b.Error("a bot outlives its owner:", ended)
		}
	})
}
