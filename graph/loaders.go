package graph

import (
	"context"
	"errors"
	"time"

	"github.com/vikstrous/dataloadgen"

	"github.com/parley-chat/parley/internal/chat"
)

// Loaders batch what the resolvers of one operation, or of one event, look up by id. They cache: each operation and each
// event has its own set. What is not there is NOT_FOUND.
type Loaders struct {
	Users         loader[*chat.User]
	Conversations loader[*chat.Conversation]
	Messages      loader[*chat.Message]
	Requests      loader[*chat.FriendRequest]
	Presences     loader[chat.Presence]
	// These three look with the viewer's eyes, and fail where there is none.
	Memberships   loader[*chat.Member] // the viewer's, by conversation; nil: not a member
	Peers         loader[chat.ID]      // the other one of a direct conversation
	Relationships loader[chat.Relationship]
}

type loader[V any] struct {
	*dataloadgen.Loader[chat.ID, V]
}

// Load waits a moment for others to ask too, and looks all of it up at once.
func (l loader[V]) Load(ctx context.Context, id chat.ID) (V, error) {
	v, err := l.Loader.Load(ctx, id)
	if errors.Is(err, dataloadgen.ErrNotFound) {
		err = chat.ErrNotFound
	}
	return v, err
}

type (
	loadersKey struct{}
	appliedKey struct{}
)

// Begin returns the context of an operation: a fresh set of loaders, and the position as of which it is read. An event's
// execution has been given its set already.
func (r *Resolver) Begin(ctx context.Context) context.Context {
	if ctx.Value(loadersKey{}) != nil {
		return ctx
	}
	return r.WithLoaders(context.WithValue(ctx, appliedKey{}, r.Applied()))
}

// PerEvent returns the context in which an event is executed: loaders that live no longer, and that know already what
// travels with the event.
func (r *Resolver) PerEvent(ctx context.Context, e *chat.Event) context.Context {
	ctx = r.WithLoaders(ctx)
	l := r.loaders(ctx)
	for _, u := range []*chat.User{e.Rows.Actor, e.Rows.User} {
		if u != nil {
			l.Users.Prime(u.ID, u)
		}
	}
	return ctx
}

// appliedAt is the position as of which the operation is read: it was noted before anything else.
func appliedAt(ctx context.Context) chat.Position {
	p, _ := ctx.Value(appliedKey{}).(chat.Position)
	return p
}

// WithLoaders returns a context with a fresh set of loaders.
func (r *Resolver) WithLoaders(ctx context.Context) context.Context {
	return context.WithValue(ctx, loadersKey{}, &Loaders{
		Users:         byID(r.Users.ByIDs),
		Conversations: byID(r.conversationsByID),
		Messages:      byID(r.Messages.ByIDs),
		Requests:      byID(r.Friends.Requests),
		Presences:     byID(r.presencesByID),
		Memberships:   optional(ofViewer(r.Conversations.Memberships)),
		Peers:         byID(ofViewer(r.Conversations.Peers)),
		Relationships: byID(ofViewer(r.Friends.Relationships)),
	})
}

func (r *Resolver) loaders(ctx context.Context) *Loaders {
	return ctx.Value(loadersKey{}).(*Loaders) // every operation and event gets a set: see app
}

// conversationsByID closes the conversations where whoever is told of them is not a member (any more).
func (r *Resolver) conversationsByID(ctx context.Context, ids []chat.ID) (map[chat.ID]*chat.Conversation, error) {
	found, err := r.Conversations.ByIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	closed := chat.IsClosed(ctx)
	mine := make([]*chat.Member, len(ids))
	_, looked := chat.ViewerFrom(ctx)
	if looked && !closed {
		if mine, err = r.loaders(ctx).Memberships.LoadAll(ctx, ids); err != nil {
			return nil, err
		}
	}
	for i, id := range ids {
		if c := found[id]; c != nil && (closed || looked && mine[i] == nil) {
			*c = c.Close()
		}
	}
	return found, nil
}

func (r *Resolver) presencesByID(ctx context.Context, ids []chat.ID) (map[chat.ID]chat.Presence, error) {
	found, err := r.Presences.Of(ctx, ids)
	by := make(map[chat.ID]chat.Presence, len(found))
	for _, p := range found {
		by[p.User] = p
	}
	return by, err
}

type batch[V any] func(context.Context, []chat.ID) (map[chat.ID]V, error)

func byID[V any](load batch[V]) loader[V] {
	return loader[V]{dataloadgen.NewMappedLoader(load, dataloadgen.WithWait(300*time.Microsecond))}
}

// optional is byID where nothing is an answer too.
func optional[V any](load batch[*V]) loader[*V] {
	return byID(func(ctx context.Context, ids []chat.ID) (map[chat.ID]*V, error) {
		found, err := load(ctx, ids)
		if err == nil {
			all := make(map[chat.ID]*V, len(ids))
			for _, id := range ids {
				all[id] = found[id]
			}
			found = all
		}
		return found, err
	})
}

func ofViewer[V any](load func(ctx context.Context, viewer chat.ID, ids []chat.ID) (map[chat.ID]V, error)) batch[V] {
	return func(ctx context.Context, ids []chat.ID) (map[chat.ID]V, error) {
		v, err := chat.MustViewer(ctx)
		if err != nil {
			return nil, err
		}
		return load(ctx, v.User, ids)
	}
}
