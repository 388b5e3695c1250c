// Package hook holds the rules of outgoing webhooks: addresses that are told of events as they happen.
//
// FanOut runs after the events, in the order of the log, and writes down which webhook is to be told of what. A webhook with
// something to be told of has one job, Deliver, which takes what is next, in the order of the log, and goes on only when
// that was delivered or given up. The job's end and its successor are one transaction, under the lock of the webhook's row,
// which whoever adds deliveries holds too: so there is a job for as long as anything is pending, and never two.
//
// What is sent is made of the event and of the rows as they are then, so that what was deleted is not told.
package hook

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/webhook"
)

// Guard makes requests to addresses that users gave: an outbound.Guard.
type Guard interface {
	webhook.Doer
	// Check says what is wrong with an address, as BAD_USER_INPUT.
	Check(address string) error
}

// Config has the limits. Zero values mean the defaults.
type Config struct {
	Key                []byte // seals the secrets: 32 bytes, the same on every node
	MaxPerConversation int    // 0: 10
	MaxGlobal          int    // 0: 50
	MaxPending         int    // deliveries of one webhook, which is disabled beyond; 0: 100,000
	Now                func() time.Time
	Log                *slog.Logger
}

const (
	// overlap is how long the secret before the last signs too.
	overlap = 24 * time.Hour
	// maxFailing is how long nothing may be delivered until a webhook is disabled.
	maxFailing = 3 * 24 * time.Hour
	// maxReplayed is how many deliveries are replayed by one call.
	maxReplayed = 1000
)

// Service holds the rules.
type Service struct {
	store  *store.Store
	jobs   *job.Client
	guard  Guard
	sender *webhook.Sender
	Config
	jitter func() float64
}

// New makes the service. It registers nothing: see FanOut, OnConversationDeleted, OnGone, Deliver and Purge.
func New(s *store.Store, jobs *job.Client, g Guard, c Config) *Service {
	if c.MaxPerConversation == 0 {
		c.MaxPerConversation = 10
	}
	if c.MaxGlobal == 0 {
		c.MaxGlobal = 50
	}
	if c.MaxPending == 0 {
		c.MaxPending = 100_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{s, jobs, g, webhook.New(g, c.Now), c, rand.Float64}
}

// Change is what is new about a webhook; what is nil stays.
type Change struct {
	URL     *string
	Types   []chat.EventType // empty, but not nil: all
	Enabled *bool
}

// Create makes a webhook of a conversation's, or, without one, of the whole installation's, and the secret that signs what it
// is told. Errors: BAD_USER_INPUT for the address and the types; NOT_FOUND for who is not in the conversation; FORBIDDEN for
// members of a group who do not run it, and, without a conversation, for who is not an administrator; CONFLICT at the limits.
func (s *Service) Create(ctx context.Context, viewer, conversation chat.ID, url string, types []chat.EventType) (w chat.Webhook, _ webhook.Secret, _ chat.Position, err error) {
	if !conversation.IsZero() && conversation.Kind != chat.KindConversation {
		return w, webhook.Secret{}, 0, chat.ErrNotFound
	}
	secret := webhook.NewSecret()
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		most, who := s.MaxGlobal, "this installation"
		if !conversation.IsZero() {
			most, who = s.MaxPerConversation, "the conversation"
			if _, err := tx.LockConversation(conversation); err != nil {
				return err
			}
		} else if _, err := tx.LockUsers(viewer); err != nil { // so that one administrator counts at a time
			return err
		}
		switch may, err := s.runs(ctx, tx, viewer, conversation); {
		case err != nil:
			return err
		case !may && conversation.IsZero():
			return chat.Forbidden("webhooks of the whole installation are for its administrators")
		case !may:
			return chat.Forbidden("your role in this group does not allow this")
		}
		w = chat.Webhook{ID: chat.NewID(chat.KindWebhook), Conversation: conversation, Owner: viewer, URL: url, Types: unique(types), Enabled: true, CreatedAt: tx.Now}
		if err := s.checkWebhook(w); err != nil {
			return err
		}
		if n, err := tx.CountWebhooks(conversation); err != nil {
			return err
		} else if n >= most {
			return chat.Conflict(who + " has as many webhooks as it can; delete one")
		}
		if w.Secret, err = s.seal(w.ID, secret); err != nil {
			return err
		}
		return tx.InsertWebhook(w)
	})
	return w, secret, pos, err
}

