package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
	"github.com/parley-chat/parley/schema"
)

// seedOfDifferential repeats a run.
const seedOfDifferential = "DIFFERENTIAL_SEED"

const (
	differentialRounds = 5
	differentialActs   = 15 // mutations of a round
)

// What many listeners share is what each would get alone: random documents, random viewers, random mutations, and the same
// again as a replay. Every viewer subscribes to each document twice: in words of their own, so that it is shared with
// everybody else's; and with a selection that is skipped, but that has a name of its own and touches a @viewer field, so that
// every event is executed for this listener alone, with its viewer in the context, and is not kept for others. Their
// messages must be equal, byte for byte, and the executions as many as there are distinct shapes.
func TestSharedEqualsIndividual(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if text := os.Getenv(seedOfDifferential); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	testkit.URLs(t, func(t *testing.T, url string) {
		t.Logf("%s=%d", seedOfDifferential, seed)
		d := newDifferential(t, url, seed)
		var begin string
		for range differentialRounds {
			begin = d.cursor
			d.live()
		}
		d.replay(begin)
		t.Logf("%d documents; %d messages from %d executions (%d of them for several viewers) were equal to those from %d executions; of types %v",
			d.documents, d.messages, d.executed, d.joint, d.alone, d.types)
		if d.documents < 4*differentialRounds || d.messages < 300 || d.joint < 50 || len(d.types) < 10 {
			t.Error("that is too little to prove anything")
		}
	})
}

type differential struct {
	testing.TB
	*rand.Rand
	url      string // of the database
	settings []string
	node     string // its address
	db       *store.Store
	schema   *ast.Schema
	people   []*client.Account
	viewers  []*listener // sessions: the last one is a second one of the second person's
	rooms    []string    // conversations that exist, or did
	requests []friendRequest
	devices  []*client.Client // further sessions
	cursor   string           // of the newest mutation
	serial   int

	documents, messages, executed, joint, alone int
	types                                       map[string]int
}

type friendRequest struct {
	id       string
	from, to *client.Account
}

func newDifferential(t *testing.T, url string, seed uint64) *differential {
	t.Helper()
	d := &differential{TB: t, Rand: rand.New(rand.NewPCG(seed, 1)), url: url, db: testkit.MustOpenStore(t, url), types: map[string]int{}}
	d.schema = gqlparser.MustLoadSchema(&ast.Source{Input: schema.SDL()})
	d.settings = []string{"--max-aliases", "1000", "--max-directives", "1000", "--max-tokens", "10000", "--max-subscriptions", "1000"}
	d.node = testkit.MustRunApp(t, url, d.settings...).URL()
	d.people = mustMeet(t, d.node, 5)
	p := d.people
	direct := testkit.MustBefriend(t, p[1], p[2])
	d.rooms = []string{mustCreateGroup(t, p[0], p[1:4]...), mustCreateGroup(t, p[0], p[1], p[4]), mustCreateGroup(t, p[1], p[0], p[2]), direct}
	for _, room := range d.rooms {
		d.cursor = mustSend(t, p[1].Client, room, "the first").SendMessage.Cursor
	}
	for _, who := range p {
		d.viewers = append(d.viewers, &listener{client: who.Client, user: mustID(t, who.ID)})
	}
	d.viewers = append(d.viewers, &listener{client: d.signIn(1), user: mustID(t, p[1].ID)})
	d.connect()
	return d
}

func (d *differential) username(person int) string {
	var out struct{ Me struct{ Username string } }
	testkit.MustDo(d, d.people[person].Client, `{ me { username } }`, nil, &out)
	return out.Me.Username
}

func (d *differential) signIn(person int) *client.Client {
	var out struct {
		SignIn struct{ AccessToken, Cursor string }
	}
	testkit.MustDo(d, &client.Client{URL: d.node}, `mutation($input: SignInInput!) { signIn(input: $input) { accessToken cursor } }`,
		client.Vars{"input": client.Vars{"username": d.username(person), "password": "correct horse battery"}}, &out)
	d.cursor = out.SignIn.Cursor
	return &client.Client{URL: d.node, Token: out.SignIn.AccessToken, HTTP: d.people[0].HTTP}
}

// listener is a viewer's socket, with what came by operation.
type listener struct {
	client *client.Client
	user   chat.ID
	conn   *websocket.Conn
	got    map[string][]told
}

// told is a payload as it came; its kind is next, error or complete.
type told struct{ kind, payload string }

