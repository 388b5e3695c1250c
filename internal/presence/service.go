package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Config says how presence behaves. Publish is required.
type Config struct {
	// Publish hands a signal to those who listen to its topic. Only one goroutine calls it.
	Publish func(*chat.Event)
	Grace   time.Duration // how long somebody stays ONLINE after their last socket is gone; 0 means 5 s
	Typing  time.Duration // how long typing lasts unless it is said again; 0 means 6 s
	Log     *slog.Logger
}

// resolution is how often the passing of time is looked at.
const resolution = 250 * time.Millisecond

// Service holds who is connected and who is typing.
type Service struct {
	store  *store.Store
	cfg    Config
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	users   map[chat.ID]int32                 // who is online, with their sockets
	leaving map[chat.ID]time.Time             // who is online without a socket, since when
	typing  map[chat.ID]map[chat.ID]time.Time // conversation → user → until
	changed map[chat.Topic]struct{}
}

// New makes the service; Start starts it.
func New(s *store.Store, cfg Config) *Service {
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	if cfg.Typing == 0 {
		cfg.Typing = 6 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{store: s, cfg: cfg, wake: make(chan struct{}, 1), users: map[chat.ID]int32{},
		leaving: map[chat.ID]time.Time{}, typing: map[chat.ID]map[chat.ID]time.Time{}, changed: map[chat.Topic]struct{}{}}
}

// Start begins to publish.
func (s *Service) Start() {
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.done = make(chan struct{})
	go s.run(ctx)
}

// Stop notes when everybody was last seen, and ends.
func (s *Service) Stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
	s.mu.Lock()
	all := make([]chat.ID, 0, len(s.users))
	for u := range s.users {
		all = append(all, u)
	}
	clear(s.users)
	clear(s.leaving)
	s.mu.Unlock()
	s.saw(all, time.Now())
}

// Connected notes a new socket of a user.
func (s *Service) Connected(user chat.ID) {
	s.mu.Lock()
	if _, online := s.users[user]; !online {
		s.mark(chat.PresenceTopic(user))
	}
	s.users[user]++
	delete(s.leaving, user)
	s.mu.Unlock()
}

// Disconnected notes that a socket is gone. After the last one the user stays online for the grace period.
func (s *Service) Disconnected(user chat.ID) {
	s.mu.Lock()
	if n := s.users[user]; n > 0 {
		if s.users[user] = n - 1; n == 1 {
			s.leaving[user] = time.Now()
		}
	}
	s.mu.Unlock()
}

// mark is called with mu held.
func (s *Service) mark(t chat.Topic) {
	s.changed[t] = struct{}{}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Of tells the presence of users, in their order. Unknown users are left out.
func (s *Service) Of(ctx context.Context, users []chat.ID) ([]chat.Presence, error) {
	s.mu.Lock()
	online := make(map[chat.ID]bool, len(users))
	var away []chat.ID
	for _, u := range users {
		if _, ok := s.users[u]; ok {
			online[u] = true
		} else {
			away = append(away, u)
		}
	}
	s.mu.Unlock()
	seen := make(map[chat.ID]time.Time, len(away))
	if len(away) > 0 {
		rows, err := s.store.Users(ctx, away)
		if err != nil {
			return nil, err
		}
		for _, u := range rows {
			seen[u.ID] = u.LastSeenAt
		}
	}
	out := make([]chat.Presence, 0, len(users))
	for _, u := range users {
		at, known := seen[u]
		if online[u] || known {
			out = append(out, chat.Presence{User: u, Online: online[u], LastSeenAt: at})
		}
	}
	return out, nil
}

// Snapshot is the signal with which watching some users begins.
func (s *Service) Snapshot(ctx context.Context, users []chat.ID) (*chat.Event, error) {
	p, err := s.Of(ctx, users)
	return &chat.Event{Type: chat.PresenceSignal, At: time.Now(), Rows: chat.Rows{Snapshot: true, Presences: p}}, err
}

// SetTyping says whether the viewer is typing, and returns when that ends by itself.
//
// Errors: NOT_FOUND (not a member), FORBIDDEN (silent conversation), UNAVAILABLE.
func (s *Service) SetTyping(ctx context.Context, v chat.Viewer, conversation chat.ID, typing bool) (until time.Time, err error) {
	if conversation.Kind != chat.KindConversation {
		return until, chat.ErrNotFound
	}
	c, err := s.store.ConversationOf(ctx, v.User, conversation)
	if err != nil {
		return until, err
	}
	if c.Silent {
		return until, chat.Forbidden("the two are not friends any more: the conversation is silent")
	}
	if !typing {
		s.stopTyping(conversation, v.User)
		return until, nil
	}
	until = time.Now().Add(s.cfg.Typing)
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.typing[conversation]
	if who == nil {
		who = map[chat.ID]time.Time{}
		s.typing[conversation] = who
	}
	if _, already := who[v.User]; !already {
		s.mark(chat.TypingTopic(conversation))
	}
	who[v.User] = until
	return until, nil
}

func (s *Service) stopTyping(conversation, user chat.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if who := s.typing[conversation]; who != nil {
		if _, was := who[user]; was {
			delete(who, user)
			if len(who) == 0 {
				delete(s.typing, conversation)
			}
			s.mark(chat.TypingTopic(conversation))
		}
	}
}

// TypingSnapshot is the signal with which watching a conversation begins.
func (s *Service) TypingSnapshot(conversation chat.ID) *chat.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typingSignal(conversation)
}

