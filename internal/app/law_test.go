package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/schema"
)

// TestLaw: for every mutation and every kind of viewer, what a query showed before it, plus the events since, is what a
// query shows after it. A mutation that is refused changes nothing for anybody, and nobody is told.
func TestLaw(t *testing.T) {
	t.Parallel()
	sdl, err := gqlparser.LoadSchema(&ast.Source{Name: "schema", Input: schema.SDL()})
	if err != nil {
		t.Fatal(err)
	}
	laws := allLaws()
	for name := range laws {
		if sdl.Mutation.Fields.ForName(name) == nil {
			t.Errorf("there is a law for %s, which is not a mutation", name)
		}
	}
	for _, f := range sdl.Mutation.Fields {
		if !slices.ContainsFunc(laws[f.Name], func(l law) bool { return l.code == "" }) {
			t.Errorf("%s has no law: say in law_cases_test.go what it does, and in reduce what its events mean", f.Name)
		}
	}
	testkit.URLs(t, func(t *testing.T, url string) {
		w, all := newWorld(t, url), true
		for _, f := range sdl.Mutation.Fields {
			ran := false
			t.Run(f.Name, func(t *testing.T) { //nolint:paralleltest // in one world, one after the other
				defer func(all *testing.T) { w.T = all }(w.T)
				w.T, ran = t, true
				for _, l := range laws[f.Name] {
					w.check(f, l)
				}
			})
			all = all && ran
		}
		w.checkAll(sdl, all)
	})
}

// world is a server and the people at it. ann acts, mostly.
type world struct {
	*testing.T
	url   string
	mails string       // the folder of those that the server sends
	store *store.Store // beside the server: to see what is in the log, whoever may see it
	// In the group that most laws are about, bob and cat are members besides ann, fay was one, and dan is ann's friend
	// outside of it. Nobody knows eve. All of them look on at everything.
	ann, bob, cat, dan, eve, fay *person
	people                       []*person
	undo                         []func() // after the law
	keys                         int
}

type person struct {
	*client.Account
	w      *world
	socket *client.Socket
	// first is what the person saw before all laws, at the cursor began; live is what they have made of it since by the
	// events that one subscription delivers, up to the cursor reached.
	first, live    state
	began, reached string
	feed           *client.Subscription
	heard          []string // the types of what came
}

func newWorld(t *testing.T, url string) *world {
	w := &world{T: t, mails: t.TempDir(), store: testkit.MustOpenStore(t, url)}
	// With one connection, whatever takes a second one while it holds it waits for itself.
	a := testkit.MustRunApp(t, url, "--database-conns", "1", "--max-complexity", "100000000", "--max-aliases", "100", "--max-tokens", "10000", "--mail-dir", w.mails, "--file-workers", "0")
	w.url = a.URL()
	for _, p := range []struct {
		p    **person
		name string
	}{{&w.ann, "Ann"}, {&w.bob, "Bob"}, {&w.cat, "Cat"}, {&w.dan, "Dan"}, {&w.eve, "Eve"}, {&w.fay, "Fay"}} {
		*p.p = &person{Account: testkit.MustSignUp(t, w.url, p.name), w: w}
		w.people = append(w.people, *p.p)
	}
	for _, friend := range []*person{w.bob, w.cat, w.dan, w.fay} {
		testkit.MustBefriend(t, w.ann.Account, friend.Account)
	}
	w.settle()
	for _, p := range w.people {
		p.begin()
	}
	return w
}

// begin makes the person's first query and subscribes to everything after it.
func (p *person) begin() {
	p.first, p.began = p.look()
	p.live, p.reached = p.first, p.began
	var err error
	if p.socket, err = p.Dial(p.w.Context()); err != nil {
		p.w.Fatal(err)
	}
	p.w.Cleanup(p.socket.Close)
	if p.feed, err = p.socket.Subscribe(changes, client.Vars{"after": p.began}, 10000); err != nil {
		p.w.Fatal(err)
	}
	if e, err := p.next(p.feed); err != nil || e.Typename != "CaughtUp" {
		p.w.Fatalf("a feed begins with %v, %v", e, err)
	}
}

