package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/parley-chat/parley/internal/config"
)

// Origins decides which web pages may use the API with the browser's cookies and open sockets.
type Origins struct {
	allowed   []string
	localhost bool
}

// NewOrigins allows the configured origins, the public address and, in development, every page of this machine.
func NewOrigins(c config.Config) Origins {
	o := Origins{allowed: slices.Clone(c.Origins), localhost: !c.Production()}
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
		o.allowed = append(o.allowed, strings.ToLower(u.Scheme+"://"+u.Host))
	}
	return o
}

// Allowed says whether the page that makes the request is one of those, or on the server's own host. Without an Origin
// there is no page, or it is the server's own.
func (o Origins) Allowed(r *http.Request) bool {
	return o.allows(r, r.Header.Get("Origin"))
}

func (o Origins) allows(r *http.Request, origin string) bool {
	origin = strings.ToLower(origin)
	if origin == "" || slices.Contains(o.allowed, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || o.localhost && isLocalhost(u.Hostname())
}

func isLocalhost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// preflighted says whether a browser would have asked before sending the request from a foreign page, or the page is
// known not to be one: otherwise any page could make its visitor's browser send it, with cookies.
func (o Origins) preflighted(r *http.Request) bool {
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if mediaType == typeJSON || mediaType == typeGraphQL || strings.HasPrefix(mediaType, "image/") || r.Header.Get("Authorization") != "" {
		return true
	}
	h := r.Header
	return h.Get("Apollo-Require-Preflight") != "" || h.Get("X-Apollo-Operation-Name") != "" ||
		h.Get("Sec-Fetch-Site") == "same-origin" || h.Get("Origin") != "" && o.Allowed(r)
}

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// clientAddr is the address at the other end. Trusted proxies add who came to them at the end of X-Forwarded-For; what
// stands before the last address that is not one of theirs is only claimed.
func clientAddr(r *http.Request, trusted []netip.Prefix) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	isTrusted := func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && isTrusted(host); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		host = a.Unmap().WithZone("").String()
	}
	return host
}
