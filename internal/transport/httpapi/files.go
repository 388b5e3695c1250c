package httpapi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/file"
)

const (
	filesPath = "/files"

	uploadTimeout = 2 * time.Minute  // of a whole upload
	writeTimeout  = 30 * time.Second // of a piece of a download
	uploadFrame   = 16 << 10         // what a multipart body may have besides the file
)

// upload stores the picture that is the request's body, or the one file of a multipart/form-data body, and answers with its
// id.
func (c Config) upload(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		plainError(w, r, http.StatusMethodNotAllowed, chat.CodeBadInput, "uploads need POST")
		return
	}
	v, err := chat.MustViewer(r.Context())
	if err != nil {
		c.refuseFile(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, int64(c.Settings.MaxUpload)+uploadFrame)
	content, rest, err := uploaded(r)
	if err != nil {
		c.refuseFile(w, r, err)
		return
	}
	id, err := c.Files.Upload(r.Context(), v, content)
	if err == nil {
		err = rest()
	}
	if err != nil {
		c.refuseFile(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, "{\"id\":%q}\n", id)
}

var errOneFile = chat.BadInput("send the picture as the body, or as the one file of a multipart/form-data body")

// uploaded is the content of the file that is sent; rest says whether anything follows it that should not.
func uploaded(r *http.Request) (content io.Reader, rest func() error, err error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "multipart/form-data" {
		return r.Body, func() error { return nil }, nil
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, nil, errOneFile
	}
	p, err := parts.NextPart()
	if err != nil || p.FileName() == "" {
		return nil, nil, errOneFile
	}
	return p, func() error {
		if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
			return errOneFile
		}
		return nil
	}, nil
}

// refuseFile answers in the shape of GraphQL, whose codes these are.
func (c Config) refuseFile(w http.ResponseWriter, r *http.Request, err error) {
	var ours *chat.Error
	var tooLarge *http.MaxBytesError
	status, code, message := http.StatusInternalServerError, chat.CodeInternal, "internal error"
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, file.ErrTooLarge):
		status, code, message = http.StatusRequestEntityTooLarge, chat.CodeBadInput, file.ErrTooLarge.Message
	case errors.Is(err, os.ErrDeadlineExceeded):
		status, code, message = http.StatusRequestTimeout, chat.CodeBadInput, "the file took too long"
	case errors.As(err, &ours) && ours.Code != chat.CodeInternal:
		status, code, message = statusOf[ours.Code], ours.Code, ours.Message
		if ours.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(ours.RetryAfter.Seconds()))))
		}
	case r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		status, code, message = http.StatusBadRequest, chat.CodeBadInput, "the file could not be read"
	default:
		c.Log.ErrorContext(r.Context(), "internal error", "error", err)
	}
	plainError(w, r, status, code, message)
}

// statusOf is the status of an error where a file is asked for.
var statusOf = map[chat.Code]int{
	chat.CodeUnauthenticated: http.StatusUnauthorized, chat.CodeForbidden: http.StatusForbidden, chat.CodeNotFound: http.StatusNotFound,
	chat.CodeBadInput: http.StatusBadRequest, chat.CodeConflict: http.StatusConflict, chat.CodeRateLimited: http.StatusTooManyRequests,
	chat.CodeUnavailable: http.StatusServiceUnavailable,
}

// download answers with a picture, or with an export for who has its signed link. Neither needs credentials, and whatever
// is not there, or not for whoever asks, gets the same answer.
func (c Config) download(w http.ResponseWriter, r *http.Request) {
	ctx, h, q := r.Context(), w.Header(), r.URL.Query()
	id, err := chat.ParseID(r.PathValue("id"))
	if err != nil {
		c.refuseFile(w, r, chat.ErrNotFound)
		return
	}
	var f chat.File
	final := false
	if q.Has("key") {
		f, err = c.Exports.File(ctx, id, q.Get("until"), q.Get("key"))
	} else {
		size := 0
		if s := q.Get("size"); s != "" {
			if size, err = strconv.Atoi(s); err != nil {
				size = -1
			}
		}
		f, final, err = c.Files.Picture(ctx, id, size)
	}
	if err != nil {
		h.Set("Cache-Control", "no-store")
		c.refuseFile(w, r, err)
		return
	}
	switch {
	case f.Purpose == chat.FileExport:
		h.Set("Cache-Control", "private, no-store")
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="parley-export-%s.zip"`, f.CreatedAt.Format(time.DateOnly)))
	case final:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	default:
		h.Set("Cache-Control", "no-cache") // the small one takes its place soon
	}
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // a front end may be elsewhere
	tag := `"` + hex.EncodeToString(f.SHA256[:16]) + `"`
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.ContentType)
	h.Set("Content-Length", strconv.FormatInt(f.Size, 10))
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(timed{w}, c.Files.Content(ctx, f)); err != nil {
		panic(http.ErrAbortHandler) // so that nobody takes it for the whole
	}
}

// timed lets each piece take its time, and no longer: who reads nothing holds up nothing.
type timed struct{ http.ResponseWriter }

func (t timed) Write(b []byte) (int, error) {
	_ = http.NewResponseController(t.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout))
	return t.ResponseWriter.Write(b)
}
