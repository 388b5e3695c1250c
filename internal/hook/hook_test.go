package hook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/hook"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/outbound"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// world is a store with the service, whose clock the test sets, and a receiver. Jobs are run when the test says so.
type world struct {
	*testing.T
	*hook.Service
	*receiver
	store    *store.Store
	rooms    *conversation.Service
	friends  *friend.Service
	messages *message.Service
	clock    *clock
	keys     *int
	// In the group are its owner ann, its admin bob and cat; dan is not.
	ann, bob, cat, dan chat.ID
	group              chat.ID
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func loopback() outbound.Config {
	return outbound.Config{PlainHTTP: true, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
}

func worlds(t *testing.T, c hook.Config, o outbound.Config, test func(w world)) {
	t.Helper()
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		jobs, err := job.New(s)
		if err != nil {
			t.Fatal(err)
		}
		g, err := outbound.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		w := world{T: t, store: s, clock: &clock{t: time.Now()}, receiver: mustReceive(t), rooms: conversation.New(s, conversation.Config{}),
			friends: friend.New(s, friend.Config{}), messages: message.New(s, message.Config{}), keys: new(int)}
		c.Key, c.Now = []byte("a key of thirty-two bytes for us"), w.clock.now
		w.receiver.now = w.clock.now
		w.Service = hook.New(s, jobs, g, c)
		s.On(chat.FriendRequestAccepted, w.friends.OnAccepted)
		s.On(chat.FriendshipMade, w.rooms.OnFriendshipMade)
		s.On(chat.ConversationDeleted, w.OnConversationDeleted)
		s.On(chat.MemberLeft, w.OnGone)
		s.On(chat.MemberRemoved, w.OnGone)
		w.messages.Start()
		t.Cleanup(w.messages.Stop)
		p := testkit.MustAddUsers(t, s, 4)
		w.ann, w.bob, w.cat, w.dan = p[0], p[1], p[2], p[3]
		for _, friend := range p[1:] {
			w.befriend(w.ann, friend)
		}
		g2, _, err := w.rooms.CreateGroup(ctx, w.ann, "Picnic", []chat.ID{w.bob, w.cat})
		w.code("", err)
		w.group = g2.ID
		_, _, err = w.rooms.SetMemberRole(ctx, w.ann, w.group, w.bob, chat.RoleAdmin)
		w.code("", err)
		test(w)
	})
}

func (w world) befriend(a, b chat.ID) chat.ID {
	w.Helper()
	r, _, err := w.friends.Request(ctx, a, b)
	w.code("", err)
	_, f, _, err := w.friends.Accept(ctx, b, r.ID)
	w.code("", err)
	return f.Conversation
}

func (w world) code(want chat.Code, err error) {
	w.Helper()
	if got := chat.CodeOf(err); got != want {
		w.Fatalf("%q, want %q: %v", got, want, err)
	}
}

func (w world) say(body string) {
	w.Helper()
	*w.keys++
	_, err := w.messages.Send(ctx, chat.Viewer{User: w.ann}, w.group, body, fmt.Sprint(*w.keys))
	w.code("", err)
}

// webhook is bob's, of the group.
func (w world) webhook(types ...chat.EventType) chat.Webhook {
	w.Helper()
	h, secret, _, err := w.Create(ctx, w.bob, w.group, w.receiver.URL, types)
	w.code("", err)
	w.receiver.know(secret)
	return h
}

// fanOut does for the whole log what happens after events.
func (w world) fanOut() {
	w.Helper()
	for behind := int64(1); behind > 0; {
		var err error
		behind, err = w.store.Follow(ctx, chat.LogEvents, 1000, func(tx *store.Tx, events []*chat.Event) error { return w.FanOut(ctx, tx, events) })
		w.code("", err)
	}
}

// run is the job.
func (w world) run(h chat.Webhook) {
	w.Helper()
	w.code("", w.Flush(ctx, h.ID, func(*store.Tx) error { return nil }))
}

func (w world) now(h chat.Webhook) chat.Webhook {
	w.Helper()
	h, err := w.store.Webhook(ctx, h.ID)
	w.code("", err)
	return h
}

func (w world) deliveries(h chat.Webhook, status chat.DeliveryStatus) []chat.WebhookDelivery {
	w.Helper()
	l, err := w.Deliveries(ctx, []chat.ID{h.ID}, status, chat.Page{Limit: 100})
	w.code("", err)
	return l[h.ID].Nodes
}

