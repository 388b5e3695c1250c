package token_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	now    = time.Date(2026, 11, 21, 9, 30, 0, 250_000_000, time.UTC)
)

func newTokens(tb testing.TB, c token.Config) *token.Tokens {
	tb.Helper()
	if c.Secret == nil {
		c.Secret = secret
	}
	if c.Now == nil {
		c.Now = func() time.Time { return now }
	}
	t, err := token.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func newViewer() chat.Viewer {
	return chat.Viewer{User: chat.NewID(chat.KindUser), Session: chat.NewID(chat.KindSession)}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]token.Config{
		"no secret":      {},
		"a short secret": {Secret: secret[:31]},
		"a short life":   {Secret: secret, AccessTTL: time.Millisecond},
	} {
		if _, err := token.New(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	at := now
	tokens := newTokens(t, token.Config{Now: func() time.Time { return at }})
	v := newViewer()
	s, expires, err := tokens.Access(v, now)
	if err != nil {
		t.Fatal(err)
	}
	if want := now.Truncate(time.Second).Add(10 * time.Minute); !expires.Equal(want) {
		t.Errorf("expires at %v, not %v", expires, want)
	}
	got, until, err := tokens.ReadAccess(s)
	if err != nil || got != v || !until.Equal(expires) {
		t.Fatal(got, until, err)
	}
	at = expires.Add(-time.Second)
	if _, _, err := tokens.ReadAccess(s); err != nil {
		t.Error("refused before it expires:", err)
	}
	if _, _, err := tokens.ReadAccess(s[:len(s)-1] + string(s[len(s)-1]^1)); chat.CodeOf(err) != chat.CodeUnauthenticated {
		t.Error("accepted with another signature after it was remembered:", err)
	}
	at = expires
	if _, _, err := tokens.ReadAccess(s); chat.CodeOf(err) != chat.CodeUnauthenticated {
		t.Error("accepted after it has expired:", err)
	}
}

func TestAccessRefused(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, token.Config{})
	v := newViewer()
	good, _, err := tokens.Access(v, now)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"iss": "parley", "aud": "parley", "sub": v.User.String(), "sid": v.Session.String(), "iat": now.Unix(), "exp": now.Unix() + 600}
		change(c)
		return c
	}
	signed := func(m jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		s, err := jwt.NewWithClaims(m, claims(change)).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := func(jwt.MapClaims) {}
	other := func(c token.Config) string {
		s, _, err := newTokens(t, c).Access(v, now)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	swapped, _, err := tokens.Access(chat.Viewer{User: v.Session, Session: v.User}, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{
		"nothing":               "",
		"no token":              "hello",
		"a refresh token":       tokens.Refresh(v.Session, 1),
		"alg none":              signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"the secret as the key": signed(jwt.SigningMethodHS256, secret, same),
		"another alg":           signed(jwt.SigningMethodHS512, secret, same),
		"no signature":          parts[0] + "." + parts[1] + ".",
		"an altered signature":  parts[0] + "." + parts[1] + "." + flip(parts[2], 4),
		"altered claims":        parts[0] + "." + flip(parts[1], len(parts[1])/2) + "." + parts[2],
		"a trailing part":       good + ".x",
		"another secret":        other(token.Config{Secret: []byte(strings.Repeat("another!", 4))}),
		"another issuer":        other(token.Config{Issuer: "elsewhere"}),
		"another audience":      other(token.Config{Audience: "elsewhere"}),
		"swapped kinds":         swapped,
	} {
		if got, _, err := tokens.ReadAccess(s); chat.CodeOf(err) != chat.CodeUnauthenticated || got != (chat.Viewer{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func flip(s string, at int) string {
	b := []byte(s)
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, token.Config{})
	session := chat.NewID(chat.KindSession)
	for _, generation := range []int64{1, 2, 1 << 40} {
		got, g, err := tokens.ReadRefresh(tokens.Refresh(session, generation))
		if err != nil || got != session || g != generation {
			t.Error(got, g, err)
		}
	}
	good := tokens.Refresh(session, 7)
	access, _, err := tokens.Access(newViewer(), now)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"nothing":         "",
		"an access token": access,
		"padded":          good + "=",
		"cut":             good[:len(good)-1],
		"a line break":    good[:10] + "\n" + good[11:],
		"another secret":  newTokens(t, token.Config{Secret: []byte(strings.Repeat("another!", 4))}).Refresh(session, 7),
	}
	for i := range good {
		bad[fmt.Sprint("altered at ", i)] = flip(good, i)
	}
	for name, s := range bad {
		if got, _, err := tokens.ReadRefresh(s); chat.CodeOf(err) != chat.CodeUnauthenticated || !got.IsZero() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func FuzzReadRefresh(f *testing.F) {
	tokens := newTokens(f, token.Config{})
	f.Add(tokens.Refresh(chat.NewID(chat.KindSession), 1))
	f.Add("")
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 56)))
	f.Fuzz(func(t *testing.T, s string) {
		session, generation, err := tokens.ReadRefresh(s)
		if err != nil {
			if chat.CodeOf(err) != chat.CodeUnauthenticated {
				t.Error(err)
			}
			return
		}
		if again := tokens.Refresh(session, generation); again != s {
			t.Errorf("%q is read as %q", s, again)
		}
	})
}

func FuzzReadAccess(f *testing.F) {
	tokens := newTokens(f, token.Config{})
	good, _, _ := tokens.Access(newViewer(), now)
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		v, _, err := tokens.ReadAccess(s)
		var own *chat.Error
		switch {
		case err != nil && (!errors.As(err, &own) || own.Code != chat.CodeUnauthenticated):
			t.Error(err)
		case err == nil && (v.User.Kind != chat.KindUser || v.Session.Kind != chat.KindSession):
			t.Error(v)
		}
	})
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	at := now
	r := token.NewRevoked(10*time.Minute, func() time.Time { return at })
	if !r.Since().Before(at.Add(-10 * time.Minute)) {
		t.Error("does not look back as far as tokens reach:", r.Since())
	}
	a, b, c := chat.NewID(chat.KindSession), chat.NewID(chat.KindSession), chat.NewID(chat.KindSession)
	r.Ended(a, at)
	r.Ended(a, at)
	r.Ended(c, at.Add(-time.Hour)) // no token of its can be valid
	r.Apply([]*chat.Event{
		{Type: chat.SessionStarted, Subject: c, At: at},
		{Type: chat.SessionEnded, Subject: b, At: at.Add(time.Minute)},
	})
	if !r.Has(a) || !r.Has(b) || r.Has(c) || r.Len() != 2 {
		t.Fatal(r.Has(a), r.Has(b), r.Has(c), r.Len())
	}
	at = at.Add(10*time.Minute + time.Second)
	r.Ended(c, at)
	if !r.Has(a) {
		t.Error("forgotten while another node's clock may still say that its tokens are valid")
	}
	at = at.Add(time.Minute)
	r.Ended(c, at)
	if r.Has(a) || !r.Has(c) {
		t.Error("remembered for longer than its tokens can be valid")
	}
	at = at.Add(time.Hour)
	for range 1000 {
		at = at.Add(time.Minute)
		r.Ended(chat.NewID(chat.KindSession), at)
	}
	if n := r.Len(); n > 12 {
		t.Errorf("%d sessions are remembered, and 12 were ended in the life of a token", n)
	}
}
