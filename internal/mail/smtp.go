package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// maxAnswers is how many bytes a server may say while it takes one mail, its certificates included.
const maxAnswers = 256 << 10

// server hands mails to an SMTP server (RFC 5321), each on a connection of its own.
type server struct {
	host, address string
	hello         string // how we call ourselves
	user          *url.Userinfo
	tls           *tls.Config
	implicit      bool // TLS from the first byte
	plain         bool // no TLS at all
	timeout       time.Duration
}

func newServer(c Config, hello string) (*server, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("the address of the mail server is not a URL") // what err shows may hold the password
	}
	s := &server{host: u.Hostname(), hello: hello, user: u.User, implicit: u.Scheme == "smtps", plain: u.RawQuery == "tls=off", timeout: c.Timeout}
	port := u.Port()
	switch {
	case s.host == "" || u.Scheme != "smtp" && !s.implicit || s.implicit && s.plain || !s.plain && u.RawQuery != "":
		return nil, errors.New("the address of the mail server is not like smtp://user:password@host:587 or smtps://user:password@host:465")
	case s.plain && s.user != nil && !loopback(s.host):
		return nil, errors.New("without TLS the password of the mail server can be read on the way")
	case port == "" && s.implicit:
		port = "465" // RFC 8314, 3.3
	case port == "":
		port = "587" // RFC 6409, 3.1
	}
	s.address = net.JoinHostPort(s.host, port)
	s.tls = c.TLS.Clone()
	if s.tls == nil {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	s.tls.ServerName = s.host
	return s, nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (s *server) deliver(ctx context.Context, l *letter) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("reach the mail server: %w", err)
	}
	defer func() { _ = conn.Close() }()
	// The end of ctx ends whatever waits for the server.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	err = s.hand(ctx, &bounded{Conn: conn, left: maxAnswers}, l)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", err, ctx.Err())
	}
	return err
}

// hand is the conversation with the server.
func (s *server) hand(ctx context.Context, conn net.Conn, l *letter) error {
	c, err := s.meet(ctx, conn)
	if err != nil {
		return err
	}
	// A message that does not need SMTPUTF8 must not ask for it, for the servers after this one may not have it.
	c.SkipSMTPUTF8(ascii(l.from + l.to))
	if err := c.Mail("<" + l.from + ">"); err != nil {
		return fmt.Errorf("the mail server refuses the sender %s; see PARLEY_MAIL_FROM: %w", l.from, err)
	}
	if err := c.Rcpt("<" + l.to + ">"); err != nil {
		return refused("the mail server refuses the receiver", err)
	}
	w, err := c.Data()
	if err != nil {
		return refused("the mail server refuses mail", err)
	}
	if _, err := w.Write(l.data); err != nil {
		return fmt.Errorf("send the mail: %w", err)
	}
	if err := w.Close(); err != nil {
		return refused("the mail server refuses the mail", err)
	}
	_ = c.Quit() // the mail is the server's by now, whatever it answers
	return nil
}

// meet goes as far as the server's readiness for a mail. What fails here says nothing about the mail.
func (s *server) meet(ctx context.Context, conn net.Conn) (*smtp.Client, error) {
	if s.implicit {
		secure := tls.Client(conn, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS with the mail server: %w", err)
		}
		conn = secure
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return nil, fmt.Errorf("the mail server's greeting: %w", err)
	}
	if err := c.Hello(s.hello); err != nil {
		return nil, fmt.Errorf("greet the mail server: %w", err)
	}
	if !s.implicit && !s.plain {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return nil, errors.New("the mail server does not offer STARTTLS; use smtps:// if it has TLS from the start, or add ?tls=off where the network is yours")
		}
		if err := c.StartTLS(s.tls); err != nil {
			return nil, fmt.Errorf("STARTTLS with the mail server: %w", err)
		}
	}
	if s.user != nil {
		if err := s.signIn(c); err != nil {
			return nil, fmt.Errorf("sign in to the mail server; see SMTP_URL: %w", err)
		}
	}
	return c, nil
}

func (s *server) signIn(c *smtp.Client) error {
	user := s.user.Username()
	password, _ := s.user.Password()
	_, offered := c.Extension("AUTH")
	switch mechanisms := strings.Fields(strings.ToUpper(offered)); {
	case slices.Contains(mechanisms, "PLAIN"):
		return c.Auth(smtp.PlainAuth("", user, password, s.host, false))
	case slices.Contains(mechanisms, "LOGIN"):
		return c.Auth(smtp.LoginAuth(user, password, s.host, false))
	}
	return fmt.Errorf("it offers %q, and we know PLAIN and LOGIN", offered)
}

// refused says whether a refusal is for good. RFC 5321, 4.2.1: 5yz means that the client "SHOULD NOT repeat the exact
// request".
func refused(what string, err error) error {
	if e, ok := errors.AsType[*textproto.Error](err); ok && e.Code/100 == 5 {
		return fmt.Errorf("%w: %s: %w", ErrPermanent, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 127 })
}

// bounded is a connection that ends after so many bytes were read from it.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
