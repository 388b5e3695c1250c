package pushing

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/push"
	"github.com/parley-chat/parley/internal/store"
)

const (
	spreadMax = 500 // pushes that one transaction makes

	// lost is after how long a socket that is gone is gone for everybody. Who seems to be connected is looked at again after
	// it: they may just have left.
	lost = 10 * time.Second
	// pause is the shortest time between two pushes of a conversation to a browser.
	pause = 5 * time.Second

	ttl         = 24 * time.Hour // of what is told, with all tries
	retryAfter  = 30 * time.Second
	maxFailures = 10 // refusals in a row, after which a subscription is void

	maxTitle = 80
	maxBody  = 200
)

// spreadArgs is a stretch of the log in which there are messages.
type spreadArgs struct {
	From    chat.Position    `json:"from"`
	Through chat.Position    `json:"through"`
	After   store.PushTarget `json:"after,omitzero"` // up to whom it is done
}

func (spreadArgs) Kind() string            { return "push_spread" }
func (spreadArgs) InsertOpts() job.Options { return job.Options{Queue: job.Notify} }

// Messages is the job of a stretch of the log, if anybody has a subscription.
func (s *Service) Messages(tx *store.Tx, from, through chat.Position) (job.Args, error) {
	if some, err := tx.HasPushes(); err != nil || !some {
		return nil, err
	}
	return spreadArgs{From: from, Through: through}, nil
}

type deliverArgs struct {
	Subscription chat.ID `json:"subscription"`
	User         chat.ID `json:"user"` // who had it then
	Conversation chat.ID `json:"conversation"`
}

// calls is the priority of what waits for servers that users have named: what the queue does by itself, such as mentions, goes
// first, however slow those are.
const calls = 3

func (deliverArgs) Kind() string { return "push_deliver" }
func (deliverArgs) InsertOpts() job.Options {
	return job.Options{Queue: job.Notify, Priority: calls, UniqueOpts: job.Unique{ByArgs: true, ByState: job.Undone}}
}

// Spread finds whom a stretch is for.
func (s *Service) Spread(ctx context.Context, j *job.Job[spreadArgs]) error {
	now := s.Now()
	targets, err := s.store.PushTargets(ctx, j.Args.From, j.Args.Through, now, j.Args.After, spreadMax)
	if err != nil || len(targets) == 0 {
		return err
	}
	subscriptions := make([]chat.ID, len(targets))
	jobs := make([]job.Insertion, len(targets))
	for i, t := range targets {
		subscriptions[i] = t.Subscription
		jobs[i].Args = deliverArgs(t)
		if s.Online(t.User) {
			opts := deliverArgs{}.InsertOpts()
			opts.ScheduledAt = now.Add(lost)
			jobs[i].InsertOpts = &opts
		}
	}
	if len(targets) == spreadMax {
		jobs = append(jobs, job.Insertion{Args: spreadArgs{j.Args.From, j.Args.Through, targets[spreadMax-1]}})
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		// A delivery that ends is waited for: either it sees these messages, or it is done and there is a new one.
		if err := tx.LockPushes(subscriptions); err != nil {
			return err
		}
		if err := s.jobs.InsertMany(ctx, tx, slices.Clone(jobs)); err != nil {
			return err
		}
		return job.Complete(ctx, tx, j)
	})
	return err
}

// Payload is what a browser's service worker gets, as JSON.
type Payload struct {
	Kind           chat.NotificationKind `json:"kind"`
	Title          string                `json:"title"`
	Body           string                `json:"body"`
	ConversationID chat.ID               `json:"conversationId,omitzero"`
	MessageID      chat.ID               `json:"messageId,omitzero"`
	URL            string                `json:"url"`   // below the front end's origin
	Count          int                   `json:"count"` // messages of the conversation that are not read
}

