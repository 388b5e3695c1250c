package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/obs"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/webhook"
)

// Hooks finds incoming webhooks, and posts what comes: a bot.Service.
type Hooks interface {
	Hook(ctx context.Context, key string) (bot.Hook, error)
	Post(ctx context.Context, h bot.Hook, id, text string) (chat.Message, error)
}

const (
	hooksPath   = "/hooks/"
	maxHookBody = 64 << 10
	hookTimeout = 10 * time.Second // for a body to arrive
)

// hooks takes POST /hooks/<key>. The key is all that whoever posts has to prove; it stands in no log.
type hooks struct {
	Hooks
	cursor  func(chat.Position) chat.Cursor
	log     *slog.Logger
	proxies []netip.Prefix
}

func (h hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := token.WithCarrier(r.Context(), &token.Carrier{Client: token.Client{Addr: clientAddr(r, h.proxies), UserAgent: r.UserAgent()}})
	m, err := h.post(ctx, w, r)
	if err != nil {
		h.refuse(ctx, w, err)
		return
	}
	send(w, http.StatusOK, map[string]any{"messageId": m.ID, "seq": m.Seq, "cursor": h.cursor(m.Position).String()})
}

func (h hooks) post(ctx context.Context, w http.ResponseWriter, r *http.Request) (m chat.Message, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return m, refusal{http.StatusMethodNotAllowed, chat.BadInput("use POST")}
	}
	hook, err := h.Hook(ctx, strings.TrimPrefix(r.URL.Path, hooksPath))
	if err != nil {
		return m, err
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(hookTimeout)) // not in a test without a connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHookBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return m, refusal{http.StatusRequestEntityTooLarge, chat.BadInput("at most 64 KiB")}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return m, refusal{http.StatusRequestTimeout, chat.BadInput("the body took too long")}
	case err != nil:
		return m, chat.BadInput("the body could not be read")
	}
	id := r.Header.Get("Idempotency-Key")
	if id == "" {
		id = r.Header.Get("Webhook-Id")
	}
	if len(hook.Secrets) > 0 {
		if id, err = webhook.Verify(r.Header, body, time.Now(), hook.Secrets...); err != nil {
			return m, err
		}
	}
	if len(id) > 256 {
		return m, chat.BadInput("at most 256 characters in Idempotency-Key or webhook-id")
	}
	text, err := textOf(r.Header.Get("Content-Type"), body)
	if err != nil {
		return m, err
	}
	return h.Post(ctx, hook, id, text)
}

// textOf is what a body says, in one of three forms.
func textOf(contentType string, body []byte) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if c, ok := params["charset"]; err != nil && contentType != "" || ok && !isUTF8(c) {
		kind = "?"
	}
	switch kind {
	case "application/json", "":
		var in struct {
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(body, &in); err != nil || in.Text == nil {
			return "", chat.BadInput(`send {"text": "…"}`)
		}
		return *in.Text, nil
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil || !form.Has("text") {
			return "", chat.BadInput("send text=…")
		}
		return form.Get("text"), nil
	case "text/plain":
		return string(body), nil
	}
	return "", refusal{http.StatusUnsupportedMediaType, chat.BadInput("send application/json, application/x-www-form-urlencoded or text/plain, in UTF-8")}
}

// refusal is an error with a status of its own.
type refusal struct {
	status int
	error
}

// Unwrap returns the error.
func (r refusal) Unwrap() error { return r.error }

// statuses are those of errors outside of GraphQL.
var statuses = map[chat.Code]int{
	chat.CodeUnauthenticated: http.StatusUnauthorized, chat.CodeForbidden: http.StatusForbidden, chat.CodeNotFound: http.StatusNotFound,
	chat.CodeBadInput: http.StatusBadRequest, chat.CodeConflict: http.StatusConflict, chat.CodeRateLimited: http.StatusTooManyRequests,
	chat.CodeUnavailable: http.StatusServiceUnavailable, chat.CodeInternal: http.StatusInternalServerError,
}

// safe is what may be told of an error.
func safe(err error) *chat.Error {
	var e *chat.Error
	switch {
	case errors.As(err, &e):
		return e
	case chat.CodeOf(err) == chat.CodeUnavailable:
		return &chat.Error{Code: chat.CodeUnavailable, Message: "try again in a moment", RetryAfter: time.Second}
	}
	return &chat.Error{Code: chat.CodeInternal, Message: "internal error", Cause: err}
}

func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

func (h hooks) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	e := safe(err)
	out := map[string]any{"code": e.Code, "message": e.Message}
	if e.Code == chat.CodeInternal {
		out["requestId"] = obs.RequestID(ctx)
		h.log.ErrorContext(ctx, "internal error", "error", err, "path", hooksPath)
	}
	status, ok := statuses[e.Code]
	var own refusal
	switch {
	case errors.As(err, &own):
		status = own.status
	case !ok:
		status = http.StatusBadRequest
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(e.RetryAfter)))
	}
	send(w, status, map[string]any{"error": out})
}

func send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
