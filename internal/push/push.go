// Package push sends messages to browsers through their push services (Web Push: RFC 8030), encrypted so that only the browser
// reads them (RFC 8291), and signed so that the service knows who sends (RFC 8292).
package push

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// MaxAfter is how long a pause a push service can ask for.
const MaxAfter = time.Hour

// Doer makes requests to addresses that users gave, so it must not be an http.Client but something that guards this server's
// network. Its errors say by their code whether an address will ever do (BAD_USER_INPUT: no), its answers tell Retry-After in
// seconds.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Subscription is a browser that wants messages.
type Subscription struct {
	endpoint *url.URL
	key      *ecdh.PublicKey
	auth     []byte
}

// ParseSubscription reads what a browser's PushSubscription has in toJSON: endpoint, keys.p256dh and keys.auth. The error is
// BAD_USER_INPUT. Whether the endpoint may be reached is for the Doer to say.
func ParseSubscription(endpoint, p256dh, auth string) (Subscription, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return Subscription{}, chat.BadInput("the endpoint must begin with https:// and a host", "endpoint")
	}
	point, err := decode(p256dh)
	if err != nil {
		return Subscription{}, badKey("p256dh is not base64url", "p256dh", err)
	}
	key, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return Subscription{}, badKey("p256dh is not a point of P-256, uncompressed", "p256dh", err)
	}
	secret, err := decode(auth)
	if err != nil || len(secret) != authSize {
		return Subscription{}, badKey("auth is not 16 bytes in base64url", "auth", err)
	}
	return Subscription{u, key, secret}, nil
}

func badKey(message, path string, cause error) error {
	return &chat.Error{Code: chat.CodeBadInput, Message: message, Path: []string{path}, Cause: cause}
}

// decode reads base64 in both alphabets, padded or not: browsers and libraries differ.
func decode(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "=")))
}

// origin is as RFC 6454 writes it, which is what push services compare.
func (s Subscription) origin() string {
	return "https://" + strings.ToLower(strings.TrimSuffix(s.endpoint.Host, ":443"))
}

// Urgency tells a push service for what a device may be woken.
type Urgency string

// The urgencies; none is Normal.
const (
	VeryLow Urgency = "very-low" // on power and Wi-Fi
	Low     Urgency = "low"      // on either
	Normal  Urgency = "normal"
	High    Urgency = "high" // also with a low battery
)

// Message is what is sent.
type Message struct {
	Body    []byte        // at most MaxBody
	TTL     time.Duration // for how long the push service keeps it for a browser that is away; 0: not at all
	Urgency Urgency
	// Topic, if not empty, has a message replace the one of the same topic that still waits: at most 32 characters of base64url.
	Topic string
}

func (m Message) validate() error {
	switch {
	case len(m.Body) > MaxBody:
		return fmt.Errorf("a push message has %d bytes, and at most %d fit", len(m.Body), MaxBody)
	case m.TTL < 0:
		return errors.New("a push message cannot live shorter than not at all")
	case len(m.Topic) > 32 || strings.ContainsFunc(m.Topic, func(r rune) bool { return !strings.ContainsRune(topicAlphabet, r) }):
		return fmt.Errorf("the topic %q is not 32 characters of base64url", m.Topic)
	}
	switch m.Urgency {
	case "", VeryLow, Low, Normal, High:
		return nil
	}
	return fmt.Errorf("there is no urgency %q", m.Urgency)
}

const topicAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Verdict is what became of a try.
type Verdict string

// The verdicts.
const (
	Delivered Verdict = "DELIVERED" // to the push service
	Retry     Verdict = "RETRY"
	Failed    Verdict = "FAILED" // this will never be taken
	Gone      Verdict = "GONE"   // forget the subscription
)

// Outcome is what became of a try, and why.
type Outcome struct {
	Verdict Verdict
	Status  int           // of HTTP; 0 if nothing was answered
	After   time.Duration // the pause that the push service asked for; 0: none
	Reason  string        // may be shown to whose browser it is
}

// Sender sends. It is safe for concurrent use.
type Sender struct {
	doer    Doer
	key     Key
	contact string
	now     func() time.Time
}

// New makes a Sender. Push services write to contact, a mailto: or https: address of who runs this installation, when
// something goes wrong; some refuse those who have none. now is the clock that signs.
func New(d Doer, key Key, contact string, now func() time.Time) (*Sender, error) {
	if rest, ok := strings.CutPrefix(contact, "mailto:"); !ok || !strings.Contains(rest, "@") {
		if !strings.HasPrefix(contact, "https://") {
			return nil, fmt.Errorf("the contact %q for push services must be like mailto:admin@example.org or https://example.org/contact", contact)
		}
	}
	return &Sender{d, key, contact, now}, nil
}

// Send tries once. An error means that nothing is known, and that it was not the subscription's fault: the context has ended,
// or the message is not one.
func (s *Sender) Send(ctx context.Context, to Subscription, m Message) (Outcome, error) {
	if err := m.validate(); err != nil {
		return Outcome{}, err
	}
	once, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return Outcome{}, err
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	body, err := seal(to, once, salt, m.Body, padded(len(m.Body)))
	if err != nil {
		return Outcome{}, err
	}
	authorization, err := s.key.authorization(to.origin(), s.contact, s.now())
	if err != nil {
		return Outcome{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return Outcome{}, err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Encoding", "aes128gcm")
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("TTL", strconv.FormatInt(int64(m.TTL/time.Second), 10))
	if m.Urgency != "" {
		req.Header.Set("Urgency", string(m.Urgency))
	}
	if m.Topic != "" {
		req.Header.Set("Topic", m.Topic)
	}
	resp, err := s.doer.Do(req)
	if err != nil {
		return unanswered(ctx, err)
	}
	_ = resp.Body.Close()
	o := Outcome{Verdict: judge(resp.StatusCode), Status: resp.StatusCode}
	if o.Verdict != Delivered {
		o.Reason = strings.TrimSpace("the push service answered " + strconv.Itoa(o.Status) + " " + http.StatusText(o.Status))
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
	o := Outcome{Verdict: Retry, Reason: "the push service could not be reached"}
	var e *chat.Error
	if errors.As(err, &e) {
		o.Reason = e.Message
		if e.Code == chat.CodeBadInput {
			o.Verdict = Failed
		}
	}
	return o, nil
}

func judge(status int) Verdict {
	switch {
	case status/100 == 2:
		return Delivered
	case status == http.StatusNotFound, status == http.StatusGone:
		return Gone
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return Retry
	}
	return Failed
}