// Update changes a webhook. One that is enabled again, or gets another address, is tried at once, and is viewer's from then on.
// Errors: BAD_USER_INPUT; NOT_FOUND for who does not run what it is about.
func (s *Service) Update(ctx context.Context, viewer, id chat.ID, c Change) (w chat.Webhook, _ chat.Position, err error) {
	pos, err := s.change(ctx, viewer, id, func(tx *store.Tx, old chat.Webhook) error {
		w = old
		if c.URL != nil {
			w.URL = *c.URL
		}
		if c.Types != nil {
			w.Types = unique(c.Types)
		}
		if c.Enabled != nil {
			w.Enabled = *c.Enabled
		}
		if err := s.checkWebhook(w); err != nil {
			return err
		}
		again := w.Enabled && (!old.Enabled || w.URL != old.URL)
		if w.Enabled != old.Enabled {
			w.Reason = ""
		}
		if again {
			w.Owner, w.FailingSince = viewer, time.Time{}
		}
		if err := tx.UpdateWebhook(w); err != nil || !again {
			return err
		}
		if w, err = tx.LockWebhook(id); err != nil || w.Pending == 0 { // counted
			return err
		}
		if err := tx.DueNow(id, s.Now()); err != nil {
			return err
		}
		return s.jobs.Hurry(ctx, tx, DeliverArgs{id}, nil)
	})
	return w, pos, err
}

// Rotate makes a new secret. For a day the one before signs too. Errors: NOT_FOUND.
func (s *Service) Rotate(ctx context.Context, viewer, id chat.ID) (w chat.Webhook, secret webhook.Secret, _ chat.Position, err error) {
	secret = webhook.NewSecret()
	pos, err := s.change(ctx, viewer, id, func(tx *store.Tx, old chat.Webhook) (err error) {
		w = old
		w.OldSecret, w.OldUntil = old.Secret, store.Micros(s.Now().Add(overlap))
		if _, err := s.open(id, old.Secret); err != nil { // it can sign nothing
			w.OldSecret, w.OldUntil = "", time.Time{}
		}
		if w.Secret, err = s.seal(id, secret); err != nil {
			return err
		}
		return tx.UpdateWebhook(w)
	})
	return w, secret, pos, err
}

// Delete deletes a webhook, with what it has not been told yet. Errors: NOT_FOUND.
func (s *Service) Delete(ctx context.Context, viewer, id chat.ID) (chat.Position, error) {
	return s.change(ctx, viewer, id, func(tx *store.Tx, w chat.Webhook) error { return tx.DeleteWebhook(id) })
}

// Ping has a test delivered, ahead of all else and only once. Errors: NOT_FOUND; CONFLICT for a webhook that is disabled, and
// while another ping is on its way.
func (s *Service) Ping(ctx context.Context, viewer, id chat.ID) (d chat.WebhookDelivery, _ chat.Position, err error) {
	pos, err := s.change(ctx, viewer, id, func(tx *store.Tx, w chat.Webhook) error {
		if err := enabled(w); err != nil {
			return err
		}
		if there, err := tx.HasPing(id); err != nil {
			return err
		} else if there {
			return chat.Conflict("a ping is on its way already")
		}
		now := store.Micros(s.Now())
		d = chat.WebhookDelivery{ID: chat.NewID(chat.KindWebhookDelivery), Webhook: id, Position: chat.Position(-now.UnixMicro()), Type: chat.PingDelivery,
			Status: chat.DeliveryPending, QueuedAt: now, NextAt: now}
		if err := tx.InsertDeliveries(id, []chat.WebhookDelivery{d}); err != nil {
			return err
		}
		return s.jobs.Hurry(ctx, tx, DeliverArgs{id}, nil)
	})
	return d, pos, err
}

