package user_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

func TestSignUp(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in, err := b.SignUp(t.Context(), token.Client{UserAgent: " a\x00\nb\xff " + strings.Repeat("ü", 400)}, user.NewAccount{Username: "Ada.L_0-", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		if u := in.User; u.Username != "ada.l_0-" || u.DisplayName != "ada.l_0-" || u.Bio != "" || u.CreatedAt.IsZero() || !u.LastSeenAt.IsZero() {
			t.Error(u)
		}
		if s := in.Session; s.User != in.User.ID || s.ExpiresAt.Sub(s.CreatedAt) != 30*24*time.Hour || s.LastUsedAt != s.CreatedAt || len([]rune(s.UserAgent)) != 255 || !strings.HasPrefix(s.UserAgent, "a  b\uFFFD ü") {
			t.Errorf("%q %+v", s.UserAgent, s)
		}
		e := b.happened(t, 0, in.User.ID, chat.SessionStarted)[0]
		if e.Actor != in.User.ID || e.Subject != in.Session.ID || e.Position != in.Position {
			t.Error(e)
		}
		if !b.accepted(t, in) {
			t.Error("the access token is refused")
		}
		if u, err := b.User(t.Context(), in.User.ID); err != nil || *u != in.User {
			t.Error(u, err)
		}
		kept, err := b.store.Credentials(t.Context(), "ada.l_0-")
		if err != nil || kept.User != in.User.ID || !strings.HasPrefix(kept.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Error(kept, err)
		}
		named, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: "grace", Password: password, DisplayName: ptr("  Grace Hopper ")})
		if err != nil || named.User.DisplayName != "Grace Hopper" {
			t.Error(named, err)
		}
	})
}

func TestSignUpRefuses(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		b.signUp(t, "taken")
		before, hashes := b.head(t), b.hashes.Load()
		for _, name := range []string{"", "ab", strings.Repeat("a", 33), "_ab", ".ab", "-ab", "a b", " abc", "abc ", "ab\x00c", "abcö", "\u212Aelvin", "a@b.c", "ab\xff"} {
			_, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: name, Password: password})
			wantCode(t, err, chat.CodeBadInput, "input", "username")
		}
		for _, p := range []string{"", "sevench", "éééé", strings.Repeat("x", 257)} {
			_, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: "new", Password: p})
			wantCode(t, err, chat.CodeBadInput, "input", "password")
		}
		for _, shown := range []string{"", "  ", strings.Repeat("x", 65), "a\x00b", "a\nb", "a\xffb"} {
			_, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: "new", Password: password, DisplayName: &shown})
			wantCode(t, err, chat.CodeBadInput, "input", "displayName")
		}
		for _, email := range notAddresses {
			_, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: "new", Password: password, Email: &email})
			wantCode(t, err, chat.CodeBadInput, "input", "email")
		}
		if n := b.hashes.Load(); n != hashes {
			t.Errorf("%d passwords were hashed for input that is refused", n-hashes)
		}
		_, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: "TAKEN", Password: password})
		wantCode(t, err, chat.CodeConflict)
		if b.head(t) != before {
			t.Error("something happened")
		}
		for _, ok := range []struct{ name, password string }{{"3rd", "éééééééé"}, {strings.Repeat("z", 32), strings.Repeat("\x00ü", 128)}} {
			if _, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: ok.name, Password: ok.password, DisplayName: ptr(strings.Repeat("ü", 64))}); err != nil {
				t.Error(err)
			}
			if _, err := b.SignIn(t.Context(), laptop, ok.name, ok.password); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestSignUpsOfOneName(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		var wg sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = b.SignUp(t.Context(), laptop, user.NewAccount{Username: "ada", Password: password})
			})
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			wantCode(t, err, chat.CodeConflict)
		}
		if made != 1 || b.head(t) != 1 {
			t.Errorf("%d accounts, %d events", made, b.head(t))
		}
	})
}

