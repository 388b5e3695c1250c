package mail_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/parley-chat/parley/internal/mail"
)

const password = "correct horse"

// smtpd is an SMTP server that keeps what it gets.
type smtpd struct {
	address   string
	roots     *x509.CertPool
	mechanism string
	// at is what to do at a stage instead: hello, auth, mail, rcpt or data.
	at map[string]func(*smtp.Conn) error

	gone chan struct{} // gets something for each connection that ended after an attempt to sign in

	mu       sync.Mutex
	got      []envelope
	attempts int // to sign in
}

type envelope struct {
	from, to string
	secure   bool
	user     string
	data     []byte
}

type options struct {
	plain, implicit bool
	mechanism       string // PLAIN or LOGIN; empty: everybody may send
	at              map[string]func(*smtp.Conn) error
	listener        func(net.Listener) net.Listener
}

func serve(t *testing.T, o options) *smtpd {
	t.Helper()
	d := &smtpd{at: o.at, mechanism: o.mechanism, gone: make(chan struct{}, 10)}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		if err := d.stage(c, "hello"); err != nil {
			return nil, err
		}
		return &session{d: d, c: c}, nil
	}))
	s.Domain, s.AllowInsecureAuth, s.EnableSMTPUTF8 = "localhost", true, true
	s.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	if !o.plain {
		s.TLSConfig, d.roots = certificate(t)
	}
	if o.implicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	if o.listener != nil {
		l = o.listener(l)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return d
}

func (d *smtpd) stage(c *smtp.Conn, name string) error {
	if f := d.at[name]; f != nil {
		return f(c)
	}
	return nil
}

func (d *smtpd) mails() []envelope {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.got
}

type session struct {
	d     *smtpd
	c     *smtp.Conn
	e     envelope
	tried bool // to sign in
}

func (s *session) Reset() {}

// Logout is also called when TLS begins, before anybody has signed in.
func (s *session) Logout() error {
	if s.tried {
		s.d.gone <- struct{}{}
	}
	return nil
}

func (s *session) AuthMechanisms() []string {
	if s.d.mechanism == "" {
		return nil
	}
	return []string{s.d.mechanism}
}

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.d.mu.Lock()
	s.d.attempts++
	s.tried = true
	s.d.mu.Unlock()
	check := func(user, secret string) error {
		if err := s.d.stage(s.c, "auth"); err != nil {
			return err
		}
		if user != "parley@example.org" || secret != password {
			return smtp.ErrAuthFailed
		}
		s.e.user = user
		return nil
	}
	if mechanism == "LOGIN" {
		return &login{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, secret string) error { return check(user, secret) }), nil
}

// login is the server's side of LOGIN.
type login struct {
	check func(user, secret string) error
	said  []string
}

func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil {
		l.said = append(l.said, string(response))
	}
	if len(l.said) == 2 {
		return nil, true, l.check(l.said[0], l.said[1])
	}
	return []byte([]string{"Username:", "Password:"}[len(l.said)]), false, nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.d.mechanism != "" && s.e.user == "" {
		return smtp.ErrAuthRequired
	}
	if o.UTF8 {
		return errors.New("a mail of ASCII addresses asks for SMTPUTF8")
	}
	s.e.from = from
	return s.d.stage(s.c, "mail")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.e.to = to
	return s.d.stage(s.c, "rcpt")
}

