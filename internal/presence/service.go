package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Config says how presence behaves. Publish is required.
type Config struct {
	// Publish hands a signal to those who listen to its topic. Only one goroutine calls it.
	Publish func(*chat.Event)
	Bus     bus.Bus       // reaches the other nodes; nil: there are none
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
	wake   chan struct{} // run: something has changed
	speak  chan struct{} // talk: something is to be said
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	roster  *roster
	typing  typing
	changed map[chat.Topic]struct{}
	stopped bool
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
	p := &Service{store: s, cfg: cfg, wake: make(chan struct{}, 1), speak: make(chan struct{}, 1), changed: map[chat.Topic]struct{}{}}
	p.roster = newRoster(cfg.Grace, cfg.Bus == nil, func(u uuid.UUID) { p.mark(chat.PresenceTopic(userID(u))) })
	p.typing = newTyping(cfg.Typing, cfg.Bus == nil, func(c uuid.UUID) { p.mark(chat.TypingTopic(conversationID(c))) })
	if cfg.Bus != nil {
		cfg.Bus.Subscribe(bus.Presence, p.hear)
		cfg.Bus.Subscribe(bus.Typing, p.hearTyping)
		cfg.Bus.OnConnect(func() {
			p.mu.Lock()
			p.roster.reconnected(time.Now())
			p.mu.Unlock()
			ring(p.speak)
		})
	}
	return p
}

func userID(u uuid.UUID) chat.ID         { return chat.ID{Kind: chat.KindUser, UUID: u} }
func conversationID(c uuid.UUID) chat.ID { return chat.ID{Kind: chat.KindConversation, UUID: c} }

func userIDs(us []uuid.UUID) []chat.ID {
	out := make([]chat.ID, len(us))
	for i, u := range us {
		out[i] = userID(u)
	}
	return out
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Start begins to publish.
func (s *Service) Start() {
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.done.Go(func() { s.run(ctx) })
	if s.cfg.Bus != nil {
		s.done.Go(func() { s.talk(ctx) })
	}
}

// Stop takes leave of the other nodes, notes when everybody here was last seen, and ends.
func (s *Service) Stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.done.Wait()
	s.mu.Lock()
	all := make([]uuid.UUID, 0, len(s.roster.here))
	for u := range s.roster.here {
		all = append(all, u)
	}
	clear(s.roster.here)
	clear(s.roster.closing)
	clear(s.roster.leaving)
	first := !s.stopped
	s.stopped = true
	s.mu.Unlock()
	if first && s.cfg.Bus != nil {
		// The others wait for the grace period, which is enough for what follows.
		s.cfg.Bus.Publish(bus.Presence, (&frame{kind: kindBye, node: s.roster.id}).encode())
	}
	s.saw(userIDs(all), time.Now())
}

// Connected notes a new socket of a user.
func (s *Service) Connected(user chat.ID) {
	s.mu.Lock()
	s.roster.connected(user.UUID)
	s.mu.Unlock()
	ring(s.speak)
}

// Disconnected notes that a socket is gone. After the last one the user stays online for the grace period.
func (s *Service) Disconnected(user chat.ID) {
	s.mu.Lock()
	s.roster.disconnected(user.UUID, time.Now())
	s.mu.Unlock()
}

// mark is called with mu held.
func (s *Service) mark(t chat.Topic) {
	s.changed[t] = struct{}{}
	ring(s.wake)
}

// Online says whether a user has a socket on any node, or had one a moment ago.
func (s *Service) Online(user chat.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.online(user.UUID)
}

// Of tells the presence of users, in their order. Unknown users are left out.
func (s *Service) Of(ctx context.Context, users []chat.ID) ([]chat.Presence, error) {
	s.mu.Lock()
	online := make(map[chat.ID]bool, len(users))
	var away []chat.ID
	for _, u := range users {
		if u.Kind == chat.KindUser && s.roster.online(u.UUID) {
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

func (s *Service) run(ctx context.Context) {
	t := time.NewTicker(resolution)
	defer t.Stop()
	for {
		select {
		case <-s.wake:
		case now := <-t.C:
			s.pass(now)
		case <-ctx.Done():
			return
		}
		for _, e := range s.signals() {
			s.cfg.Publish(e)
		}
	}
}

// pass lets time pass: who went and did not come back is offline, who stopped saying so is not typing.
func (s *Service) pass(now time.Time) {
	s.mu.Lock()
	last, others := s.roster.due(now)
	sightings := s.roster.seen
	s.roster.seen = nil
	s.mu.Unlock()
	s.saw(userIDs(last), now.Add(-s.cfg.Grace))
	for _, g := range sightings {
		s.saw(userIDs(g.users), g.at)
	}
	s.mu.Lock()
	s.roster.letGo(last, now, true)
	s.roster.letGo(others, now, false)
	s.roster.pass(now)
	s.typing.pass(now)
	s.mu.Unlock()
	if len(last)+len(others) > 0 {
		ring(s.speak)
	}
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
