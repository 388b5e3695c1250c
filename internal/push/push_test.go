package push_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/outbound"
	"github.com/parley-chat/parley/internal/push"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)

func mustDecode(tb testing.TB, text string) []byte {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// The example of RFC 8291, section 5 and appendix A.
func TestVector(t *testing.T) {
	t.Parallel()
	s, err := push.ParseSubscription("https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
		"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "BTBZMqHH6r4Tts7J_aSIgg")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := ecdh.P256().NewPrivateKey(mustDecode(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	const text = "When I grow up, I want to be a watermelon"
	got, err := push.Seal(s, sender, mustDecode(t, "DGv6ra1nlYgDCS1FRnbzlw"), []byte(text), len(text)+1)
	if err != nil {
		t.Fatal(err)
	}
	want := mustDecode(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_y"+
		"l95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func subscribe(t *testing.T, b testkit.Browser, endpoint string) push.Subscription {
	t.Helper()
	p256dh, auth := b.Keys()
	s, err := push.ParseSubscription(endpoint, p256dh, auth)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkVAPID is what a push service does with Authorization.
func checkVAPID(header, public string, claims any) error {
	var token, key string
	if n, err := fmt.Sscanf(strings.ReplaceAll(header, ",", " "), "vapid t=%s k=%s", &token, &key); n != 2 || err != nil {
		return fmt.Errorf("%q: %w", header, err)
	}
	if key != public {
		return fmt.Errorf("key %s", key)
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return err
	}
	verifier, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return err
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("token %s", token)
	}
	head, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	body, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err3 := base64.RawURLEncoding.DecodeString(parts[2])
	if err := errors.Join(err1, err2, err3); err != nil || len(signature) != 64 {
		return fmt.Errorf("token %s: %w", token, err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(verifier, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return errors.New("the signature is wrong")
	}
	if string(head) != `{"alg":"ES256","typ":"JWT"}` {
		return fmt.Errorf("head %s", head)
	}
	return json.Unmarshal(body, claims)
}

func mustKey(t *testing.T) push.Key {
	t.Helper()
	k, err := push.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const contact = "mailto:admin@example.org"

// mustService starts a push service, and a sender that may reach it.
func mustService(t *testing.T, key push.Key, handler http.HandlerFunc) (*push.Sender, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	g, err := outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	sender, err := push.New(g, key, contact, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return sender, s.URL
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	key := mustKey(t)
	type arrived struct {
		header http.Header
		body   []byte
	}
	got := make(chan arrived, 1)
	sender, url := mustService(t, key, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- arrived{r.Header, body}
		w.WriteHeader(http.StatusCreated)
	})
	salts, keys := map[string]bool{}, map[string]bool{}
	for _, length := range []int{0, 1, 1022, 1023, 1024, 3992, push.MaxBody} {
		b := testkit.MustBrowser(t)
		text := bytes.Repeat([]byte("x"), length)
		o, err := sender.Send(t.Context(), subscribe(t, b, url+"/sub/1?a=b"), push.Message{Body: text, TTL: 90 * time.Second, Urgency: push.High, Topic: "cnv_1"})
		if err != nil || o != (push.Outcome{Verdict: push.Delivered, Status: 201}) {
			t.Fatal(o, err)
		}
		a := <-got
		plain, padding, err := b.Open(a.body)
		if err != nil || !bytes.Equal(plain, text) {
			t.Errorf("%d bytes: %q, %v", length, plain, err)
		}
		if size := len(plain) + 1 + padding; size%1024 != 0 && size != push.MaxBody+1 {
			t.Errorf("%d bytes are padded to %d", length, size)
		}
		if _, _, err := testkit.MustBrowser(t).Open(a.body); err == nil {
			t.Error("another browser reads it")
		}
		salts[string(a.body[:16])], keys[string(a.body[21:86])] = true, true
		for name, want := range map[string]string{
			"Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream", "Ttl": "90", "Urgency": "high", "Topic": "cnv_1",
		} {
			if a.header.Get(name) != want {
				t.Errorf("%s: %q", name, a.header.Get(name))
			}
		}
		var claims struct {
			Aud, Sub string
			Exp      int64
		}
		if err := checkVAPID(a.header.Get("Authorization"), key.Public(), &claims); err != nil {
			t.Error(err)
		}
		if life := time.Unix(claims.Exp, 0).Sub(now); claims.Aud != url || claims.Sub != contact || life <= 0 || life > 24*time.Hour {
			t.Error(claims)
		}
	}
	if len(salts) != 7 || len(keys) != 7 {
		t.Error("a salt or a key is used twice")
	}
	b := testkit.MustBrowser(t)
	if _, err := sender.Send(t.Context(), subscribe(t, b, url), push.Message{}); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.header.Get("Ttl") != "0" || a.header["Urgency"] != nil || a.header["Topic"] != nil {
		t.Error(a.header)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	var status int
	var after string
	sender, url := mustService(t, mustKey(t), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	})
	to := subscribe(t, testkit.MustBrowser(t), url)
	for _, c := range []struct {
		status int
		after  string
		want   push.Outcome
	}{
		{200, "5", push.Outcome{Verdict: push.Delivered}},
		{201, "", push.Outcome{Verdict: push.Delivered}},
		{202, "", push.Outcome{Verdict: push.Delivered}},
		{302, "", push.Outcome{Verdict: push.Failed, Reason: "the push service answered 302 Found"}},
		{400, "5", push.Outcome{Verdict: push.Failed, Reason: "the push service answered 400 Bad Request"}},
		{401, "", push.Outcome{Verdict: push.Failed, Reason: "the push service answered 401 Unauthorized"}},
		{403, "", push.Outcome{Verdict: push.Failed, Reason: "the push service answered 403 Forbidden"}},
		{404, "", push.Outcome{Verdict: push.Gone, Reason: "the push service answered 404 Not Found"}},
		{408, "", push.Outcome{Verdict: push.Retry, Reason: "the push service answered 408 Request Timeout"}},
		{410, "", push.Outcome{Verdict: push.Gone, Reason: "the push service answered 410 Gone"}},
		{413, "", push.Outcome{Verdict: push.Failed, Reason: "the push service answered 413 Request Entity Too Large"}},
		{429, "90", push.Outcome{Verdict: push.Retry, After: 90 * time.Second, Reason: "the push service answered 429 Too Many Requests"}},
		{500, "-1", push.Outcome{Verdict: push.Retry, Reason: "the push service answered 500 Internal Server Error"}},
		{503, "80000", push.Outcome{Verdict: push.Retry, After: push.MaxAfter, Reason: "the push service answered 503 Service Unavailable"}},
	} {
		status, after = c.status, c.after
		c.want.Status = c.status
		if o, err := sender.Send(t.Context(), to, push.Message{Body: []byte("{}")}); o != c.want || err != nil {
			t.Errorf("%+v, %v, want %+v", o, err, c.want)
		}
	}
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	sender, url := mustService(t, mustKey(t), func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for endpoint, want := range map[string]push.Outcome{
		"https://" + l.Addr().String(): {Verdict: push.Retry, Reason: "127.0.0.1 could not be reached"},
		"https://10.0.0.1/sub":         {Verdict: push.Failed, Reason: "10.0.0.1 is not a public address"},
	} {
		if o, err := sender.Send(t.Context(), subscribe(t, testkit.MustBrowser(t), endpoint), push.Message{}); o != want || err != nil {
			t.Errorf("%s: %+v, %v", endpoint, o, err)
		}
	}
	if o, err := sender.Send(ctx, subscribe(t, testkit.MustBrowser(t), url), push.Message{}); !errors.Is(err, context.Canceled) || o != (push.Outcome{}) {
		t.Errorf("%+v, %v", o, err)
	}
}

// asked keeps what it was asked.
type asked struct{ requests []*http.Request }

func (a *asked) Do(r *http.Request) (*http.Response, error) {
	a.requests = append(a.requests, r)
	return nil, errors.New("dial 10.0.0.1")
}

func TestMessages(t *testing.T) {
	t.Parallel()
	var a asked
	sender, err := push.New(&a, mustKey(t), "https://example.org/contact", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	to := subscribe(t, testkit.MustBrowser(t), "https://push.example.org/sub")
	for _, m := range []push.Message{
		{Body: make([]byte, push.MaxBody+1)}, {TTL: -1}, {Urgency: "urgent"}, {Urgency: "high\r\nx: y"}, {Topic: strings.Repeat("a", 33)},
		{Topic: "a b"}, {Topic: "é"}, {Topic: "a/b"},
	} {
		if o, err := sender.Send(t.Context(), to, m); err == nil || o != (push.Outcome{}) || len(a.requests) != 0 {
			t.Errorf("%+v: %+v, %v", m, o, err)
		}
	}
	// What comes from elsewhere than a guard is not shown.
	if o, err := sender.Send(t.Context(), to, push.Message{Topic: strings.Repeat("a", 32)}); err != nil || o.Verdict != push.Retry || strings.Contains(o.Reason, "10.0.0.1") {
		t.Errorf("%+v, %v", o, err)
	}
	for _, contact := range []string{"", "admin@example.org", "mailto:", "http://example.org"} {
		if _, err := push.New(&a, mustKey(t), contact, time.Now); err == nil {
			t.Errorf("%q is a contact", contact)
		}
	}
}

// The audience is an origin as browsers write it, whatever the endpoint looks like.
func TestAudience(t *testing.T) {
	t.Parallel()
	key := mustKey(t)
	for endpoint, want := range map[string]string{
		"https://push.example.org/sub/1":    "https://push.example.org",
		"https://PUSH.example.org:443/sub":  "https://push.example.org",
		"https://push.example.org:8443/sub": "https://push.example.org:8443",
		"https://[2606:4700::1]/sub":        "https://[2606:4700::1]",
	} {
		var a asked
		sender, err := push.New(&a, key, contact, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sender.Send(t.Context(), subscribe(t, testkit.MustBrowser(t), endpoint), push.Message{}); err != nil {
			t.Fatal(err)
		}
		var claims struct{ Aud string }
		if err := checkVAPID(a.requests[0].Header.Get("Authorization"), key.Public(), &claims); err != nil || claims.Aud != want {
			t.Errorf("%s: %s, %v", endpoint, claims.Aud, err)
		}
	}
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	b := testkit.MustBrowser(t)
	const endpoint = "https://push.example.org/sub"
	p256dh, secret := b.Keys()
	point, auth := mustDecode(t, p256dh), mustDecode(t, secret)
	for _, e := range []*base64.Encoding{base64.RawURLEncoding, base64.URLEncoding, base64.StdEncoding, base64.RawStdEncoding} {
		if _, err := push.ParseSubscription(endpoint, e.EncodeToString(point), e.EncodeToString(auth)); err != nil {
			t.Error(err)
		}
	}
	code := base64.RawURLEncoding.EncodeToString
	off := bytes.Clone(point)
	off[64] ^= 1
	for _, c := range []struct{ endpoint, p256dh, auth, path string }{
		{"http://push.example.org/sub", code(point), code(auth), "endpoint"},
		{"https:///sub", code(point), code(auth), "endpoint"},
		{"", code(point), code(auth), "endpoint"},
		{endpoint, "", code(auth), "p256dh"},
		{endpoint, "?", code(auth), "p256dh"},
		{endpoint, code(off), code(auth), "p256dh"},
		{endpoint, code(point[:33]), code(auth), "p256dh"},
		{endpoint, code([]byte{0}), code(auth), "p256dh"}, // infinity
		{endpoint, code(point), "", "auth"},
		{endpoint, code(point), code(auth[:15]), "auth"},
		{endpoint, code(point), "?", "auth"},
	} {
		_, err := push.ParseSubscription(c.endpoint, c.p256dh, c.auth)
		var e *chat.Error
		if !errors.As(err, &e) || e.Code != chat.CodeBadInput || len(e.Path) != 1 || e.Path[0] != c.path {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	k := mustKey(t)
	again, err := push.ParseKey(k.Text())
	if err != nil || again.Text() != k.Text() || again.Public() != k.Public() || mustKey(t).Text() == k.Text() {
		t.Error(again.Text(), err)
	}
	// The key pair of RFC 8292 is not given as text; that of RFC 8291 is.
	if k, err := push.ParseKey("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"); err != nil ||
		k.Public() != "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8" {
		t.Error(k, err)
	}
	for _, text := range []string{"", "?", k.Text()[:42], k.Public(), base64.RawURLEncoding.EncodeToString(make([]byte, 32))} {
		if _, err := push.ParseKey(text); err == nil {
			t.Errorf("%q is a key", text)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(format, k); strings.Contains(shown, k.Text()) || !strings.Contains(shown, k.Public()) {
			t.Errorf("%s shows %s", format, shown)
		}
	}
}