// Deliver tells a browser the newest of what its user has not read in a conversation, unless there is a reason not to.
func (s *Service) Deliver(ctx context.Context, j *job.Job[deliverArgs]) error {
	p, unread, err := s.store.UnreadPush(ctx, store.PushTarget(j.Args), s.Now())
	if errors.Is(err, chat.ErrNotFound) || err == nil && s.Online(p.User) {
		return s.end(ctx, j, unread.Message.Seq)
	} else if err != nil {
		return err
	}
	what := payloadOf(unread)
	if wanted, err := s.Wants(ctx, p.User, what.Kind, j.Args.Conversation, unread.Sender.ID); err != nil {
		return err
	} else if wanted {
		wait, err := s.send(ctx, p, what, j.Args.Conversation, s.Now().Sub(unread.Message.CreatedAt))
		if err != nil {
			return err
		} else if wait > 0 {
			return job.Snooze(wait)
		}
	}
	return s.end(ctx, j, unread.Message.Seq)
}

// end has a delivery done, unless there is more than what it has looked at.
func (s *Service) end(ctx context.Context, j *job.Job[deliverArgs], seen int64) error {
	more := false
	_, err := s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		if err := tx.LockPushes([]chat.ID{j.Args.Subscription}); err != nil {
			return err
		}
		_, unread, err := tx.UnreadPush(ctx, store.PushTarget(j.Args), s.Now())
		if err != nil && !errors.Is(err, chat.ErrNotFound) {
			return err
		}
		if more = unread.Message.Seq > seen; more {
			return nil
		}
		return job.Complete(ctx, tx, j)
	})
	if err == nil && more {
		return job.Snooze(pause)
	}
	return err
}

// send hands a push to its push service, and says after how long to try again; 0: no more. age is that of the news.
func (s *Service) send(ctx context.Context, p store.PushSubscription, what Payload, about chat.ID, age time.Duration) (time.Duration, error) {
	to, err := push.ParseSubscription(p.Endpoint, p.P256DH, p.Auth)
	if err != nil {
		return 0, job.Cancel(err)
	}
	body, err := json.Marshal(what)
	if err != nil {
		return 0, job.Cancel(err)
	}
	left := ttl - max(0, age)
	if left <= 0 {
		return 0, nil
	}
	o, err := s.sender.Send(ctx, to, push.Message{Body: body, TTL: left, Urgency: push.High, Topic: topic(p.ID, about)})
	if err != nil {
		return 0, err
	}
	s.pushes.WithLabelValues(string(o.Verdict)).Inc()
	failures := p.Failures
	switch o.Verdict {
	case push.Retry:
		return max(retryAfter, o.After, age/2), nil
	case push.Delivered:
		failures = 0
	case push.Failed:
		failures++
	case push.Gone:
		failures = maxFailures
	}
	if failures == p.Failures {
		return 0, nil
	}
	if o.Verdict != push.Delivered {
		s.Log.InfoContext(ctx, "a push was refused", "subscription", p.ID, "reason", o.Reason, "failures", failures)
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		if failures >= maxFailures {
			return tx.DeletePush(p.ID)
		}
		return tx.SetPushFailures(p.ID, failures)
	})
	return 0, err
}

// topic has a push replace the one about the same thing that still waits at the push service. That reads it: the same thing has
// another topic for each browser, or it would tell who is in a conversation with whom.
func topic(subscription, about chat.ID) string {
	sum := sha256.Sum256(slices.Concat(subscription.UUID[:], about.UUID[:]))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

func payloadOf(u store.Unread) Payload {
	p := Payload{Kind: kindOf(u.Kind), Title: clean(u.Title, maxTitle), Body: clean(u.Message.Body, maxBody), ConversationID: u.Message.Conversation,
		MessageID: u.Message.ID, URL: "/conversations/" + u.Message.Conversation.String(), Count: u.Count}
	if sender := clean(nameOf(u.Sender), maxTitle); u.Kind == chat.Direct {
		p.Title = sender
	} else {
		p.Body = sender + ": " + p.Body
	}
	return p
}

func nameOf(u chat.User) string {
	if u.DisplayName == "" {
		return u.Username
	}
	return u.DisplayName
}

// clean is a text on one line, of at most so many characters, without what would turn the reading order around: systems
// show it beside their own words.
func clean(s string, most int) string {
	const joiner, nonJoiner = '\u200d', '\u200c' // of emoji, and of scripts that need them
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.C, r) && r != joiner && r != nonJoiner:
			return -1
		}
		return r
	}, s)
	if r := []rune(strings.Join(strings.Fields(s), " ")); len(r) > most {
		return string(r[:most-1]) + "…"
	} else {
		return string(r)
	}
}
