package token

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// The cookies in which browsers may carry tokens.
const (
	AccessCookie  = "parley_access"
	RefreshCookie = "parley_refresh"
	cookiePath    = "/graphql"
)

// Client is who is at the other end of a connection.
type Client struct {
	Addr      string // an IP address, without port
	UserAgent string
}

// Carrier is how tokens travel with one request. A nil Carrier carries nothing.
type Carrier struct {
	Client       Client
	RefreshToken string    // from the cookie; empty without one
	Expires      time.Time // of the access token the request came with
	Refused      error     // why the access token the request came with does not count; nil without one or if it does
	Header       bool      // the request says by a header who makes it; cookies that came along may be another account's
	Settable     bool      // an answer over HTTP follows, which can set cookies

	mu      sync.Mutex
	cookies []*http.Cookie
}

type carrierKey struct{}

// WithCarrier returns a context of a request whose tokens c carries.
func WithCarrier(ctx context.Context, c *Carrier) context.Context {
	return context.WithValue(ctx, carrierKey{}, c)
}

// CarrierFrom returns how tokens travel here, or nil.
func CarrierFrom(ctx context.Context) *Carrier {
	c, _ := ctx.Value(carrierKey{}).(*Carrier)
	return c
}

// ClientFrom returns who makes the request; empty where nobody does.
func ClientFrom(ctx context.Context) Client {
	if c := CarrierFrom(ctx); c != nil {
		return c.Client
	}
	return Client{}
}

// Set puts both tokens into cookies of the answer. It reports whether there is an answer that can take them.
func (c *Carrier) Set(access, refresh string, accessExpires, refreshExpires time.Time) bool {
	if c == nil || !c.Settable {
		return false
	}
	c.replace(cookie(AccessCookie, access, accessExpires), cookie(RefreshCookie, refresh, refreshExpires))
	return true
}

// Clear makes the browser forget both cookies, if the answer can.
func (c *Carrier) Clear() {
	if c != nil && c.Settable {
		c.replace(cookie(AccessCookie, "", time.Time{}), cookie(RefreshCookie, "", time.Time{}))
	}
}

// Cookies are those to set with the answer.
func (c *Carrier) Cookies() []*http.Cookie {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cookies
}

func (c *Carrier) replace(cookies ...*http.Cookie) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cookies = cookies
}

func cookie(name, value string, expires time.Time) *http.Cookie {
	k := &http.Cookie{Name: name, Value: value, Path: cookiePath, Expires: expires, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		k.MaxAge = -1
	}
	return k
}