func TestSignIn(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		up := b.signUp(t, "ada")
		in, err := b.SignIn(t.Context(), token.Client{UserAgent: "phone"}, "ADA", password)
		if err != nil || in.User != up.User || in.Session.ID == up.Session.ID || in.Session.UserAgent != "phone" || !b.accepted(t, in) || !b.accepted(t, up) {
			t.Fatal(in, err)
		}
		b.happened(t, up.Position, up.User.ID, chat.SessionStarted)

		// Whoever fails gets the same answer for the same work.
		for _, c := range []struct{ name, password string }{
			{"ada", "wrong horse"},
			{"ada", ""},
			{"nobody", password},
			{"x", password},
			{"a\x00b", password},
			{"\xff\xff\xff", password},
			{strings.Repeat("a", 1000), password},
			{"ada", strings.Repeat("x", 100_000)},
		} {
			before := b.hashes.Load()
			_, err := b.SignIn(t.Context(), laptop, c.name, c.password)
			wantCode(t, err, chat.CodeUnauthenticated, "input")
			if err.Error() != "UNAUTHENTICATED: wrong username or password" {
				t.Error(err)
			}
			if n := b.hashes.Load() - before; n != 1 {
				t.Errorf("%.10q: %d passwords were hashed", c.name, n)
			}
		}
		b.happened(t, in.Position, up.User.ID)
	})
}

func TestSignInsPerUser(t *testing.T) {
	each(t, user.Config{SignInsPerUser: 5}, func(t *testing.T, b *bundle) {
		up := b.signUp(t, "ada")
		b.signUp(t, "grace")
		for i := range 5 {
			_, err := b.SignIn(t.Context(), token.Client{Addr: fmt.Sprint("192.0.2.", i)}, "ada", "wrong horse")
			wantCode(t, err, chat.CodeUnauthenticated, "input")
		}
		hashes := b.hashes.Load()
		_, err := b.SignIn(t.Context(), laptop, "Ada", password)
		wantCode(t, err, chat.CodeRateLimited)
		var e *chat.Error
		if errors.As(err, &e); e.RetryAfter <= 0 || e.RetryAfter > 12*time.Second {
			t.Error(e.RetryAfter)
		}
		if b.hashes.Load() != hashes {
			t.Error("a password was hashed for nothing")
		}
		b.signIn(t, "grace")
		b.advance(t, e.RetryAfter)
		b.signIn(t, "ada")

		for range 5 {
			_, _, err := b.ChangePassword(t.Context(), viewer(up), "wrong horse", "battery staple")
			wantCode(t, err, chat.CodeUnauthenticated, "currentPassword")
		}
		_, _, err = b.ChangePassword(t.Context(), viewer(up), password, "battery staple")
		wantCode(t, err, chat.CodeRateLimited)
	})
}

// However many try at once through however many nodes, the passwords of no more than are allowed are looked at, whether
// there is such a user or not. A node that starts begins where the others are.
func TestSignInsOnManyNodes(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		b.signUp(t, "ada")
		var nodes []*user.Service
		for range 3 {
			node, _ := b.node(user.Config{SignInsPerUser: 5, SignInsPerAddr: 7})
			nodes = append(nodes, node)
		}
		try := func(name string, addr func(i int) string) {
			t.Helper()
			before, begin := b.hashes.Load(), time.Now()
			var wrong, limited atomic.Int64
			var all sync.WaitGroup
			for i := range 50 {
				all.Go(func() {
					_, err := nodes[i%3].SignIn(t.Context(), token.Client{Addr: addr(i)}, name, "wrong horse")
					switch chat.CodeOf(err) {
					case chat.CodeUnauthenticated:
						wrong.Add(1)
					case chat.CodeRateLimited:
						limited.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			all.Wait()
			n := b.hashes.Load() - before
			if most := 5 + int64(time.Since(begin)/(12*time.Second)); n < 5 || n > most || wrong.Load() != n || limited.Load() != 50-n {
				t.Errorf("%s: %d passwords were looked at, want 5; %d wrong, %d too often", name, n, wrong.Load(), limited.Load())
			}
		}
		started := time.Now()
		anywhere := func(i int) string { return fmt.Sprint("192.0.2.", i) }
		try("ada", anywhere)
		try("nobody", anywhere)
		another, _ := b.node(user.Config{SignInsPerUser: 5}) // one that starts
		for _, name := range []string{"ada", "nobody"} {
			if _, err := another.SignIn(t.Context(), laptop, name, password); time.Since(started) < 12*time.Second {
				wantCode(t, err, chat.CodeRateLimited)
			}
		}
		before, begin := b.hashes.Load(), time.Now()
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				_, _ = nodes[i%3].SignIn(t.Context(), token.Client{Addr: "198.51.100.1"}, fmt.Sprint("nobody", i), password)
			})
		}
		all.Wait()
		if n := b.hashes.Load() - before; n < 7 || n > 7+int64(time.Since(begin)/(8*time.Second)) {
			t.Errorf("%d passwords of one address were looked at, want 7", n)
		}
	})
}

