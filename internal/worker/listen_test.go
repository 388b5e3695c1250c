package worker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/worker"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	s := testkit.MustOpenStore(t, testkit.SQLiteURL(t))
	none := func(*chat.Event) job.Args { return nil }
	for pattern, want := range map[string]string{
		"FRIEND_REQUEST_*": "",
		"*_ADDED":          "",
		"MESSAGE_EATEN":    `listener of "MESSAGE_EATEN": there is no such event`,
		"message_added":    `listener of "message_added": there is no such event`,
		"[":                `listener of "[": there is no such event`,
	} {
		w, _ := mustMake(t, s, &output{})
		l := w.Listen()
		l.Later(pattern, none)
		if err := l.Err(); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
	w, _ := mustMake(t, s, &output{})
	l := w.Listen()
	l.On("*", func(context.Context, *store.Tx, *chat.Event) error { return nil })
	if l.Err() == nil {
		t.Error("a listener that would never be called was accepted")
	}
}

// What follows later is a job if the change happens, and nothing if it does not.
func TestLater(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w, _ := mustMake(t, s, &output{})
		done := make(chan string, 100)
		worker.Handle(w, 0, func(_ context.Context, j *job.Job[task]) error { done <- j.Args.Name; return nil })
		l := w.Listen()
		l.Later("FRIEND_REQUEST_*", func(e *chat.Event) job.Args {
			if e.Topic.ID == e.Actor {
				return nil // has done it
			}
			return task{string(e.Type)}
		})
		boom := errors.New("boom")
		l.On("FRIEND_REQUEST_REJECTED", func(context.Context, *store.Tx, *chat.Event) error { return boom })
		if err := l.Err(); err != nil {
			t.Fatal(err)
		}
		mustRun(t, w)
		actor, other := chat.NewID(chat.KindUser), chat.NewID(chat.KindUser)
		for _, e := range []chat.EventType{chat.FriendRequestSent, chat.FriendRequestRejected, chat.FriendshipMade, chat.FriendRequestCancelled} {
			_, err := s.Write(t.Context(), actor, func(tx *store.Tx) error {
				tx.Emit(chat.Event{Type: e}, chat.UserTopic(actor), chat.UserTopic(other))
				return nil
			})
			if e == chat.FriendRequestRejected && !errors.Is(err, boom) || e != chat.FriendRequestRejected && err != nil {
				t.Fatal(e, err)
			}
		}
		seen := map[string]int{}
		for range 2 {
			seen[receive(t, done)]++
		}
		if err := w.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if len(done) > 0 || seen["FRIEND_REQUEST_SENT"] != 1 || seen["FRIEND_REQUEST_CANCELLED"] != 1 {
			t.Error(seen, len(done))
		}
	})
}

// Of what the log tells, each event leads to exactly one job, whatever fails and however many nodes follow it.
func TestFollowIsOnceAcrossNodes(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		const events, senders = 100, 3
		var mu sync.Mutex
		done := map[string]int{}
		node := func() (*worker.Worker, *store.Store) {
			s := testkit.MustOpenStore(t, url)
			w, _ := mustMake(t, s, &output{})
			worker.Handle(w, 0, func(_ context.Context, j *job.Job[task]) error {
				mu.Lock()
				defer mu.Unlock()
				done[j.Args.Name]++
				return nil
			})
			l := w.Listen()
			l.Later("MESSAGE_ADDED", func(e *chat.Event) job.Args { return task{fmt.Sprint(e.Position)} })
			if err := l.Err(); err != nil {
				t.Fatal(err)
			}
			return w, s
		}
		one, s1 := node()
		two, s2 := node()
		for _, s := range []*store.Store{s1, s2} { // as the log tells every node
			s.AfterCommit(func(events []*chat.Event) { one.Applied(events); two.Applied(events) })
		}
		mustRun(t, two)
		mustRun(t, one)
		emit := func(s *store.Store) error {
			_, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
				room := chat.ConversationTopic(chat.NewID(chat.KindConversation))
				tx.Emit(chat.Event{Type: chat.ConversationUpdated}, room)
				tx.Emit(chat.Event{Type: chat.MessageAdded}, room)
				return nil
			})
			return err
		}
		boom := errors.New("boom")
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for n := range events {
					if err := emit([]*store.Store{s1, s2}[i%2]); err != nil {
						t.Error(err)
					}
					if n%10 == 0 { // somebody who takes events and fails
						_, err := s1.Follow(t.Context(), []chat.EventType{chat.MessageAdded}, 10, func(*store.Tx, []*chat.Event) error { return boom })
						if err != nil && !errors.Is(err, boom) {
							t.Error(err)
						}
					}
					if i == 0 && n == events/2 {
						one.Stop()
					}
				}
			})
		}
		wg.Wait()
		eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(done) != events*senders {
				return fmt.Errorf("%d jobs of %d events", len(done), events*senders)
			}
			return nil
		})
		if err := two.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for name, n := range done {
			if n != 1 {
				t.Errorf("%d jobs of the event at %s", n, name)
			}
		}
	})
}

