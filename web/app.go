package web

import (
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// dist has app.zip if npm has built the app (make app), and always a page that says so. The archive is not committed.
//
//go:embed dist
var dist embed.FS

// appPolicy lets nothing in that is not a file of the app, a picture that it made or a connection to its own server.
const appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; " +
	"connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// notTheApp are the first segments of paths that are the server's own. What is unknown below them is not a screen of the app.
var notTheApp = map[string]bool{
	"graphql": true, "graphiql": true, "playground": true, "files": true, "hooks": true, "admin": true, "metrics": true,
	"livez": true, "readyz": true, "healthz": true, "verify": true, "reset": true, "mail": true, "exports": true, "c": true,
}

// App serves the app: its files, and its page for every other path that could be one of its screens. Without a built app it
// serves a page that says how to build it.
func App() (http.Handler, error) {
	return appFrom(dist)
}

func appFrom(dist fs.FS) (http.Handler, error) {
	content, err := fs.ReadFile(dist, "dist/app.zip")
	if errors.Is(err, fs.ErrNotExist) {
		return placeholder(dist)
	}
	if err != nil {
		return nil, err
	}
	a, err := open("app.zip", content, appPolicy)
	if err != nil {
		return nil, err
	}
	return onlyReading(func(w http.ResponseWriter, r *http.Request) {
		f := a.files[r.URL.Path]
		if f == nil && screen(r.URL.Path) {
			f = a.files["/index.html"]
		}
		if f == nil {
			http.NotFound(w, r)
			return
		}
		a.serve(w, r, f)
	}), nil
}

// screen says whether a path may be one that the app knows: those of files have a dot at their end.
func screen(p string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	return !notTheApp[first] && !strings.Contains(path.Base(p), ".") && path.Clean(p) == strings.TrimSuffix(p, "/")
}

func placeholder(dist fs.FS) (http.Handler, error) {
	page, err := fs.ReadFile(dist, "dist/placeholder.html")
	if err != nil {
		return nil, err
	}
	return onlyReading(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && !screen(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(page)
	}), nil
}
