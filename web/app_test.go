package web_test

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-chat/parley/web"
)

// firstLoad is how much a browser may have to fetch, compressed, before it shows anything.
const firstLoad = 200_000

// built says whether the app is part of this build; the tests of CI have it.
func built(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("dist/app.zip"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs the built app: make app, as make test does")
		}
		t.Skip("needs the built app: make app")
	}
}

func TestScreensAndOthers(t *testing.T) {
	t.Parallel()
	for path, status := range map[string]int{
		"/": 200, "/friends": 200, "/conversations/cnv_01h455vb4pex5vsknk084sn02q": 200, "/settings/sessions": 200,
		"/nothing.js": 404, "/c/main-0.js": 404, "/c/": 404, "/favicon.ico": 404,
		"/graphql/x": 404, "/graphiql/x": 404, "/files/x": 404, "/admin/": 404, "/hooks/x": 404, "/verify/x": 404, "/reset/": 404,
		"/mail/x": 404, "/metrics": 404, "/healthz": 404, "/livez/": 404, "/schema.graphql": 404,
	} {
		w := get(t, web.App, "GET", path)
		if w.Code != status || status == 200 && w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	if w := get(t, web.App, "POST", "/friends"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestTheApp(t *testing.T) {
	t.Parallel()
	built(t)
	page := get(t, web.App, "GET", "/friends")
	csp := page.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self'", "img-src 'self' data: blob:"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%q is not in the policy %q", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || page.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%v", page.Header())
	}
	if m := regexp.MustCompile(`<script(?:[^>]*)>[^<]|<style|\son[a-z]+=|\sstyle=`).FindString(page.Body.String()); m != "" {
		t.Errorf("the policy forbids %q", m)
	}
	// What the page names is fetched at once; what that imports later is not.
	bytes := 0
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1) {
		w := get(t, web.App, "GET", m[1], "Accept-Encoding", "gzip")
		n, _ := strconv.Atoi(w.Header().Get("Content-Length"))
		if w.Code != 200 || n == 0 || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %d %v", m[1], w.Code, w.Header())
		}
		if strings.HasPrefix(m[1], "/c/") != strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s", m[1], w.Header().Get("Cache-Control"))
		}
		bytes += n
		if strings.Contains(get(t, web.App, "GET", m[1]).Body.String(), "Two at once") {
			t.Errorf("%s has /duo in it, which nobody needs but who opens it", m[1])
		}
	}
	if t.Logf("first load: %d bytes", bytes); bytes < 50_000 || bytes > firstLoad {
		t.Errorf("the first load is %d bytes, of %d", bytes, firstLoad)
	}
}

// TestTheAppsOwnTests runs what npm has of them.
func TestTheAppsOwnTests(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("node_modules/vitest"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs Node.js, and npm ci in web: make test sees to it")
		}
		t.Skip("needs Node.js, and npm ci in web: make test sees to it")
	}
	cmd := exec.CommandContext(t.Context(), "npm", "test")
	cmd.Dir = "app"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
