package webhook_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/outbound"
	"github.com/parley-chat/parley/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)

func mustSender(t *testing.T, c outbound.Config) *webhook.Sender {
	t.Helper()
	c.PlainHTTP = true
	g, err := outbound.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return webhook.New(g, func() time.Time { return now })
}

func here() outbound.Config {
	return outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret()
	const body = `{"type":"message.added"}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		id, err := webhook.Verify(r.Header, got, now, secret)
		if err != nil || id != "whd_1" || string(got) != body || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Error(err, id, string(got), r.Method, r.Header)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	o, err := mustSender(t, here()).Send(t.Context(), webhook.Delivery{URL: s.URL, ID: "whd_1", Body: []byte(body), Secrets: []webhook.Secret{secret}})
	if err != nil || o != (webhook.Outcome{Verdict: webhook.Delivered, Status: 202}) {
		t.Error(o, err)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	var status int
	var after string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	sender := mustSender(t, here())
	for _, c := range []struct {
		status int
		after  string
		want   webhook.Outcome
	}{
		{200, "5", webhook.Outcome{Verdict: webhook.Delivered}},
		{204, "", webhook.Outcome{Verdict: webhook.Delivered}},
		{299, "", webhook.Outcome{Verdict: webhook.Delivered}},
		{302, "", webhook.Outcome{Verdict: webhook.Retry, Reason: "the endpoint answered 302 Found"}},
		{400, "5", webhook.Outcome{Verdict: webhook.Failed, Reason: "the endpoint answered 400 Bad Request"}},
		{401, "", webhook.Outcome{Verdict: webhook.Retry, Reason: "the endpoint answered 401 Unauthorized"}},
		{404, "", webhook.Outcome{Verdict: webhook.Retry, Reason: "the endpoint answered 404 Not Found"}},
		{408, "", webhook.Outcome{Verdict: webhook.Retry, Reason: "the endpoint answered 408 Request Timeout"}},
		{410, "", webhook.Outcome{Verdict: webhook.Gone, Reason: "the endpoint answered 410 Gone"}},
		{413, "", webhook.Outcome{Verdict: webhook.Failed, Reason: "the endpoint answered 413 Request Entity Too Large"}},
		{415, "", webhook.Outcome{Verdict: webhook.Failed, Reason: "the endpoint answered 415 Unsupported Media Type"}},
		{422, "", webhook.Outcome{Verdict: webhook.Failed, Reason: "the endpoint answered 422 Unprocessable Entity"}},
		{429, "90", webhook.Outcome{Verdict: webhook.Retry, After: 90 * time.Second, Reason: "the endpoint answered 429 Too Many Requests"}},
		{500, "-1", webhook.Outcome{Verdict: webhook.Retry, Reason: "the endpoint answered 500 Internal Server Error"}},
		{503, "80000", webhook.Outcome{Verdict: webhook.Retry, After: webhook.MaxAfter, Reason: "the endpoint answered 503 Service Unavailable"}},
		{599, "soon", webhook.Outcome{Verdict: webhook.Retry, Reason: "the endpoint answered 599"}},
	} {
		status, after = c.status, c.after
		c.want.Status = c.status
		if o, err := sender.Send(t.Context(), delivery(s.URL)); o != c.want || err != nil {
			t.Errorf("%+v, %v, want %+v", o, err, c.want)
		}
	}
}

func delivery(url string) webhook.Delivery {
	return webhook.Delivery{URL: url, ID: "whd_1", Body: []byte("{}"), Secrets: []webhook.Secret{webhook.NewSecret()}}
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for url, want := range map[string]webhook.Outcome{
		"http://" + l.Addr().String(): {Verdict: webhook.Retry, Reason: "127.0.0.1 could not be reached"},
		"http://127.0.0.2:8080":       {Verdict: webhook.Failed, Reason: "127.0.0.2 is not a public address"},
		"http://localhost.:22":        {Verdict: webhook.Failed, Reason: "port 22 is not allowed"},
		"http://\n":                   {Verdict: webhook.Failed, Reason: "this is not an address"},
	} {
		if o, err := mustSender(t, here()).Send(t.Context(), delivery(url)); o != want || err != nil {
			t.Errorf("%q: %+v, %v", url, o, err)
		}
	}
	// What comes from elsewhere than a guard is not shown.
	stranger := webhook.New(broken{}, time.Now)
	if o, err := stranger.Send(t.Context(), delivery("https://example.org")); err != nil || o.Verdict != webhook.Retry || strings.Contains(o.Reason, "10.0.0.1") {
		t.Errorf("%+v, %v", o, err)
	}
}

type broken struct{}

func (broken) Do(*http.Request) (*http.Response, error) { return nil, errors.New("dial 10.0.0.1") }

// Nothing is said about an endpoint that was not at fault.
func TestNoOutcome(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	sender := mustSender(t, here())
	if o, err := sender.Send(ctx, delivery(s.URL)); !errors.Is(err, context.Canceled) || o != (webhook.Outcome{}) {
		t.Errorf("%+v, %v", o, err)
	}
	for _, d := range []webhook.Delivery{{URL: s.URL, ID: "whd_1"}, {URL: s.URL, ID: "whd.1", Secrets: []webhook.Secret{webhook.NewSecret()}}} {
		if o, err := sender.Send(t.Context(), d); err == nil || o != (webhook.Outcome{}) {
			t.Errorf("%+v, %v", o, err)
		}
	}
}
