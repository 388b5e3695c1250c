// Package pushing holds the rules of Web Push: which browsers are told what, and when they are not.
//
// A stretch of the log leads to one job (Spread), which finds whom its messages are for, and makes one job for each of
// their browsers and conversations (Deliver) unless it waits already: whatever is said meanwhile goes into the same push.
// What is to be told, and whether it still is, is looked up right before it is sent.
package pushing

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/push"
	"github.com/parley-chat/parley/internal/store"
)

// Config says what else is asked, and how much there may be. What is a func is required.
type Config struct {
	// Check says what is wrong with an endpoint, as BAD_USER_INPUT.
	Check func(endpoint string) error
	// Online says whether a user has a live socket on any node, or had one a moment ago.
	Online func(user chat.ID) bool
	// Wants says whether a user wants to be pushed something of a kind now that somebody did in a conversation, and may be.
	Wants func(ctx context.Context, user chat.ID, kind chat.NotificationKind, conversation, from chat.ID) (bool, error)

	MaxSubscriptions int              // of a user; 0: 10
	Now              func() time.Time // nil: time.Now
	Log              *slog.Logger
}

// Service holds the rules.
type Service struct {
	store  *store.Store
	jobs   *job.Client
	sender *push.Sender
	key    push.Key
	pushes *prometheus.CounterVec
	Config
}

// New makes the service. It registers nothing.
func New(s *store.Store, jobs *job.Client, sender *push.Sender, key push.Key, c Config) *Service {
	if c.MaxSubscriptions == 0 {
		c.MaxSubscriptions = 10
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{s, jobs, sender, key, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_pushes_total", Help: "Pushes that this node has tried to hand to push services, by what became of them.",
	}, []string{"verdict"}), c}
}

// Metrics are for registration.
func (s *Service) Metrics() []prometheus.Collector { return []prometheus.Collector{s.pushes} }

// PublicKey is what browsers subscribe with.
func (s *Service) PublicKey() string { return s.key.Public() }

// Subscribe has a browser of the viewer's session be pushed to, whoever it was subscribed for. Errors: BAD_USER_INPUT, and
// UNAUTHENTICATED when the session has ended.
func (s *Service) Subscribe(ctx context.Context, v chat.Viewer, endpoint, p256dh, auth string) (chat.Position, error) {
	if _, err := push.ParseSubscription(endpoint, p256dh, auth); err != nil {
		return 0, ofInput(err)
	}
	if err := s.Check(endpoint); err != nil {
		return 0, ofInput(err, "endpoint")
	}
	return s.store.Write(ctx, v.User, func(tx *store.Tx) error {
		if _, err := tx.LockUsers(v.User); err != nil {
			return err
		}
		if live, err := tx.IsLive(v.User, v.Session); err != nil {
			return err
		} else if !live {
			return chat.ErrUnauthenticated
		}
		return tx.PutPushSubscription(store.PushSubscription{ID: chat.NewID(chat.KindPushSubscription), User: v.User, Session: v.Session,
			Endpoint: endpoint, P256DH: p256dh, Auth: auth}, s.MaxSubscriptions)
	})
}

// ofInput puts the path of an error below the mutation's input.
func ofInput(err error, path ...string) error {
	e, ok := err.(*chat.Error) //nolint:errorlint // as Check and ParseSubscription make it
	if !ok {
		return err
	}
	found := *e
	found.Path = append(append([]string{"input"}, e.Path...), path...)
	return &found
}

// Unsubscribe has a browser of the viewer's be pushed to no more.
func (s *Service) Unsubscribe(ctx context.Context, v chat.Viewer, endpoint string) (chat.Position, error) {
	return s.store.Write(ctx, v.User, func(tx *store.Tx) error { return tx.DeletePushEndpoint(v.User, endpoint) })
}

// OnSessionEnded forgets the browser of a session with it.
func (s *Service) OnSessionEnded(_ context.Context, tx *store.Tx, e *chat.Event) error {
	return tx.DeletePushesOf(e.Subject)
}