// While the database is away nobody tries a password.
func TestSignInsWithoutADatabase(t *testing.T) {
	each(t, user.Config{SignInsPerUser: 5, SignInsPerAddr: 5}, func(t *testing.T, b *bundle) {
		b.signUp(t, "ada")
		before := b.hashes.Load()
		b.store.Close()
		if _, err := b.SignIn(t.Context(), laptop, "ada", password); err == nil || b.hashes.Load() != before {
			t.Error(err)
		}
	})
}

func TestSignInsPerAddr(t *testing.T) {
	each(t, user.Config{SignInsPerAddr: 3}, func(t *testing.T, b *bundle) {
		from := func(addr string, i int) error {
			_, err := b.SignIn(t.Context(), token.Client{Addr: addr}, fmt.Sprint("nobody", i), password)
			return err
		}
		if _, err := b.SignUp(t.Context(), token.Client{Addr: "2001:db8::1"}, user.NewAccount{Username: "ada", Password: password}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, from("2001:db8::2", 1), chat.CodeUnauthenticated, "input")
		wantCode(t, from("2001:db8::ffff:1", 2), chat.CodeUnauthenticated, "input")
		wantCode(t, from("2001:db8::3", 3), chat.CodeRateLimited)
		_, err := b.SignUp(t.Context(), token.Client{Addr: "2001:db8::4"}, user.NewAccount{Username: "grace", Password: password})
		wantCode(t, err, chat.CodeRateLimited)
		wantCode(t, from("2001:db8:0:1::1", 4), chat.CodeUnauthenticated, "input")
		for i := range 3 {
			wantCode(t, from("192.0.2.1", i), chat.CodeUnauthenticated, "input")
		}
		wantCode(t, from("::ffff:192.0.2.1", 5), chat.CodeRateLimited)
		wantCode(t, from("192.0.2.2", 6), chat.CodeUnauthenticated, "input")
		for i := range 5 {
			wantCode(t, from("", i), chat.CodeUnauthenticated, "input")
		}
	})
}

// A burst of sign-ins waits for its turn; whoever gives up waiting costs nothing.
func TestHashersAreBounded(t *testing.T) {
	busy, free := make(chan struct{}, 2), make(chan struct{}, 2)
	each(t, user.Config{Hashers: 1, Hashed: func() { busy <- struct{}{}; <-free }}, func(t *testing.T, b *bundle) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := b.SignIn(t.Context(), laptop, "nobody", password)
			if chat.CodeOf(err) != chat.CodeUnauthenticated {
				t.Error(err)
			}
		})
		<-busy
		wg.Go(func() {
			_, err := b.SignIn(ctx, laptop, "nobody", password)
			if chat.CodeOf(err) != chat.CodeUnavailable {
				t.Error(err)
			}
		})
		cancel()
		free <- struct{}{}
		wg.Wait()
	})
}

