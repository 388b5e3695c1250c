// Package webhook sends messages to the endpoints of others, signed after the Standard Webhooks convention, and verifies
// those that others sign so.
package webhook

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// MaxAfter is how long a pause an endpoint can ask for.
const MaxAfter = 6 * time.Hour

// Doer makes requests to addresses that users gave, so it must not be an http.Client but something that guards this server's
// network. Its errors say by their code whether an address will ever do (BAD_USER_INPUT: no), its answers tell Retry-After in
// seconds.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Sender sends. It is safe for concurrent use.
type Sender struct {
	doer Doer
	now  func() time.Time
}

// New makes a Sender; now is the clock that signs.
func New(d Doer, now func() time.Time) *Sender { return &Sender{d, now} }

// Delivery is one message for one endpoint. It is the same each time it is tried; the id tells the receiver so.
type Delivery struct {
	URL     string
	ID      string // printable, without a full stop
	Body    []byte // JSON
	Secrets []Secret
}

// Verdict is what became of a try.
type Verdict string

// The verdicts.
const (
	Delivered Verdict = "DELIVERED"
	Retry     Verdict = "RETRY"  // as Next says
	Failed    Verdict = "FAILED" // this message will never be taken; others may be
	Gone      Verdict = "GONE"   // the endpoint wants no more messages: disable it
)

// Outcome is what became of a try, and why.
type Outcome struct {
	Verdict Verdict
	Status  int           // of HTTP; 0 if nothing was answered
	After   time.Duration // the pause that the endpoint asked for
	Reason  string        // may be shown to who owns the endpoint
}

// Send tries once. An error means that nothing is known, and that it was not the endpoint's fault: the context has ended, or
// the delivery is not one.
func (s *Sender) Send(ctx context.Context, d Delivery) (Outcome, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return Outcome{Verdict: Failed, Reason: "this is not an address"}, nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Parley-Webhook")
	if err := Sign(req.Header, d.ID, s.now(), d.Body, d.Secrets...); err != nil {
		return Outcome{}, err
	}
	resp, err := s.doer.Do(req)
	if err != nil {
		return unanswered(ctx, err)
	}
	_ = resp.Body.Close()
	o := Outcome{Verdict: judge(resp.StatusCode), Status: resp.StatusCode}
	if o.Verdict != Delivered {
		o.Reason = strings.TrimSpace("the endpoint answered " + strconv.Itoa(o.Status) + " " + http.StatusText(o.Status))
	}
	if o.Verdict == Retry {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		o.After = min(max(time.Duration(seconds)*time.Second, 0), MaxAfter)
	}
	return o, nil
}

func unanswered(ctx context.Context, err error) (Outcome, error) {
	if ctx.Err() != nil {
		return Outcome{}, ctx.Err()
	}
	o := Outcome{Verdict: Retry, Reason: "the endpoint could not be reached"}
	var e *chat.Error
	if errors.As(err, &e) {
		o.Reason = e.Message
		if e.Code == chat.CodeBadInput {
			o.Verdict = Failed
		}
	}
	return o, nil
}

// judge goes by what a status is said of. Of the message: it will be so next time, and must not hold up those behind it. Of
// the endpoint, as 401, 404 or a redirect are: its owner can mend that within a day.
func judge(status int) Verdict {
	switch status {
	case http.StatusGone:
		return Gone
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return Failed
	}
	if status/100 == 2 {
		return Delivered
	}
	return Retry
}