// look queries everything that the person can see.
func (p *person) look() (state, string) {
	users := make([]string, len(p.w.people))
	for i, u := range p.w.people {
		users[i] = u.ID
	}
	var data json.RawMessage
	err := p.Do(p.w.Context(), everything(users), nil, &data)
	var s state
	var cursor string
	if err == nil {
		s, cursor, err = parse(data)
	}
	if err != nil {
		p.w.Errorf("query: %v", err)
	}
	return s, cursor
}

// next waits for an event.
func (p *person) next(s *client.Subscription) (event, error) {
	ctx, cancel := context.WithTimeout(p.w.Context(), 20*time.Second)
	defer cancel()
	var item struct{ Events event }
	err := s.Next(ctx, &item)
	return item.Events, err
}

// replay reads the person's events after a cursor, up to CaughtUp.
func (p *person) replay(after string) []event { return p.upToNow(changes, client.Vars{"after": after}) }

func (p *person) upToNow(subscription string, vars client.Vars) (events []event) {
	s, err := p.socket.Subscribe(subscription, vars, 1000)
	for err == nil {
		var e event
		if e, err = p.next(s); err == nil && e.Typename == "CaughtUp" {
			_ = s.Complete()
			return events
		}
		events = append(events, e)
	}
	p.w.Errorf("%s, replay after %v: %v", p.Username(), vars, err)
	return events
}

// follow reads the live feed up to the newest of the events that were replayed after what had been reached. Each of those
// must be among them, in the same order. A replay leaves out what was deleted meanwhile, which the live feed may have told.
func (p *person) follow(replayed []event) (events []event) {
	rest := replayed
	for len(rest) > 0 {
		e, err := p.next(p.feed)
		if err != nil {
			p.w.Errorf("%s is told live: %v after %v; replayed: %v", p.Username(), err, events, replayed)
			return events
		}
		if len(events) > 0 && e.position() <= events[len(events)-1].position() {
			p.w.Errorf("%s is told live: %v after %v", p.Username(), e, events)
		}
		if events = append(events, e); e.Cursor == rest[0].Cursor {
			rest = rest[1:]
		}
		p.reached, p.heard = e.Cursor, append(p.heard, e.Typename)
	}
	return events
}

