package httpapi

import (
	"context"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"net/netip"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
)

// adminPath is where the pages for operators begin, and adminCookie has the session that they are looked at in: one of
// its own, whose refresh token is asked about with each request and never exchanged, since a page makes several at once.
const (
	adminPath   = "/admin"
	adminCookie = "parley_admin"
)

// Administrators says who may see the pages for operators.
type Administrators interface {
	// SignInAdmin starts a session of an administrator, and returns its refresh token.
	SignInAdmin(ctx context.Context, c token.Client, name, password string) (refreshToken string, err error)
	// Holder says whose a session is that lives, by its refresh token.
	Holder(ctx context.Context, refreshToken string) (chat.ID, error)
	IsAdmin(ctx context.Context, user chat.ID) (bool, error)
}

// admins lets administrators alone see a page, by their access token or a cookie that they get for signing in where the page
// would be, and asks about each request: who is none any more is refused at once. No foreign page can change anything
// with the cookie, or set it.
func (c Config) admins(page http.Handler, proxies []netip.Prefix) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		user, err := c.holder(r)
		if code := chat.CodeOf(err); code == chat.CodeUnauthenticated {
			c.door(w, r, proxies)
			return
		}
		admin := false
		if err == nil {
			admin, err = c.Administrators.IsAdmin(r.Context(), user)
		}
		switch {
		case err != nil:
			c.Log.ErrorContext(r.Context(), "cannot tell who is an administrator", "error", err)
			http.Error(w, "Try again in a moment.", http.StatusServiceUnavailable)
		case !admin:
			http.Error(w, "This is for administrators. An operator makes you one with: parley admin <your username>", http.StatusForbidden)
		default:
			h.Del("Cache-Control") // the page says what of it may be kept
			h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
			page.ServeHTTP(w, r)
		}
	}), int64(c.Settings.MaxBody)))
}

func (c Config) holder(r *http.Request) (chat.ID, error) {
	if access, given := bearer(r); given {
		viewer, _, err := c.Authenticate(r.Context(), access)
		return viewer.User, err
	}
	k, err := r.Cookie(adminCookie)
	if err != nil {
		return chat.ID{}, chat.ErrUnauthenticated
	}
	return c.Administrators.Holder(r.Context(), k.Value)
}

// door shows a form to whoever has not signed in, and takes it.
func (c Config) door(w http.ResponseWriter, r *http.Request, proxies []netip.Prefix) {
	status, problem := http.StatusUnauthorized, ""
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && kind == "application/x-www-form-urlencoded" {
		client := token.Client{Addr: clientAddr(r, proxies), UserAgent: r.UserAgent()}
		refresh, err := c.Administrators.SignInAdmin(r.Context(), client, r.PostFormValue("username"), r.PostFormValue("password"))
		if err == nil {
			http.SetCookie(w, &http.Cookie{Name: adminCookie, Value: refresh, Path: adminPath, HttpOnly: true, Secure: c.Settings.Production(), SameSite: http.SameSiteLaxMode})
			http.Redirect(w, r, r.URL.Path, http.StatusSeeOther)
			return
		}
		var told *chat.Error
		if !errors.As(err, &told) {
			c.Log.ErrorContext(r.Context(), "an administrator cannot sign in", "error", err)
			told = &chat.Error{Message: "something went wrong; try again in a moment"}
		}
		problem = told.Message
		if told.Code == chat.CodeRateLimited {
			status = http.StatusTooManyRequests
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_ = doorPage.Execute(w, problem)
}

var doorPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Parley: administrators</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 20rem; margin: 15vh auto; padding: 0 1rem; color: #1f2937 }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input { margin: .25rem 0 1rem; padding: .5rem; border: 1px solid #9ca3af; border-radius: .25rem }
button { padding: .5rem; border: 0; border-radius: .25rem; background: #1d4ed8; color: #fff }
[role=alert] { color: #b91c1c }
</style>
<h1>Administrators</h1>
{{with .}}<p role="alert">{{.}}</p>{{end}}
<form method="post">
<label>Username <input name="username" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button>
</form>
</html>
`))
