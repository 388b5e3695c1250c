package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"github.com/parley-chat/parley/internal/chat"
)

// page reads a page of a list of the viewer's.
func page[T any](ctx context.Context, first *int, after *string, last *int, before *string,
	read func(ctx context.Context, viewer chat.ID, p chat.Page) (chat.List[T], error)) (l chat.List[T], err error) {
	v, err := chat.MustViewer(ctx)
	if err != nil {
		return l, err
	}
	p, err := chat.PageOf(first, after, last, before)
	if err != nil {
		return l, err
	}
	return read(ctx, v.User, p)
}

// within reads a page of a conversation's list; that of a closed one is empty. Within a list of conversations those of all
// of them are read at once; a conversation by itself need not wait for others.
func within[T any](ctx context.Context, r *Resolver, c *chat.Conversation, first *int, after *string, last *int, before *string,
	read func(ctx context.Context, conversation chat.ID, p chat.Page) (chat.List[T], error), several *pages[T]) (l chat.List[T], err error) {
	p, err := chat.PageOf(first, after, last, before)
	if err != nil {
		return l, err
	}
	if closed, err := r.closed(ctx, c); err != nil || closed {
		return chat.NewList(p, []T{}, nil), err
	}
	if inList(ctx) {
		return several.Load(ctx, c.ID, p)
	}
	return read(ctx, c.ID, p)
}

// inList says whether the field is one of an item of a list.
func inList(ctx context.Context) bool {
	for f := graphql.GetFieldContext(ctx); f != nil; f = f.Parent {
		if f.Index != nil {
			return true
		}
	}
	return false
}

// closed says whether the conversation tells nothing but its id and kind: it was closed where it was loaded, or the viewer
// is not a member. Where there is no viewer the execution is shared by members, each of whom was admitted.
func (r *Resolver) closed(ctx context.Context, c *chat.Conversation) (bool, error) {
	if _, ok := chat.ViewerFrom(ctx); !ok || c.Closed {
		return c.Closed, nil
	}
	m, err := r.membership(ctx, c)
	return m == nil, err
}

// membership is the viewer's membership in the conversation; nil when there is none. It is only for fields that are marked
// @viewer, and for closed.
func (r *Resolver) membership(ctx context.Context, c *chat.Conversation) (*chat.Member, error) {
	if c.Closed {
		return nil, nil
	}
	return r.loaders(ctx).Memberships.Load(ctx, c.ID)
}

// message is a message of a conversation that the viewer is in.
func (r *Resolver) message(ctx context.Context, id chat.ID) (*chat.Message, error) {
	if _, err := chat.MustViewer(ctx); err != nil {
		return nil, err
	}
	m, err := r.loaders(ctx).Messages.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	mine, err := r.loaders(ctx).Memberships.Load(ctx, m.Conversation)
	if err == nil && mine == nil {
		err = chat.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// inside says whether the viewer is in the conversation of a notification. It is only for fields that are marked @viewer.
func (r *Resolver) inside(ctx context.Context, n *chat.Notification) (bool, error) {
	if n.Conversation.IsZero() {
		return false, nil
	}
	m, err := r.loaders(ctx).Memberships.Load(ctx, n.Conversation)
	return m != nil, err
}