// stretch is a job for a piece of the log.
type stretch struct {
	From    chat.Position `json:"from"`
	Through chat.Position `json:"through"`
}

func (stretch) Kind() string            { return "stretch" }
func (stretch) InsertOpts() job.Options { return job.Options{Queue: job.Maintenance} }

// Stretches of the log follow upon each other, and each event that matches is in exactly one, whatever fails and however many
// nodes follow. Nothing is made of what does not match, and what else listens to the same events gets them as ever.
func TestSpan(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		const rounds, senders = 60, 3
		var mu sync.Mutex
		stretches, singles := map[int64]stretch{}, map[string]int{}
		node := func() (*worker.Worker, *store.Store) {
			s := testkit.MustOpenStore(t, url)
			w, _ := mustMake(t, s, &output{})
			worker.Handle(w, 0, func(_ context.Context, j *job.Job[stretch]) error {
				mu.Lock()
				defer mu.Unlock()
				stretches[j.ID] = j.Args
				return nil
			})
			worker.Handle(w, 0, func(_ context.Context, j *job.Job[task]) error {
				mu.Lock()
				defer mu.Unlock()
				singles[j.Args.Name]++
				return nil
			})
			l := w.Listen()
			l.Span("MESSAGE_*", func(_ *store.Tx, from, through chat.Position) (job.Args, error) { return stretch{from, through}, nil })
			l.Span("RECEIPT_UPDATED", func(*store.Tx, chat.Position, chat.Position) (job.Args, error) { return nil, nil })
			l.Later("MESSAGE_ADDED", func(e *chat.Event) job.Args { return task{fmt.Sprint(e.Position)} })
			if err := l.Err(); err != nil {
				t.Fatal(err)
			}
			s.AfterCommit(w.Applied)
			return w, s
		}
		one, s1 := node()
		two, s2 := node()
		var want []chat.Position
		emit := func(s *store.Store, types ...chat.EventType) {
			p, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
				for _, e := range types {
					tx.Emit(chat.Event{Type: e}, chat.ConversationTopic(chat.NewID(chat.KindConversation)))
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, e := range types {
				if e == chat.MessageAdded {
					want = append(want, p-chat.Position(len(types)-1-i))
				}
			}
		}
		quiet := func() { // is over when a message is alone in its stretch
			t.Helper()
			for range 5 {
				emit(s2, chat.ConversationUpdated, chat.ReceiptUpdated)
			}
			emit(s2, chat.MessageAdded)
			mu.Lock()
			last := want[len(want)-1]
			mu.Unlock()
			eventually(t, func() error {
				mu.Lock()
				defer mu.Unlock()
				for _, s := range stretches {
					if s.Through == last {
						if s.From != last {
							t.Errorf("%+v begins before the message, which is at %d", s, last)
						}
						return nil
					}
				}
				return fmt.Errorf("no stretch ends at %d", last)
			})
		}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(stretches)
		}
		mustRun(t, two)
		mustRun(t, one)
		quiet()
		boom := errors.New("boom")
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for n := range rounds {
					made := count()
					emit([]*store.Store{s1, s2}[i%2], chat.ConversationUpdated, chat.MessageAdded, chat.ReceiptUpdated, chat.MessageAdded)
					if n%10 == 0 { // somebody who takes events and fails
						_, err := s1.Follow(t.Context(), []chat.EventType{chat.MessageAdded}, 10, func(*store.Tx, []*chat.Event) error { return boom })
						if err != nil && !errors.Is(err, boom) {
							t.Error(err)
						}
					}
					if i == 0 && n == rounds/2 {
						one.Stop()
					}
					if n%10 == 9 { // so that there are several stretches
						eventually(t, func() error {
							if count() == made {
								return errors.New("no stretch is made")
							}
							return nil
						})
					}
				}
				emit(s2, chat.MessageAdded)
			})
		}
		wg.Wait()
		eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(singles) != len(want) {
				return fmt.Errorf("%d jobs of %d events", len(singles), len(want))
			}
			return nil
		})
		quiet()
		if err := two.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		for name, n := range singles {
			if n != 1 {
				t.Errorf("%d jobs of the event at %s", n, name)
			}
		}
		for _, problem := range misjudged(stretches, want) {
			t.Error(problem)
		}
		t.Logf("%d stretches of %d events", len(stretches), len(want))
	})
}

