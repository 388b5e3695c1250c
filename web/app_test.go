package web_test

import (
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/parley-chat/parley/web"
)

// firstLoad is how much a browser may have to fetch, compressed, before it shows anything.
const firstLoad = 200_000

func TestScreensAndOthers(t *testing.T) {
	t.Parallel()
	for path, status := range map[string]int{
		"/": 200, "/friends": 200, "/conversations/cnv_01h455vb4pex5vsknk084sn02q": 200, "/settings/sessions": 200,
		"/nothing.js": 404, "/c/main-0.js": 404, "/c/": 404, "/favicon.ico": 404,
		"/schema.graphql": 404,
	} {
		w := get(t, web.App, "GET", path, "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		if w.Code != status || status == 200 && w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		// What is not here may be in the next version; what is, depends on what was asked for.
		if h := w.Header(); h.Get("Cache-Control") != "no-store" && (status == 404 || h.Get("Vary") != "Accept, Accept-Encoding") {
			t.Errorf("%s: %v", path, h)
		}
	}
	for _, path := range []string{"/friends", "/graphql/x", "/metrics"} { // a program takes a page for an answer
		if w := get(t, web.App, "GET", path, "Accept", "*/*"); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := get(t, web.App, "POST", "/friends"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestTheApp(t *testing.T) {
	t.Parallel()
	mustHaveApp(t)
	page := get(t, web.App, "GET", "/friends", "Accept", "text/html")
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
	mustHaveModules(t, "app", "packages")
	cmd := exec.CommandContext(t.Context(), "npm", "test")
	cmd.Dir = "app"
	mustRun(t, cmd)
}
