package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// group is all listeners that asked the same: same operation, same variables but for the cursor.
type group struct {
	key     string
	shape   *shape
	op      *graphql.OperationContext
	members int // guarded by Live.mu
	greeted atomic.Pointer[greeted]
}

// newGroup keeps nothing of the listener that happened to come first: no headers, extensions or cursor.
func newGroup(key string, s *shape, oc *graphql.OperationContext) *group {
	g := &group{key: key, shape: s, op: cloneOperation(oc)}
	g.op.Variables = make(map[string]any, len(oc.Variables))
	for k, v := range oc.Variables {
		if k != s.cursorVar {
			g.op.Variables[k] = v
		}
	}
	return g
}

func cloneOperation(oc *graphql.OperationContext) *graphql.OperationContext {
	return &graphql.OperationContext{
		RawQuery: oc.RawQuery, Variables: oc.Variables, OperationName: oc.OperationName, Doc: oc.Doc, Operation: oc.Operation,
		DisableIntrospection: oc.DisableIntrospection, RecoverFunc: oc.RecoverFunc,
		ResolverMiddleware: oc.ResolverMiddleware, RootResolverMiddleware: oc.RootResolverMiddleware,
	}
}

// rendering is one event as one audience of a group gets it. frame is nil where the operation says nothing about the
// event, and where unavailable is set: then it must be tried again, and nothing is delivered for it.
type rendering struct {
	done        chan struct{} // closed when the rest is set
	frame       *socket.Frame
	unavailable bool
}

type renderingKey struct {
	g      *group
	topic  chat.Topic
	pos    chat.Position
	closed bool
}

// memo keeps the newest renderings that many may ask for, so that an event is executed once for live listeners and for
// every replay. It is bounded by bytes.
type memo struct {
	mu    sync.Mutex
	max   int
	size  int
	made  map[renderingKey]*rendering
	order []renderingKey
}

const renderingOverhead = 256

func (m *memo) get(k renderingKey) (r *rendering, made bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r = m.made[k]; r != nil {
		return r, true
	}
	r = &rendering{done: make(chan struct{})}
	m.made[k] = r
	return r, false
}

func (m *memo) settle(k renderingKey, r *rendering) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.unavailable {
		delete(m.made, k)
		return
	}
	m.order = append(m.order, k)
	m.size += cost(r)
	for m.size > m.max && len(m.order) > 1 {
		m.size -= cost(m.made[m.order[0]])
		delete(m.made, m.order[0])
		m.order = m.order[1:]
	}
}

// forget drops what was made of a topic's events: their content is gone.
func (m *memo) forget(t chat.Topic) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.order = slices.DeleteFunc(m.order, func(k renderingKey) bool {
		if k.topic != t {
			return false
		}
		m.size -= cost(m.made[k])
		delete(m.made, k)
		return true
	})
}

func cost(r *rendering) int {
	if r.frame == nil {
		return renderingOverhead
	}
	return renderingOverhead + len(r.frame.Payload)
}

// render executes an event for a group, or waits for who is at it, or finds that it was done. viewer is nil unless the
// selection depends on one.
func (l *Live) render(g *group, e *chat.Event, closed bool, viewer *chat.Viewer) *rendering {
	if viewer != nil || e.Position == 0 || e.Type == chat.CaughtUp {
		r := &rendering{}
		l.execute(g, e, closed, viewer, r)
		return r
	}
	k := renderingKey{g, e.Topic, e.Position, closed}
	r, made := l.memo.get(k)
	if made {
		<-r.done
		return r
	}
	defer close(r.done)
	l.execute(g, e, closed, nil, r)
	l.memo.settle(k, r)
	return r
}

// execute runs the operation for one event. Its context cannot be cancelled: a cancelled one could lose the event on its
// way through gqlgen.
func (l *Live) execute(g *group, e *chat.Event, closed bool, viewer *chat.Viewer, r *rendering) {
	d := &delivery{event: e}
	resp := l.dispatch(g, d, closed, viewer)
	if !d.projected && (resp == nil || len(resp.Errors) == 0) {
		return
	}
	if e.Type == chat.CaughtUp || e.Rows.Snapshot {
		l.counts.greetings.Add(1)
	} else {
		l.counts.executions.Add(1)
	}
	if resp == nil {
		return
	}
	if unavailable(resp.Errors) {
		r.unavailable = true
		return
	}
	root := rootField(g.op).Alias
	if len(resp.Errors) > 0 && isNull(resp.Data, root) && !slices.ContainsFunc(codes(resp.Errors), func(c chat.Code) bool { return c != chat.CodeNotFound }) {
		return // its content went while it was executed: the event that says so follows
	}
	for _, e := range resp.Errors {
		e.Locations = nil // of one listener's text; the others wrote theirs in another way
	}
	pos := int64(e.Position)
	if e.Type == chat.CaughtUp {
		pos = 0
	}
	r.frame = &socket.Frame{Pos: pos, Payload: encode(resp, root)}
}

