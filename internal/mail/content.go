package mail

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Where mails lead to, below the public address. Tokens are the query's token.
const (
	pathVerify        = "/verify"
	pathReset         = "/reset"
	pathSessions      = "/settings/sessions"
	pathExport        = "/settings/export"
	pathFriends       = "/friends"
	pathConversations = "/conversations"
	pathUnsubscribe   = "/mail/unsubscribe" // takes a POST without credentials too: RFC 8058, one click
)

// What a mail shows of what users wrote, in characters, and of how much there is.
const (
	maxName          = 64
	maxTitle         = 80
	maxDevice        = 100
	maxExcerpt       = 160
	maxConversations = 10
	maxMessages      = 3
)

// Content is what a mail tells: one of the types below. Times are shown in their own location.
type Content interface {
	// lead says which templates tell it, where its link leads to, and what the templates get to see.
	lead(m *Mailer) (kind, link string, view any, err error)
}

// Welcome greets a new user, and has them confirm their address.
type Welcome struct {
	Token string
	Valid time.Duration // of the token
}

func (c Welcome) lead(m *Mailer) (kind, link string, view any, err error) {
	return "welcome", m.link(pathVerify, c.Token), until(c.Valid), nil
}

// Verification has a user confirm an address that they have changed to.
type Verification struct {
	Token string
	Valid time.Duration // of the token
}

func (c Verification) lead(m *Mailer) (kind, link string, view any, err error) {
	return "verification", m.link(pathVerify, c.Token), until(c.Valid), nil
}

// PasswordReset lets a user choose a new password.
type PasswordReset struct {
	Token string
	Valid time.Duration // of the token
}

func (c PasswordReset) lead(m *Mailer) (kind, link string, view any, err error) {
	return "reset", m.link(pathReset, c.Token), until(c.Valid), nil
}

// NewDevice tells of a sign-in from a device that was not seen before.
type NewDevice struct {
	At      time.Time
	Device  string // as it names itself
	Address string // where it connected from
}

func (c NewDevice) lead(m *Mailer) (kind, link string, view any, err error) {
	return "device", m.link(pathSessions, ""), NewDevice{c.At, clean(c.Device, maxDevice), clean(c.Address, maxDevice)}, nil
}

// FriendRequest tells that somebody asks to be friends.
type FriendRequest struct {
	From chat.User
}

func (c FriendRequest) lead(m *Mailer) (kind, link string, view any, err error) {
	return "friend", m.link(pathFriends, ""), struct{ Name, Username string }{nameOf(c.From), clean(c.From.Username, maxName)}, nil
}

// Digest tells what was not read. It needs Message.Unsubscribe.
type Digest struct {
	// Conversations are those with unread messages, the most important first. The first ten are shown.
	Conversations []DigestConversation
}

// DigestConversation is what was not read in one conversation.
type DigestConversation struct {
	ID     chat.ID
	Title  string    // of a group
	With   chat.User // of a direct conversation
	Unread int
	// Messages are unread ones, the oldest first. The last three are shown.
	Messages []DigestMessage
}

// DigestMessage is an unread message.
type DigestMessage struct {
	From chat.User
	Body string
}

type digestView struct {
	Conversations []groupView
	Messages, All int // of all conversations
	More          int // conversations that are not shown
}

type groupView struct {
	Title, Link     string
	Unread, Earlier int
	Messages        []struct{ From, Body string }
}

func (c Digest) lead(m *Mailer) (kind, link string, view any, err error) {
	if len(c.Conversations) == 0 {
		return "", "", nil, errors.New("a digest of nothing")
	}
	v := digestView{All: len(c.Conversations), More: max(0, len(c.Conversations)-maxConversations)}
	for i, one := range c.Conversations {
		v.Messages += one.Unread
		if i >= maxConversations {
			continue
		}
		shown := one.Messages[max(0, len(one.Messages)-maxMessages):]
		g := groupView{Title: titleOf(one), Link: m.link(pathConversations+"/"+one.ID.String(), ""), Unread: one.Unread}
		if len(shown) > 0 {
			g.Earlier = max(0, one.Unread-len(shown))
		}
		for _, msg := range shown {
			g.Messages = append(g.Messages, struct{ From, Body string }{nameOf(msg.From), clean(msg.Body, maxExcerpt)})
		}
		v.Conversations = append(v.Conversations, g)
	}
	return "digest", m.link(pathConversations, ""), v, nil
}

func titleOf(c DigestConversation) string {
	switch title := clean(c.Title, maxTitle); {
	case !c.With.ID.IsZero():
		return nameOf(c.With)
	case title == "" || looksLikeLink.MatchString(title):
		return "A group"
	default:
		return title
	}
}

// Export tells that the copy of their data that a user asked for is ready. The link leads to where it is after a sign-in,
// so that the mail alone opens nothing.
type Export struct {
	Valid time.Duration // of the copy
}

func (c Export) lead(m *Mailer) (kind, link string, view any, err error) {
	return "export", m.link(pathExport, ""), until(c.Valid), nil
}

func (m *Mailer) link(path, token string) string {
	if token != "" {
		path += "?token=" + url.QueryEscape(token)
	}
	return m.publicURL + path
}

// until is a time that something is valid for, in words.
func until(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}} {
		if d >= u.of && d%u.of == 0 {
			return plural(int(d/u.of), u.name)
		}
	}
	return plural(int(d.Minutes()), "minute")
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