// connect opens everybody's socket, before anybody subscribes: presence stays as it is from then on.
func (d *differential) connect() {
	for _, v := range d.viewers {
		dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}
		conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(d.node, "http")+"/graphql", nil)
		if err != nil {
			d.Fatal(err)
		}
		d.Cleanup(func() { conn.Close() })
		v.conn, v.got = conn, map[string][]told{}
		d.say(v, map[string]any{"type": "connection_init", "payload": map[string]any{"authorization": "Bearer " + v.client.Token}})
		d.hear(v, func(kind, _ string) bool { return kind == "connection_ack" })
	}
}

func (d *differential) say(v *listener, m any) {
	if err := v.conn.WriteJSON(m); err != nil {
		d.Fatal(err)
	}
}

// hear reads until a message of some kind has come.
func (d *differential) hear(v *listener, last func(kind, id string) bool) {
	_ = v.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		_, b, err := v.conn.ReadMessage()
		if err != nil {
			d.Fatal(err)
		}
		var m struct {
			ID, Type string
			Payload  json.RawMessage
		}
		if err := json.Unmarshal(b, &m); err != nil {
			d.Fatal(err)
		}
		if m.ID != "" {
			v.got[m.ID] = append(v.got[m.ID], told{m.Type, string(m.Payload)})
		}
		if last(m.Type, m.ID) {
			return
		}
	}
}

// settle waits until everything that was caused by the mutations so far has come.
func (d *differential) settle() {
	eventually(d, func() error {
		var out struct{ Cursor string }
		testkit.MustDo(d, d.people[0].Client, `{ cursor }`, nil, &out)
		if position(d, out.Cursor) < position(d, d.cursor) {
			return fmt.Errorf("%s is not applied", d.cursor)
		}
		return nil
	})
	for _, v := range d.viewers {
		d.say(v, map[string]any{"type": "ping"})
	}
	for _, v := range d.viewers {
		d.hear(v, func(kind, _ string) bool { return kind == "pong" })
	}
}

// question is a document that everybody subscribes to.
type question struct {
	testkit.Document
	n       int
	watched map[string]bool // types of events whose selection depends on the viewer
}

func (a question) shared() string { return fmt.Sprint("shared", a.n) }
func (a question) alone() string  { return fmt.Sprint("alone", a.n) }

// ask makes the documents of a round.
func (d *differential) ask() (all []question) {
	for _, field := range []string{"events", "events", "events", "messageAdded", "messageAdded", "conversationUpdated", "friendRequestUpdated"} {
		var a question
		switch {
		case field == "messageAdded" || field == "conversationUpdated":
			a.Document = testkit.RandomDocument(d.Rand, d.schema, field, "conversationId")
			a.Values["conversationId"] = d.room()
		case field == "events" && d.IntN(4) == 0:
			a.Document = testkit.RandomDocument(d.Rand, d.schema, field, "types")
			var types []string
			kinds := d.schema.Types["EventType"].EnumValues
			for _, i := range d.Perm(len(kinds))[:len(kinds)*2/3] {
				types = append(types, kinds[i].Name)
			}
			a.Values["types"] = types
		default:
			a.Document = testkit.RandomDocument(d.Rand, d.schema, field)
		}
		d.serial++
		a.n = d.serial
		a.Selection += fmt.Sprintf(" at%d: cursor is: __typename", a.n) // tells what it is, and makes the shape this document's own
		a.watched = watched(d.schema, a.Text(""))
		all = append(all, a)
		if b, ok := d.vary(a); ok {
			all = append(all, b)
		}
	}
	return all
}

// vary is the same document with another value of a variable: nothing may be shared with the first.
func (d *differential) vary(a question) (question, bool) {
	names := slices.Sorted(maps.Keys(a.Values))
	if len(names) == 0 || d.IntN(2) == 0 {
		return a, false
	}
	a.Values = maps.Clone(a.Values)
	name := names[d.IntN(len(names))]
	switch v := a.Values[name].(type) {
	case bool:
		a.Values[name] = !v
	case int:
		a.Values[name] = v + 1
	default:
		return a, false
	}
	d.serial++
	a.n = d.serial
	return a, true
}

