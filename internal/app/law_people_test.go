package app_test

import (
	"strings"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

func accountLaws() map[string][]law {
	anonymous := func(input vars) func(w *world) mutation {
		return func(w *world) mutation { return mutation{&client.Client{URL: w.url}, input} }
	}
	signIn := func(word string) func(w *world) mutation {
		return func(w *world) mutation {
			return mutation{&client.Client{URL: w.url}, vars{"username": w.ann.Username(), "password": word}}
		}
	}
	profile := func(input vars) func(w *world) mutation {
		return func(w *world) mutation { return mutation{w.ann.Client, input} }
	}
	return map[string][]law{
		"signUp": {
			changing("a new user", anonymous(vars{"username": "gus", "password": password})),
			refused("CONFLICT", "a name that is taken", func(w *world) mutation {
				return mutation{&client.Client{URL: w.url}, vars{"username": w.ann.Username(), "password": password}}
			}),
			refused("BAD_USER_INPUT", "a short password", anonymous(vars{"username": "gustav", "password": "short"})),
		},
		"signIn": {
			changing("another device", signIn(password)),
			refused("UNAUTHENTICATED", "a wrong password", signIn("wrong horse battery")),
		},
		"refreshSession": {
			// When a session was last used, and when it ends, nobody is told: see state.
			idle("the newest token", func(w *world) mutation { return mutation{w.ann.Client, vars{"refreshToken": w.ann.device().refresh}} }),
			refused("UNAUTHENTICATED", "no token", anonymous(vars{"refreshToken": "x"})),
			{name: "a token used twice ends the session", code: "UNAUTHENTICATED", prepare: func(w *world) mutation {
				d := w.ann.device()
				w.ann.do("refreshSession", "RefreshSessionInput", "cursor", vars{"refreshToken": d.refresh}, nil)
				return mutation{w.ann.Client, vars{"refreshToken": d.refresh}}
			}},
		},
		"signOut": {
			changing("another device", func(w *world) mutation { return mutation{by: w.ann.device().Client} }),
			refused("UNAUTHENTICATED", "nobody", anonymous(nil)),
			refused("UNAUTHENTICATED", "twice", func(w *world) mutation {
				d := w.ann.device()
				testkit.MustDo(w, d.Client, `mutation { signOut { cursor } }`, nil, nil)
				return mutation{by: d.Client}
			}),
		},
		"changePassword": {
			changing("with another device", func(w *world) mutation {
				w.ann.device()
				return mutation{w.ann.Client, vars{"currentPassword": password, "newPassword": password}}
			}),
			idle("without another device", func(w *world) mutation {
				w.ann.do("changePassword", "ChangePasswordInput", "cursor", vars{"currentPassword": password, "newPassword": password}, nil)
				return mutation{w.ann.Client, vars{"currentPassword": password, "newPassword": password}}
			}),
			refused("UNAUTHENTICATED", "a wrong password", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"currentPassword": "wrong horse battery", "newPassword": password}}
			}),
			refused("BAD_USER_INPUT", "a short password", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"currentPassword": password, "newPassword": "short"}}
			}),
		},
		"updateProfile": {
			changing("a name", profile(vars{"displayName": "Ann of the North"})),
			changing("a line", profile(vars{"bio": "I come from the north."})),
			idle("nothing", profile(vars{"displayName": "Ann of the North"})),
			refused("BAD_USER_INPUT", "no name", profile(vars{"displayName": " "})),
		},
		"revokeSession": {
			changing("another device", func(w *world) mutation { return mutation{w.ann.Client, vars{"sessionId": w.ann.device().session}} }),
			refused("NOT_FOUND", "somebody else's", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"sessionId": w.bob.device().session}}
			}),
			refused("NOT_FOUND", "ended", func(w *world) mutation {
				d := w.ann.device()
				w.ann.do("revokeSession", "RevokeSessionInput", "cursor", vars{"sessionId": d.session}, nil)
				return mutation{w.ann.Client, vars{"sessionId": d.session}}
			}),
		},
	}
}

