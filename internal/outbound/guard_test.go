package outbound_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/outbound"
)

func TestMain(m *testing.M) {
	// A proxy would be asked for every name here, and there is none: whoever heeds the environment fails.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// self allows the one address that the tests' servers listen on.
var self = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

func get(t *testing.T, g *outbound.Guard, method, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return g.Do(req)
}

func wantError(t *testing.T, err error, code chat.Code, message, cause string) {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != code || e.Message != message {
		t.Fatalf("%v, want %s: %s", err, code, message)
	}
	if cause != "" && (e.Cause == nil || !strings.Contains(e.Cause.Error(), cause)) {
		t.Fatalf("%v, want the cause %s", e.Cause, cause)
	}
}

// mustServe starts a server, and says how a name would have to be written to lead to it.
func mustServe(t *testing.T, handler http.HandlerFunc) (s *httptest.Server, port string) {
	t.Helper()
	s = httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s, s.URL[strings.LastIndex(s.URL, ":"):]
}

func ok(http.ResponseWriter, *http.Request) {}

// names is a resolver that answers every question about IPv4 with what answer says, or with "no such name".
func names(answer func() (ip [4]byte, ok bool)) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		us, them := net.Pipe()
		go func() {
			defer them.Close()
			for {
				question := make([]byte, 1024)
				if _, err := io.ReadFull(them, question[:2]); err != nil { // a stream: a length stands before each message
					return
				}
				n := int(question[0])<<8 | int(question[1])
				if _, err := io.ReadFull(them, question[:n]); err != nil {
					return
				}
				end := 12
				for question[end] != 0 {
					end += 1 + int(question[end])
				}
				asked := question[12 : end+5]
				head := []byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}
				var found []byte
				if ip, ok := answer(); !ok {
					head[3] |= 3
				} else if question[end+2] == 1 {
					head[7] = 1
					found = append([]byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4}, ip[:]...)
				}
				reply := append(append(head, asked...), found...)
				if _, err := them.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))}, reply...)); err != nil {
					return
				}
			}
		}()
		return us, nil
	}}
}

// A name that led to an allowed address leads to another one the next time.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	_, port := mustServe(t, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Header().Set("Connection", "close")
	})
	var rebound atomic.Bool
	g := mustGuard(t, outbound.Config{Allow: self, PlainHTTP: true, Resolver: names(func() ([4]byte, bool) {
		if rebound.Load() {
			return [4]byte{127, 0, 0, 2}, true
		}
		return [4]byte{127, 0, 0, 1}, true
	})})
	url := "http://rebind.test" + port
	if err := g.Check(url); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, g, http.MethodPost, url); err != nil {
		t.Fatal(err)
	}
	rebound.Store(true)
	_, err := get(t, g, http.MethodPost, url)
	wantError(t, err, chat.CodeUnavailable, "rebind.test does not lead to a public address", "refused to dial 127.0.0.2"+port)
	if hits.Load() != 1 {
		t.Errorf("%d requests arrived", hits.Load())
	}
}

// Nobody learns from an error which names there are in this server's network.
func TestRefusalsTellNothing(t *testing.T) {
	t.Parallel()
	var exists atomic.Bool
	g := mustGuard(t, outbound.Config{Resolver: names(func() ([4]byte, bool) { return [4]byte{10, 1, 2, 3}, exists.Load() })})
	const message = "db.test does not lead to a public address"
	_, err := get(t, g, http.MethodPost, "https://db.test")
	wantError(t, err, chat.CodeUnavailable, message, "no such host")
	exists.Store(true)
	_, err = get(t, g, http.MethodPost, "https://db.test")
	wantError(t, err, chat.CodeUnavailable, message, "refused to dial 10.1.2.3:443")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	g := mustGuard(t, outbound.Config{})
	plain := mustGuard(t, outbound.Config{PlainHTTP: true, Ports: []uint16{8443}})
	for _, c := range []struct {
		g            *outbound.Guard
		url, message string
	}{
		{g, "https://example.org/hook?key=1", ""},
		{g, "https://example.org:8443", ""},
		{g, "https://example.org:80", ""},
		{g, "http://example.org", "use https://"},
		{g, "https://example.org:22", "port 22 is not allowed"},
		{g, "https://example.org:1023", "port 1023 is not allowed"},
		{g, "https://example.org:65536", "port 65536 is not allowed"},
		{g, "https://example.org:0", "port 0 is not allowed"},
		{g, "ftp://example.org", "the address must begin with https:// and a host"},
		{g, "example.org", "the address must begin with https:// and a host"},
		{g, "https:example.org", "the address must begin with https:// and a host"},
		{g, "https:///hook", "the address must begin with https:// and a host"},
		{g, "", "the address must begin with https:// and a host"},
		{g, "https://ada:secret@example.org", "the address must not hold a user or a password"},
		{g, "https://example.org/%zz", "this is not an address"},
		{g, "https://example.org/" + strings.Repeat("a", 2048), "the address is too long"},
		{g, "https://" + strings.Repeat("a", 260), "the host's name is too long"},
		{g, "https://127.0.0.1", "127.0.0.1 is not a public address"},
		{g, "https://[::ffff:127.0.0.1]", "::ffff:127.0.0.1 is not a public address"},
		{plain, "http://example.org:8443", ""},
		{plain, "http://example.org", "port 80 is not allowed"},
		{plain, "https://example.org", "port 443 is not allowed"},
	} {
		err := c.g.Check(c.url)
		if c.message == "" && err != nil {
			t.Errorf("%s: %v", c.url, err)
		} else if c.message != "" {
			wantError(t, err, chat.CodeBadInput, c.message, "")
		}
	}
	// What was never checked is checked when it is asked for.
	_, err := get(t, g, http.MethodPost, "https://127.0.0.1")
	wantError(t, err, chat.CodeBadInput, "127.0.0.1 is not a public address", "")
}