// subscribe makes everybody listen to each document.
func (d *differential) subscribe(all []question, alone bool, after any) {
	for _, v := range d.viewers {
		for _, a := range all {
			text, values, id := a.Text(""), a.Values, a.shared()
			if alone {
				d.serial++
				text, id = a.Text(fmt.Sprintf("... @skip(if: true) { alone%d: actor { relationship } }", d.serial)), a.alone()
				values = maps.Clone(values)
				values["after"] = after
			} else {
				var err error
				all := maps.Clone(values)
				all["after"] = after
				if text, values, err = testkit.Rewrite(d.Rand, text, all); err != nil {
					d.Fatal(err)
				}
			}
			v.got[id] = nil
			d.say(v, map[string]any{"id": id, "type": "subscribe", "payload": map[string]any{"query": text, "variables": values}})
		}
	}
}

// begun takes the greeting off what has come, and says whether the document is listened to: it is not by who is not a member.
func (d *differential) begun(v *listener, id string) bool {
	got := v.got[id]
	if len(got) == 0 || got[0].kind == "complete" {
		d.Fatalf("%s: %v instead of a greeting", id, got)
	}
	v.got[id] = got[1:]
	return got[0].kind == "next"
}

// live subscribes to new documents, lets things happen one after the other, and compares.
func (d *differential) live() {
	all := d.ask()
	d.subscribe(all, false, nil)
	d.subscribe(all, true, nil)
	d.settle()
	groups, listening := 0, map[string]bool{}
	for _, a := range all {
		shared := 0
		for i, v := range d.viewers {
			s, o := d.begun(v, a.shared()), d.begun(v, a.alone())
			if s != o {
				d.Fatalf("%s is listened to %t, alone %t", a.Text(""), s, o)
			}
			if listening[fmt.Sprint(a.n, " ", i)] = s; s {
				groups++
				shared = 1
			}
		}
		groups += shared
		d.documents += shared
	}
	if n := d.metric("parley_subscription_groups"); n != groups {
		d.Errorf("%d groups, want %d: one for each document, and one for each that listens alone", n, groups)
	}
	executions := d.metric("parley_event_executions_total")
	var windows []chat.Position // where the mutations end
	for range differentialActs {
		d.act()
		d.settle()
		windows = append(windows, position(d, d.cursor))
	}
	executions = d.metric("parley_event_executions_total") - executions

	log := map[chat.Position]*chat.Event{}
	for _, e := range mustEvents(d, d.db) {
		log[e.Position] = e
	}
	want := 0
	for _, a := range all {
		shared, alone := d.compare(a, log, windows)
		want += shared + alone
		d.executed += shared
		d.alone += alone
	}
	if executions != want {
		d.Errorf("%d executions, want %d", executions, want)
	}
	for _, v := range d.viewers {
		for _, a := range all {
			for _, id := range []string{a.shared(), a.alone()} {
				d.say(v, map[string]any{"type": "complete", "id": id})
			}
		}
	}
	d.settle()
}

// compare holds what was shared against what was executed alone, and says how many executions each needed.
func (d *differential) compare(a question, log map[chat.Position]*chat.Event, windows []chat.Position) (shared, alone int) {
	type execution struct {
		at     chat.Position
		viewer int // -1: for everybody
		closed bool
	}
	executions := map[execution]int{}
	for i, v := range d.viewers {
		got, want := v.got[a.shared()], v.got[a.alone()]
		for n := range max(len(got), len(want)) {
			if n >= len(got) || n >= len(want) || got[n] != want[n] {
				d.Fatalf("viewer %d, number %d of %d and %d of %s, %v\nshared %v\nalone  %v", i, n, len(got), len(want), a.Text(""), a.Values,
					got[min(n, len(got)):min(n+1, len(got))], want[min(n, len(want)):min(n+1, len(want))])
			}
			if got[n].kind != "next" {
				continue
			}
			e := log[d.at(a, got[n])]
			if e == nil {
				d.Fatalf("%s: no such event: %v", a.Text(""), got[n])
			}
			x := execution{e.Position, -1, d.leaves(v, e, log, windows)}
			if a.watched[typeName(e.Type)] {
				x.viewer = i
			}
			if executions[x]++; executions[x] == 2 {
				d.joint++
			}
			alone++
			d.messages++
			d.types[typeName(e.Type)]++
		}
	}
	return len(executions), alone
}

var cursorAt = regexp.MustCompile(`"at\d+":"([^"]+)"`)

// at is where an event stands.
func (d *differential) at(a question, m told) chat.Position {
	found := cursorAt.FindStringSubmatch(m.payload)
	if found == nil || strings.Contains(m.payload, `"errors"`) {
		d.Fatalf("%s: %v", a.Text(""), m)
	}
	return position(d, found[1])
}