func TestRefresh(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in := b.signUp(t, "ada")
		for range 3 {
			b.clock.advance(24 * time.Hour)
			next, err := b.Refresh(t.Context(), in.Refresh)
			if err != nil {
				t.Fatal(err)
			}
			if next.Refresh == in.Refresh || next.Session.ID != in.Session.ID || !next.Session.LastUsedAt.After(in.Session.LastUsedAt) || next.Session.CreatedAt != in.Session.CreatedAt ||
				next.Session.ExpiresAt.Sub(next.Session.LastUsedAt) != 30*24*time.Hour || next.User != in.User || next.Position != b.head(t) {
				t.Fatalf("%+v after %+v", next, in)
			}
			if b.accepted(t, in) || !b.accepted(t, next) {
				t.Error("the access tokens do not last as long as they say")
			}
			in = next
		}
		b.happened(t, 1, in.User.ID)
	})
}

func TestRefreshRefuses(t *testing.T) {
	each(t, user.Config{RefreshTTL: time.Hour}, func(t *testing.T, b *bundle) {
		in := b.signUp(t, "ada")
		for name, s := range map[string]string{
			"nothing":            "",
			"an access token":    in.Access,
			"an unknown session": b.tokens.Refresh(chat.NewID(chat.KindSession), 1),
			"the future":         b.tokens.Refresh(in.Session.ID, 2),
			"altered":            in.Refresh[:len(in.Refresh)-4] + "AAAA",
		} {
			_, err := b.Refresh(t.Context(), s)
			if chat.CodeOf(err) != chat.CodeUnauthenticated {
				t.Error(name, err)
			}
		}
		b.clock.advance(time.Hour + time.Second)
		_, err := b.Refresh(t.Context(), in.Refresh)
		wantCode(t, err, chat.CodeUnauthenticated)
		if l, err := b.Sessions(t.Context(), viewer(in), chat.Page{Limit: 10}); err != nil || len(l.Nodes) != 0 {
			t.Error(l, err)
		}
		_, err = b.RevokeSession(t.Context(), viewer(in), in.Session.ID)
		wantCode(t, err, chat.CodeNotFound)
		b.happened(t, in.Position, in.User.ID)
	})
}

func TestReuseEndsTheSession(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		stolen, other := b.signUp(t, "ada"), b.signIn(t, "ada")
		next, err := b.Refresh(t.Context(), stolen.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		before := b.head(t)
		_, err = b.Refresh(t.Context(), stolen.Refresh)
		wantCode(t, err, chat.CodeUnauthenticated)
		e := b.happened(t, before, stolen.User.ID, chat.SessionEnded)[0]
		if e.Subject != stolen.Session.ID || !e.Actor.IsZero() {
			t.Error(e)
		}
		if b.accepted(t, stolen) || b.accepted(t, next) || !b.accepted(t, other) {
			t.Error("the wrong access tokens are accepted")
		}
		for _, old := range []string{stolen.Refresh, next.Refresh} {
			_, err = b.Refresh(t.Context(), old)
			wantCode(t, err, chat.CodeUnauthenticated)
		}
		if _, err = b.Refresh(t.Context(), other.Refresh); err != nil {
			t.Error("the other session ended too:", err)
		}
		b.happened(t, e.Position, stolen.User.ID)
	})
}

func TestTwoRefreshesAtOnce(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		b.signUp(t, "ada")
		for range 10 {
			in := b.signIn(t, "ada")
			var wg sync.WaitGroup
			var next [2]*user.SignedIn
			var errs [2]error
			for i := range errs {
				wg.Go(func() { next[i], errs[i] = b.Refresh(t.Context(), in.Refresh) })
			}
			wg.Wait()
			won := 0
			if errs[0] != nil {
				won = 1
			}
			if errs[won] != nil {
				t.Fatal(errs)
			}
			wantCode(t, errs[1-won], chat.CodeUnauthenticated)
			b.happened(t, in.Position, in.User.ID, chat.SessionEnded)
			if b.accepted(t, next[won]) {
				t.Fatal("the session lives on")
			}
		}
	})
}