// misjudged says what is wrong with stretches of the log, by the order in which they were made, that should hold some events.
func misjudged(made map[int64]stretch, events []chat.Position) (problems []string) {
	var end chat.Position
	var l []stretch
	for _, id := range slices.Sorted(maps.Keys(made)) {
		s := made[id]
		if s.From <= end || s.From > s.Through {
			problems = append(problems, fmt.Sprintf("%+v after one that ends at %d", s, end))
		}
		if !slices.Contains(events, s.From) || !slices.Contains(events, s.Through) {
			problems = append(problems, fmt.Sprintf("%+v begins or ends with what does not match", s))
		}
		end = s.Through
		l = append(l, s)
	}
	for _, p := range events {
		if n := len(slices.DeleteFunc(slices.Clone(l), func(s stretch) bool { return p < s.From || p > s.Through })); n != 1 {
			problems = append(problems, fmt.Sprintf("the event at %d is in %d stretches", p, n))
		}
	}
	return problems
}

func TestMisjudged(t *testing.T) {
	t.Parallel()
	events := []chat.Position{2, 4, 5, 9}
	if p := misjudged(map[int64]stretch{1: {2, 4}, 3: {5, 9}}, events); p != nil {
		t.Error(p)
	}
	for name, made := range map[string]map[int64]stretch{
		"lost":      {1: {2, 4}, 3: {9, 9}},
		"lost all":  nil,
		"twice":     {1: {2, 4}, 3: {4, 9}},
		"again":     {1: {2, 9}, 3: {2, 9}},
		"disorder":  {1: {5, 9}, 3: {2, 4}},
		"backwards": {1: {4, 2}, 3: {5, 9}},
		"of others": {1: {1, 4}, 3: {5, 9}},
	} {
		if misjudged(made, events) == nil {
			t.Errorf("%s: nothing was noticed", name)
		}
	}
}

// What cannot be done for many events at once is done for fewer.
func TestFollowTakesLessAfterAFailure(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w, _ := mustMake(t, s, &output{})
		worker.Handle(w, 0, func(context.Context, *job.Job[task]) error { return nil })
		var mu sync.Mutex
		seen := 0
		l := w.Listen()
		l.After("CONVERSATION_UPDATED", func(_ context.Context, _ *store.Tx, events []*chat.Event) error {
			switch {
			case len(events) > 600:
				panic("too many by far")
			case len(events) > 300:
				return errors.New("too many for one transaction")
			}
			mu.Lock()
			defer mu.Unlock()
			seen += len(events)
			return nil
		})
		const n = 1000
		if _, err := s.Write(t.Context(), chat.ID{}, func(tx *store.Tx) error {
			for range n {
				tx.Emit(chat.Event{Type: chat.ConversationUpdated}, chat.ConversationTopic(chat.NewID(chat.KindConversation)))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		mustRun(t, w)
		eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			if seen < n {
				return fmt.Errorf("%d of %d events were followed", seen, n)
			}
			return nil
		})
		if seen != n {
			t.Errorf("%d of %d events were followed", seen, n)
		}
	})
}