// settle waits until the server has applied the whole log, and returns its end.
func (w *world) settle() chat.Position {
	head, err := w.store.Head(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	eventually(w, func() error {
		var now struct{ Cursor string }
		testkit.MustDo(w, w.ann.Client, `{ cursor }`, nil, &now)
		if p := position(w, now.Cursor); p < head.Position {
			return fmt.Errorf("the server has followed the log to %d, not %d", p, head.Position)
		}
		return nil
	})
	return head.Position
}

// everybody does something at the same time, each for themselves.
func (w *world) everybody(do func(p *person)) {
	var all sync.WaitGroup
	for _, p := range w.people {
		all.Go(func() { do(p) })
	}
	all.Wait()
}

// mutation is a mutation that is about to happen.
type mutation struct {
	by    *client.Client
	input client.Vars
}

// law is a mutation in one situation.
type law struct {
	name    string
	prepare func(w *world) mutation // makes the situation
	code    string                  // of the refusal; empty: it succeeds
	// quiet: nobody is told, because there is nothing to tell. Refusals are quiet, but for one.
	quiet bool
	// repeats: the payload's cursor is that of what was done before.
	repeats bool
}

func (m mutation) do(ctx context.Context, f *ast.FieldDefinition) (cursor string, err error) {
	text, vars := "mutation { out: "+f.Name+" { cursor } }", client.Vars(nil)
	if len(f.Arguments) > 0 {
		text = fmt.Sprintf("mutation($input: %s) { out: %s(input: $input) { cursor } }", f.Arguments[0].Type, f.Name)
		vars = client.Vars{"input": m.input}
	}
	var answer struct{ Out struct{ Cursor string } }
	err = m.by.Do(ctx, text, vars, &answer)
	return answer.Out.Cursor, err
}

// check runs a mutation and holds it to the law.
func (w *world) check(f *ast.FieldDefinition, l law) {
	name := f.Name + ": " + l.name
	defer func() {
		for _, undo := range slices.Backward(w.undo) {
			undo()
		}
		w.undo = nil
	}()
	m := l.prepare(w)
	head := w.settle()
	payload, err := m.do(w.Context(), f)
	if got := client.Code(err); got != l.code || err != nil && got == "" {
		w.Fatalf("%s: %v, want the code %q", name, err, l.code)
	}
	if now := w.settle(); (now == head) != l.quiet {
		w.Errorf("%s: the log went from %d to %d", name, head, now)
	}

	w.everybody(func(p *person) {
		after, _ := p.look()
		replayed := p.replay(p.reached)
		if !l.quiet {
			p.equal(name, "events since the last query", replayed, reduce(p.live, replayed), after)
			p.equal(name, "events applied twice", replayed, reduce(reduce(p.live, replayed), replayed), after)
			p.equal(name, "events that the query shows already", replayed, reduce(after, replayed), after)
		}
		if payload != "" {
			rest := p.replay(payload)
			p.equal(name, "events after the payload", rest, reduce(after, rest), after)
			if !l.repeats && len(rest) > 0 {
				w.Errorf("%s: after the payload's cursor %s is told %v", name, p.Username(), rest)
			}
		}
		// This finds too what has changed although the log has not.
		events := p.follow(replayed)
		p.live = reduce(p.live, events)
		p.equal(name, "events as they came, since the beginning", events, p.live, after)
	})
}

// checkAll holds everything that happened to the law, as one long absence. Nothing that clients can be told was missing in
// it, and the narrow subscriptions tell their part of it. all: no law was left out.
func (w *world) checkAll(sdl *ast.Schema, all bool) {
	w.settle()
	var mu sync.Mutex
	told := map[string]bool{}
	w.everybody(func(p *person) {
		now, _ := p.look()
		events := p.replay(p.began)
		p.equal("everything", "events after the first query", events, reduce(p.first, events), now)
		p.equal("everything", "events that the query shows already", events, reduce(now, events), now)
		if !slices.IsSortedFunc(events, func(a, b event) int { return int(a.position() - b.position()) }) {
			w.Errorf("%s: out of order: %v", p.Username(), events)
		}
		p.narrow(sdl, "friendRequestUpdated", "", events)
		p.narrow(sdl, "notificationAdded", "", events)
		for id := range now.Conversations {
			p.narrow(sdl, "messageAdded", id, events)
			p.narrow(sdl, "conversationUpdated", id, events)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range p.heard {
			told[e] = true
		}
	})
	for _, event := range sdl.GetPossibleTypes(sdl.Types["Event"]) {
		if event.Kind == ast.Object && event.Name != "CaughtUp" && all && !told[event.Name] {
			w.Errorf("no law leads to a %s", event.Name)
		}
	}
}

// narrow expects a narrow subscription to tell those events of the whole feed that are of its type, in its conversation.
func (p *person) narrow(sdl *ast.Schema, field, conversation string, events []event) {
	f := sdl.Subscription.Fields.ForName(field)
	text, vars := "subscription($after: Cursor) { events: "+field+"(after: $after) { __typename cursor } }", client.Vars{"after": p.began}
	if conversation != "" {
		text = "subscription($after: Cursor, $c: ID!) { events: " + field + "(after: $after, conversationId: $c) { __typename cursor } }"
		vars["c"] = conversation
	}
	var want []string
	for _, e := range events {
		if slices.Contains(sdl.Types[e.Typename].Interfaces, f.Type.Name()) && e.ConversationID == conversation {
			want = append(want, e.Cursor)
		}
	}
	var got []string
	for _, e := range p.upToNow(text, vars) {
		got = append(got, e.Cursor)
	}
	if !slices.Equal(got, want) {
		p.w.Errorf("%s, %s %s: %v, want %v", p.Username(), field, conversation, got, want)
	}
}

func (p *person) equal(name, what string, events []event, got, want state) {
	if d := difference(got, want); d != "" {
		w := p.w
		w.Errorf("%s\n%s, %s: %v\n%s", name, p.Username(), what, events, strings.TrimSpace(d))
	}
}

// Username is how the person signs in.
func (p *person) Username() string { return p.first.Me.Username }
