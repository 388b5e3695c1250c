package mail

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
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
	pathJobs          = "/admin/jobs/"
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
	maxJobs          = 10 // kinds of them
)

// Content is what a mail tells: one of the types below. Times are shown in their own location.
type Content interface {
	// Kind names the type, and the templates that tell it.
	Kind() string
	// lead says where its link leads to, and what the templates get to see.
	lead(m *Mailer) (link string, view any, err error)
}

// Welcome greets a new user, and has them confirm their address.
type Welcome struct {
	Token string
	Valid time.Duration // of the token
}

// Kind is for Content.
func (Welcome) Kind() string { return "welcome" }

func (c Welcome) lead(m *Mailer) (link string, view any, err error) {
	return m.link(pathVerify, c.Token), until(c.Valid), nil
}

// Verification has a user confirm an address that they have changed to.
type Verification struct {
	Token string
	Valid time.Duration // of the token
}

// Kind is for Content.
func (Verification) Kind() string { return "verification" }

func (c Verification) lead(m *Mailer) (link string, view any, err error) {
	return m.link(pathVerify, c.Token), until(c.Valid), nil
}

// PasswordReset lets a user choose a new password.
type PasswordReset struct {
	Token string
	Valid time.Duration // of the token
}

// Kind is for Content.
func (PasswordReset) Kind() string { return "reset" }

func (c PasswordReset) lead(m *Mailer) (link string, view any, err error) {
	return m.link(pathReset, c.Token), until(c.Valid), nil
}

// AddressChanged tells a former address that it is that.
type AddressChanged struct{}

// Kind is for Content.
func (AddressChanged) Kind() string { return "address" }

func (c AddressChanged) lead(m *Mailer) (link string, view any, err error) {
	return m.link("", ""), c, nil
}

// NewDevice tells of a sign-in from a device that was not seen before.
type NewDevice struct {
	At      time.Time
	Device  string // as it names itself
	Address string // where it connected from
}

// Kind is for Content.
func (NewDevice) Kind() string { return "device" }

func (c NewDevice) lead(m *Mailer) (link string, view any, err error) {
	return m.link(pathSessions, ""), NewDevice{c.At, clean(c.Device, maxDevice), clean(c.Address, maxDevice)}, nil
}

// FriendRequest tells that somebody asks to be friends.
type FriendRequest struct {
	From chat.User
}

// Kind is for Content.
func (FriendRequest) Kind() string { return "friend" }

func (c FriendRequest) lead(m *Mailer) (link string, view any, err error) {
	return m.link(pathFriends, ""), struct{ Name, Username string }{nameOf(c.From), clean(c.From.Username, maxName)}, nil
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

// Kind is for Content.
func (Digest) Kind() string { return "digest" }

func (c Digest) lead(m *Mailer) (link string, view any, err error) {
	if len(c.Conversations) == 0 {
		return "", nil, errors.New("a digest of nothing")
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
	return m.link(pathConversations, ""), v, nil
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

// Kind is for Content.
func (Export) Kind() string { return "export" }

func (c Export) lead(m *Mailer) (link string, view any, err error) {
	return m.link(pathExport, ""), until(c.Valid), nil
}

// Report tells an administrator how the installation did on a day.
type Report struct {
	Day                           time.Time // its beginning
	Users, NewUsers, NewBots      int
	Active                        int // users
	NewConversations, NewMessages int
	// Jobs are kinds of jobs with which something went wrong, the worst first. The first ten are shown.
	Jobs           []ReportJobs
	DeadDeliveries int         // to webhooks
	Size           int64       // of the database, in bytes
	Check          ReportCheck // the last one
	Backup         time.Time   // the newest; zero: there is none
	BackedUp       bool        // by us: otherwise nothing is said of it
}

// ReportJobs is what went wrong with the jobs of a kind.
type ReportJobs struct {
	Kind             string
	GivenUp, Waiting int
	Error            string // the last
}

// ReportCheck is how a check of the log and the counters ended; zero if none is known.
type ReportCheck struct {
	At     time.Time
	Passed bool
	Error  string
}

type reportView struct {
	Report
	More int // kinds of jobs that are not shown
	Size string
}

// Kind is for Content.
func (Report) Kind() string { return "report" }

func (c Report) lead(m *Mailer) (link string, view any, err error) {
	v := reportView{Report: c, More: max(0, len(c.Jobs)-maxJobs), Size: size(c.Size)}
	v.Jobs = slices.Clone(c.Jobs[:min(len(c.Jobs), maxJobs)])
	for i, j := range v.Jobs {
		v.Jobs[i].Kind, v.Jobs[i].Error = clean(j.Kind, maxName), clean(j.Error, maxExcerpt)
	}
	v.Check.Error = clean(c.Check.Error, maxExcerpt)
	return m.link(pathJobs, ""), v, nil
}

func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f := float64(n)
	for f >= 1024 && len(units) > 1 {
		f, units = f/1024, units[1:]
	}
	if f == float64(int64(f)) {
		return fmt.Sprintf("%.0f %s", f, units[0])
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
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
