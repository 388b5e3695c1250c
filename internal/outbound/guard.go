// Package outbound makes requests to addresses that users gave, and none to what only this server can reach.
//
// An address is judged when it is dialled, after its name was looked up: a name that leads elsewhere the second time, or a
// redirect, gets no further than an address that was written out. Not seen from here are networks that map public addresses
// to private ones, such as NAT64 with a prefix of its own, and services on this host's public addresses: that is for a
// firewall.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// The defaults, and what cannot be set.
const (
	DefaultTimeout = 15 * time.Second
	DefaultMaxBody = 64 << 10

	maxURL       = 2048
	maxHost      = 253 + len(":65535")
	maxHeader    = 32 << 10
	maxRedirects = 3
	maxAfter     = 24 * time.Hour
)

// Config says what may be reached, and at what cost.
type Config struct {
	// Allow lists networks that may be reached although they are not public. IPv4 is written as such.
	Allow []netip.Prefix
	// Ports are those that may be reached; nil means 80, 443 and 1024 up.
	Ports []uint16
	// PlainHTTP allows http:// as well.
	PlainHTTP bool
	// Timeout bounds a request with its redirects and its answer; 0 means DefaultTimeout. A third of it is for a connection,
	// another for TLS, and two for the answer to begin.
	Timeout time.Duration
	// MaxBody is how much of an answer is kept; 0 means DefaultMaxBody. The rest is not read.
	MaxBody int64
	// RootCAs sign the certificates of others; nil means the system's.
	RootCAs *x509.CertPool
	// Resolver looks names up; nil means the system's.
	Resolver *net.Resolver
	Now      func() time.Time // nil means time.Now
}

