package mail

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/parley-chat/parley/internal/chat"
)

// ErrPermanent is in the chain of errors that another try would not mend: the server refused this mail or its receiver,
// or the mail cannot be made. All others are worth a retry; among them what a server has against us and not against the
// mail, such as a wrong password.
var ErrPermanent = errors.New("this mail cannot be delivered")

// Config says how mails leave.
type Config struct {
	// URL is the server: smtp://user:password@host:587, where TLS begins with STARTTLS, or smtps://user:password@host:465,
	// where it is there from the start. smtp://host:25?tls=off does without TLS; a password then goes to this machine only.
	// Empty: mails go to Folder.
	URL string
	// From is the sender's address, with or without a name: Parley <parley@example.org>. The name is what mails call this
	// place.
	From string
	// PublicURL is the address that links begin with.
	PublicURL string

	Folder string
	Keep   int // mails in Folder, the newest; 0 means 200
	// ShowLinks writes the link of each mail in Folder to the log too. It lets whoever reads the log act as its receiver, so
	// it is for development.
	ShowLinks bool

	Timeout time.Duration // of one mail, 0 means 30 s
	TLS     *tls.Config   // nil means the system's authorities
	Log     *slog.Logger
}

// Message is a mail before it is laid out.
type Message struct {
	User    chat.User // who gets it
	Address string    // their address, and nothing else: ada@example.org
	// Key names the action that the mail tells of. Duplicates of one action have the same key, and so the same Message-ID.
	Key string
	// At is when the action was; the mail's date.
	At      time.Time
	Content Content
	// Unsubscribe is the token that turns mails of this kind off. Empty: they cannot be turned off.
	Unsubscribe string
}

// Mailer sends mails.
type Mailer struct {
	from      *netmail.Address
	site      string
	publicURL string
	exit      exit
}

// exit is where mails leave.
type exit interface {
	deliver(context.Context, *letter) error
}

// letter is a mail as it leaves.
type letter struct {
	at                   time.Time
	from, to             string // addresses
	kind, id, link, user string // for the log and the file's name
	data                 []byte
}

// New makes a Mailer. It connects to nobody.
func New(c Config) (*Mailer, error) {
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("the sender of mails, %q: %w", c.From, err)
	}
	if u, err := url.Parse(c.PublicURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("links in mails cannot begin with %q", c.PublicURL)
	}
	m := &Mailer{from: from, site: clean(from.Name, maxName), publicURL: strings.TrimRight(c.PublicURL, "/")}
	if m.site == "" {
		m.site = "Parley"
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Keep == 0 {
		c.Keep = 200
	}
	if c.URL == "" {
		m.exit = &folder{path: c.Folder, keep: c.Keep, showLinks: c.ShowLinks, log: c.Log}
		return m, nil
	}
	m.exit, err = newServer(c, domain(from.Address))
	return m, err
}

// Send lays a mail out and delivers it, once. See ErrPermanent for what an error says.
func (m *Mailer) Send(ctx context.Context, msg Message) error {
	l, err := m.write(msg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPermanent, err)
	}
	return m.exit.deliver(ctx, l)
}

// write lays a mail out.
func (m *Mailer) write(msg Message) (*letter, error) {
	to, err := netmail.ParseAddress(msg.Address)
	if err != nil || to.Address != msg.Address || len(to.Address) > 254 {
		return nil, fmt.Errorf("%s has no address that mail could go to", msg.User.ID)
	}
	if msg.Key == "" || msg.At.IsZero() || msg.Content == nil {
		return nil, errors.New("a mail without key, time or content")
	}
	p, err := m.layOut(msg)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(msg.Key))
	l := &letter{at: msg.At, from: m.from.Address, to: to.Address, kind: p.kind, link: p.Link, user: msg.User.Username,
		id: hex.EncodeToString(sum[:16])}

	g := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	g.FromMailAddress(m.from)
	g.ToMailAddress(to) // without a name: users choose theirs, and headers need none
	g.SetMessageIDWithValue(l.id + "@" + domain(l.from))
	g.SetDateWithValue(msg.At)
	g.Subject(p.Subject)
	g.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: "not the result of [...] a human": nobody's holiday answers
	if p.Unsubscribe != "" {
		g.SetListUnsubscribe(p.Unsubscribe)
		// RFC 8058, 3.1: one click takes "one HTTPS URI".
		if strings.HasPrefix(p.Unsubscribe, "https:") {
			g.SetListUnsubscribePost()
		}
	}
	g.SetBodyString(gomail.TypeTextPlain, p.text)
	g.AddAlternativeString(gomail.TypeTextHTML, p.html)
	var b strings.Builder
	if _, err := g.WriteTo(&b); err != nil {
		return nil, err
	}
	l.data = []byte(b.String())
	return l, nil
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
