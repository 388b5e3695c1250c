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

// App serves the app: its files, and its page wherever else a browser is taken. Without a built app it serves a page that says
// how to build it.
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
		if f == nil && screen(r) {
			f = a.files["/index.html"]
		}
		if f == nil {
			missing(w, r)
			return
		}
		a.serve(w, r, f)
	}), nil
}

// screen says whether a browser is taken to a path that may be one of the app's screens. What a program asks for there is
// something else, which does not exist: it must not be given a page with status 200.
func screen(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && path.Ext(r.URL.Path) == "" && !strings.HasPrefix(r.URL.Path, "/"+chunks)
}

func missing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // the next version may have it
	http.NotFound(w, r)
}

func placeholder(dist fs.FS) (http.Handler, error) {
	page, err := fs.ReadFile(dist, "dist/placeholder.html")
	if err != nil {
		return nil, err
	}
	return onlyReading(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && !screen(r) {
			missing(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(page)
	}), nil
}