func (c Config) withDefaults() (Config, error) {
	for _, p := range c.Allow {
		if !p.IsValid() || p.Addr().Is4In6() {
			return c, fmt.Errorf("allowed network %s: write it like 10.1.0.0/16 or fd00:1::/48", p)
		}
	}
	if c.Timeout < 0 || c.MaxBody < 0 {
		return c, errors.New("neither the timeout nor the size of a body can be negative")
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// Guard makes the requests. It is safe for concurrent use.
type Guard struct {
	c         Config
	transport *http.Transport
	client    http.Client
}

// New makes a Guard.
func New(c Config) (*Guard, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Guard{c: c}
	dialer := &net.Dialer{Timeout: c.Timeout / 3, Resolver: c.Resolver, ControlContext: g.control}
	g.transport = &http.Transport{
		// No Proxy: it would be the proxy's address that is dialled, and judged.
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    c.Timeout / 3,
		ResponseHeaderTimeout:  2 * c.Timeout / 3,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		MaxIdleConns:           64,
		IdleConnTimeout:        30 * time.Second,
		// A connection whose other end vanished would otherwise be used on and on.
		HTTP2: &http.HTTP2Config{SendPingTimeout: c.Timeout, PingTimeout: c.Timeout / 3},
	}
	g.client = http.Client{Transport: roundTripper{g}, CheckRedirect: follow}
	return g, nil
}

// Close closes the connections that nothing uses. The Guard can go on.
func (g *Guard) Close() { g.transport.CloseIdleConnections() }

// Check says what is wrong with an address, as BAD_USER_INPUT, before anything is sent there. It looks no name up: where one
// leads is only known, and may only be told, when it is dialled.
func (g *Guard) Check(address string) error {
	if len(address) > maxURL {
		return chat.BadInput("the address is too long")
	}
	u, err := url.Parse(address)
	if err != nil {
		return &chat.Error{Code: chat.CodeBadInput, Message: "this is not an address", Cause: err}
	}
	if e := g.check(u); e != nil {
		return e
	}
	return nil
}

func (g *Guard) check(u *url.URL) *chat.Error {
	port := u.Port()
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return chat.BadInput("the address must begin with https:// and a host")
	case len(u.Host) > maxHost:
		return chat.BadInput("the host's name is too long")
	case u.Scheme == "http" && !g.c.PlainHTTP:
		return chat.BadInput("use https://")
	case u.User != nil:
		return chat.BadInput("the address must not hold a user or a password")
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || !g.allowsPort(uint16(n)) {
		return chat.BadInput("port " + port + " is not allowed")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !g.allowsAddress(a) {
		return chat.BadInput(u.Hostname() + " is not a public address")
	}
	return nil
}

// refusal is where a name would have led. Whoever gave the name is not told.
type refusal struct{ address string }

func (r refusal) Error() string { return "refused to dial " + r.address }

func (g *Guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.allowsAddress(to.Addr()) {
		return refusal{address}
	}
	return nil
}

// Do makes a request. Redirects are followed where they keep the method, so that a POST that was answered was one; others are
// the answer. So is an answer whose body breaks off or takes too long: it has begun, and that is what was asked. Its body is
// in memory, and Retry-After, if there, is in seconds and not more than a day.
//
// An error is BAD_USER_INPUT where the address will never do, and UNAVAILABLE where it may another time; its message can be
// shown to who gave the address. A name that leads to what may not be reached is told like one that leads nowhere. If the
// request's own context has ended, its error is returned instead.
func (g *Guard) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), g.c.Timeout)
	defer cancel()
	resp, err := g.client.Do(req.WithContext(ctx))
	if err != nil {
		var e *chat.Error
		switch ended := req.Context().Err(); {
		case ended != nil:
			return nil, ended
		case errors.As(err, &e):
			return nil, e
		}
		return nil, explain(req.URL.Hostname(), err)
	}
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols { // then the body is the bare connection, which no deadline ends
		// Read to its end, the body lets go of the connection; otherwise closing it closes that.
		body, _ = io.ReadAll(io.LimitReader(resp.Body, g.c.MaxBody))
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if text := resp.Header.Get("Retry-After"); text != "" {
		resp.Header.Set("Retry-After", g.seconds(text))
	}
	return resp, nil
}

// seconds reads a Retry-After, which may also be a date. What it cannot read is 0.
func (g *Guard) seconds(after string) string {
	n, err := strconv.ParseInt(after, 10, 32)
	if at, no := http.ParseTime(after); err != nil && no == nil {
		n = int64(at.Sub(g.c.Now()).Seconds())
	}
	return strconv.FormatInt(min(max(n, 0), int64(maxAfter.Seconds())), 10)
}

// follow judges redirects; where they lead is judged as any request is.
func follow(req *http.Request, via []*http.Request) error {
	// It would tell the next host an address that may hold a secret.
	req.Header.Del("Referer")
	last := via[len(via)-1]
	switch {
	case req.Method != last.Method:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return unavailable(last.URL.Hostname()+" redirects too often", nil)
	case last.URL.Scheme == "https" && req.URL.Scheme != "https":
		return unavailable(last.URL.Hostname()+" redirects from https to "+req.URL.Scheme, nil)
	}
	return nil
}

// roundTripper judges each request of those that redirects make of one.
type roundTripper struct{ *Guard }

func (g roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if e := g.check(req.URL); e != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		if req.Response != nil { // where a redirect leads may change; what the user gave does not
			e.Code = chat.CodeUnavailable
		}
		return nil, e
	}
	resp, err := g.transport.RoundTrip(req)
	if err != nil {
		return nil, explain(req.URL.Hostname(), err)
	}
	return resp, nil
}

func unavailable(message string, cause error) *chat.Error {
	return &chat.Error{Code: chat.CodeUnavailable, Message: message, Cause: cause}
}

// explain tells why a host was not reached.
func explain(host string, err error) *chat.Error {
	var (
		refused refusal
		lookup  *net.DNSError
		cert    *tls.CertificateVerificationError
		slow    net.Error
	)
	switch {
	case errors.As(err, &refused), errors.As(err, &lookup):
		return unavailable(host+" does not lead to a public address", err)
	case errors.As(err, &cert):
		return unavailable("the certificate of "+host+" is not valid", err)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return unavailable(host+" did not answer in time", err)
	}
	return unavailable(host+" could not be reached", err)
}
