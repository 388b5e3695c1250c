package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/webhook"
)

// hookReceiver is somebody else's endpoint, which verifies what it gets.
type hookReceiver struct {
	*httptest.Server
	mu      sync.Mutex
	secret  webhook.Secret
	ids     []string // of the requests that were answered, in order
	bodies  []string
	answers func(n int) int // to the nth request, from 1
	after   string          // Retry-After
	n       int
	errs    []error
}

func mustReceiveHooks(t *testing.T) *hookReceiver {
	t.Helper()
	r := &hookReceiver{answers: func(int) int { return http.StatusNoContent }}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.Server.Close()
		for _, err := range r.errs {
			t.Error(err)
		}
	})
	return r
}

func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil { // the sender was stopped
		return
	}
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	code := r.answers(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	id, err := webhook.Verify(req.Header, body, time.Now(), r.secret)
	var m struct {
		Data struct{ Message struct{ Body string } }
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		r.errs = append(r.errs, err)
	}
	if code/100 == 2 {
		r.ids, r.bodies = append(r.ids, id), append(r.bodies, m.Data.Message.Body)
	}
	if r.after != "" {
		w.Header().Set("Retry-After", r.after)
	}
	w.WriteHeader(code)
}

func (r *hookReceiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// mustHook makes a webhook of a conversation's messages that leads to the receiver.
func (r *hookReceiver) mustHook(tb testing.TB, by *client.Client, conversation string) string {
	tb.Helper()
	var out struct {
		CreateWebhook struct {
			Secret  string
			Webhook struct{ ID string }
		}
	}
	testkit.MustDo(tb, by, `mutation($c: ID!, $u: String!) { createWebhook(input: {conversationId: $c, url: $u, types: [MESSAGE_ADDED]}) { secret webhook { id } } }`,
		client.Vars{"c": conversation, "u": r.URL}, &out)
	secret, err := webhook.ParseSecret(out.CreateWebhook.Secret)
	if err != nil {
		tb.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = secret
	return out.CreateWebhook.Webhook.ID
}

func (r *hookReceiver) mustGet(tb testing.TB, want []string) {
	tb.Helper()
	eventually(tb, func() error {
		if got := r.got(); len(got) < len(want) {
			return fmt.Errorf("%d of %d deliveries", len(got), len(want))
		}
		return nil
	})
	if got := r.got(); !slices.Equal(got, want) {
		tb.Errorf("delivered %v, want %v", got, want)
	}
}

var loopback = []string{"--outbound-allow", "127.0.0.1"}

// Two nodes deliver everything, in order and once, also when messages come just as a job ends; then no job is left.
func TestWebhooksOfTwoNodes(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		nodes := []string{testkit.MustRunApp(t, url, loopback...).URL(), testkit.MustRunApp(t, url, loopback...).URL()}
		people := mustMeet(t, nodes[0], 2)
		r := mustReceiveHooks(t)
		group := mustCreateGroup(t, people[0], people[1])
		r.mustHook(t, people[0].Client, group)
		var want []string
		for round := range 30 {
			for range 1 + round%3 {
				body := fmt.Sprint("message ", len(want))
				c := *people[0].Client
				c.URL = nodes[len(want)%2]
				mustSend(t, &c, group, body)
				want = append(want, body)
			}
			if round%2 == 0 { // the next ones come while the job looks for the last time
				r.mustGet(t, want)
			}
		}
		r.mustGet(t, want)
		s := testkit.MustOpenStore(t, url)
		mustBeDone(t, s, job.Webhooks)
		if got := r.got(); len(got) != len(want) {
			t.Errorf("%d deliveries of %d messages", len(got), len(want))
		}
		mustCheck(t, s)
	})
}