// Replay has a dead delivery tried again, at its place in the order. Errors: NOT_FOUND; CONFLICT when it is not dead, or its
// webhook disabled.
func (s *Service) Replay(ctx context.Context, viewer, delivery chat.ID) (d chat.WebhookDelivery, _ chat.Position, err error) {
	if delivery.Kind != chat.KindWebhookDelivery {
		return d, 0, chat.ErrNotFound
	}
	if d, err = s.store.WebhookDelivery(ctx, delivery); err != nil {
		return d, 0, err
	}
	pos, err := s.change(ctx, viewer, d.Webhook, func(tx *store.Tx, w chat.Webhook) error {
		n, err := s.replay(ctx, tx, w, delivery)
		if err != nil {
			return err
		}
		if n == 0 {
			return chat.Conflict("the delivery is not dead")
		}
		d, err = tx.WebhookDelivery(ctx, delivery)
		return err
	})
	return d, pos, err
}

// ReplayDead has dead deliveries tried again, the oldest first, at their places in the order: at most maxReplayed. It says how
// many. Errors: NOT_FOUND; CONFLICT when the webhook is disabled, or too much is pending.
func (s *Service) ReplayDead(ctx context.Context, viewer, id chat.ID) (w chat.Webhook, n int, _ chat.Position, err error) {
	pos, err := s.change(ctx, viewer, id, func(tx *store.Tx, old chat.Webhook) error {
		if n, err = s.replay(ctx, tx, old, chat.ID{}); err != nil {
			return err
		}
		w, err = tx.Webhook(ctx, id)
		return err
	})
	return w, n, pos, err
}

func (s *Service) replay(ctx context.Context, tx *store.Tx, w chat.Webhook, only chat.ID) (int, error) {
	if err := enabled(w); err != nil {
		return 0, err
	}
	room := min(maxReplayed, s.MaxPending-w.Pending)
	if room <= 0 {
		return 0, chat.Conflict("too many deliveries are pending; wait until some are delivered")
	}
	n, err := tx.ReplayDeliveries(w.ID, only, s.Now(), room)
	if err != nil || n == 0 {
		return 0, err
	}
	return int(n), s.jobs.Hurry(ctx, tx, DeliverArgs{w.ID}, nil)
}

// Global reads the webhooks of the whole installation. Errors: FORBIDDEN for who is not an administrator.
func (s *Service) Global(ctx context.Context, viewer chat.ID) ([]chat.Webhook, error) {
	switch admin, err := s.store.IsAdmin(ctx, viewer); {
	case err != nil:
		return nil, err
	case !admin:
		return nil, chat.Forbidden("webhooks of the whole installation are for its administrators")
	}
	return s.store.GlobalWebhooks(ctx)
}

// Of reads the webhooks of conversations, the oldest first: none of those that viewer does not run.
func (s *Service) Of(ctx context.Context, viewer chat.ID, conversations []chat.ID) (map[chat.ID][]chat.Webhook, error) {
	mine, err := s.store.Memberships(ctx, viewer, conversations)
	if err != nil {
		return nil, err
	}
	kinds, err := s.store.Conversations(ctx, conversations)
	if err != nil {
		return nil, err
	}
	var run []chat.ID
	for _, c := range kinds {
		if slices.ContainsFunc(mine, func(m chat.Member) bool { return m.Conversation == c.ID && rules(c.Kind, m.Role) }) {
			run = append(run, c.ID)
		}
	}
	out := make(map[chat.ID][]chat.Webhook, len(conversations))
	for _, c := range conversations {
		out[c] = []chat.Webhook{}
	}
	if run == nil {
		return out, nil
	}
	l, err := s.store.WebhooksOf(ctx, run)
	slices.SortFunc(l, func(a, b chat.Webhook) int { return slices.Compare(a.ID.UUID[:], b.ID.UUID[:]) })
	for _, w := range l {
		out[w.Conversation] = append(out[w.Conversation], w)
	}
	return out, err
}

