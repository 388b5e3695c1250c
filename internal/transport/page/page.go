// Package page is the few pages that mails lead to. They need no JavaScript and no session: a link's token says who comes.
//
// A GET shows a page with a form, and does nothing: programs that look at what links in mails lead to use no token up. A
// POST acts. Tokens are in the address of a GET alone, which no log holds and no other page is told.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/mailing"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/user"
)

var (
	//go:embed page.html
	source string
	//go:embed page.css
	style string

	layout = template.Must(template.New("page").Parse(source))
	policy = "default-src 'none'; style-src 'sha256-" + digest(style) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Config is what New needs.
type Config struct {
	Site     string // how the pages call this place; empty: Parley
	Users    *user.Service
	Mailings *mailing.Service
	Log      *slog.Logger
}

// New returns the pages by their path.
func New(c Config) map[string]http.Handler {
	if c.Site == "" {
		c.Site = "Parley"
	}
	return map[string]http.Handler{
		"/verify":           c.page(c.verify),
		"/reset":            c.page(c.reset),
		"/mail/unsubscribe": c.page(c.unsubscribe),
	}
}

// view is what a page shows.
type view struct {
	Site, Title string
	Words       []string
	Error       string
	Form        *form
	Style       template.CSS
}

type form struct {
	Action, Token, Button string
	NewPassword           bool
	Username              string
}

// page answers with what do says. An error is shown on the view that came with it.
func (c Config) page(do func(r *http.Request, link string) (view, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", policy)
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
			h.Set("Allow", "GET, HEAD, POST")
			http.Error(w, "only GET and POST", http.StatusMethodNotAllowed)
			return
		}
		v, err := do(r, r.FormValue("token"))
		v.Site, v.Style = c.Site, template.CSS(style) //nolint:gosec // ours
		status := http.StatusOK
		if err != nil {
			status, v.Error = c.explain(r.Context(), err)
			var e *chat.Error
			if errors.As(err, &e) && e.RetryAfter > 0 {
				h.Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())+1))
			}
		}
		var b bytes.Buffer
		if err := layout.Execute(&b, v); err != nil {
			panic(err) // the template's fault, and logged by who called
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes())
	})
}

// explain says what is wrong. What is our fault is logged, and no more is told.
func (c Config) explain(ctx context.Context, err error) (status int, words string) {
	status = map[chat.Code]int{
		chat.CodeBadInput: http.StatusBadRequest, chat.CodeConflict: http.StatusConflict, chat.CodeNotFound: http.StatusNotFound,
		chat.CodeRateLimited: http.StatusTooManyRequests, chat.CodeUnavailable: http.StatusServiceUnavailable,
	}[chat.CodeOf(err)]
	var e *chat.Error
	if status == 0 || !errors.As(err, &e) {
		c.Log.ErrorContext(ctx, "a page failed", "error", err)
		return http.StatusInternalServerError, "Something went wrong here. Try again in a while."
	}
	return status, sentence(e.Message)
}

// sentence is an error's message as people are told it.
func sentence(s string) string {
	b := []byte(s)
	if len(b) > 0 && b[0] >= 'a' && b[0] <= 'z' {
		b[0] -= 'a' - 'A'
	}
	return string(b) + "."
}

func (c Config) verify(r *http.Request, link string) (view, error) {
	v := view{Title: "Confirm your address"}
	if r.Method != http.MethodPost {
		t, err := c.Users.MailToken(r.Context(), token.ForAddress, link)
		if err == nil {
			v.Words = []string{"Is " + t.Email + " your address? Then mails go there from now on."}
			v.Form = &form{Action: "/verify", Token: link, Button: "Yes, it is mine"}
		}
		return v, err
	}
	email, _, err := c.Users.VerifyEmail(r.Context(), link)
	if err != nil {
		return v, err
	}
	return view{Title: "Your address is confirmed", Words: []string{"Mails go to " + email + "."}}, nil
}

func (c Config) reset(r *http.Request, link string) (view, error) {
	v := view{Title: "Choose a new password"}
	ctx := r.Context()
	t, err := c.Users.MailToken(ctx, token.ForPassword, link)
	if err != nil {
		return v, err
	}
	u, err := c.Users.User(ctx, t.User)
	if err != nil {
		return v, err
	}
	v.Words = []string{"It is for @" + u.Username + ". Setting it signs you out on all your devices."}
	v.Form = &form{Action: "/reset", Token: link, Button: "Set the password", NewPassword: true, Username: u.Username}
	if r.Method != http.MethodPost {
		return v, nil
	}
	wanted := r.PostFormValue("password")
	if wanted != r.PostFormValue("again") {
		return v, chat.BadInput("these two are not the same")
	}
	if _, _, err := c.Users.ResetPassword(ctx, token.ClientFrom(ctx), link, wanted); err != nil {
		return v, err
	}
	return view{Title: "Your password is set", Words: []string{"You are signed out everywhere. Sign in as @" + u.Username + " with the new one."}}, nil
}

// unsubscribe takes a POST without a cookie and without the form, too: RFC 8058, 3.2, one click of a mail program.
func (c Config) unsubscribe(r *http.Request, link string) (view, error) {
	kind, err := c.Mailings.ReadUnsubscribe(link)
	if err != nil {
		return view{Title: "No more mails"}, err
	}
	about := map[string]string{"digest": "unread messages", "friend": "friend requests", "device": "new devices"}[kind]
	if r.Method != http.MethodPost {
		return view{
			Title: "No more mails", Words: []string{"Shall there be no more mails about " + about + "?"},
			Form: &form{Action: "/mail/unsubscribe", Token: link, Button: "No more of them"},
		}, nil
	}
	if err := c.Mailings.Unsubscribe(r.Context(), link); err != nil {
		return view{Title: "No more mails"}, err
	}
	return view{Title: "No more mails", Words: []string{"There will be no more mails about " + about + ". Your preferences bring them back."}}, nil
}
