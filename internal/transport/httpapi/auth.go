package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/request"
)

// Authenticate says whose an access token is, and until when.
type Authenticate func(ctx context.Context, accessToken string) (chat.Viewer, time.Time, error)

// authenticator puts the viewer and the carrier of tokens into the context of a request. A token that does not count
// leaves the request anonymous, so that signing in and refreshing work with an old one: what needs a viewer answers
// UNAUTHENTICATED. Cookies count only in requests that no foreign page can have caused.
type authenticator struct {
	check   Authenticate
	origins Origins
	proxies []netip.Prefix
}

func (a authenticator) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := isUpgrade(r)
		ours := a.origins.Allowed(r)
		switch {
		case upgrade && !ours:
			plainError(w, r, http.StatusForbidden, chat.CodeForbidden, "this origin may not open sockets; add it to PARLEY_ORIGINS")
			return
		case !upgrade && (r.Method == http.MethodGet || r.Method == http.MethodPost) && !a.origins.preflighted(r):
			plainError(w, r, http.StatusForbidden, chat.CodeForbidden,
				"send Content-Type: application/json or a non-empty Apollo-Require-Preflight header, so that no foreign page can send this request")
			return
		}

		c := &token.Carrier{
			Client:   token.Client{Addr: clientAddr(r, a.proxies), UserAgent: r.UserAgent()},
			Settable: ours && !upgrade && !request.WantsStream(r.Header.Values("Accept")),
		}
		access, given := bearer(r)
		c.Header = given
		if ours {
			if k, err := r.Cookie(token.RefreshCookie); err == nil {
				c.RefreshToken = k.Value
			}
			if k, err := r.Cookie(token.AccessCookie); err == nil && !given {
				access = k.Value
			}
		}
		ctx := token.WithCarrier(r.Context(), c)
		if access != "" {
			viewer, expires, err := a.check(ctx, access)
			switch code := chat.CodeOf(err); {
			case code == chat.CodeUnauthenticated:
				c.Refused = err
			case err != nil: // nobody knows: an anonymous answer would say that the key is worth nothing
				a.unknown(w, r, err)
				return
			default:
				c.Expires = expires
				ctx = chat.WithViewer(ctx, viewer)
			}
		} else if given {
			c.Refused = chat.ErrUnauthenticated
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// unknown answers a request when it cannot be told whose it is.
func (a authenticator) unknown(w http.ResponseWriter, r *http.Request, err error) {
	e := safe(err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(e.RetryAfter)))
	}
	plainError(w, r, statuses[e.Code], e.Code, e.Message)
}

// withKeys is Authenticate for API keys too.
func (c Config) withKeys() Authenticate {
	return func(ctx context.Context, access string) (chat.Viewer, time.Time, error) {
		if c.Keys != nil && token.IsAPIKey(access) {
			return c.Keys(ctx, access)
		}
		return c.Authenticate(ctx, access)
	}
}

// bearer is the token of the Authorization header, and whether there is such a header at all: it wins over the cookie.
func bearer(r *http.Request) (access string, given bool) {
	h := r.Header.Get("Authorization")
	scheme, rest, _ := strings.Cut(h, " ")
	if strings.EqualFold(scheme, "Bearer") {
		access = strings.TrimSpace(rest)
	}
	return access, h != ""
}

// plainError answers in the shape of GraphQL before there is an operation.
func plainError(w http.ResponseWriter, r *http.Request, status int, code chat.Code, message string) {
	mediaType := negotiate(r.Header.Get("Accept"))
	if mediaType == "" {
		mediaType = typeJSON
	}
	answer{w: w, r: r, mediaType: mediaType}.refuse(status, code, message)
}
