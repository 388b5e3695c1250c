// Package web holds what browsers are served: GraphiQL, complete and without anything from elsewhere.
package web

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
)

// graphiql.zip is built by npm from the folder graphiql and committed, so that the server needs only Go.
//
//go:embed graphiql.zip
var bundle []byte

// policy lets monaco set inline styles and run its workers; nothing is loaded from or sent to anywhere else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; " +
	"img-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// GraphiQL serves the page at the root of the URL space and its files beside it. They leave as they lie in the archive:
// compressed, for a client that takes gzip.
func GraphiQL() (http.Handler, error) {
	z, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		return nil, fmt.Errorf("graphiql.zip: %w", err)
	}
	files := make(map[string]*zip.File, len(z.File))
	for _, f := range z.File {
		files["/"+f.Name] = f
	}
	if files["/index.html"] == nil {
		return nil, fmt.Errorf("graphiql.zip: no index.html")
	}
	files["/"] = files["/index.html"]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := files[r.URL.Path]
		switch {
		case f == nil:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
		default:
			serve(w, r, f)
		}
	}), nil
}

func serve(w http.ResponseWriter, r *http.Request, f *zip.File) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(f.Name)))
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(f.Name, "c/") { // the name changes with the content
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	tag := fmt.Sprintf(`"%08x-%x"`, f.CRC32, f.UncompressedSize64)
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && f.Method == zip.Deflate {
		raw, err := f.OpenRaw()
		if err != nil {
			http.Error(w, "GraphiQL is damaged", http.StatusInternalServerError)
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
		http.Error(w, "GraphiQL is damaged", http.StatusInternalServerError)
		return
	}
	defer func() { _ = content.Close() }()
	h.Set("Content-Length", fmt.Sprint(f.UncompressedSize64))
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, content)
	}
}
