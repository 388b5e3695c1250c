package webhook_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/webhook"
)

func mustSecret(tb testing.TB, text string) webhook.Secret {
	tb.Helper()
	s, err := webhook.ParseSecret(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// The first is the vector that the libraries of Standard Webhooks share. The second is
//
//	printf %s 'whd_1.1700000000.{"a":1}' |
//	openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf 'parley-test-secret-of-32-bytes!!' | xxd -p -c99) -binary | base64
var vectors = []struct{ secret, id, timestamp, body, signature string }{
	{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	{"whsec_cGFybGV5LXRlc3Qtc2VjcmV0LW9mLTMyLWJ5dGVzISE=", "whd_1", "1700000000", `{"a":1}`, "v1,eN6GhuxFq9fIpxvVcTTvC4NWmyOXHJ255nPFFVAZM8s="},
}

func at(timestamp string) time.Time {
	n, _ := strconv.ParseInt(timestamp, 10, 64)
	return time.Unix(n, 0)
}

func headers(id, timestamp, signature string) http.Header {
	h := http.Header{}
	for name, value := range map[string]string{"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature} {
		if value != "" {
			h.Set(name, value)
		}
	}
	return h
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		s := mustSecret(t, v.secret)
		if s.Text() != v.secret {
			t.Error(s.Text())
		}
		h := http.Header{}
		if err := webhook.Sign(h, v.id, at(v.timestamp), []byte(v.body), s); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"webhook-id": v.id, "webhook-timestamp": v.timestamp, "webhook-signature": v.signature} {
			if h.Get(name) != want {
				t.Errorf("%s: %s, want %s", name, h.Get(name), want)
			}
		}
		if id, err := webhook.Verify(headers(v.id, v.timestamp, v.signature), []byte(v.body), at(v.timestamp), s); id != v.id || err != nil {
			t.Error(id, err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	v := vectors[0]
	secret, other := mustSecret(t, v.secret), mustSecret(t, vectors[1].secret)
	now := at(v.timestamp)
	for name, c := range map[string]struct {
		h       http.Header
		body    string
		now     time.Time
		secrets []webhook.Secret
		ok      bool
	}{
		"in time":              {headers(v.id, v.timestamp, v.signature), v.body, now.Add(webhook.Tolerance), []webhook.Secret{secret}, true},
		"clock behind":         {headers(v.id, v.timestamp, v.signature), v.body, now.Add(-webhook.Tolerance), []webhook.Secret{secret}, true},
		"new secret, old too":  {headers(v.id, v.timestamp, v.signature), v.body, now, []webhook.Secret{other, secret}, true},
		"several signatures":   {headers(v.id, v.timestamp, "v1a,AAAA v1,AAAA nonsense "+v.signature), v.body, now, []webhook.Secret{secret}, true},
		"too old":              {headers(v.id, v.timestamp, v.signature), v.body, now.Add(webhook.Tolerance + time.Second), []webhook.Secret{secret}, false},
		"from the future":      {headers(v.id, v.timestamp, v.signature), v.body, now.Add(-webhook.Tolerance - time.Second), []webhook.Secret{secret}, false},
		"another body":         {headers(v.id, v.timestamp, v.signature), v.body + " ", now, []webhook.Secret{secret}, false},
		"another id":           {headers("msg_2", v.timestamp, v.signature), v.body, now, []webhook.Secret{secret}, false},
		"another time":         {headers(v.id, "1614265331", v.signature), v.body, now, []webhook.Secret{secret}, false},
		"another secret":       {headers(v.id, v.timestamp, v.signature), v.body, now, []webhook.Secret{other}, false},
		"no secret":            {headers(v.id, v.timestamp, v.signature), v.body, now, nil, false},
		"another scheme":       {headers(v.id, v.timestamp, "v2"+v.signature[2:]), v.body, now, []webhook.Secret{secret}, false},
		"no scheme":            {headers(v.id, v.timestamp, v.signature[3:]), v.body, now, []webhook.Secret{secret}, false},
		"half a signature":     {headers(v.id, v.timestamp, v.signature[:20]), v.body, now, []webhook.Secret{secret}, false},
		"an empty signature":   {headers(v.id, v.timestamp, "v1,"), v.body, now, []webhook.Secret{secret}, false},
		"no signature":         {headers(v.id, v.timestamp, ""), v.body, now, []webhook.Secret{secret}, false},
		"no id":                {headers("", v.timestamp, v.signature), v.body, now, []webhook.Secret{secret}, false},
		"no time":              {headers(v.id, "", v.signature), v.body, now, []webhook.Secret{secret}, false},
		"a time in words":      {headers(v.id, "now", v.signature), v.body, now, []webhook.Secret{secret}, false},
		"a time without a day": {headers(v.id, "9223372036854775807", v.signature), v.body, now, []webhook.Secret{secret}, false},
	} {
		id, err := webhook.Verify(c.h, []byte(c.body), c.now, c.secrets...)
		if c.ok && (err != nil || id != v.id) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
		if !c.ok && (chat.CodeOf(err) != chat.CodeUnauthenticated || id != "") {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

// Where an id may hold a full stop, the signature of one message also fits another one.
func TestSignaturesFitOneMessage(t *testing.T) {
	t.Parallel()
	s := webhook.NewSecret()
	now := time.Unix(1700000000, 0)
	h := http.Header{}
	if err := webhook.Sign(h, "a", now, []byte("1700000000.rest"), s); err != nil {
		t.Fatal(err)
	}
	h.Set("webhook-id", "a.1700000000")
	if id, err := webhook.Verify(h, []byte("rest"), now, s); err == nil {
		t.Errorf("%s is taken for %q", "rest", id)
	}
	for _, id := range []string{"", "a.b", "a b", "a\n", "é", strings.Repeat("a", 257)} {
		if err := webhook.Sign(http.Header{}, id, now, nil, s); err == nil {
			t.Errorf("%q is signed", id)
		}
	}
	if err := webhook.Sign(http.Header{}, "a", now, nil); err == nil {
		t.Error("signed without a secret")
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before, after := webhook.NewSecret(), webhook.NewSecret()
	h, now := http.Header{}, time.Now()
	if err := webhook.Sign(h, "a", now, []byte("body"), after, before); err != nil {
		t.Fatal(err)
	}
	for _, known := range []webhook.Secret{before, after} {
		if _, err := webhook.Verify(h, []byte("body"), now, known); err != nil {
			t.Error(err)
		}
	}
	if _, err := webhook.Verify(h, []byte("body"), now, webhook.NewSecret()); err == nil {
		t.Error("a stranger's secret fits")
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s := webhook.NewSecret()
	if again := mustSecret(t, s.Text()); again.Text() != s.Text() || s.Text() == webhook.NewSecret().Text() {
		t.Error(s.Text())
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if shown := fmt.Sprintf(format, s); strings.Contains(shown, s.Text()[6:16]) || !strings.Contains(shown, "whsec_") {
			t.Errorf("%s shows %s", format, shown)
		}
	}
	for _, text := range []string{
		"", "whsec_", s.Text()[6:], "WHSEC_" + s.Text()[6:], s.Text() + "!", "whsec_" + strings.Repeat("A", 28), "whsec_" + strings.Repeat("A", 88),
	} {
		if _, err := webhook.ParseSecret(text); chat.CodeOf(err) != chat.CodeBadInput {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	v := vectors[0]
	f.Add(v.id, v.timestamp, v.signature, v.body)
	f.Add("a.b", "-1", "v1, v1,=", "")
	secret := mustSecret(f, v.secret)
	f.Fuzz(func(t *testing.T, id, timestamp, signature, body string) {
		got, err := webhook.Verify(headers(id, timestamp, signature), []byte(body), at(v.timestamp), secret)
		if err == nil && (got != v.id || body != v.body) {
			t.Errorf("%q %q %q %q is taken", id, timestamp, signature, body)
		}
	})
}