// What fails is tried again by itself, and what comes later waits for it.
func TestWebhookIsTriedAgain(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url, loopback...)
		people := mustMeet(t, a.URL(), 2)
		r := mustReceiveHooks(t)
		r.answers = func(n int) int {
			if n == 1 {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		group := mustCreateGroup(t, people[0], people[1])
		r.mustHook(t, people[0].Client, group)
		for _, body := range []string{"one", "two", "three"} {
			mustSend(t, people[0].Client, group, body)
		}
		r.mustGet(t, []string{"one", "two", "three"})
	})
}

// A ping wakes the job that waits and leaves the others waiting; a new address wakes it for all of them.
func TestWebhookWakes(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url, loopback...)
		people := mustMeet(t, a.URL(), 2)
		r := mustReceiveHooks(t)
		r.after = "3600"
		r.answers = func(n int) int {
			if n == 1 {
				return http.StatusTooManyRequests
			}
			return http.StatusOK
		}
		group := mustCreateGroup(t, people[0], people[1])
		hook := client.Vars{"w": r.mustHook(t, people[0].Client, group)}
		for _, body := range []string{"one", "two", "three"} {
			mustSend(t, people[0].Client, group, body)
		}
		eventually(t, func() error { // the first attempt has failed
			var out struct {
				Conversation struct {
					Webhooks []struct {
						FailingSince *string
						Deliveries   struct{ Nodes []struct{ Attempts int } }
					}
				}
			}
			testkit.MustDo(t, people[0].Client, `query($c: ID!) { conversation(id: $c) { webhooks { failingSince deliveries(last: 1) { nodes { attempts } } } } }`, client.Vars{"c": group}, &out)
			if h := out.Conversation.Webhooks[0]; h.FailingSince == nil || h.Deliveries.Nodes[0].Attempts != 1 {
				return fmt.Errorf("%+v", h)
			}
			return nil
		})
		var ping struct {
			PingWebhook struct{ Delivery struct{ ID string } }
		}
		testkit.MustDo(t, people[0].Client, `mutation($w: ID!) { pingWebhook(input: {webhookId: $w}) { delivery { id } } }`, hook, &ping)
		r.mustGet(t, []string{""})
		if r.ids[0] != ping.PingWebhook.Delivery.ID {
			t.Errorf("the ping was delivered as %s", r.ids[0])
		}
		hook["u"] = r.URL + "/new"
		testkit.MustDo(t, people[0].Client, `mutation($w: ID!, $u: String!) { updateWebhook(input: {webhookId: $w, url: $u}) { cursor } }`, hook, nil)
		r.mustGet(t, []string{"", "one", "two", "three"})
	})
}

// A node that is stopped while it delivers has not delivered: another one does, with the same id, and nothing is lost.
func TestWebhookOfANodeThatStops(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		one := testkit.MustRunApp(t, url, loopback...)
		people := mustMeet(t, one.URL(), 2)
		r := mustReceiveHooks(t)
		begun, stopped := make(chan struct{}), make(chan struct{})
		r.answers = func(n int) int {
			if n == 2 { // taken, and the sender does not learn of it
				close(begun)
				<-stopped
			}
			return http.StatusOK
		}
		group := mustCreateGroup(t, people[0], people[1])
		r.mustHook(t, people[0].Client, group)
		for _, body := range []string{"one", "two", "three"} {
			mustSend(t, people[0].Client, group, body)
		}
		<-begun
		one.Stop()
		close(stopped)
		testkit.MustRunApp(t, url, loopback...)
		r.mustGet(t, []string{"one", "two", "two", "three"})
		if r.ids[1] != r.ids[2] || r.ids[0] == r.ids[1] || r.ids[2] == r.ids[3] {
			t.Errorf("delivered as %v", r.ids)
		}
	})
}

