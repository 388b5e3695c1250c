package graph

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vikstrous/dataloadgen"

	"github.com/parley-chat/parley/internal/chat"
)

// Loaders batch what the resolvers of one operation, or of one event, look up by id. They cache: each operation and each
// event has its own set. What is not there is NOT_FOUND. Most operations use one or two: a loader is made when it is used.
type Loaders struct {
	Users         loader[*chat.User]
	Conversations loader[*chat.Conversation]
	Messages      loader[*chat.Message]
	Requests      loader[*chat.FriendRequest]
	Presences     loader[chat.Presence]
	Preferences   loader[*chat.NotificationPreferences] // by user
	// These look with the viewer's eyes, and fail where there is none.
	Memberships   loader[*chat.Member] // the viewer's, by conversation; nil: not a member
	Peers         loader[chat.ID]      // the other one of a direct conversation
	Relationships loader[chat.Relationship]
	Webhooks      loader[[]chat.Webhook]         // of conversations
	Incoming      loader[[]chat.IncomingWebhook] // of conversations that the viewer manages
	// Lists within the conversations of a list.
	Members  pages[chat.Member]
	History  pages[chat.Message]
	Receipts pages[chat.Receipt]
	// Lists within webhooks, for each status.
	Pending, Delivered, Dead pages[chat.WebhookDelivery]
}

type loader[V any] struct {
	batch batch[V]
	once  sync.Once
	made  *dataloadgen.Loader[chat.ID, V]
}

func (l *loader[V]) get() *dataloadgen.Loader[chat.ID, V] {
	l.once.Do(func() { l.made = dataloadgen.NewMappedLoader(l.batch, dataloadgen.WithWait(300*time.Microsecond)) })
	return l.made
}

// Load waits a moment for others to ask too, and looks all of it up at once.
func (l *loader[V]) Load(ctx context.Context, id chat.ID) (V, error) {
	v, err := l.get().Load(ctx, id)
	if errors.Is(err, dataloadgen.ErrNotFound) {
		err = chat.ErrNotFound
	}
	return v, err
}

// ifThere loads what may be gone, or may never have been.
func ifThere[V any](ctx context.Context, l *loader[*V], id chat.ID) (*V, error) {
	if id.IsZero() {
		return nil, nil
	}
	v, err := l.Load(ctx, id)
	if errors.Is(err, chat.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// pages load lists of conversations: those that are asked for with the same arguments are read at once.
type pages[T any] struct {
	read func(context.Context, []chat.ID, chat.Page) (map[chat.ID]chat.List[T], error)
	mu   sync.Mutex
	of   map[chat.Page]*loader[chat.List[T]]
}

// Load is loader's.
func (l *pages[T]) Load(ctx context.Context, id chat.ID, p chat.Page) (chat.List[T], error) {
	l.mu.Lock()
	x := l.of[p]
	if x == nil {
		x = &loader[chat.List[T]]{batch: func(ctx context.Context, ids []chat.ID) (map[chat.ID]chat.List[T], error) { return l.read(ctx, ids, p) }}
		if l.of == nil {
			l.of = map[chat.Page]*loader[chat.List[T]]{}
		}
		l.of[p] = x
	}
	l.mu.Unlock()
	return x.Load(ctx, id)
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
			l.Users.get().Prime(u.ID, u)
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
	r.prepare.Do(func() {
		r.batches = batches{
			users:         r.Users.ByIDs,
			conversations: r.conversationsByID,
			messages:      r.Messages.ByIDs,
			requests:      r.Friends.Requests,
			presences:     r.presencesByID,
			preferences:   r.Notifications.Preferences,
			memberships:   optional(ofViewer(r.Conversations.Memberships)),
			peers:         ofViewer(r.Conversations.Peers),
			relationships: ofViewer(r.Friends.Relationships),
			webhooks:      ofViewer(r.Hooks.Of),
			deliveries:    r.Hooks.Deliveries,
			incoming:      r.Bots.Webhooks,
			members:       r.Conversations.MembersOf,
			history:       r.Messages.Pages,
			receipts: func(ctx context.Context, ids []chat.ID, p chat.Page) (map[chat.ID]chat.List[chat.Receipt], error) {
				v, err := chat.MustViewer(ctx)
				if err != nil {
					return nil, err
				}
				return r.Conversations.ReceiptsOf(ctx, v.User, ids, p)
			},
		}
	})
	l, b := &Loaders{}, &r.batches
	l.Users.batch, l.Conversations.batch, l.Messages.batch, l.Requests.batch = b.users, b.conversations, b.messages, b.requests
	l.Preferences.batch = b.preferences
	l.Presences.batch, l.Memberships.batch, l.Peers.batch, l.Relationships.batch = b.presences, b.memberships, b.peers, b.relationships
	l.Members.read, l.History.read, l.Receipts.read, l.Webhooks.batch = b.members, b.history, b.receipts, b.webhooks
	l.Incoming.batch = b.incoming
	l.Pending.read, l.Delivered.read, l.Dead.read = b.deliveriesThatAre(chat.DeliveryPending), b.deliveriesThatAre(chat.DeliveryDelivered), b.deliveriesThatAre(chat.DeliveryDead)
	return context.WithValue(ctx, loadersKey{}, l)
}

// batches are what the loaders look up with.
type batches struct {
	users         batch[*chat.User]
	conversations batch[*chat.Conversation]
	messages      batch[*chat.Message]
	requests      batch[*chat.FriendRequest]
	presences     batch[chat.Presence]
	preferences   batch[*chat.NotificationPreferences]
	memberships   batch[*chat.Member]
	peers         batch[chat.ID]
	relationships batch[chat.Relationship]
	incoming      batch[[]chat.IncomingWebhook]
	members       func(context.Context, []chat.ID, chat.Page) (map[chat.ID]chat.List[chat.Member], error)
	history       func(context.Context, []chat.ID, chat.Page) (map[chat.ID]chat.List[chat.Message], error)
	receipts      func(context.Context, []chat.ID, chat.Page) (map[chat.ID]chat.List[chat.Receipt], error)
	webhooks      batch[[]chat.Webhook]
	deliveries    func(context.Context, []chat.ID, chat.DeliveryStatus, chat.Page) (map[chat.ID]chat.List[chat.WebhookDelivery], error)
}

func (b *batches) deliveriesThatAre(status chat.DeliveryStatus) func(context.Context, []chat.ID, chat.Page) (map[chat.ID]chat.List[chat.WebhookDelivery], error) {
	return func(ctx context.Context, ids []chat.ID, p chat.Page) (map[chat.ID]chat.List[chat.WebhookDelivery], error) {
		return b.deliveries(ctx, ids, status, p)
	}
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
		if mine, err = r.loaders(ctx).Memberships.get().LoadAll(ctx, ids); err != nil {
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

// optional makes nothing an answer too.
func optional[V any](load batch[*V]) batch[*V] {
	return func(ctx context.Context, ids []chat.ID) (map[chat.ID]*V, error) {
		found, err := load(ctx, ids)
		if err == nil {
			all := make(map[chat.ID]*V, len(ids))
			for _, id := range ids {
				all[id] = found[id]
			}
			found = all
		}
		return found, err
	}
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