// Deliveries reads a page of each of several webhooks' deliveries that stand so, the newest first. Who may see the webhooks
// may see them.
func (s *Service) Deliveries(ctx context.Context, webhooks []chat.ID, status chat.DeliveryStatus, p chat.Page) (map[chat.ID]chat.List[chat.WebhookDelivery], error) {
	return s.store.DeliveryPages(ctx, webhooks, status, p)
}

// OnConversationDeleted ends a conversation's webhooks.
func (s *Service) OnConversationDeleted(_ context.Context, tx *store.Tx, e *chat.Event) error {
	return tx.DeleteWebhooksOf(e.ConversationID())
}

// OnGone is a store.Listener for MEMBER_LEFT and MEMBER_REMOVED: what somebody had sent to an address of theirs ends with their
// membership.
func (s *Service) OnGone(_ context.Context, tx *store.Tx, e *chat.Event) error {
	return tx.DisableWebhooksOf(e.ConversationID(), e.Subject, "its owner is not in the conversation any more")
}

// change runs fn with a webhook that is locked. Errors: NOT_FOUND when viewer does not run what it is about, and those of fn.
func (s *Service) change(ctx context.Context, viewer, id chat.ID, fn func(*store.Tx, chat.Webhook) error) (chat.Position, error) {
	if id.Kind != chat.KindWebhook {
		return 0, chat.ErrNotFound
	}
	return s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		w, err := tx.Webhook(ctx, id)
		if err != nil {
			return err
		}
		if !w.Conversation.IsZero() { // locked before its webhooks; who runs it stays so
			if _, err := tx.LockConversation(w.Conversation); err != nil {
				return err
			}
		}
		switch may, err := s.runs(ctx, tx, viewer, w.Conversation); {
		case err != nil:
			return err
		case !may:
			return chat.ErrNotFound
		}
		if w, err = tx.LockWebhook(id); err != nil {
			return err
		}
		return fn(tx, w)
	})
}

// runs says whether viewer may set webhooks up for a conversation, or, without one, for the whole installation. Errors:
// NOT_FOUND when viewer is not in the conversation.
func (s *Service) runs(ctx context.Context, tx *store.Tx, viewer, conversation chat.ID) (bool, error) {
	if conversation.IsZero() {
		return tx.IsAdmin(ctx, viewer)
	}
	c, m, err := tx.ConversationAndMembership(ctx, viewer, conversation)
	return err == nil && rules(c.Kind, m.Role), err
}

// rules says who sets webhooks up: who runs a group, and each of two friends.
func rules(kind chat.ConversationKind, role chat.Role) bool {
	return kind == chat.Direct || role == chat.RoleOwner || role == chat.RoleAdmin
}

func (s *Service) checkWebhook(w chat.Webhook) error {
	if err := s.guard.Check(w.URL); err != nil {
		var e *chat.Error
		if errors.As(err, &e) {
			return chat.BadInput(e.Message, "input", "url")
		}
		return err
	}
	for _, t := range w.Types {
		if !slices.Contains(chat.LogEvents, t) {
			return chat.BadInput("there are no such events", "input", "types")
		}
	}
	return nil
}

// unique is types without repetitions; nil if there are none.
func unique(types []chat.EventType) (out []chat.EventType) {
	for _, t := range types {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

func enabled(w chat.Webhook) error {
	if !w.Enabled {
		return chat.Conflict("the webhook is disabled; enable it first")
	}
	return nil
}