// leaves says whether the viewer leaves e's conversation with e, or later by the same mutation: they are told apart then.
func (d *differential) leaves(v *listener, e *chat.Event, log map[chat.Position]*chat.Event, windows []chat.Position) bool {
	i, _ := slices.BinarySearch(windows, e.Position)
	for p := e.Position; i < len(windows) && p <= windows[i]; p++ {
		if o := log[p]; o != nil && o.Topic == e.Topic && o.Subject == v.user && (o.Type == chat.MemberLeft || o.Type == chat.MemberRemoved) {
			return true
		}
	}
	return false
}

// replay subscribes on a fresh node to what has happened since a cursor, and compares: there, what is kept for others is
// shared between replays.
func (d *differential) replay(begin string) {
	d.node = testkit.MustRunApp(d, d.url, d.settings...).URL()
	for _, who := range d.people {
		who.URL = d.node
	}
	for _, v := range d.viewers {
		v.client.URL = d.node
	}
	d.connect()
	all := d.ask()
	executions := d.metric("parley_event_executions_total")
	d.subscribe(all, false, begin)
	d.caughtUp(all, question.shared)
	shared := d.metric("parley_event_executions_total") - executions
	d.subscribe(all, true, begin)
	d.caughtUp(all, question.alone)
	alone := d.metric("parley_event_executions_total") - executions - shared

	log := map[chat.Position]*chat.Event{}
	for _, e := range mustEvents(d, d.db) {
		log[e.Position] = e
	}
	most, each := 0, 0
	for _, a := range all {
		s, o := d.compare(a, log, nil)
		most += 2 * s // open and closed
		each += o
	}
	if alone != each || shared > most {
		d.Errorf("%d shared and %d single executions of a replay, want at most %d and %d", shared, alone, most, each)
	}
	d.executed, d.alone = d.executed+shared, d.alone+alone
}

// caughtUp waits for the end of the replays, and takes it off: it tells the time.
func (d *differential) caughtUp(all []question, id func(question) string) {
	for _, v := range d.viewers {
		for _, a := range all {
			over := func(m told) bool { return m.kind != "next" || strings.Contains(m.payload, `"is":"CaughtUp"`) }
			for !slices.ContainsFunc(v.got[id(a)], over) {
				d.hear(v, func(_, got string) bool { return got == id(a) })
			}
			v.got[id(a)] = slices.DeleteFunc(v.got[id(a)], over)
		}
	}
}

// metric reads one of the node's counters.
func (d *differential) metric(name string) int {
	resp, err := d.people[0].HTTP.Get(d.node + "/metrics")
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	_, rest, ok := bytes.Cut(b, []byte("\n"+name+" "))
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	value, err := strconv.ParseFloat(string(number), 64)
	if !ok || err != nil {
		d.Fatalf("/metrics has no %s: %v", name, err)
	}
	return int(value)
}

// watched lists the types of events for which a document selects a field marked @viewer, be it skipped or not.
func watched(s *ast.Schema, text string) map[string]bool {
	doc := gqlparser.MustLoadQueryWithRules(s, text, rules.NewDefaultRules())
	found := map[string]bool{}
	var walk func(set ast.SelectionSet, on *ast.Definition, types []*ast.Definition, event bool)
	narrow := func(set ast.SelectionSet, to, on *ast.Definition, types []*ast.Definition, event bool) {
		if to == nil {
			to = on
		}
		if event {
			types = slices.DeleteFunc(slices.Clone(types), func(t *ast.Definition) bool { return !slices.Contains(s.GetPossibleTypes(to), t) })
		}
		walk(set, to, types, event)
	}
	walk = func(set ast.SelectionSet, on *ast.Definition, types []*ast.Definition, event bool) {
		for _, sel := range set {
			switch sel := sel.(type) {
			case *ast.Field:
				if f := on.Fields.ForName(sel.Name); f != nil { // else __typename
					for _, t := range types {
						found[t.Name] = found[t.Name] || f.Directives.ForName("viewer") != nil
					}
					walk(sel.SelectionSet, s.Types[f.Type.Name()], types, false)
				}
			case *ast.InlineFragment:
				narrow(sel.SelectionSet, s.Types[sel.TypeCondition], on, types, event)
			case *ast.FragmentSpread:
				narrow(sel.Definition.SelectionSet, s.Types[sel.Definition.TypeCondition], on, types, event)
			}
		}
	}
	root := doc.Operations[0].SelectionSet[0].(*ast.Field)
	event := s.Types[s.Subscription.Fields.ForName(root.Name).Type.Name()]
	walk(root.SelectionSet, event, s.GetPossibleTypes(event), true)
	return found
}
