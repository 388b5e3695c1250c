package chat

import "time"

// Bot is a user that a program acts as, as its owner sees it.
type Bot struct {
	User User
	Keys []APIKey // in the order in which they were made
}

// APIKey is what a program proves itself with as a bot. Its secrets are sessions of the bot's: the newest, and those that it
// has replaced for as long as they still work.
type APIKey struct {
	ID         ID
	Bot        ID
	Name       string
	Allows     Scopes
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	Session    ID        // of the newest secret
	LastUsedAt time.Time // of the newest secret, to the hour; zero: never
}

// IncomingWebhook is an address that posts into one conversation as a bot.
type IncomingWebhook struct {
	ID           ID
	Conversation ID
	Bot          ID
	Name         string
	CreatedAt    time.Time
	Signed       bool // what comes must be signed
}

// Scope is a part of what a bot may do.
type Scope string

// The scopes.
const (
	ScopeRead         Scope = "READ"          // queries and subscriptions
	ScopeMessagesSend Scope = "MESSAGES_SEND" // messages, read marks, typing
	ScopeManage       Scope = "MANAGE"        // whatever else a bot may change
)

var allScopes = []Scope{ScopeRead, ScopeMessagesSend, ScopeManage}

// Scopes is what a session may do. The zero value is a person's: everything. One that is made by ScopesOf is limited, also
// if it holds nothing.
type Scopes uint8

const limited Scopes = 1 << 7

// ScopesOf makes a set.
func ScopesOf(scopes ...Scope) Scopes {
	s := limited
	for i, x := range allScopes {
		for _, y := range scopes {
			if x == y {
				s |= 1 << i
			}
		}
	}
	return s
}

// Limited says whether there is anything that the session may not do.
func (s Scopes) Limited() bool { return s != 0 }

// Has says whether the session may do what x stands for.
func (s Scopes) Has(x Scope) bool { return s == 0 || ScopesOf(x)&s&^limited != 0 }

// List is the scopes of a limited set.
func (s Scopes) List() (l []Scope) {
	for i, x := range allScopes {
		if s&(1<<i) != 0 {
			l = append(l, x)
		}
	}
	return l
}

// Scopes are those of the key.
func (k APIKey) Scopes() []Scope { return k.Allows.List() }
