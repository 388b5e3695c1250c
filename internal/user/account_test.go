package user_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

var notAddresses = []string{
	"", "ada", "@example.org", "ada@", "ada@@example.org", "Ada <ada@example.org>", " ada@example.org", "ada@example.org ", "ada@example.org\n", "a b@example.org",
	`"a b"@example.org`, "ada@[127.0.0.1]", "ada@example.org, eve@example.org", "ada\x00@example.org", "ada@exa\xffmple.org", strings.Repeat("a", 250) + "@b.org",
}

// mailed is the next mail that was to be sent.
func (b *bundle) mailed(t *testing.T, k chat.MailTokenKind, to string) chat.MailToken {
	t.Helper()
	select {
	case id := <-b.mails:
		m, err := b.store.MailToken(t.Context(), id)
		if err != nil || m.Kind != k || m.Email != to {
			t.Fatalf("%+v %v, want %s to %q", m, err, k, to)
		}
		return m
	default:
		t.Fatalf("no mail, want %s to %q", k, to)
		return chat.MailToken{}
	}
}

func (b *bundle) nothingMailed(t *testing.T) {
	t.Helper()
	if n := len(b.mails); n > 0 {
		t.Errorf("%d mails too many", n)
	}
}

func (b *bundle) verifying(m chat.MailToken) string { return b.tokens.Link(token.ForAddress, m.ID) }
func (b *bundle) resetting(m chat.MailToken) string { return b.tokens.Link(token.ForPassword, m.ID) }

func (b *bundle) signUpWith(t *testing.T, name, email string) (*user.SignedIn, chat.MailToken) {
	t.Helper()
	in, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: name, Password: password, Email: &email})
	if err != nil {
		t.Fatal(err)
	}
	return in, b.mailed(t, chat.MailWelcome, email)
}

// verified is somebody with an address.
func (b *bundle) verified(t *testing.T, name, email string) *user.SignedIn {
	t.Helper()
	in, m := b.signUpWith(t, name, email)
	b.verify(t, m)
	return in
}

func (b *bundle) verify(t *testing.T, m chat.MailToken) {
	t.Helper()
	if email, _, err := b.VerifyEmail(t.Context(), b.verifying(m)); err != nil || email != m.Email {
		t.Fatal(email, err)
	}
}

func (b *bundle) change(t *testing.T, in *user.SignedIn, email string) *chat.Account {
	t.Helper()
	a, _, err := b.ChangeEmail(t.Context(), viewer(in), email, password)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (b *bundle) account(t *testing.T, in *user.SignedIn) chat.Account {
	t.Helper()
	a, err := b.Account(t.Context(), viewer(in))
	if err != nil {
		t.Fatal(err)
	}
	return *a
}

func (b *bundle) wantAccount(t *testing.T, in *user.SignedIn, email, unverified string) {
	t.Helper()
	if a := b.account(t, in); a.User != in.User.ID || a.Email != email || a.UnverifiedEmail != unverified || a.EmailVerifiedAt.IsZero() != (email == "") {
		t.Errorf("%+v, want %q and %q", a, email, unverified)
	}
}

// forget asks for a mail to set a new password.
func (b *bundle) forget(t *testing.T, login string) {
	t.Helper()
	if _, err := b.RequestPasswordReset(t.Context(), laptop, login); err != nil {
		t.Fatal(login, err)
	}
}

func wantWorthless(t *testing.T, err error, why string) {
	t.Helper()
	wantCode(t, err, chat.CodeBadInput, "input", "token")
	if !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want %q", err, why)
	}
}

