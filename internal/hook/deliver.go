package hook

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/webhook"
)

// DeliverArgs has what is pending for a webhook delivered. There is one such job for a webhook, if anything is pending.
type DeliverArgs struct {
	Webhook chat.ID `json:"webhook"`
}

// Kind is the job's.
func (DeliverArgs) Kind() string { return "webhook_deliver" }

// InsertOpts are the job's.
func (DeliverArgs) InsertOpts() job.Options {
	return job.Options{Queue: job.Webhooks, UniqueOpts: job.Unique{ByArgs: true, ByState: job.Undone}}
}

// A job delivers no more than this, nor does it begin to deliver after this time: others wait for its place.
const (
	maxSends = 100
	maxRun   = 10 * time.Second
)

// FanOut writes down which webhooks are to be told of events, which follow upon those of before.
func (s *Service) FanOut(ctx context.Context, tx *store.Tx, events []*chat.Event) error {
	var conversations []chat.ID
	seen := map[chat.ID]bool{}
	for _, e := range events {
		if e.Topic.Kind == chat.TopicConversation && !seen[e.Topic.ID] {
			seen[e.Topic.ID] = true
			conversations = append(conversations, e.Topic.ID)
		}
	}
	listening, err := tx.ListeningWebhooks(conversations)
	if err != nil {
		return err
	}
	now := store.Micros(s.Now())
	for _, w := range listening {
		var ds []chat.WebhookDelivery
		for _, e := range events {
			if hears(w, e) {
				ds = append(ds, chat.WebhookDelivery{ID: chat.NewID(chat.KindWebhookDelivery), Position: e.Position, Type: e.Type, QueuedAt: now, NextAt: now})
			}
		}
		switch {
		case len(ds) == 0:
			continue
		case w.Pending+len(ds) > s.MaxPending:
			err = s.disable(ctx, tx, w, "too many deliveries were pending")
		default:
			if err = tx.InsertDeliveries(w.ID, ds); err == nil {
				err = s.jobs.Insert(ctx, tx, DeliverArgs{w.ID}, nil)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hears says whether a webhook is to be told of an event.
func hears(w chat.Webhook, e *chat.Event) bool {
	return e.Position > w.Since && (w.Conversation.IsZero() || e.Topic == chat.ConversationTopic(w.Conversation)) &&
		(len(w.Types) == 0 || slices.Contains(w.Types, e.Type))
}

// disable tells whoever looks after the webhook: the operators, of one of the whole installation.
func (s *Service) disable(ctx context.Context, tx *store.Tx, w chat.Webhook, reason string) error {
	log := s.Log.WarnContext
	if w.Conversation.IsZero() {
		log = s.Log.ErrorContext
	}
	log(ctx, "a webhook was disabled", "webhook", w.ID.String(), "conversation", w.Conversation.String(), "owner", w.Owner.String(), "reason", reason)
	return tx.DisableWebhook(w.ID, reason)
}

// Deliver delivers what is pending for a webhook.
func (s *Service) Deliver(ctx context.Context, j *job.Job[DeliverArgs]) error {
	return s.Flush(ctx, j.Args.Webhook, func(tx *store.Tx) error { return job.Complete(ctx, tx, j) })
}

// Flush is Deliver; complete ends the job.
func (s *Service) Flush(ctx context.Context, id chat.ID, complete func(*store.Tx) error) error {
	began := time.Now()
	for n := 0; n < maxSends && time.Since(began) < maxRun; n++ {
		next, err := s.store.NextDelivery(ctx, id)
		if errors.Is(err, chat.ErrNotFound) || err == nil && next.Delivery.NextAt.After(s.Now()) {
			break
		}
		if err == nil {
			err = s.attempt(ctx, next)
		}
		if err != nil {
			return err
		}
	}
	_, err := s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		if _, err := tx.LockWebhook(id); err != nil && !errors.Is(err, chat.ErrNotFound) {
			return err
		}
		if err := complete(tx); err != nil {
			return err
		}
		next, err := tx.NextDelivery(ctx, id)
		if errors.Is(err, chat.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		var opts *job.Options
		if next.Delivery.NextAt.After(s.Now()) { // what has a time waits for River to look, every five seconds, also when it is past
			opts = &job.Options{ScheduledAt: next.Delivery.NextAt}
		}
		return s.jobs.Insert(ctx, tx, DeliverArgs{id}, opts)
	})
	return err
}

// errMoved says that somebody else has taken a delivery further meanwhile.
var errMoved = errors.New("the delivery is not as it was")

// attempt sends a delivery, and stores what became of it.
func (s *Service) attempt(ctx context.Context, next store.NextDelivery) error {
	w, d := next.Webhook, next.Delivery
	o, broken, err := s.send(ctx, next)
	if err != nil {
		return err
	}
	now := store.Micros(s.Now())
	d.Attempts++
	d.AttemptedAt, d.NextAt, d.HTTPStatus, d.Reason = now, now, o.Status, o.Reason
	wait, again := webhook.Next(d.Attempts, now.Sub(d.QueuedAt), o.After, s.jitter())
	switch {
	case o.Verdict == webhook.Delivered:
		d.Status = chat.DeliveryDelivered
	case o.Verdict == webhook.Retry && again && d.Type != chat.PingDelivery:
		d.NextAt = now.Add(wait)
	default:
		d.Status = chat.DeliveryDead
	}
	switch {
	case o.Verdict == webhook.Delivered:
		w.FailingSince = time.Time{}
	case w.FailingSince.IsZero() && d.Type != chat.PingDelivery:
		w.FailingSince = now
	}
	switch {
	case broken != "":
	case o.Verdict == webhook.Gone:
		broken = o.Reason
	case !w.FailingSince.IsZero() && now.Sub(w.FailingSince) >= maxFailing:
		broken = "nothing could be delivered for three days: " + o.Reason
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		if ok, err := tx.SettleDelivery(w, d); err != nil {
			return err
		} else if !ok {
			return errMoved
		}
		if broken == "" {
			return nil
		}
		return s.disable(ctx, tx, w, broken)
	})
	if errors.Is(err, errMoved) {
		return nil
	}
	return err
}

// send tries once. broken says what is wrong with the webhook itself.
func (s *Service) send(ctx context.Context, next store.NextDelivery) (o webhook.Outcome, broken string, err error) {
	w := next.Webhook
	body, err := s.payload(ctx, next)
	switch {
	case err != nil:
		return o, "", err
	case body == nil:
		return webhook.Outcome{Verdict: webhook.Failed, Reason: "the log does not reach back to the event any more"}, "", nil
	}
	var secrets []webhook.Secret
	sealed := []string{w.Secret}
	if s.Now().Before(w.OldUntil) {
		sealed = append(sealed, w.OldSecret)
	}
	for _, x := range sealed {
		secret, err := s.open(w.ID, x)
		if err != nil {
			reason := "the secret cannot be read since this server's own has changed: rotate it"
			return webhook.Outcome{Verdict: webhook.Retry, Reason: reason}, reason, nil
		}
		secrets = append(secrets, secret)
	}
	o, err = s.sender.Send(ctx, webhook.Delivery{URL: w.URL, ID: next.Delivery.ID.String(), Body: body, Secrets: secrets})
	return o, "", err
}
