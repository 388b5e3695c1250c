package app_test

import (
	"fmt"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// address is one that nobody has.
func (w *world) address() string { w.keys++; return fmt.Sprintf("address-%d@example.org", w.keys) }

// claim says that an address is somebody's, and returns the token of the mail that went there.
func (p *person) claim(email string) string {
	p.do("changeEmail", "ChangeEmailInput", "cursor", vars{"email": email, "currentPassword": password}, nil)
	return mustArrive(p.w, p.w.mails, "verification", email, p.Username()).token(p.w)
}

func (p *person) verify(link string) {
	p.do("verifyEmail", "VerifyEmailInput", "cursor", vars{"token": link}, nil)
}

// has gives somebody a verified address.
func (p *person) has(email string) string {
	p.verify(p.claim(email))
	return email
}

// forget has a mail sent that a new password can be set by, and returns its token.
func (p *person) forget(email string) string {
	p.do("requestPasswordReset", "RequestPasswordResetInput", "cursor", vars{"login": email}, nil)
	return mustArrive(p.w, p.w.mails, "reset", email, p.Username()).token(p.w)
}

// lodger is somebody who signs up for one law: their sessions end with it.
func (w *world) lodger() *person {
	name := w.name()
	a := testkit.MustSignUp(w, w.url, name)
	p := &person{Account: a, w: w}
	var me struct{ Me profile }
	testkit.MustDo(w, a.Client, `{ me { username } }`, nil, &me)
	p.first.Me = me.Me
	return p
}

func mailLaws() map[string][]law {
	change := func(email func(w *world) string) func(w *world) mutation {
		return func(w *world) mutation {
			return mutation{w.ann.Client, vars{"email": email(w), "currentPassword": password}}
		}
	}
	anybody := func(w *world, input vars) mutation { return mutation{&client.Client{URL: w.url}, input} }
	return map[string][]law{
		"changeEmail": {
			changing("the first address", change(func(w *world) string { return w.address() })),
			changing("another one", change(func(w *world) string { w.ann.has(w.address()); return w.address() })),
			changing("called off", change(func(w *world) string {
				email := w.ann.has(w.address())
				w.ann.claim(w.address())
				return email
			})),
			idle("once more", change(func(w *world) string {
				email := w.address()
				w.ann.claim(email)
				return email
			})),
			changing("an address of somebody else's: that shows later", change(func(w *world) string { return w.bob.has(w.address()) })),
			refused("BAD_USER_INPUT", "no address", change(func(*world) string { return "ann" })),
			refused("UNAUTHENTICATED", "a wrong password", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"email": w.address(), "currentPassword": "wrong horse battery"}}
			}),
		},
		"resendVerification": {
			idle("while one waits", func(w *world) mutation { w.ann.claim(w.address()); return mutation{by: w.ann.Client} }),
			refused("CONFLICT", "nothing waits", func(w *world) mutation { w.ann.has(w.address()); return mutation{by: w.ann.Client} }),
		},
		"verifyEmail": {
			changing("signed out", func(w *world) mutation { return anybody(w, vars{"token": w.ann.claim(w.address())}) }),
			refused("BAD_USER_INPUT", "twice", func(w *world) mutation {
				link := w.ann.claim(w.address())
				w.ann.verify(link)
				return anybody(w, vars{"token": link})
			}),
			refused("CONFLICT", "somebody else's by now", func(w *world) mutation {
				email := w.address()
				link := w.ann.claim(email)
				w.bob.do("changeEmail", "ChangeEmailInput", "cursor", vars{"email": email, "currentPassword": password}, nil)
				w.bob.verify(mustArrive(w, w.mails, "verification", email, w.bob.Username()).token(w))
				return anybody(w, vars{"token": link})
			}),
			refused("BAD_USER_INPUT", "made up", func(w *world) mutation { return anybody(w, vars{"token": "x"}) }),
		},
		"requestPasswordReset": {
			idle("a user", func(w *world) mutation { return anybody(w, vars{"login": w.ann.has(w.address())}) }),
			idle("nobody", func(w *world) mutation { return anybody(w, vars{"login": "nobody"}) }),
		},
		"resetPassword": {
			changing("with two devices", func(w *world) mutation {
				p := w.lodger()
				p.device()
				return anybody(w, vars{"token": p.forget(p.has(w.address())), "newPassword": "battery horse correct"})
			}),
			refused("BAD_USER_INPUT", "after a change of the password", func(w *world) mutation {
				p := w.lodger()
				link := p.forget(p.has(w.address()))
				p.do("changePassword", "ChangePasswordInput", "cursor", vars{"currentPassword": password, "newPassword": password}, nil)
				return anybody(w, vars{"token": link, "newPassword": password})
			}),
			refused("BAD_USER_INPUT", "a short password", func(w *world) mutation { return anybody(w, vars{"token": "x", "newPassword": "short"}) }),
		},
	}
}