func TestVerifyEmail(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in, m := b.signUpWith(t, "ada", "Ada@Example.org")
		b.wantAccount(t, in, "", "Ada@Example.org")
		link := b.verifying(m)
		for i := range link {
			other := "A"
			if link[i] == 'A' {
				other = "B"
			}
			_, _, err := b.VerifyEmail(t.Context(), link[:i]+other+link[i+1:])
			wantWorthless(t, err, "not complete")
		}
		for _, bad := range []string{"", link[1:], link + "A", link + "=", b.resetting(m), b.tokens.Link(token.ForUnsubscribe+" digest", m.ID)} {
			_, _, err := b.VerifyEmail(t.Context(), bad)
			wantWorthless(t, err, "not complete")
		}
		_, _, err := b.ResetPassword(t.Context(), laptop, link, "battery staple")
		wantWorthless(t, err, "not complete")

		before := b.head(t)
		b.verify(t, m)
		e := b.happened(t, before, in.User.ID, chat.AccountUpdated)[0]
		if e.Actor != in.User.ID || e.Subject != in.User.ID || e.Detail.Conversation != (chat.ID{}) {
			t.Errorf("%+v", e)
		}
		b.wantAccount(t, in, "Ada@Example.org", "")
		_, _, err = b.VerifyEmail(t.Context(), link)
		wantWorthless(t, err, "used already")
		_, _, err = b.ResendVerification(t.Context(), viewer(in))
		wantCode(t, err, chat.CodeConflict)
		b.nothingMailed(t)
	})
}

func TestVerificationExpires(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in, m := b.signUpWith(t, "ada", "ada@example.org")
		b.clock.advance(72*time.Hour - time.Minute)
		a, _, err := b.ResendVerification(t.Context(), viewer(in))
		if err != nil || a.UnverifiedEmail != "ada@example.org" {
			t.Fatal(a, err)
		}
		b.mailed(t, chat.MailVerify, "ada@example.org")
		b.clock.advance(2 * time.Minute)
		_, _, err = b.VerifyEmail(t.Context(), b.verifying(m))
		wantWorthless(t, err, "expired")
		if n, err := b.store.TrimMailTokens(t.Context(), b.clock.now(), 10); n != 1 || err != nil {
			t.Error(n, err)
		}
		_, _, err = b.VerifyEmail(t.Context(), b.verifying(m))
		wantWorthless(t, err, "expired")
		b.wantAccount(t, in, "", "ada@example.org")
	})
}

// Anybody may say that an address is theirs. It is who shows it first, and of those who do at once, one.
func TestAddressesAreNotSquatted(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		const people = 8
		claims := make([]chat.MailToken, people)
		for i := range claims {
			_, claims[i] = b.signUpWith(t, fmt.Sprint("user", i), []string{"us@example.org", "US@example.org"}[i%2])
		}
		errs := make([]error, people)
		var all sync.WaitGroup
		for i, m := range claims {
			all.Go(func() { _, _, errs[i] = b.VerifyEmail(t.Context(), b.verifying(m)) })
		}
		all.Wait()
		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				continue
			}
			wantCode(t, err, chat.CodeConflict)
			_, _, err = b.VerifyEmail(t.Context(), b.verifying(claims[i]))
			wantCode(t, err, chat.CodeConflict)
		}
		if won != 1 || b.head(t) != people+1 {
			t.Errorf("%d have the address, %d events", won, b.head(t))
		}
	})
}

func TestChangeEmail(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in := b.verified(t, "ada", "ada@example.org")
		before := b.head(t)
		for _, email := range notAddresses {
			_, _, err := b.ChangeEmail(t.Context(), viewer(in), email, password)
			wantCode(t, err, chat.CodeBadInput, "input", "email")
		}
		_, _, err := b.ChangeEmail(t.Context(), viewer(in), "new@example.org", "wrong horse")
		wantCode(t, err, chat.CodeUnauthenticated, "currentPassword")
		b.happened(t, before, in.User.ID)
		b.nothingMailed(t)

		// Said, said otherwise, and called off.
		b.change(t, in, "new@example.org")
		first := b.mailed(t, chat.MailVerify, "new@example.org")
		b.change(t, in, "newer@example.org")
		second := b.mailed(t, chat.MailVerify, "newer@example.org")
		_, _, err = b.VerifyEmail(t.Context(), b.verifying(first))
		wantWorthless(t, err, "used already")
		b.wantAccount(t, in, "ada@example.org", "newer@example.org")
		b.change(t, in, "ada@example.org")
		b.nothingMailed(t)
		_, _, err = b.VerifyEmail(t.Context(), b.verifying(second))
		wantWorthless(t, err, "used already")
		b.happened(t, before, in.User.ID, chat.AccountUpdated, chat.AccountUpdated, chat.AccountUpdated)
		b.wantAccount(t, in, "ada@example.org", "")

		// Done: the former address is told, and is good for nothing.
		b.forget(t, "ada")
		reset := b.mailed(t, chat.MailReset, "ada@example.org")
		b.change(t, in, "new@example.org")
		b.verify(t, b.mailed(t, chat.MailVerify, "new@example.org"))
		b.mailed(t, chat.MailChanged, "ada@example.org")
		b.wantAccount(t, in, "new@example.org", "")
		_, _, err = b.ResetPassword(t.Context(), laptop, b.resetting(reset), "battery staple")
		wantWorthless(t, err, "used already")
		b.verified(t, "eve", "ada@example.org") // it is free
		// In other letters it is the same address, and nobody is told.
		b.change(t, in, "New@example.org")
		b.verify(t, b.mailed(t, chat.MailVerify, "New@example.org"))
		b.nothingMailed(t)
		if _, err := b.SignOut(t.Context(), viewer(in)); err != nil {
			t.Fatal(err)
		}
		_, _, err = b.ChangeEmail(t.Context(), viewer(in), "gone@example.org", password)
		wantCode(t, err, chat.CodeUnauthenticated)
	})
}

