package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-chat/parley/web"
)

func get(t *testing.T, what func() (http.Handler, error), method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	h, err := what()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestThePageAndItsFiles(t *testing.T) {
	t.Parallel()
	page := get(t, web.GraphiQL, "GET", "/")
	if page.Code != 200 || page.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page.Body.String(), `data-endpoint="../graphql"`) {
		t.Fatalf("%d %v", page.Code, page.Header())
	}
	csp := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "http") || strings.Contains(csp, "unsafe-eval") {
		t.Errorf("policy %q", csp)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^":]+)"`).FindAllStringSubmatch(page.Body.String(), -1) {
		if w := get(t, web.GraphiQL, "GET", "/"+m[1]); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d", m[1], w.Code)
		}
	}
	for _, name := range []string{"/editor.worker.js", "/json.worker.js", "/graphql.worker.js"} {
		if w := get(t, web.GraphiQL, "GET", name); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	for _, w := range []*httptest.ResponseRecorder{get(t, web.GraphiQL, "GET", "/nothing.js"), get(t, web.GraphiQL, "GET", "/c/"), get(t, web.GraphiQL, "GET", "/../graphiql.go")} {
		if w.Code != http.StatusNotFound {
			t.Errorf("%d", w.Code)
		}
	}
	if w := get(t, web.GraphiQL, "POST", "/"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestCompressedAsItLies(t *testing.T) {
	t.Parallel()
	plain, packed := get(t, web.GraphiQL, "GET", "/main.css"), get(t, web.GraphiQL, "GET", "/main.css", "Accept-Encoding", "gzip, br")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len() {
		t.Fatalf("%v", packed.Header())
	}
	if got := packed.Header().Get("Content-Length"); got != strconv.Itoa(packed.Body.Len()) {
		t.Errorf("length %s of %d", got, packed.Body.Len())
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(text, plain.Body.Bytes()) {
		t.Errorf("%v, %d and %d bytes", err, len(text), plain.Body.Len())
	}
	if w := get(t, web.GraphiQL, "HEAD", "/main.css", "Accept-Encoding", "gzip"); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestWhoTakesGzip(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "br": "", "gzip": "gzip", "GZIP": "gzip", "br, gzip; q=0.5": "gzip", "gzip;q=1.0": "gzip", "gzip;q=0": "", "gzip; q=0.000, br": "", "gzip;q=x": "", "xgzip": "",
	} {
		if w := get(t, web.GraphiQL, "GET", "/main.css", "Accept-Encoding", header); w.Header().Get("Content-Encoding") != want {
			t.Errorf("%q: %v", header, w.Header())
		}
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	t.Parallel()
	first := get(t, web.GraphiQL, "GET", "/main.js")
	packed := get(t, web.GraphiQL, "GET", "/main.js", "Accept-Encoding", "gzip")
	if tag := first.Header().Get("ETag"); !strings.HasPrefix(tag, `W/"`) || packed.Header().Get("ETag") != tag {
		t.Errorf("%s, and compressed %s: want one for both, which is weak therefore", tag, packed.Header().Get("ETag"))
	}
	for _, known := range []string{first.Header().Get("ETag"), `"other", ` + first.Header().Get("ETag")} {
		again := get(t, web.GraphiQL, "GET", "/main.js", "If-None-Match", known)
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s: %d, %d bytes", known, again.Code, again.Body.Len())
		}
	}
}

func TestPlayground(t *testing.T) {
	t.Parallel()
	page := get(t, web.Playground, "GET", "/")
	csp := page.Header().Get("Content-Security-Policy")
	if page.Code != 200 || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "http") || strings.Contains(csp, "unsafe-eval") {
		t.Fatalf("%d %q", page.Code, csp)
	}
	files := regexp.MustCompile(`(?:src|href)="([^":]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(files) != 3 {
		t.Errorf("%q", files)
	}
	for _, m := range files {
		if w := get(t, web.Playground, "GET", "/"+m[1]); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d", m[1], w.Code)
		}
	}
}
