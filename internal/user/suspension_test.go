package user_test

import (
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/user"
)

// Who is suspended has no session and gets none, whatever they know; who is restored signs in as before.
func TestSuspend(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		other := b.signUp(t, "eve")
		here, there := b.signUp(t, "ada"), b.signIn(t, "ada")
		code := func(what string, err error, want chat.Code) {
			t.Helper()
			if chat.CodeOf(err) != want {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
		}
		if n, err := b.Suspend(t.Context(), "Ada"); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		b.happened(t, there.Position, here.User.ID, chat.SessionEnded, chat.SessionEnded)
		for range 2 {
			if b.accepted(t, here) || b.accepted(t, there) {
				t.Error("a token still works")
			}
			_, err := b.Refresh(t.Context(), here.Refresh)
			code("refresh", err, chat.CodeUnauthenticated)
			_, err = b.SignIn(t.Context(), laptop, "ada", password)
			code("sign in", err, chat.CodeForbidden)
			_, err = b.SignIn(t.Context(), laptop, "ada", "not the password")
			code("sign in with a wrong password", err, chat.CodeUnauthenticated)
			if n, err := b.Suspend(t.Context(), "ada"); err != nil || n != 0 { // once more
				t.Fatal(n, err)
			}
		}
		if !b.accepted(t, other) {
			t.Error("somebody else is suspended")
		}
		if err := b.Restore(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if !b.accepted(t, b.signIn(t, "ada")) || b.accepted(t, here) {
			t.Error("not as before")
		}
		_, err := b.Suspend(t.Context(), "nobody")
		code("suspend nobody", err, chat.CodeNotFound)
		code("restore nobody", b.Restore(t.Context(), "nobody"), chat.CodeNotFound)
	})
}

// A sign-in that runs while its user is suspended leaves no session behind.
func TestSuspendWhileSigningIn(t *testing.T) {
	each(t, user.Config{}, func(t *testing.T, b *bundle) {
		b.signUp(t, "ada")
		for range 5 {
			signed := make(chan *user.SignedIn)
			go func() {
				in, _ := b.SignIn(t.Context(), laptop, "ada", password)
				signed <- in
			}()
			if _, err := b.Suspend(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
			if in := <-signed; in != nil && b.accepted(t, in) {
				t.Error("a suspended user is signed in")
			}
			if err := b.Restore(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
		}
	})
}