func (l *Live) dispatch(g *group, d *delivery, closed bool, viewer *chat.Viewer) (resp *graphql.Response) {
	op := cloneOperation(g.op) // interceptors may write into it
	ctx := context.Background()
	if viewer != nil {
		ctx = chat.WithViewer(ctx, *viewer)
	}
	if closed {
		ctx = chat.WithClosed(ctx)
	}
	ctx = graphql.StartOperationTrace(ctx)
	if l.cfg.PerEvent != nil {
		ctx = l.cfg.PerEvent(ctx, d.event)
	}
	exec := l.executor()
	defer func() {
		if p := recover(); p != nil { // gqlgen recovers in field resolvers, not in interceptors or in project
			resp = l.panicked(ctx, exec, op, p)
		}
	}()
	responses, rctx := exec.DispatchOperation(context.WithValue(ctx, phaseKey{}, d), op)
	// gqlgen leaves the root field out of the paths of errors in events unless it stands in the context.
	f := rootField(op)
	return responses(graphql.WithFieldContext(rctx, &graphql.FieldContext{Object: "Subscription", Field: f}))
}

func (l *Live) panicked(ctx context.Context, exec graphql.GraphExecutor, op *graphql.OperationContext, p any) (resp *graphql.Response) {
	defer func() {
		if recover() != nil { // an interceptor that always panics
			e := &gqlerror.Error{Message: "internal error", Extensions: map[string]any{"code": string(chat.CodeInternal)}}
			resp = &graphql.Response{Errors: gqlerror.List{e}}
		}
	}()
	ctx = graphql.WithOperationContext(ctx, op)
	err := errors.New("internal error")
	if op.RecoverFunc != nil {
		err = op.RecoverFunc(ctx, p)
	}
	return exec.DispatchError(ctx, gqlerror.List{gqlerror.WrapIfUnwrapped(err)})
}

func rootField(op *graphql.OperationContext) graphql.CollectedField {
	fs := graphql.CollectFields(op, op.Operation.SelectionSet, []string{"Subscription"})
	if len(fs) == 0 { // skipped by a directive
		return graphql.CollectedField{}
	}
	return fs[0]
}

func unavailable(errs gqlerror.List) bool { return slices.Contains(codes(errs), chat.CodeUnavailable) }

// codes are those of the errors, presented or not; empty for one that has none.
func codes(errs gqlerror.List) []chat.Code {
	codes := make([]chat.Code, len(errs))
	for i, e := range errs {
		switch code := e.Extensions["code"].(type) {
		case string:
			codes[i] = chat.Code(code)
		case chat.Code:
			codes[i] = code
		default:
			if e.Err != nil {
				codes[i] = chat.CodeOf(e.Err)
			}
		}
	}
	return codes
}

// encode is json.Marshal without compacting and escaping the data once more. The data is copied: gqlgen's buffer is
// overwritten by the next response. A root that became null is "data": null, as the specification has it for a field
// that may not be null, and not an object with a null.
func encode(r *graphql.Response, root string) []byte {
	b := append(make([]byte, 0, len(r.Data)+16), '{')
	if len(r.Errors) > 0 {
		b = append(append(append(b, `"errors":`...), marshal(r.Errors)...), ',')
	}
	if len(r.Extensions) > 0 {
		b = append(append(append(b, `"extensions":`...), marshal(r.Extensions)...), ',')
	}
	data := bytes.TrimSpace(r.Data)
	if len(data) == 0 && len(r.Errors) > 0 && root == "" { // a request error has no data at all
		return append(b[:len(b)-1], '}')
	}
	b = append(b, `"data":`...)
	if len(data) == 0 || len(r.Errors) > 0 && isNull(data, root) {
		return append(b, "null}"...)
	}
	return append(append(b, data...), '}')
}

func isNull(data []byte, root string) bool {
	return root != "" && string(bytes.TrimSpace(data)) == `{"`+root+`":null}`
}

// marshal writes errors and extensions; what cannot be written is left out rather than the response with it.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

// Errors is a list of errors as JSON, for a stream's last message.
func Errors(list gqlerror.List) []byte { return marshal(list) }

// Encode is a response as JSON.
func Encode(r *graphql.Response) []byte { return encode(r, "") }
