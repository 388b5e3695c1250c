package live

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// Operation is a running operation of a socket.
type Operation struct {
	mu        sync.Mutex
	cancelled bool
	stop      func()
}

// Cancel ends the operation without another message for it. It may be called before Open returns, and more than once.
func (o *Operation) Cancel() {
	o.mu.Lock()
	o.cancelled = true
	stop := o.stop
	o.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (o *Operation) onCancel(stop func()) {
	o.mu.Lock()
	o.stop = stop
	cancelled := o.cancelled
	o.mu.Unlock()
	if cancelled {
		stop()
	}
}

// Open executes a request for a target: a subscription is joined, anything else runs in a goroutine and answers with one
// message and a complete. ctx carries the viewer. Errors before the execution are returned presented, and nothing is sent
// for them. ran, if not nil, is told when a query or mutation begins (1) and has ended (-1).
func (l *Live) Open(ctx context.Context, params *graphql.RawParams, to Target, o *Operation, ran func(int)) gqlerror.List {
	exec := l.executor()
	ctx = graphql.StartOperationTrace(ctx)
	params.ReadTime.Start = graphql.GetStartTime(ctx)
	params.ReadTime.End = graphql.Now()
	oc, errs := exec.CreateOperationContext(ctx, params)
	if len(errs) > 0 {
		return exec.DispatchError(graphql.WithOperationContext(ctx, oc), errs).Errors
	}
	if oc.Operation.Operation == ast.Subscription {
		li, errs := l.Join(ctx, oc, to)
		if errs == nil {
			o.onCancel(li.Cancel)
		}
		return errs
	}
	if oc.Operation.Operation == ast.Mutation && to.ReadOnly {
		err := gqlerror.List{gqlerror.Wrap(chat.BadInput("mutations need POST"))}
		return exec.DispatchError(graphql.WithOperationContext(ctx, oc), err).Errors
	}
	stream := socket.NewStream(to.Socket, to.ID, to.Framing, ended(to.Ended))
	ctx, cancel := context.WithCancel(ctx)
	o.onCancel(func() {
		stream.Cancel()
		cancel()
	})
	stopped := context.AfterFunc(l.ctx, cancel) // Stop does not wait for what nobody will read
	if ran != nil {
		ran(1)
	}
	started := l.try(func() {
		defer cancel()
		defer stopped()
		resp := l.run(ctx, oc)
		if resp != nil {
			stream.Reply(Encode(resp))
		}
		stream.Complete()
		if ran != nil {
			ran(-1)
		}
	})
	if !started {
		stopped()
		cancel()
		if ran != nil {
			ran(-1)
		}
	}
	return nil
}

func (l *Live) run(ctx context.Context, oc *graphql.OperationContext) (resp *graphql.Response) {
	exec := l.executor()
	defer func() {
		if p := recover(); p != nil {
			resp = l.panicked(ctx, exec, oc, p)
		}
	}()
	responses, rctx := exec.DispatchOperation(ctx, oc)
	return responses(rctx)
}

// ended makes a function the owner of a stream that never falls behind.
type ended func()

func (ended) Behind(int64, bool) {}
func (f ended) Ended()           { f() }