// Numbers that some resolvers read as addresses are names here, and are judged by where they lead.
func TestAddressesInDisguise(t *testing.T) {
	t.Parallel()
	g := mustGuard(t, outbound.Config{Timeout: 3 * time.Second})
	for _, host := range []string{"2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "localhost."} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, g, http.MethodPost, "https://"+host)
			wantError(t, err, chat.CodeUnavailable, host+" does not lead to a public address", "")
		})
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var to string
	var status int
	arrived := make(chan *http.Request, 10)
	s, port := mustServe(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		arrived <- r
		if r.URL.Path != "/end" {
			w.Header().Set("Location", to)
			w.WriteHeader(status)
		}
	})
	g := mustGuard(t, outbound.Config{Allow: self, PlainHTTP: true, Resolver: names(func() ([4]byte, bool) { return [4]byte{127, 0, 0, 2}, true })})
	for _, c := range []struct {
		method, to string
		status     int
		message    string
		arrive     int
	}{
		{http.MethodPost, "/end", 307, "", 2},
		{http.MethodPost, "/end", 308, "", 2},
		{http.MethodGet, "/end", 301, "", 2},
		{http.MethodPost, "/end", 301, "", 1}, // would become a GET
		{http.MethodPost, "/end", 303, "", 1},
		{http.MethodPost, "/again", 307, "127.0.0.1 redirects too often", 4},
		{http.MethodPost, "http://127.0.0.2" + port + "/end", 307, "127.0.0.2 is not a public address", 1},
		{http.MethodPost, "http://[::1]" + port + "/end", 307, "::1 is not a public address", 1},
		{http.MethodPost, "http://inside.test" + port + "/end", 307, "inside.test does not lead to a public address", 1},
		{http.MethodPost, "http://127.0.0.1:22/end", 307, "port 22 is not allowed", 1},
		{http.MethodPost, "file:///etc/passwd", 307, "the address must begin with https:// and a host", 1},
	} {
		to, status = c.to, c.status
		resp, err := get(t, g, c.method, s.URL+"/?key=secret")
		if n := len(arrived); n != c.arrive {
			t.Errorf("%s %d %s: %d requests arrived, want %d", c.method, c.status, c.to, n, c.arrive)
		}
		for len(arrived) > 0 {
			r := <-arrived
			if body, _ := io.ReadAll(r.Body); r.Method != c.method || string(body) != "body" && c.method == http.MethodPost || r.Referer() != "" {
				t.Errorf("%s %d %s: %s with %q from %q arrived", c.method, c.status, c.to, r.Method, body, r.Referer())
			}
		}
		if c.message != "" {
			wantError(t, err, chat.CodeUnavailable, c.message, "")
		} else if want := map[int]int{1: c.status, 2: 200}[c.arrive]; err != nil || resp.StatusCode != want {
			t.Errorf("%s %d %s: %v, %v", c.method, c.status, c.to, resp, err)
		}
	}
}

func mustServeTLS(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, roots
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain, _ := mustServe(t, ok)
	s, roots := mustServeTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
		}
	})
	g := mustGuard(t, outbound.Config{Allow: self, PlainHTTP: true, RootCAs: roots})
	resp, err := get(t, g, http.MethodPost, s.URL)
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatal(resp, err)
	}
	_, err = get(t, g, http.MethodPost, s.URL+"/plain")
	wantError(t, err, chat.CodeUnavailable, "127.0.0.1 redirects from https to http", "")
	_, err = get(t, mustGuard(t, outbound.Config{Allow: self}), http.MethodPost, s.URL)
	wantError(t, err, chat.CodeUnavailable, "the certificate of 127.0.0.1 is not valid", "unknown authority")
}

