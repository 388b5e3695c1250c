package worker

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime/debug"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
)

// Listeners says what follows from events. An event is named by its type, or by a pattern in which * stands for anything:
// FRIEND_REQUEST_*. All of them are registered before the first change, and before Start.
type Listeners struct {
	worker *Worker
	errs   []error
}

// Listen begins to register listeners.
func (w *Worker) Listen() *Listeners { return &Listeners{worker: w} }

// On has a listener run in the transaction of the event: if it fails, the change does not happen.
func (l *Listeners) On(pattern string, listener store.Listener) {
	for _, t := range l.match(pattern) {
		if store.IsBatched(t) {
			l.errs = append(l.errs, fmt.Errorf("listener of %s: %s is committed by batches, in which nothing else runs; use Later", pattern, t))
			continue
		}
		l.worker.store.On(t, listener)
	}
}

// Later has a job made of the event, exactly one if and only if the change happens: in its transaction or, for messages and
// receipts, which are committed by batches, as soon as a node has read them from the log. derive returns nil when there is
// nothing to do; the InsertOpts of what it returns are those of the job. It sees an event once for each topic, and is no
// place for anything that takes time or can fail.
func (l *Listeners) Later(pattern string, derive func(*chat.Event) job.Args) {
	for _, t := range l.match(pattern) {
		if store.IsBatched(t) {
			l.follow(follower{[]chat.EventType{t}, func(ctx context.Context, tx *store.Tx, events []*chat.Event) error {
				for _, e := range events {
					if err := l.worker.insert(ctx, tx, derive(e)); err != nil {
						return err
					}
				}
				return nil
			}})
			continue
		}
		l.worker.store.On(t, func(ctx context.Context, tx *store.Tx, e *chat.Event) error {
			return l.worker.insert(ctx, tx, derive(e))
		})
	}
}

// Span has a job made of a stretch of the log in which something that matches happened: positions from to through, both
// inclusive. The job reads the events itself. Stretches follow upon each other, and a busy log costs a few jobs a second,
// however much happens. derive returns nil when there is nothing to do, as is usual: it runs in the transaction that makes
// the job, so it asks by one statement.
func (l *Listeners) Span(pattern string, derive func(tx *store.Tx, from, through chat.Position) (job.Args, error)) {
	l.follow(follower{l.match(pattern), func(ctx context.Context, tx *store.Tx, events []*chat.Event) error {
		args, err := derive(tx, events[0].Position, events[len(events)-1].Position)
		if err != nil {
			return err
		}
		return l.worker.insert(ctx, tx, args)
	}})
}

// After has a listener run after the events, in the order of the log and each event once, whichever node it is on: in a
// transaction of its own for those of a stretch, at most followMax. While it fails, it is run again and again, and no jobs are
// made of messages; so it changes rows, inserts jobs, and is no place for anything else.
func (l *Listeners) After(pattern string, listener func(ctx context.Context, tx *store.Tx, events []*chat.Event) error) {
	l.follow(follower{l.match(pattern), listener})
}

// Err says what cannot be listened to.
func (l *Listeners) Err() error { return errors.Join(l.errs...) }

func (l *Listeners) match(pattern string) (types []chat.EventType) {
	for _, t := range chat.LogEvents {
		if ok, err := path.Match(pattern, string(t)); ok && err == nil {
			types = append(types, t)
		}
	}
	if types == nil {
		l.errs = append(l.errs, fmt.Errorf("listener of %q: there is no such event", pattern))
	}
	return types
}

// follower does what follows from events of some types, in order, of which there is at least one.
type follower struct {
	of []chat.EventType
	do func(context.Context, *store.Tx, []*chat.Event) error
}

// recovered is do. The node would not survive a panic of it, nor would the next one.
func (f follower) recovered(ctx context.Context, tx *store.Tx, events []*chat.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f.do(ctx, tx, events)
}

func (l *Listeners) follow(f follower) {
	l.worker.followers = append(l.worker.followers, f)
	for _, t := range f.of {
		if !slices.Contains(l.worker.followed, t) {
			l.worker.followed = append(l.worker.followed, t)
		}
	}
}

func (w *Worker) insert(ctx context.Context, tx *store.Tx, args job.Args) error {
	if args == nil {
		return nil
	}
	return w.jobs.Insert(ctx, tx, args, nil)
}

// Applied tells of events that were committed. It does not block.
func (w *Worker) Applied(events []*chat.Event) {
	if len(w.followed) > 0 && slices.ContainsFunc(events, func(e *chat.Event) bool { return slices.Contains(w.followed, e.Type) }) {
		select {
		case w.grown <- struct{}{}:
		default:
		}
	}
}

const (
	followMax    = 1000                   // events in one transaction
	followPause  = 250 * time.Millisecond // after a transaction: what comes meanwhile is one more
	followAgain  = time.Second            // after an error, or when another node is at it
	followAnyway = time.Minute            // for what nobody told of
)

// follow makes jobs of what the log tells, until ctx ends.
func (w *Worker) follow(ctx context.Context) {
	for wait := time.Duration(0); ; {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-w.grown:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
		behind, err := w.followOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.Log.Warn("no jobs can be made of messages for now; trying again", "error", err)
			wait = followAgain
		case behind < 0:
			wait = followAgain
		case behind > 0:
			wait = 0
		default:
			wait = followAnyway
		}
		if wait > 0 && !sleep(ctx, followPause) {
			return
		}
	}
}

// followOnce follows the log for a stretch: after a failure for half as much as before, so that what cannot be done for many
// events in the time that a transaction has is done for fewer, and nobody waits for ever.
func (w *Worker) followOnce(ctx context.Context) (behind int64, err error) {
	stride := w.stride.Load()
	behind, err = w.store.Follow(ctx, w.followed, int(stride), func(tx *store.Tx, events []*chat.Event) error {
		for _, f := range w.followers {
			of := slices.DeleteFunc(slices.Clone(events), func(e *chat.Event) bool { return !slices.Contains(f.of, e.Type) })
			if len(of) == 0 {
				continue
			}
			if err := f.recovered(ctx, tx, of); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.stride.Store(max(1, stride/2))
	} else {
		w.stride.Store(min(followMax, 2*stride))
	}
	return behind, err
}

// catchUp follows the log to its end, before that is trimmed.
func (w *Worker) catchUp(ctx context.Context) error {
	for {
		behind, err := w.followOnce(ctx)
		if err != nil || behind == 0 {
			return err
		}
		if behind < 0 && !sleep(ctx, followPause) {
			return context.Cause(ctx)
		}
	}
}

// sleep waits, and says whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