func friendLaws() map[string][]law {
	to := func(from, to func(w *world) *person) func(w *world) mutation {
		return func(w *world) mutation { return mutation{from(w).Client, vars{"userId": to(w).ID}} }
	}
	eve := func(w *world) *person { return w.eve }
	// asked is a mutation about a request from one to another.
	asked := func(from, to, by func(w *world) *person) func(w *world) mutation {
		return func(w *world) mutation {
			r := w.ask(from(w), to(w))
			return mutation{by(w).Client, vars{"requestId": r}}
		}
	}
	answered := func(how string, from, to, by func(w *world) *person) func(w *world) mutation {
		return func(w *world) mutation {
			r := w.ask(from(w), to(w))
			who := to(w)
			if how == "cancel" {
				who = from(w)
			}
			who.do(how+"FriendRequest", strings.ToUpper(how[:1])+how[1:]+"FriendRequestInput", "cursor", vars{"requestId": r}, nil)
			return mutation{by(w).Client, vars{"requestId": r}}
		}
	}
	return map[string][]law{
		"sendFriendRequest": {
			changing("to a stranger", func(w *world) mutation { w.part(w.ann, w.eve); return to(ann, eve)(w) }),
			changing("crossed: two become friends", func(w *world) mutation { w.ask(w.eve, w.cat); return to(cat, eve)(w) }),
			changing("crossed: two are friends again", func(w *world) mutation {
				w.part(w.bob, w.cat)
				testkit.MustBefriend(w, w.bob.Account, w.cat.Account)
				w.unfriend(w.bob, w.cat)
				w.ask(w.bob, w.cat)
				return to(cat, bob)(w)
			}),
			refused("CONFLICT", "twice", func(w *world) mutation { w.ask(w.bob, w.eve); return to(bob, eve)(w) }),
			refused("CONFLICT", "to a friend", to(ann, bob)),
			refused("NOT_FOUND", "to one who blocked", func(w *world) mutation { w.block(w.eve, w.dan); return to(dan, eve)(w) }),
			refused("BAD_USER_INPUT", "to oneself", to(ann, ann)),
		},
		"acceptFriendRequest": {
			changing("for the first time", asked(bob, eve, eve)),
			changing("friends again", func(w *world) mutation {
				w.unfriend(w.ann, w.fay)
				return mutation{w.fay.Client, vars{"requestId": w.ask(w.ann, w.fay)}}
			}),
			refused("FORBIDDEN", "one's own", asked(bob, eve, bob)),
			refused("NOT_FOUND", "somebody else's", asked(bob, eve, ann)),
			refused("CONFLICT", "rejected", answered("reject", bob, eve, eve)),
			refused("CONFLICT", "cancelled", answered("cancel", bob, eve, eve)),
		},
		"rejectFriendRequest": {
			changing("by who was asked", asked(eve, ann, ann)),
			refused("FORBIDDEN", "one's own", asked(eve, ann, eve)),
			refused("NOT_FOUND", "somebody else's", asked(eve, ann, bob)),
			refused("CONFLICT", "accepted", answered("accept", eve, dan, dan)),
		},
		"cancelFriendRequest": {
			changing("by who asked", asked(ann, eve, ann)),
			refused("FORBIDDEN", "by who was asked", asked(ann, eve, eve)),
			refused("NOT_FOUND", "somebody else's", asked(ann, eve, cat)),
			refused("CONFLICT", "twice", answered("cancel", ann, eve, ann)),
		},
		"removeFriend": {
			changing("a friend", func(w *world) mutation { w.reunite(w.ann, w.dan); return to(ann, dan)(w) }),
			refused("NOT_FOUND", "a stranger", to(dan, eve)),
			refused("NOT_FOUND", "oneself", to(dan, dan)),
		},
		"blockUser": {
			changing("a friend", func(w *world) mutation {
				w.reunite(w.ann, w.dan)
				w.undo = append(w.undo, func() { w.dan.do("unblockUser", "UnblockUserInput", "cursor", vars{"userId": w.ann.ID}, nil) })
				return to(dan, ann)(w)
			}),
			changing("who asks", func(w *world) mutation { w.unblock(w.cat, w.dan); w.ask(w.dan, w.cat); return to(cat, dan)(w) }),
			changing("who was asked", func(w *world) mutation { w.unblock(w.cat, w.dan); w.ask(w.cat, w.dan); return to(cat, dan)(w) }),
			changing("a stranger", func(w *world) mutation { w.unblock(w.cat, w.dan); return to(cat, dan)(w) }),
			idle("twice", func(w *world) mutation { w.block(w.cat, w.dan); return to(cat, dan)(w) }),
			refused("BAD_USER_INPUT", "oneself", to(ann, ann)),
		},
		"unblockUser": {
			changing("a blocked user", func(w *world) mutation { w.block(w.cat, w.dan); return to(cat, dan)(w) }),
			idle("twice", to(cat, dan)),
			refused("BAD_USER_INPUT", "oneself", to(ann, ann)),
		},
	}
}
