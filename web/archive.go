// Package web holds what browsers are served: the app, GraphiQL and GraphQL Playground, complete and without anything from elsewhere.
package web

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// chunks is where the app's build puts what has the hash of its content in its name.
const chunks = "c/"

// archive is a zip file whose entries leave as they lie in it: compressed, for a client that takes gzip.
type archive struct {
	files  map[string]*zip.File // by path, with a slash in front
	policy string               // the Content-Security-Policy of each
}

// open reads an archive that has an index.html.
func open(name string, content []byte, policy string) (*archive, error) {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a := &archive{files: make(map[string]*zip.File, len(z.File)), policy: policy}
	for _, f := range z.File {
		a.files["/"+f.Name] = f
	}
	if a.files["/index.html"] == nil {
		return nil, fmt.Errorf("%s: no index.html", name)
	}
	a.files["/"] = a.files["/index.html"]
	return a, nil
}

// onlyReading answers everything but GET and HEAD.
func onlyReading(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	})
}

// explorer serves each file at its path, and the page at the root.
func (a *archive) explorer() http.Handler {
	return onlyReading(func(w http.ResponseWriter, r *http.Request) {
		f := a.files[r.URL.Path]
		if f == nil {
			http.NotFound(w, r)
			return
		}
		a.serve(w, r, f)
	})
}

func (a *archive) serve(w http.ResponseWriter, r *http.Request, f *zip.File) {
	h := w.Header()
	h.Set("Content-Security-Policy", a.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(f.Name)))
	h.Set("Vary", "Accept, Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(f.Name, chunks) { // the name changes with the content
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	tag := fmt.Sprintf(`"%08x-%x"`, f.CRC32, f.UncompressedSize64)
	h.Set("ETag", "W/"+tag)                                   // one for both encodings
	if strings.Contains(r.Header.Get("If-None-Match"), tag) { // which may be a list
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if TakesGzip(r.Header.Get("Accept-Encoding")) && f.Method == zip.Deflate {
		raw, err := f.OpenRaw()
		if err != nil {
			http.Error(w, "the archive is damaged", http.StatusInternalServerError)
			return
		}
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", fmt.Sprint(f.CompressedSize64+18))
		if r.Method == http.MethodHead {
			return
		}
		// A gzip member is a header of ten bytes, the same deflate stream, and CRC and length.
		_, _ = w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255})
		_, _ = io.Copy(w, raw)
		_, _ = w.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, f.CRC32), uint32(f.UncompressedSize64)))
		return
	}
	content, err := f.Open()
	if err != nil {
		http.Error(w, "the archive is damaged", http.StatusInternalServerError)
		return
	}
	defer func() { _ = content.Close() }()
	h.Set("Content-Length", fmt.Sprint(f.UncompressedSize64))
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, content) //nolint:gosec // our own archive, as large as it says
	}
}

// TakesGzip reads an Accept-Encoding (RFC 9110, 12.5.3): a weight of zero refuses, and one that is no number.
func TakesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.TrimSpace(params), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && weight > 0
	}
	return false
}
