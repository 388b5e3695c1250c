package testkit

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/client"
)

// Browser is the other end of a push subscription. It shares no code with the sender but the ciphers.
type Browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

// MustBrowser makes one.
func MustBrowser(tb testing.TB) Browser {
	tb.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	b := Browser{key, make([]byte, 16)}
	_, _ = rand.Read(b.auth)
	return b
}

// Keys are p256dh and auth, as a browser gives them away.
func (b Browser) Keys() (p256dh, auth string) {
	return base64.RawURLEncoding.EncodeToString(b.key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(b.auth)
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Open decrypts a message step by step as section 3.4 of RFC 8291 spells it out.
func (b Browser) Open(message []byte) (text []byte, padding int, err error) {
	if len(message) > 4096 || len(message) < 86 || binary.BigEndian.Uint32(message[16:]) != 4096 || message[20] != 65 {
		return nil, 0, fmt.Errorf("the header of a message of %d bytes is wrong", len(message))
	}
	salt, point, sealed := message[:16], message[21:86], message[86:]
	sender, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, 0, err
	}
	shared, err := b.key.ECDH(sender)
	if err != nil {
		return nil, 0, err
	}
	one := []byte{1}
	secret := mac(mac(b.auth, shared), []byte("WebPush: info\x00"), b.key.PublicKey().Bytes(), point, one)
	prk := mac(salt, secret)
	block, err := aes.NewCipher(mac(prk, []byte("Content-Encoding: aes128gcm\x00"), one)[:16])
	if err != nil {
		return nil, 0, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, 0, err
	}
	plain, err := aead.Open(nil, mac(prk, []byte("Content-Encoding: nonce\x00"), one)[:12], sealed, nil)
	if err != nil {
		return nil, 0, err
	}
	text = bytes.TrimRight(plain, "\x00")
	if len(text) == 0 || text[len(text)-1] != 2 {
		return nil, 0, errors.New("no delimiter of the last record")
	}
	return text[:len(text)-1], len(plain) - len(text), nil
}

// PushService is one that browsers of many people subscribe at: it keeps what arrives.
type PushService struct {
	CA string // file with the certificate of who signed its own
	*httptest.Server

	mu       sync.Mutex
	browsers map[string]Browser // by path
	answers  map[string]func(http.ResponseWriter)
	arrived  []Pushed
	bell     chan struct{}
}

// Pushed is what arrived for a browser.
type Pushed struct {
	To     string // the name that the browser subscribed with
	Header http.Header
	Text   string
	Err    error // it could not be read
}

// MustPushService starts one. It is reached with Settings.
func MustPushService(tb testing.TB) *PushService {
	tb.Helper()
	p := &PushService{browsers: map[string]Browser{}, answers: map[string]func(http.ResponseWriter){}, bell: make(chan struct{}, 1)}
	p.Server = httptest.NewUnstartedServer(p)
	p.EnableHTTP2 = true
	p.StartTLS()
	tb.Cleanup(p.Close)
	p.CA = filepath.Join(tb.TempDir(), "ca.pem")
	if err := os.WriteFile(p.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return p
}

// Settings have a server reach it.
func (p *PushService) Settings() []string {
	return []string{"--outbound-ca", p.CA, "--outbound-allow", "127.0.0.1"}
}

// MustSubscribe subscribes a browser for a session, and returns its endpoint. answer is what becomes of pushes; nil: they
// are taken.
func (p *PushService) MustSubscribe(tb testing.TB, who *client.Client, name string, answer func(http.ResponseWriter)) (endpoint string) {
	tb.Helper()
	b := MustBrowser(tb)
	p.mu.Lock()
	p.browsers["/"+name], p.answers["/"+name] = b, answer
	p.mu.Unlock()
	p256dh, auth := b.Keys()
	MustDo(tb, who, `mutation($e: String!, $p: String!, $a: String!) { subscribeToPush(input: {endpoint: $e, p256dh: $p, auth: $a}) { cursor } }`,
		client.Vars{"e": p.URL + "/" + name, "p": p256dh, "a": auth}, nil)
	return p.URL + "/" + name
}

// ServeHTTP takes a push.
func (p *PushService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.browsers[r.URL.Path]
	if !ok || err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	got := Pushed{To: r.URL.Path[1:], Header: r.Header}
	text, _, err := b.Open(body)
	got.Text, got.Err = string(text), err
	p.arrived = append(p.arrived, got)
	select {
	case p.bell <- struct{}{}:
	default:
	}
	if answer := p.answers[r.URL.Path]; answer != nil {
		answer(w)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// Take returns what has arrived since it was last called.
func (p *PushService) Take() []Pushed {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.arrived
	p.arrived = nil
	return all
}

// MustWait waits until something has arrived for a browser, and returns all that has since Take.
func (p *PushService) MustWait(tb testing.TB, ctx context.Context, to string) []Pushed {
	tb.Helper()
	for {
		p.mu.Lock()
		all := p.arrived
		p.mu.Unlock()
		for _, a := range all {
			if a.To == to {
				return p.Take()
			}
		}
		select {
		case <-p.bell:
		case <-ctx.Done():
			tb.Fatalf("nothing was pushed to %s, but %v", to, all)
		}
	}
}
