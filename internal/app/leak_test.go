package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// 500 connections that come and go, in every way, leave nothing behind. It runs alone: it counts what the process has.
func TestNothingStays(t *testing.T) { //nolint:paralleltest // see above
	for name, url := range map[string]string{
		"sqlite":   testkit.SQLiteURL(t),
		"postgres": testkit.PostgresURL(t, "empty", func(string) error { return nil }),
	} {
		t.Run(name, func(t *testing.T) {
			a := testkit.MustRunApp(t, url)
			people := mustMeet(t, a.URL(), 3)
			room := mustCreateGroup(t, people[0], people[1:]...)
			comeAndGo(t, people, room, 50) // opens what is kept: connections to the database, prepared statements
			settled(t, people[0])
			running, files := goleak.IgnoreCurrent(), descriptors(t)

			comeAndGo(t, people, room, 500)
			settled(t, people[0])
			eventually(t, func() error { return strays(running) }) // what only passes by is another one each time
			eventually(t, func() error {
				// A connection of the test's own, or of the database's pool, may be more than before.
				if now := descriptors(t); now > files+10 {
					return fmt.Errorf("%d file descriptors, %d before", now, files)
				}
				return nil
			})
		})
	}
}

// strays are goroutines that were not there before, except for those of the job queue, which come and go as jobs do, and
// those that wait for the next answer on a connection to PostgreSQL, at most one for each. (That none of them outlives a
// server is seen by every test.)
func strays(before goleak.Option) error {
	err := goleak.Find(before)
	if err == nil {
		return nil
	}
	var found []string
	for _, g := range strings.Split(err.Error(), "Goroutine ")[1:] {
		if !strings.Contains(g, "github.com/riverqueue/river") && !strings.Contains(g, "pgconn/internal/bgreader") {
			found = append(found, g)
		}
	}
	if found == nil {
		return nil
	}
	return errors.New(strings.Join(found, ""))
}

// comeAndGo makes n connections, ten at a time, while somebody sends.
func comeAndGo(t *testing.T, people []*client.Account, room string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := mustSend(t, people[0].Client, room, "the first").SendMessage.Cursor
	var wg sync.WaitGroup
	over := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			if _, err := send(ctx, people[0].Client, room, "still here", fmt.Sprint(begin, i)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < n; i += 10 {
				if err := connect(ctx, people[i%len(people)], room, begin, i); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	close(over)
	sender.Wait()
}

// connect comes and goes in one of seven ways.
func connect(ctx context.Context, who *client.Account, room, begin string, way int) error {
	s, err := who.Dial(ctx)
	if err != nil {
		return err
	}
	defer s.Cut()
	if way%7 == 0 { // without a word
		return nil
	}
	if way%7 == 1 {
		s.Close()
		return nil
	}
	var subs []*client.Subscription
	for _, text := range []string{
		`subscription($after: Cursor) { events(after: $after) { __typename cursor } }`,
		`subscription($room: ID!, $after: Cursor) { messageAdded(conversationId: $room, after: $after) { message { body } } }`,
		`subscription { presenceChanged { presences { status } } }`,
		`subscription($room: ID!) { typingChanged(conversationId: $room) { users { id } } }`,
	} {
		sub, err := s.Subscribe(text, client.Vars{"room": room, "after": begin}, 0)
		if err != nil {
			return err
		}
		subs = append(subs, sub)
	}
	if way%7 == 2 { // before anything was answered
		return nil
	}
	select { // mid-replay
	case <-subs[0].C:
	case <-subs[1].C:
	case <-subs[2].C:
	case <-subs[3].C:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch way % 7 {
	case 3:
		s.Close()
	case 4:
		for _, sub := range subs {
			if err := sub.Complete(); err != nil {
				return err
			}
		}
	case 5:
		if err := subs[0].Complete(); err != nil {
			return err
		}
		s.Close()
	}
	return nil
}

// settled waits until the server knows that everybody has gone.
func settled(t *testing.T, who *client.Account) {
	t.Helper()
	eventually(t, func() error {
		resp, err := who.HTTP.Get(who.URL + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/metrics answers %s", resp.Status)
		}
		for _, gauge := range []string{"parley_sockets", "parley_subscriptions", "parley_subscription_groups"} {
			if !strings.Contains(string(b), "\n"+gauge+" 0\n") {
				return fmt.Errorf("%s is not 0", gauge)
			}
		}
		return nil
	})
	who.HTTP.CloseIdleConnections()
}

// descriptors counts the open files of this process, where the system tells.
func descriptors(t *testing.T) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log(err)
	}
	return len(l)
}