// What is too much for one job goes on with the next at once.
func TestManyDeliveries(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		idle := testkit.MustRunApp(t, url, append([]string{"--webhook-workers", "0"}, loopback...)...)
		people := mustMeet(t, idle.URL(), 2)
		r := mustReceiveHooks(t)
		group := mustCreateGroup(t, people[0], people[1])
		hook := mustID(t, r.mustHook(t, people[0].Client, group))
		s := testkit.MustOpenStore(t, url)
		var want []string
		for n := range 450 { // a job delivers a hundred
			want = append(want, fmt.Sprint(n))
			mustSend(t, people[0].Client, group, want[n])
		}
		eventually(t, func() error {
			if h, err := s.Webhook(t.Context(), hook); err != nil || h.Pending != len(want) {
				return fmt.Errorf("%d are pending: %w", h.Pending, err)
			}
			return nil
		})
		idle.Stop()
		testkit.MustRunApp(t, url, loopback...)
		began := time.Now()
		r.mustGet(t, want)
		if took := time.Since(began); took > 15*time.Second { // four jobs that each wait for the five seconds after which what has a time is looked for
			t.Errorf("took %v", took)
		} else {
			t.Logf("took %v", took)
		}
	})
}

// An endpoint that takes long holds up no other.
func TestSlowWebhook(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url, append(loopback, "--webhook-workers", "2")...)
		people := mustMeet(t, a.URL(), 2)
		slow, quick := mustReceiveHooks(t), mustReceiveHooks(t)
		release := make(chan struct{})
		slow.answers = func(int) int { <-release; return http.StatusOK }
		defer close(release)
		groups := []string{mustCreateGroup(t, people[0], people[1]), mustCreateGroup(t, people[0], people[1])}
		slow.mustHook(t, people[0].Client, groups[0])
		quick.mustHook(t, people[0].Client, groups[1])
		var want []string
		for n := range 20 {
			want = append(want, fmt.Sprint(n))
			mustSend(t, people[0].Client, groups[0], "slow")
			mustSend(t, people[0].Client, groups[1], want[n])
		}
		quick.mustGet(t, want)
		if got := slow.got(); len(got) != 0 {
			t.Errorf("delivered %v", got)
		}
	})
}

// Without webhooks a stretch of the log costs one statement more, and no job.
func TestStatementsOfWebhooks(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a, counted := mustCount(t, url, loopback...)
		people := mustMeet(t, a.URL(), 2)
		group := mustCreateGroup(t, people[0], people[1])
		s := testkit.MustOpenStore(t, url)
		about := func(body string, done func() error) (made []string) {
			for _, q := range counted.of(func() { mustSend(t, people[0].Client, group, body); eventually(t, done) }) {
				if strings.Contains(q, "webhook") && !strings.Contains(q, "DELETE") && !strings.Contains(q, "deleted_at <=") { // a purge may be due
					made = append(made, q)
				}
			}
			return made
		}
		followed := func() error {
			head, err := s.Head(t.Context())
			if err != nil {
				return err
			}
			_, err = s.Follow(t.Context(), chat.LogEvents, 1000, func(_ *store.Tx, events []*chat.Event) error {
				return fmt.Errorf("%d of %d events are left", len(events), head.Position)
			})
			return err
		}
		eventually(t, followed)
		mustBeDone(t, s, job.Notify) // what came of the friendship and the group is told, too
		eventually(t, followed)
		if made := about("nobody listens", followed); len(made) > 1 {
			t.Errorf("%d statements: %s", len(made), strings.Join(made, "\n"))
		}
		r := mustReceiveHooks(t)
		r.mustHook(t, people[0].Client, group)
		eventually(t, followed)
		made := about("somebody does", func() error {
			if len(r.got()) == 0 {
				return errors.New("nothing is delivered")
			}
			return undone(t.Context(), s, job.Webhooks)
		})
		// Fan-out: what listens, the delivery, the counter. Delivery: the next one, the counter, what became of it, the next
		// one. End: the lock, the next one.
		if len(made) > 9 {
			t.Errorf("%d statements: %s", len(made), strings.Join(made, "\n"))
		}
	})
}