func (s *session) Data(r io.Reader) (err error) {
	if s.e.data, err = io.ReadAll(r); err != nil {
		return err
	}
	if err := s.d.stage(s.c, "data"); err != nil {
		return err
	}
	_, s.e.secure = s.c.TLSConnectionState()
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.got = append(s.d.got, s.e)
	return nil
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

func mailer(t *testing.T, url string, roots *x509.CertPool, timeout time.Duration) *mail.Mailer {
	t.Helper()
	m, err := mail.New(mail.Config{URL: url, From: "Parley <parley@example.org>", PublicURL: home, Timeout: timeout, TLS: &tls.Config{RootCAs: roots}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	const user = "parley%40example.org:correct%20horse@"
	for name, tt := range map[string]struct {
		options
		before, after string // of the address in the URL
		secure        bool
	}{
		"STARTTLS and PLAIN":     {options{mechanism: "PLAIN"}, "smtp://" + user, "", true},
		"STARTTLS and LOGIN":     {options{mechanism: "LOGIN"}, "smtp://" + user, "", true},
		"STARTTLS":               {options{}, "smtp://", "", true},
		"TLS and PLAIN":          {options{implicit: true, mechanism: "PLAIN"}, "smtps://" + user, "", true},
		"no TLS":                 {options{plain: true}, "smtp://", "?tls=off", false},
		"no TLS, but a password": {options{plain: true, mechanism: "LOGIN"}, "smtp://" + user, "?tls=off", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := serve(t, tt.options)
			m := mailer(t, tt.before+d.address+tt.after, d.roots, 0)
			msg := message(kinds("Eve", "Picnic", ".\r\n.", "")["digest"])
			for range 2 {
				if err := m.Send(t.Context(), msg); err != nil {
					t.Fatal(err)
				}
			}
			all := d.mails()
			if len(all) != 2 || all[0].from != "parley@example.org" || all[0].to != "ada@example.org" || all[0].secure != tt.secure || (all[0].user != "") != (tt.mechanism != "") {
				t.Fatalf("%+v", all)
			}
			one, two := read(t, all[0].data), read(t, all[1].data)
			if id := one.header.Get("Message-Id"); id == "" || id != two.header.Get("Message-Id") {
				t.Errorf("%s and %s", id, two.header.Get("Message-Id"))
			}
			if !strings.Contains(one.text, "Picnic, 5 unread") || !strings.Contains(one.html, ">Picnic</a>") || one.header.Get("List-Unsubscribe") == "" {
				t.Errorf("%s", one.raw)
			}
		})
	}
}

func TestPasswordsGoNowhereElse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options
		scheme, want string
	}{
		"a server without STARTTLS": {options{plain: true, mechanism: "PLAIN"}, "smtp", "does not offer STARTTLS"},
		"a stranger's certificate":  {options{mechanism: "PLAIN"}, "smtp", "x509"},
		"one from the first byte":   {options{implicit: true, mechanism: "PLAIN"}, "smtps", "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := serve(t, tt.options)
			err := mailer(t, tt.scheme+"://parley%40example.org:correct%20horse@"+d.address, nil, 0).Send(t.Context(), message(mail.Export{}))
			if err == nil || errors.Is(err, mail.ErrPermanent) || !strings.Contains(err.Error(), tt.want) {
				t.Error(err)
			}
			if d.mu.Lock(); d.attempts != 0 || len(d.got) != 0 {
				t.Error("the password was sent")
			}
			d.mu.Unlock()
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stage     string
		code      int
		permanent bool
	}{
		{"hello", 421, false},
		{"hello", 554, false},
		{"auth", 454, false},
		{"auth", 535, false},
		{"mail", 451, false},
		{"mail", 550, false},
		{"rcpt", 450, false},
		{"rcpt", 550, true},
		{"data", 452, false},
		{"data", 554, true},
	} {
		d := serve(t, options{mechanism: "PLAIN", at: map[string]func(*smtp.Conn) error{tt.stage: func(*smtp.Conn) error {
			return &smtp.SMTPError{Code: tt.code, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "not so"}
		}}})
		err := mailer(t, "smtp://parley%40example.org:correct%20horse@"+d.address, d.roots, 0).Send(t.Context(), message(mail.Export{}))
		if err == nil || errors.Is(err, mail.ErrPermanent) != tt.permanent || !strings.Contains(err.Error(), "not so") || strings.Contains(err.Error(), password) {
			t.Errorf("%s %d: %v", tt.stage, tt.code, err)
		}
		if len(d.mails()) != 0 {
			t.Errorf("%s %d: taken", tt.stage, tt.code)
		}
		if tt.stage != "hello" {
			select {
			case <-d.gone:
			case <-time.After(10 * time.Second):
				t.Errorf("%s %d: the connection stays open", tt.stage, tt.code)
			}
		}
	}
}

func TestCutConnections(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"hello", "auth", "mail", "rcpt", "data"} {
		d := serve(t, options{mechanism: "PLAIN", at: map[string]func(*smtp.Conn) error{stage: func(c *smtp.Conn) error { return c.Conn().Close() }}})
		err := mailer(t, "smtp://parley%40example.org:correct%20horse@"+d.address, d.roots, 0).Send(t.Context(), message(mail.Export{}))
		if err == nil || errors.Is(err, mail.ErrPermanent) {
			t.Errorf("%s: %v", stage, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := mailer(t, "smtp://"+l.Addr().String(), nil, 0).Send(t.Context(), message(mail.Export{})); err == nil || errors.Is(err, mail.ErrPermanent) {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestTakenIsTaken cuts the connection after the server has taken the mail: sending it again would double it.
func TestTakenIsTaken(t *testing.T) {
	t.Parallel()
	d := serve(t, options{plain: true, listener: func(l net.Listener) net.Listener { return noGoodbye{l} }})
	if err := mailer(t, "smtp://"+d.address+"?tls=off", nil, 0).Send(t.Context(), message(mail.Export{})); err != nil || len(d.mails()) != 1 {
		t.Error(err, len(d.mails()))
	}
}

type noGoodbye struct{ net.Listener }

func (l noGoodbye) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return noGoodbyeConn{c}, err
}

type noGoodbyeConn struct{ net.Conn }

func (c noGoodbyeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if bytes.HasPrefix(p[:n], []byte("QUIT")) {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestServerThatHangs(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"hello", "auth", "mail", "rcpt", "data"} {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		d := serve(t, options{mechanism: "PLAIN", at: map[string]func(*smtp.Conn) error{stage: func(*smtp.Conn) error {
			cancel()
			<-release
			return errors.New("too late")
		}}})
		err := mailer(t, "smtp://parley%40example.org:correct%20horse@"+d.address, d.roots, time.Hour).Send(ctx, message(mail.Export{}))
		if !errors.Is(err, context.Canceled) || errors.Is(err, mail.ErrPermanent) {
			t.Errorf("%s: %v", stage, err)
		}
		close(release)
	}
}

// script answers each connection as f says.
func script(t *testing.T, f func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				f(c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	silent := script(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) // until the client has enough
	for _, scheme := range []string{"smtp://", "smtps://"} {
		if err := mailer(t, scheme+silent, nil, 50*time.Millisecond).Send(t.Context(), message(mail.Export{})); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, mail.ErrPermanent) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	var sent int
	address := script(t, func(c net.Conn) {
		line := []byte("220-" + strings.Repeat("a", 1000) + "\r\n")
		for err := error(nil); err == nil && sent < 1<<30; sent += len(line) {
			_, err = c.Write(line)
		}
	})
	if err := mailer(t, "smtp://"+address, nil, time.Hour).Send(t.Context(), message(mail.Export{})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