// mustListen accepts connections, and does with each what is said once a request, or the first bytes of TLS, came.
func mustListen(t *testing.T, with func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { _ = c.Close() })
			_, _ = c.Read(make([]byte, 4096))
			with(c)
			stop()
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func drain(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// Each part of a request has a time of its own; the causes tell which one it was.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	g := mustGuard(t, outbound.Config{Allow: self, PlainHTTP: true, Timeout: timeout})
	silent := mustListen(t, drain)
	slow := mustListen(t, func(c net.Conn) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nx: ")
		for range time.Tick(timeout / 50) {
			if err != nil {
				return
			}
			_, err = io.WriteString(c, "x")
		}
	})
	for url, cause := range map[string]string{
		"https://" + silent: "TLS handshake timeout",
		"http://" + silent:  "timeout awaiting response headers",
		"http://" + slow:    "timeout awaiting response headers",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, g, http.MethodPost, url)
			wantError(t, err, chat.CodeUnavailable, "127.0.0.1 did not answer in time", cause)
		})
	}
	t.Run("lookup", func(t *testing.T) {
		t.Parallel()
		const whole = 6 * time.Second
		g := mustGuard(t, outbound.Config{Timeout: whole, Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}})
		begin := time.Now()
		_, err := get(t, g, http.MethodPost, "https://slow.test")
		wantError(t, err, chat.CodeUnavailable, "slow.test does not lead to a public address", "")
		if took := time.Since(begin); took > 2*whole/3 {
			t.Error("took ", took)
		}
	})
	t.Run("caller", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		address := mustListen(t, func(c net.Conn) { cancel(); drain(c) })
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, nil)
		var e *chat.Error
		if _, err := g.Do(req); !errors.Is(err, context.Canceled) || errors.As(err, &e) {
			t.Error(err)
		}
	})
}

// An answer that never ends is one, and costs what is bounded.
func TestBodies(t *testing.T) {
	t.Parallel()
	const most = 10_000
	s, _ := mustServe(t, func(w http.ResponseWriter, r *http.Request) {
		for piece := strings.Repeat("x", 1000); ; {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			if r.URL.Path == "/slow" {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				return
			}
		}
	})
	g := mustGuard(t, outbound.Config{Allow: self, PlainHTTP: true, Timeout: 3 * time.Second, MaxBody: most})
	for path, want := range map[string]int{"/endless": most, "/slow": 1000} {
		resp, err := get(t, g, http.MethodPost, s.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || len(body) != want {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
	}
	// What says that it is another protocol now would be read for ever.
	other := mustListen(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		drain(c)
	})
	if resp, err := get(t, g, http.MethodPost, "http://"+other); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Error(resp, err)
	}
	huge := mustListen(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, "x: "+strings.Repeat("x", 1000)+"\r\n")
		}
	})
	_, err := get(t, g, http.MethodPost, "http://"+huge)
	wantError(t, err, chat.CodeUnavailable, "127.0.0.1 could not be reached", "server response headers exceeded 32768 bytes")
}

// A body that was read to its end leaves the connection for the next request.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	from := map[string]int{}
	s, _ := mustServe(t, func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr]++
		_, _ = io.WriteString(w, strings.Repeat("x", 20_000))
	})
	g := mustGuard(t, outbound.Config{Allow: self, PlainHTTP: true})
	for range 5 {
		if _, err := get(t, g, http.MethodPost, s.URL); err != nil {
			t.Fatal(err)
		}
	}
	if len(from) != 1 {
		t.Errorf("%d connections", len(from))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	var after string
	s, _ := mustServe(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	g := mustGuard(t, outbound.Config{Allow: self, PlainHTTP: true, Now: func() time.Time { return now }})
	for text, want := range map[string]string{
		"120": "120", "0": "0", "-5": "0", "soon": "0", "1e9": "0", "999999999": "86400", "99999999999999999999": "86400", "": "",
		"Sat, 21 Nov 2026 09:31:30 GMT": "90", "Sat, 21 Nov 2026 09:29:00 GMT": "0", "Mon, 21 Nov 2033 09:30:00 GMT": "86400",
	} {
		after = text
		resp, err := get(t, g, http.MethodPost, s.URL)
		if err != nil || resp.Header.Get("Retry-After") != want {
			t.Errorf("%q: %v, %v", text, resp.Header, err)
		}
	}
}