// expect wants so many deliveries of each status, and the counter to say so.
func (w world) expect(h chat.Webhook, pending, delivered, dead int) {
	w.Helper()
	p, d, x := len(w.deliveries(h, chat.DeliveryPending)), len(w.deliveries(h, chat.DeliveryDelivered)), len(w.deliveries(h, chat.DeliveryDead))
	if p != pending || d != delivered || x != dead || w.now(h).Pending != pending {
		w.Errorf("%d pending (%d counted), %d delivered, %d dead; want %d, %d, %d", p, w.now(h).Pending, d, x, pending, delivered, dead)
	}
}

// told is the body of a request.
type told struct {
	Type, ID, Cursor, ConversationID string
	At                               time.Time
	Actor                            *struct{ ID, Username string }
	Data                             struct {
		Topic, SubjectID, Role string
		Seq                    int
		MemberIDs              []string
		MemberCount            int
		User                   *struct{ ID, Username string }
		Message                *struct{ ID, Body, SenderID string }
		Conversation           *struct{ Title string }
	}
}

// receiver is somebody else's endpoint. It takes what is signed with one of the secrets it knows, and answers 500 while
// anything else comes.
type receiver struct {
	*httptest.Server
	now func() time.Time

	mu      sync.Mutex
	secrets []webhook.Secret
	got     []told // in the order in which they were taken
	tries   int
	answer  func(told, http.ResponseWriter) int // 0: 200
	errs    []string
}

func mustReceive(t *testing.T) *receiver {
	r := &receiver{now: time.Now}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.Server.Close()
		for _, e := range r.errs {
			t.Error(e)
		}
	})
	return r
}

func (r *receiver) know(secrets ...webhook.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = secrets
}

func (r *receiver) answers(f func(told, http.ResponseWriter) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func status(n int) func(told, http.ResponseWriter) int {
	return func(told, http.ResponseWriter) int { return n }
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	var id string
	if err == nil {
		id, err = webhook.Verify(req.Header, body, r.now(), r.secrets...)
	}
	var m told
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err == nil && m.ID != id {
		err = errors.New("the ids differ")
	}
	if err != nil {
		r.errs = append(r.errs, fmt.Sprintf("%v: %s %s", err, req.Header, body))
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if r.answer != nil {
		if code := r.answer(m, w); code != 0 {
			w.WriteHeader(code)
			return
		}
	}
	r.got = append(r.got, m)
}

// taken is what was taken since it was last called: texts of messages, types of other events.
func (r *receiver) taken() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		if m.Data.Message != nil {
			out = append(out, m.Data.Message.Body)
		} else {
			out = append(out, m.Type)
		}
	}
	r.got = nil
	return out
}

func (w world) took(want ...string) {
	w.Helper()
	if got := w.taken(); !slices.Equal(got, want) {
		w.Errorf("took %v, want %v", got, want)
	}
}

// A webhook is told what happens in its conversation after it was made, in order, and nothing else.
func TestTold(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		w.say("before")
		h := w.webhook()
		w.say("one")
		some, secret, _, err := w.Create(ctx, w.ann, w.group, w.receiver.URL+"/some", []chat.EventType{chat.MemberLeft, chat.MemberLeft})
		w.code("", err)
		_, _, err = w.rooms.CreateGroup(ctx, w.ann, "Elsewhere", []chat.ID{w.bob})
		w.code("", err)
		_, err = w.rooms.LeaveGroup(ctx, w.cat, w.group)
		w.code("", err)
		_, _, err = w.rooms.UpdateGroup(ctx, w.ann, w.group, "Feast")
		w.code("", err)
		w.say("<two> & \"three\"")
		w.fanOut()
		w.expect(h, 4, 0, 0)
		w.expect(some, 1, 0, 0)
		w.run(h)
		w.expect(h, 0, 4, 0)
		if len(w.receiver.got) != 4 {
			w.Fatal(w.receiver.got)
		}
		var last chat.Position
		for _, m := range w.receiver.got {
			c, err := chat.ParseCursor(m.Cursor)
			if err != nil || c.Position <= last || m.ConversationID != w.group.String() || m.Data.Topic != w.group.String() || m.At.IsZero() || !strings.HasPrefix(m.ID, "whd_") {
				w.Errorf("%+v %v", m, err)
			}
			last = c.Position
		}
		one, left, feast := w.receiver.got[0], w.receiver.got[1], w.receiver.got[2]
		if one.Actor == nil || one.Actor.ID != w.ann.String() || one.Actor.Username == "" || one.Data.Message.SenderID != w.ann.String() || one.Data.Seq != 2 {
			w.Errorf("%+v", one)
		}
		if left.Data.User == nil || left.Data.User.ID != w.cat.String() || left.Data.MemberCount != 2 || feast.Data.Conversation == nil || feast.Data.Conversation.Title != "Feast" {
			w.Errorf("%+v %+v", left, feast)
		}
		w.took("one", "MEMBER_LEFT", "CONVERSATION_UPDATED", "<two> & \"three\"")
		w.receiver.know(secret)
		w.run(some)
		w.took("MEMBER_LEFT")
		w.run(h)
		w.took()
		w.code("", w.store.Check(ctx))
		_, err = w.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
			_, err := tx.SettleDelivery(h, chat.WebhookDelivery{Status: chat.DeliveryDead})
			return err
		})
		w.code("", err)
		if err := w.store.Check(ctx); err == nil {
			w.Error("a wrong count was not found")
		}
	})
}