func (s *Service) typingSignal(conversation chat.ID) *chat.Event {
	who := make([]chat.ID, 0, len(s.typing[conversation]))
	for u := range s.typing[conversation] {
		who = append(who, u)
	}
	return &chat.Event{Type: chat.TypingSignal, At: time.Now(), Topic: chat.TypingTopic(conversation), Rows: chat.Rows{Snapshot: true, Typing: who}}
}

// Applied looks at the events of the log: whoever sends, leaves or is removed is not typing any more.
func (s *Service) Applied(events []*chat.Event) {
	for _, e := range events {
		switch e.Type {
		case chat.MessageAdded:
			s.stopTyping(e.Topic.ID, e.Actor)
		case chat.MemberLeft, chat.MemberRemoved:
			s.stopTyping(e.Topic.ID, e.Subject)
		}
	}
}

func (s *Service) run(ctx context.Context) {
	defer close(s.done)
	t := time.NewTicker(resolution)
	defer t.Stop()
	for {
		select {
		case <-s.wake:
		case now := <-t.C:
			s.saw(s.pass(now), now.Add(-s.cfg.Grace))
		case <-ctx.Done():
			return
		}
		for _, e := range s.signals() {
			s.cfg.Publish(e)
		}
	}
}

// pass lets time pass: who went and did not come back is offline, who stopped saying so is not typing.
func (s *Service) pass(now time.Time) (offline []chat.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for u, gone := range s.leaving {
		if now.Sub(gone) >= s.cfg.Grace {
			delete(s.leaving, u)
			delete(s.users, u)
			offline = append(offline, u)
			s.mark(chat.PresenceTopic(u))
		}
	}
	for conversation, who := range s.typing {
		for u, until := range who {
			if now.After(until) {
				delete(who, u)
				s.mark(chat.TypingTopic(conversation))
			}
		}
		if len(who) == 0 {
			delete(s.typing, conversation)
		}
	}
	return offline
}

// saw notes when users were last connected, before anybody is told that they are gone.
func (s *Service) saw(users []chat.ID, at time.Time) {
	if len(users) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.store.SetLastSeen(ctx, users, store.Micros(at)); err != nil {
		s.cfg.Log.Warn("when users were last seen cannot be noted", "users", len(users), "error", err)
	}
}

// signals is what changed since the last time, as it is now.
func (s *Service) signals() (out []*chat.Event) {
	s.mu.Lock()
	changed := s.changed
	s.changed = map[chat.Topic]struct{}{}
	var users []chat.ID
	for t := range changed {
		if t.Kind == chat.TopicTyping {
			out = append(out, s.typingSignal(t.ID))
		} else {
			users = append(users, t.ID)
		}
	}
	s.mu.Unlock()
	if len(users) == 0 {
		return out
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	presences, err := s.Of(ctx, users)
	if err != nil {
		s.cfg.Log.Warn("when users were last seen cannot be read", "error", err)
		s.mu.Lock()
		for _, u := range users { // next time
			s.changed[chat.PresenceTopic(u)] = struct{}{}
		}
		s.mu.Unlock()
	}
	for _, p := range presences {
		out = append(out, &chat.Event{Type: chat.PresenceSignal, At: time.Now(), Topic: chat.PresenceTopic(p.User), Rows: chat.Rows{Presences: []chat.Presence{p}}})
	}
	return out
}