func TestResetPassword(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		here := b.verified(t, "ada", "Ada@example.org")
		there, eve := b.signIn(t, "ada"), b.signUp(t, "eve")
		b.forget(t, "ADA")
		first := b.mailed(t, chat.MailReset, "Ada@example.org")
		b.forget(t, "ada@EXAMPLE.org")
		second := b.mailed(t, chat.MailReset, "Ada@example.org")
		b.change(t, here, "evil@example.org")
		evil := b.mailed(t, chat.MailVerify, "evil@example.org")
		_, _, err := b.ResetPassword(t.Context(), laptop, b.resetting(first), "short")
		wantCode(t, err, chat.CodeBadInput, "input", "newPassword")
		_, _, err = b.VerifyEmail(t.Context(), b.resetting(first))
		wantWorthless(t, err, "not complete")

		before := b.head(t)
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				_, _, errs[i] = b.ResetPassword(t.Context(), laptop, b.resetting(first), fmt.Sprint("battery staple ", i))
			})
		}
		all.Wait()
		won := slices.Index(errs, nil)
		for i, err := range errs {
			if i != won {
				wantWorthless(t, err, "used already")
			}
		}
		b.happened(t, before, here.User.ID, chat.AccountUpdated, chat.SessionEnded, chat.SessionEnded)
		if b.accepted(t, here) || b.accepted(t, there) || !b.accepted(t, eve) {
			t.Error("the wrong sessions have ended")
		}
		_, err = b.SignIn(t.Context(), laptop, "ada", password)
		wantCode(t, err, chat.CodeUnauthenticated, "input")
		in, err := b.SignIn(t.Context(), laptop, "ada", fmt.Sprint("battery staple ", won))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = b.ResetPassword(t.Context(), laptop, b.resetting(second), "once more")
		wantWorthless(t, err, "used already")
		_, _, err = b.VerifyEmail(t.Context(), b.verifying(evil))
		wantWorthless(t, err, "used already")
		b.wantAccount(t, in, "Ada@example.org", "")
	})
}

func TestResetsEnd(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		in := b.verified(t, "ada", "ada@example.org")
		b.forget(t, "ada")
		m := b.mailed(t, chat.MailReset, "ada@example.org")
		b.change(t, in, "evil@example.org")
		evil := b.mailed(t, chat.MailVerify, "evil@example.org")
		if _, _, err := b.ChangePassword(t.Context(), viewer(in), password, "battery staple"); err != nil {
			t.Fatal(err)
		}
		_, _, err := b.ResetPassword(t.Context(), laptop, b.resetting(m), "once more")
		wantWorthless(t, err, "used already")
		_, _, err = b.VerifyEmail(t.Context(), b.verifying(evil))
		wantWorthless(t, err, "used already")
		b.wantAccount(t, in, "ada@example.org", "")

		b.forget(t, "ada")
		m = b.mailed(t, chat.MailReset, "ada@example.org")
		b.clock.advance(30*time.Minute + time.Second)
		_, _, err = b.ResetPassword(t.Context(), laptop, b.resetting(m), "once more")
		wantWorthless(t, err, "expired")

		// Who has no address yet keeps what they have begun.
		eve, welcome := b.signUpWith(t, "eve", "eve@example.org")
		if _, _, err := b.ChangePassword(t.Context(), viewer(eve), password, "battery staple"); err != nil {
			t.Fatal(err)
		}
		b.verify(t, welcome)
	})
}