// What fails is tried again as webhook.Next says, and holds up what comes behind it. After a day it is dead, and the rest goes on.
func TestRetries(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook()
		w.say("one")
		w.say("two")
		w.fanOut()
		w.answers(status(http.StatusInternalServerError))
		for n, wait := range []time.Duration{6 * time.Second, 36 * time.Second, 3 * time.Minute} {
			w.run(h)
			if w.tries != n+1 {
				t.Fatalf("%d attempts, want %d", w.tries, n+1)
			}
			d := w.deliveries(h, chat.DeliveryPending)[1] // the newest first
			if d.Attempts != n+1 || d.HTTPStatus != 500 || !strings.Contains(d.Reason, "500") || d.NextAt.Sub(d.AttemptedAt) > wait || d.NextAt.Sub(d.AttemptedAt) < wait/2 {
				t.Errorf("%+v", d)
			}
			w.run(h)
			if w.tries != n+1 {
				t.Errorf("%d attempts: it did not wait", w.tries)
			}
			w.clock.add(wait)
		}
		w.answers(func(_ told, r http.ResponseWriter) int {
			r.Header().Set("Retry-After", "7200")
			return http.StatusTooManyRequests
		})
		w.run(h)
		if d := w.deliveries(h, chat.DeliveryPending)[1]; d.NextAt.Sub(d.AttemptedAt) != 2*time.Hour {
			t.Errorf("%+v", d)
		}
		if w.now(h).FailingSince.IsZero() {
			t.Error("nobody is told that it fails")
		}
		w.answers(func(m told, _ http.ResponseWriter) int {
			if m.Data.Message.Body == "one" {
				return http.StatusBadGateway
			}
			return 0
		})
		for range 8 {
			w.clock.add(4 * time.Hour)
			w.run(h)
		}
		w.expect(h, 0, 1, 1)
		w.took("two")
		if d := w.deliveries(h, chat.DeliveryDead)[0]; d.HTTPStatus != http.StatusBadGateway || d.Reason == "" {
			t.Errorf("%+v", d)
		}
		if !w.now(h).FailingSince.IsZero() {
			t.Error("it succeeds again")
		}
	})
}

// What an endpoint refuses as it is, is dead at once; one that is gone, or where nothing succeeds for days, is disabled.
func TestGivenUp(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook(chat.MessageAdded)
		w.say("bad")
		w.say("good")
		w.fanOut()
		w.answers(func(m told, _ http.ResponseWriter) int {
			if m.Data.Message.Body == "bad" {
				return http.StatusUnprocessableEntity
			}
			return 0
		})
		w.run(h)
		w.took("good")
		w.expect(h, 0, 1, 1)

		w.say("never")
		w.say("later")
		w.fanOut()
		w.answers(status(http.StatusGone))
		w.run(h)
		if now := w.now(h); now.Enabled || !strings.Contains(now.Reason, "410") || w.tries != 3 {
			t.Errorf("%+v after %d attempts", now, w.tries)
		}
		w.say("unheard")
		w.fanOut()
		w.answers(nil)
		w.run(h)
		w.took()
		yes := true
		now, _, err := w.Update(ctx, w.ann, h.ID, hook.Change{Enabled: &yes})
		w.code("", err)
		if !now.Enabled || now.Reason != "" || now.Pending != 1 {
			t.Errorf("%+v", now)
		}
		w.run(h)
		w.took("later")

		w.answers(status(http.StatusBadGateway))
		for n := 0; w.now(h).Enabled; n++ {
			w.say("x")
			w.fanOut()
			w.run(h)
			w.clock.add(8 * time.Hour)
			if n > 12 {
				t.Fatal("enabled for ever")
			}
		}
		if now := w.now(h); !strings.Contains(now.Reason, "three days") || now.FailingSince.IsZero() {
			t.Errorf("%+v", now)
		}
	})
}

