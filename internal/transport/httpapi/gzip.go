package httpapi

import (
	"compress/gzip"
	"net/http"
	"sync"

	"github.com/parley-chat/parley/internal/transport/request"
	"github.com/parley-chat/parley/web"
)

// minGzip is the size from which compressing an answer pays.
const minGzip = 1 << 10

var gzips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return z
}}

// compress sends answers larger than minGzip compressed to clients that take it. Sockets and streams pass untouched.
func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isUpgrade(r) || request.WantsStream(r.Header.Values("Accept")) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Accept-Encoding")
		if !web.TakesGzip(r.Header.Get("Accept-Encoding")) {
			next.ServeHTTP(w, r)
			return
		}
		z := &gzipWriter{ResponseWriter: w}
		next.ServeHTTP(z, r)
		z.finish()
	})
}

// gzipWriter waits for minGzip bytes before it decides.
type gzipWriter struct {
	http.ResponseWriter
	status  int
	pending []byte
	zip     *gzip.Writer
}

// WriteHeader remembers the status until it is known whether the answer is compressed.
func (g *gzipWriter) WriteHeader(status int) {
	if status < 200 {
		g.ResponseWriter.WriteHeader(status)
	} else if g.status == 0 {
		g.status = status
	}
}

func (g *gzipWriter) Write(b []byte) (int, error) {
	if g.zip != nil {
		return g.zip.Write(b)
	}
	g.pending = append(g.pending, b...)
	if len(g.pending) < minGzip || g.Header().Get("Content-Encoding") != "" {
		return len(b), nil
	}
	g.Header().Set("Content-Encoding", "gzip")
	g.Header().Del("Content-Length")
	g.sendHeader()
	g.zip = gzips.Get().(*gzip.Writer)
	g.zip.Reset(g.ResponseWriter)
	_, err := g.zip.Write(g.pending)
	return len(b), err
}

// Unwrap lets http.ResponseController reach the connection.
func (g *gzipWriter) Unwrap() http.ResponseWriter { return g.ResponseWriter }

func (g *gzipWriter) sendHeader() {
	if g.status != 0 {
		g.ResponseWriter.WriteHeader(g.status)
	}
}

func (g *gzipWriter) finish() {
	if g.zip == nil {
		g.sendHeader()
		if len(g.pending) > 0 {
			_, _ = g.ResponseWriter.Write(g.pending)
		}
		return
	}
	_ = g.zip.Close()
	g.zip.Reset(nil)
	gzips.Put(g.zip)
}
