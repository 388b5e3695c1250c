package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/request"
)

// Transport answers queries and mutations by POST, and queries by GET, after the specification of GraphQL over HTTP. It
// also answers whatever no other transport supports, with what would be right: add it last.
type Transport struct {
	// MaxBody is the size of a request body, in bytes.
	MaxBody int64
	// BodyTimeout is how long a request body may take to arrive.
	BodyTimeout time.Duration
	// Secure marks cookies for HTTPS only.
	Secure bool
}

var _ graphql.Transport = Transport{}

// Supports every request but WebSocket upgrades and those that ask for Server-Sent Events.
func (t Transport) Supports(r *http.Request) bool {
	return !isUpgrade(r) && !request.WantsStream(r.Header.Values("Accept"))
}

// Do answers one request.
func (t Transport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	ctx := r.Context()
	a := answer{w: w, r: r, secure: t.Secure, mediaType: negotiate(r.Header.Get("Accept"))}
	if a.mediaType == "" {
		a.mediaType = typeJSON
		a.refuse(http.StatusNotAcceptable, chat.CodeBadInput, "accept application/graphql-response+json, application/json or, for subscriptions, text/event-stream")
		return
	}
	start := graphql.Now()
	params, status, problem := t.read(w, r)
	if problem != "" {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "GET, POST")
		}
		a.refuse(status, chat.CodeBadInput, problem)
		return
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}

	var op *graphql.OperationContext
	var errs gqlerror.List
	defer func() {
		if p := recover(); p != nil {
			a.recovered(ctx, p, op, exec)
		}
	}()
	op, errs = exec.CreateOperationContext(ctx, params)
	if errs != nil {
		a.send(requestStatus(a.mediaType, errs), exec.DispatchError(graphql.WithOperationContext(ctx, op), errs))
		return
	}
	switch {
	case op.Operation.Operation == ast.Subscription:
		a.refuse(http.StatusBadRequest, chat.CodeBadInput, "subscriptions need a WebSocket (graphql-transport-ws), or Accept: text/event-stream")
		return
	case op.Operation.Operation == ast.Mutation && r.Method == http.MethodGet:
		w.Header().Set("Allow", "POST")
		a.refuse(http.StatusMethodNotAllowed, chat.CodeBadInput, "mutations need POST")
		return
	}
	next, opCtx := exec.DispatchOperation(ctx, op)
	a.send(http.StatusOK, next(opCtx))
}

// read returns the operation that was asked for, or the status and the reason of a refusal.
func (t Transport) read(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, string) {
	switch r.Method {
	case http.MethodGet:
		return parsed(request.ParseQuery(r.URL.RawQuery))
	case http.MethodPost:
	default:
		return nil, http.StatusMethodNotAllowed, "use POST, or GET for queries"
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, http.StatusUnsupportedMediaType, "send the operation as Content-Type: application/json, in UTF-8"
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, http.StatusUnsupportedMediaType, "send the operation without Content-Encoding"
	}
	// What cannot be timed (in a test without a connection) is read all the same.
	arrive := http.NewResponseController(w)
	_ = arrive.SetReadDeadline(time.Now().Add(t.BodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, t.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, "the request body is too large"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, http.StatusRequestTimeout, "the request body took too long"
	case err != nil:
		return nil, http.StatusBadRequest, "the request body could not be read"
	}
	_ = arrive.SetReadDeadline(time.Time{}) // or the server would take it for the client's leaving
	return parsed(request.Parse(body))
}

func isJSON(contentType string) bool {
	if contentType == typeJSON {
		return true
	}
	name, params, err := mime.ParseMediaType(contentType)
	charset, ok := params["charset"]
	return err == nil && name == typeJSON && (!ok || isUTF8(charset))
}

// parsed is the operation, or the refusal of what is none.
func parsed(p *graphql.RawParams, err error) (*graphql.RawParams, int, string) {
	if err != nil {
		return nil, http.StatusBadRequest, err.Error()
	}
	return p, 0, ""
}

// requestStatus is the status of a request that was not executed. application/json may hide a refusal of an
// intermediary, so there a well-formed request is always 200. So is a persisted query that is not known: clients take
// that for an answer.
func requestStatus(mediaType string, errs gqlerror.List) int {
	if mediaType == typeJSON || errs[0].Extensions["code"] == codeNotPersisted {
		return http.StatusOK
	}
	return http.StatusBadRequest
}

// answer writes one response.
type answer struct {
	w         http.ResponseWriter
	r         *http.Request
	secure    bool
	mediaType string
}

func (a answer) refuse(status int, code chat.Code, message string) {
	err := gqlerror.Errorf("%s", message)
	errcode.Set(err, string(code))
	a.send(status, &graphql.Response{Errors: gqlerror.List{err}})
}

// recovered answers after a panic outside of any resolver; those within one are the executor's.
func (a answer) recovered(ctx context.Context, p any, op *graphql.OperationContext, exec graphql.GraphExecutor) {
	if op == nil || aborted(p) {
		panic(p)
	}
	ctx = graphql.WithOperationContext(ctx, op)
	a.send(http.StatusInternalServerError, exec.DispatchError(ctx, gqlerror.List{gqlerror.Wrap(op.RecoverFunc(ctx, p))}))
}

func (a answer) send(status int, resp *graphql.Response) {
	if resp == nil {
		a.refuse(http.StatusServiceUnavailable, chat.CodeUnavailable, "the request was cancelled")
		return
	}
	for _, c := range token.CarrierFrom(a.r.Context()).Cookies() {
		c.Secure = a.secure
		http.SetCookie(a.w, c)
		if c.Name == token.AccessCookie { // for uploads and the operators' pages, which never see the refresh token
			for _, path := range []string{filesPath, adminPath} {
				c := *c
				c.Path = path
				http.SetCookie(a.w, &c)
			}
		}
	}
	body, err := encode(resp)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}`)
	}
	h := a.w.Header()
	h.Set("Content-Type", a.mediaType+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	a.w.WriteHeader(status)
	_, _ = a.w.Write(body)
}

// encode leaves data out where nothing was executed, and copies it as it is.
func encode(resp *graphql.Response) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if len(resp.Errors) > 0 {
		errs, err := json.Marshal(resp.Errors)
		if err != nil {
			return nil, err
		}
		b.WriteString(`"errors":`)
		b.Write(errs)
	}
	if len(resp.Data) > 0 {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"data":`)
		b.Write(resp.Data)
	}
	if len(resp.Extensions) > 0 {
		ext, err := json.Marshal(resp.Extensions)
		if err != nil {
			return nil, err
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"extensions":`)
		b.Write(ext)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