// A dead delivery is tried again at its place in the order, with the same id, and tells what is so now.
func TestReplay(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook()
		for _, body := range []string{"one", "two", "three"} {
			w.say(body)
		}
		w.fanOut()
		w.answers(status(http.StatusBadRequest))
		w.run(h)
		w.expect(h, 0, 0, 3)
		dead := w.deliveries(h, chat.DeliveryDead)
		w.answers(nil)
		w.say("four")
		w.fanOut()
		_, _, err := w.Replay(ctx, w.cat, dead[2].ID)
		w.code(chat.CodeNotFound, err)
		d, _, err := w.Replay(ctx, w.bob, dead[2].ID)
		w.code("", err)
		if d.Status != chat.DeliveryPending || d.Attempts != 0 || d.ID != dead[2].ID || d.Reason != "" {
			t.Errorf("%+v", d)
		}
		_, _, err = w.Replay(ctx, w.bob, dead[2].ID)
		w.code(chat.CodeConflict, err)
		w.run(h)
		if w.receiver.got[0].ID != dead[2].ID.String() {
			t.Errorf("%s was replayed as %s", dead[2].ID, w.receiver.got[0].ID)
		}
		w.took("one", "four")
		_, n, _, err := w.ReplayDead(ctx, w.ann, h.ID)
		if w.code("", err); n != 2 {
			t.Errorf("%d replayed", n)
		}
		w.run(h)
		w.took("two", "three")
		w.expect(h, 0, 4, 0)
		if _, n, _, err = w.ReplayDead(ctx, w.ann, h.ID); err != nil || n != 0 {
			t.Error(n, err)
		}
	})
}

// For a day after a secret was replaced, both sign; then only the new one does.
func TestRotation(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h, first, _, err := w.Create(ctx, w.bob, w.group, w.receiver.URL, nil)
		w.code("", err)
		if strings.Contains(w.now(h).Secret, strings.TrimPrefix(first.Text(), "whsec_")) || w.now(h).Secret == "" {
			t.Error("the secret is stored as it is")
		}
		_, second, _, err := w.Rotate(ctx, w.bob, h.ID)
		w.code("", err)
		for _, s := range []webhook.Secret{first, second} {
			w.know(s)
			w.say("signed twice")
			w.fanOut()
			w.run(h)
			w.took("signed twice")
		}
		w.clock.add(24*time.Hour + time.Second)
		w.say("signed once")
		w.fanOut()
		w.run(h)
		w.took("signed once")
		w.know(first)
		w.say("too late")
		w.fanOut()
		w.run(h)
		w.took()
		if len(w.errs) != 1 {
			t.Error("the old secret signs for ever")
		}
		w.errs = nil
	})
}

// Secrets that cannot be read, as after the installation's own was changed, disable the webhook until there is a new one.
func TestLostKey(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook()
		w.say("one")
		w.fanOut()
		copy(w.Key, "another")
		w.run(h)
		if now := w.now(h); now.Enabled || !strings.Contains(now.Reason, "rotate") || w.tries != 0 {
			t.Errorf("%+v", now)
		}
		_, secret, _, err := w.Rotate(ctx, w.bob, h.ID)
		w.code("", err)
		w.know(secret)
		yes := true
		_, _, err = w.Update(ctx, w.bob, h.ID, hook.Change{Enabled: &yes})
		w.code("", err)
		w.run(h)
		w.took("one")
	})
}

