package httpapi

import (
	"net/http"

	"github.com/parley-chat/parley/internal/token"
)

// adminPath is where the pages for operators begin.
const adminPath = "/admin"

// admins lets administrators alone see a page, by their access token or its cookie, and asks about each request: who is
// none any more is refused at once. No foreign page can change anything with the cookie.
func (c Config) admins(page http.Handler) http.Handler {
	page = http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(page, int64(c.Settings.MaxBody)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access, given := bearer(r)
		if k, err := r.Cookie(token.AccessCookie); err == nil && !given {
			access = k.Value
		}
		w.Header().Set("Cache-Control", "no-store")
		viewer, _, err := c.Authenticate(r.Context(), access)
		if err != nil {
			http.Error(w, "This is for administrators. Sign in at this address, with cookies, and come back.", http.StatusUnauthorized)
			return
		}
		switch admin, err := c.IsAdmin(r.Context(), viewer.User); {
		case err != nil:
			c.Log.ErrorContext(r.Context(), "cannot tell who is an administrator", "error", err)
			http.Error(w, "Try again in a moment.", http.StatusServiceUnavailable)
		case !admin:
			http.Error(w, "This is for administrators. An operator makes you one with: parley admin <your username>", http.StatusForbidden)
		default:
			h := w.Header()
			h.Del("Cache-Control") // the page says what of it may be kept
			h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
			page.ServeHTTP(w, r)
		}
	})
}
