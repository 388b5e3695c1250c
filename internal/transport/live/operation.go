package live

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/parley-chat/parley/internal/chat"
)

// Operation is an operation of a socket, for one Open. It stands inside of what the transport keeps of the operation.
type Operation struct {
	m member // whose stream also takes the answer of a query or mutation

	mu        sync.Mutex
	cancelled bool
	begun     bool
	cancel    context.CancelFunc // of a query or mutation
}

// Cancel ends the operation without another message for it. It may be called before Open returns, and more than once.
func (o *Operation) Cancel() {
	o.mu.Lock()
	o.cancelled = true
	begun, cancel := o.begun, o.cancel
	o.mu.Unlock()
	switch {
	case !begun:
	case cancel != nil:
		o.m.stream.Cancel()
		cancel()
	default:
		o.m.l.leave(&o.m)
	}
}

// begin lets Cancel have something to cancel; cancel is nil for a subscription.
func (o *Operation) begin(cancel context.CancelFunc) {
	o.mu.Lock()
	o.begun, o.cancel = true, cancel
	cancelled := o.cancelled
	o.mu.Unlock()
	if cancelled {
		o.Cancel()
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
		errs := l.join(ctx, oc, to, &o.m)
		if errs == nil {
			o.begin(nil)
		}
		return errs
	}
	if oc.Operation.Operation == ast.Mutation && to.ReadOnly {
		err := gqlerror.List{gqlerror.Wrap(chat.BadInput("mutations need POST"))}
		return exec.DispatchError(graphql.WithOperationContext(ctx, oc), err).Errors
	}
	stream := &o.m.stream
	stream.Init(to.Socket, to.ID, to.Framing, answering{to.Ender})
	ctx, cancel := context.WithCancel(ctx)
	o.begin(cancel)
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

// answering is the owner of a stream that never falls behind.
type answering struct{ Ender }

func (answering) Behind(int64, bool) {}