// A ping goes ahead of what is pending, and is tried once.
func TestPing(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook()
		w.say("one")
		w.fanOut()
		w.answers(status(http.StatusServiceUnavailable))
		w.run(h)
		d, _, err := w.Ping(ctx, w.bob, h.ID)
		w.code("", err)
		_, _, err = w.Ping(ctx, w.bob, h.ID)
		w.code(chat.CodeConflict, err)
		w.run(h)
		w.expect(h, 1, 0, 1)
		if dead := w.deliveries(h, chat.DeliveryDead); dead[0].ID != d.ID || dead[0].HTTPStatus != http.StatusServiceUnavailable {
			t.Errorf("%+v", dead)
		}
		w.answers(nil)
		w.clock.add(time.Second) // less than the line waits
		_, _, err = w.Ping(ctx, w.bob, h.ID)
		w.code("", err)
		w.run(h)
		w.took("PING")
		no := false
		_, _, err = w.Update(ctx, w.bob, h.ID, hook.Change{Enabled: &no})
		w.code("", err)
		_, _, err = w.Ping(ctx, w.bob, h.ID)
		w.code(chat.CodeConflict, err)
	})
}

// Nothing is sent to a private address: not when it is written out, nor when a name or a redirect leads there.
func TestPrivateAddresses(t *testing.T) {
	worlds(t, hook.Config{}, outbound.Config{PlainHTTP: true}, func(w world) {
		_, _, _, err := w.Create(ctx, w.bob, w.group, w.receiver.URL, nil)
		w.code(chat.CodeBadInput, err)
		var e *chat.Error
		if !errors.As(err, &e) || !slices.Equal(e.Path, []string{"input", "url"}) {
			t.Errorf("%+v", e)
		}
		h, _, _, err := w.Create(ctx, w.bob, w.group, strings.Replace(w.receiver.URL, "127.0.0.1", "localhost", 1), nil)
		w.code("", err)
		w.say("one")
		w.fanOut()
		w.run(h)
		if d := w.deliveries(h, chat.DeliveryPending)[0]; w.tries != 0 || d.Attempts != 1 || !strings.Contains(d.Reason, "does not lead to a public address") {
			t.Errorf("%+v after %d requests", d, w.tries)
		}
	})
}

func TestRedirectToAPrivateAddress(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook()
		w.answers(func(_ told, r http.ResponseWriter) int {
			r.Header().Set("Location", strings.Replace(w.receiver.URL, "127.0.0.1", "127.0.0.2", 1))
			return http.StatusTemporaryRedirect
		})
		w.say("one")
		w.fanOut()
		w.run(h)
		if d := w.deliveries(h, chat.DeliveryPending)[0]; w.tries != 1 || !strings.Contains(d.Reason, "127.0.0.2 is not a public address") {
			t.Errorf("%+v after %d requests", d, w.tries)
		}
	})
}

// Who runs a conversation sets its webhooks up, each of them all of them; who does not cannot tell that there are any.
func TestRights(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		h := w.webhook()
		direct := w.befriend(w.bob, w.dan)
		create := func(by, conversation chat.ID) error {
			_, _, _, err := w.Create(ctx, by, conversation, w.receiver.URL, nil)
			return err
		}
		w.code(chat.CodeForbidden, create(w.cat, w.group))
		w.code(chat.CodeNotFound, create(w.dan, w.group))
		w.code(chat.CodeNotFound, create(w.ann, chat.NewID(chat.KindConversation)))
		w.code("", create(w.dan, direct))
		w.code("", create(w.bob, direct))
		w.code(chat.CodeNotFound, create(w.ann, direct))
		w.code(chat.CodeForbidden, create(w.ann, chat.ID{}))
		_, err := w.Global(ctx, w.ann)
		w.code(chat.CodeForbidden, err)

		_, _, err = w.Update(ctx, w.ann, h.ID, hook.Change{Types: []chat.EventType{chat.MessageAdded}})
		w.code("", err)
		_, _, err = w.Update(ctx, w.ann, h.ID, hook.Change{Types: []chat.EventType{"MESSAGE_EATEN"}})
		w.code(chat.CodeBadInput, err)
		for _, by := range []chat.ID{w.cat, w.dan} {
			_, _, err = w.Update(ctx, by, h.ID, hook.Change{})
			w.code(chat.CodeNotFound, err)
			_, _, _, err = w.Rotate(ctx, by, h.ID)
			w.code(chat.CodeNotFound, err)
			_, err = w.Delete(ctx, by, h.ID)
			w.code(chat.CodeNotFound, err)
			_, _, err = w.Ping(ctx, by, h.ID)
			w.code(chat.CodeNotFound, err)
		}
		for _, c := range []struct {
			by    chat.ID
			group int
		}{{w.ann, 1}, {w.bob, 1}, {w.cat, 0}, {w.dan, 0}} {
			l, err := w.Of(ctx, c.by, []chat.ID{w.group, direct})
			if w.code("", err); len(l[w.group]) != c.group || len(l[direct]) != 2*map[bool]int{true: 1}[c.by == w.bob || c.by == w.dan] {
				t.Errorf("%s sees %v", c.by, l)
			}
		}
		// It is there for the others when who made it goes, and tells nobody (TestGone).
		_, err = w.rooms.LeaveGroup(ctx, w.bob, w.group)
		w.code("", err)
		_, err = w.Delete(ctx, w.bob, h.ID)
		w.code(chat.CodeNotFound, err)
		w.say("on")
		w.fanOut()
		w.run(h)
		w.took()
		_, err = w.Delete(ctx, w.ann, h.ID)
		w.code("", err)
		_, err = w.Delete(ctx, w.ann, h.ID)
		w.code(chat.CodeNotFound, err)
	})
}

