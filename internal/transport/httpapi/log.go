package httpapi

import (
	"bufio"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/obs"
)

// requestHeader carries the id that joins an answer with the lines of the log.
const requestHeader = "X-Request-Id"

// logger gives each request an id, survives panics, and writes one line about each answer. Neither bodies nor query
// strings nor headers with secrets are ever written.
type logger struct {
	log     *slog.Logger
	metrics *obs.Metrics
	proxies []netip.Prefix
}

func (l logger) wrap(route string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get(requestHeader)
		if !isRequestID(id) {
			id = uuid.NewString()
		}
		r = r.WithContext(obs.WithRequestID(r.Context(), id))
		w.Header().Set(requestHeader, id)
		rec := &recorder{ResponseWriter: w}
		if !isUpgrade(r) {
			l.metrics.InFlight(1)
			defer l.metrics.InFlight(-1)
		}
		defer func() {
			if p := recover(); p != nil {
				if aborted(p) {
					panic(p)
				}
				l.log.ErrorContext(r.Context(), "panic", "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					plainError(rec, r, http.StatusInternalServerError, chat.CodeInternal, "internal error")
				}
			}
			took := time.Since(start)
			path := r.URL.Path
			if strings.HasPrefix(path, hooksPath) { // what follows is a secret
				path = hooksPath
			}
			l.metrics.Request(route, r.Method, rec.code(), took)
			l.log.InfoContext(r.Context(), "request", "method", r.Method, "path", path, "status", rec.code(),
				"bytes", rec.bytes, "ms", float64(took.Microseconds())/1000, "client", clientAddr(r, l.proxies), "agent", r.UserAgent())
		}()
		next.ServeHTTP(rec, r)
	})
}

// isRequestID accepts ids that are safe to log and to send back.
func isRequestID(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush sends what was written.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Hijack hands the connection over to a socket.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// aborted says that a handler gave its request up on purpose.
func aborted(recovered any) bool {
	err, ok := recovered.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}