// whoAsks is a log that keeps statements.
type whoAsks struct {
	mu   sync.Mutex
	made []string
}

func (w *whoAsks) Enabled(context.Context, slog.Level) bool { return true }
func (w *whoAsks) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *whoAsks) WithGroup(string) slog.Handler            { return w }
func (w *whoAsks) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "sql" {
			w.mu.Lock()
			// Which of the two it was, whoever asked knows.
			w.made = append(w.made, strings.Replace(a.Value.String(), "email_key =", "username =", 1))
			w.mu.Unlock()
		}
		return true
	})
	return nil
}

// Who asks for a new password learns nothing: the answer, what is done for it, and how often it may be asked for are the
// same for everybody and nobody.
func TestResetsTellNothing(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		b.verified(t, "ada", "ada@example.org")
		b.signUpWith(t, "bob", "bob@example.org") // who has not verified it
		b.signUp(t, "cat")
		log := &whoAsks{}
		s, err := store.Open(t.Context(), store.Config{URL: b.url, Conns: 1, Log: slog.New(log), Now: b.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		quiet := b.store
		b.store = s
		limited, _ := b.node(user.Config{MailsPerHour: 3})
		b.store = quiet
		before := b.head(t)
		var same []string
		for login, to := range map[string]string{
			"ada": "ada@example.org", "Ada@Example.org": "ada@example.org",
			"bob": "", "bob@example.org": "", "cat": "", "nobody": "", "nobody@example.org": "",
			"@": "", "a\x00b": "", "\xff\xff\xff": "", strings.Repeat("x", 10000): "",
		} {
			if login == "a\x00b" || login == "@" || login[0] > 127 || len(login) > 1000 {
				b.advance(t, time.Hour) // all of these are one: they cannot be logins
			}
			for i := range 4 {
				log.made = nil
				pos, err := limited.RequestPasswordReset(t.Context(), laptop, login)
				if i == 3 {
					wantCode(t, err, chat.CodeRateLimited)
					continue
				}
				if err != nil || pos != before {
					t.Fatalf("%.20q: %d %v", login, pos, err)
				}
				if same == nil && i > 0 {
					same = slices.Clone(log.made)
				}
				if i > 0 && !slices.Equal(same, log.made) || len(log.made) < 4 {
					t.Errorf("%.20q:\n%s\nnot:\n%s", login, strings.Join(log.made, "\n"), strings.Join(same, "\n"))
				}
				if m := b.mailed(t, chat.MailReset, to); m.User.IsZero() != (to == "") {
					t.Errorf("%.20q: %+v", login, m)
				}
			}
		}
	})
}

// Nobody can have many mails sent, neither to others nor to one address through many accounts.
func TestMailsPerHour(t *testing.T) {
	each(t, user.Config{MailsPerHour: 3}, func(t *testing.T, b *bundle) {
		in := b.verified(t, "ada", "ada@example.org") // one
		for i := range 3 {
			_, _, err := b.ChangeEmail(t.Context(), viewer(in), fmt.Sprintf("victim%d@example.org", i), password)
			if i < 2 && err != nil {
				t.Fatal(err)
			} else if i == 2 {
				wantCode(t, err, chat.CodeRateLimited)
			}
		}
		_, _, err := b.ResendVerification(t.Context(), viewer(in))
		wantCode(t, err, chat.CodeRateLimited)
		for i := range 4 {
			_, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: fmt.Sprint("eve", i), Password: password, Email: ptr("Victim@example.org")})
			if i < 3 && err != nil {
				t.Fatal(err)
			} else if i == 3 {
				wantCode(t, err, chat.CodeRateLimited)
			}
		}
		b.advance(t, 20*time.Minute)
		b.change(t, in, "victim@example.org")
	})
}

// What is not committed has no mail, and leaves no token.
func TestRefusedSignUpsMailNobody(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		b.signUp(t, "ada")
		_, err := b.SignUp(t.Context(), laptop, user.NewAccount{Username: "ada", Password: password, Email: ptr("ada@example.org")})
		wantCode(t, err, chat.CodeConflict)
		b.nothingMailed(t)
	})
}