// One of the whole installation is told of everything.
func TestGlobal(t *testing.T) {
	worlds(t, hook.Config{MaxGlobal: 1}, loopback(), func(w world) {
		_, err := w.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.SetAdmin(w.ann, true) })
		w.code("", err)
		h, secret, _, err := w.Create(ctx, w.ann, chat.ID{}, w.receiver.URL, nil)
		w.code("", err)
		w.know(secret)
		_, _, _, err = w.Create(ctx, w.ann, chat.ID{}, w.receiver.URL, nil)
		w.code(chat.CodeConflict, err)
		w.say("one")
		w.befriend(w.bob, w.cat)
		w.fanOut()
		w.run(h)
		got := w.receiver.got
		if len(got) != 8 || got[0].Data.Message.Body != "one" || got[1].Data.Topic != w.bob.String() || got[2].Data.Topic != w.cat.String() || got[7].ConversationID == "" || len(got[7].Data.MemberIDs) != 2 {
			t.Errorf("%d: %+v", len(got), got)
		}
		if l, err := w.Global(ctx, w.ann); err != nil || len(l) != 1 || l[0].ID != h.ID {
			t.Error(l, err)
		}
	})
}

// What was deleted meanwhile is not told: a conversation's webhooks end with it, and others are sent no texts of it.
func TestDeleted(t *testing.T) {
	worlds(t, hook.Config{}, loopback(), func(w world) {
		_, err := w.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.SetAdmin(w.ann, true) })
		w.code("", err)
		all, secret, _, err := w.Create(ctx, w.ann, chat.ID{}, w.receiver.URL, nil)
		w.code("", err)
		h := w.webhook()
		w.know(secret)
		w.say("secret")
		w.fanOut()
		_, err = w.rooms.DeleteGroup(ctx, w.ann, w.group)
		w.code("", err)
		w.fanOut()
		w.run(h)
		w.took()
		w.run(all)
		w.took("MESSAGE_ADDED", "CONVERSATION_DELETED")
		if _, err := w.store.Webhook(ctx, h.ID); !errors.Is(err, chat.ErrNotFound) {
			t.Error(err)
		}
		w.clock.add(time.Minute)
		w.code("", w.Purge(ctx, nil))
		w.expect(all, 0, 2, 0)
		if l := w.deliveries(h, chat.DeliveryPending); len(l) != 0 {
			t.Errorf("left behind: %v", l)
		}
		w.clock.add(3*24*time.Hour + time.Minute)
		w.code("", w.Purge(ctx, nil))
		w.expect(all, 0, 0, 0)
	})
}

// Nothing grows without bound: neither what is pending nor how many webhooks there are.
func TestBounds(t *testing.T) {
	worlds(t, hook.Config{MaxPerConversation: 2, MaxPending: 3}, loopback(), func(w world) {
		h := w.webhook()
		w.webhook()
		_, _, _, err := w.Create(ctx, w.bob, w.group, w.receiver.URL, nil)
		w.code(chat.CodeConflict, err)
		for range 3 {
			w.say("x")
		}
		w.fanOut()
		if !w.now(h).Enabled {
			t.Error("disabled too early")
		}
		w.say("too much")
		w.fanOut()
		if now := w.now(h); now.Enabled || now.Reason == "" || now.Pending != 3 {
			t.Errorf("%+v", now)
		}
		w.clock.add(30*24*time.Hour + time.Minute)
		w.code("", w.Purge(ctx, nil))
		if l := w.deliveries(h, chat.DeliveryPending); len(l) != 0 {
			t.Errorf("kept for ever: %v", l)
		}
	})
}
