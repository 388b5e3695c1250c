// Package demo plays a scripted conversation of three people against a server, through real sockets, prints what each of
// them sees, and fails where it is not what they should see.
package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/parley-chat/parley/internal/client"
)

// feed is the one subscription that keeps a whole client up to date, but for the list of notifications: each of them would
// tell again what was told already.
const feed = `subscription($after: Cursor) { events(after: $after, types: [FRIEND_REQUEST_SENT, FRIEND_REQUEST_ACCEPTED,
		FRIENDSHIP_MADE, CONVERSATION_CREATED, MEMBER_REMOVED, MESSAGE_ADDED, RECEIPT_UPDATED]) {
	__typename cursor actor { displayName }
	... on FriendRequestEvent { request { id from { displayName } to { displayName } status } }
	... on FriendshipMade { user { displayName } conversationId }
	... on ConversationCreated { conversation { id kind title memberCount } }
	... on MemberRemoved { conversationId user { displayName } }
	... on MessageAdded { message { seq body sender { displayName } } }
	... on ReceiptUpdated { receipt { seq user { displayName } } }
} }`

type named struct{ DisplayName string }

type event struct {
	Typename string `json:"__typename"`
	Cursor   string
	Actor    *named
	Request  *struct {
		ID       string
		From, To named
		Status   string
	}
	User           *named
	ConversationID string `json:"conversationId"`
	Conversation   *struct {
		ID, Kind    string
		Title       *string
		MemberCount int
	}
	Message *struct {
		Seq    int
		Body   string
		Sender named
	}
	Receipt *struct {
		Seq  int
		User named
	}
}

// String is how the transcript tells an event.
func (e event) String() string {
	switch {
	case e.Request != nil:
		return fmt.Sprintf("%s → %s is %s", e.Request.From.DisplayName, e.Request.To.DisplayName, e.Request.Status)
	case e.Conversation != nil && e.Conversation.Title != nil:
		return fmt.Sprintf("group %q of %d", *e.Conversation.Title, e.Conversation.MemberCount)
	case e.Conversation != nil:
		return strings.ToLower(e.Conversation.Kind) + " conversation"
	case e.Message != nil:
		return fmt.Sprintf("#%d %s: %s", e.Message.Seq, e.Message.Sender.DisplayName, e.Message.Body)
	case e.Receipt != nil:
		return fmt.Sprintf("%s has read up to #%d", e.Receipt.User.DisplayName, e.Receipt.Seq)
	case e.User != nil:
		return e.User.DisplayName
	}
	return ""
}

// person is one of the three.
type person struct {
	*client.Client
	p      *play
	name   string
	id     string
	socket *client.Socket
	feed   *client.Subscription
	cursor string // of the last event seen
}

// play is one performance. A step that goes wrong ends it by a panic of failure, which Run recovers.
type play struct {
	ctx context.Context
	url string
	mu  sync.Mutex
	out io.Writer
}

type failure struct{ error }

func (p *play) must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func (p *play) fail(format string, args ...any) { p.must(fmt.Errorf(format, args...)) }

func (p *play) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// stepTimeout is how long an expected event may take.
const stepTimeout = 5 * time.Second

// quiet is how long nothing must come where nothing may come.
const quiet = 300 * time.Millisecond

// Run plays against the server at url.
func Run(ctx context.Context, url string, out io.Writer) (err error) {
	p := &play{ctx: ctx, url: url, out: out}
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failure:
			err = f.error
		default:
			panic(f)
		}
	}()
	p.script()
	return nil
}

func (p *play) enter(name string) *person {
	a, err := client.SignUp(p.ctx, p.url, fmt.Sprintf("%s-%d", strings.ToLower(name), time.Now().UnixNano()%1e9), name)
	p.must(err)
	x := &person{Client: a.Client, p: p, name: name, id: a.ID, cursor: a.Cursor}
	x.connect()
	x.sees("CaughtUp", "")
	return x
}

func (x *person) connect() {
	var err error
	x.socket, err = x.Dial(x.p.ctx)
	x.p.must(err)
	x.feed, err = x.socket.Subscribe(feed, client.Vars{"after": x.cursor}, 100)
	x.p.must(err)
}

// does runs a mutation and reads what it answers.
func (x *person) does(what, mutation string, input client.Vars) (out map[string]json.RawMessage) {
	x.p.say("%-6s %s", x.name, what)
	x.p.must(x.Do(x.p.ctx, mutation, client.Vars{"input": input}, &out))
	return out
}

// sees waits for the next event of the person's feed, which must be this one.
func (x *person) sees(typename, told string) event {
	ctx, cancel := context.WithTimeout(x.p.ctx, stepTimeout)
	defer cancel()
	var data struct{ Events event }
	if err := x.feed.Next(ctx, &data); err != nil {
		x.p.fail("%s should see %s %s, but: %w", x.name, typename, told, err)
	}
	e := data.Events
	x.p.say("         %-6s sees %-22s %-36s %s", x.name, e.Typename, e, e.Cursor)
	if e.Typename != typename || e.String() != told {
		x.p.fail("%s should have seen %s %s", x.name, typename, told)
	}
	x.cursor = e.Cursor
	return e
}

// seesNothing makes sure that nothing comes.
func (x *person) seesNothing() {
	select {
	case r := <-x.feed.C:
		x.p.fail("%s should see nothing, but saw %s", x.name, r.Data)
	case <-time.After(quiet):
		x.p.say("         %-6s sees nothing", x.name)
	}
}

// watches subscribes to something apart from the feed, and tells each item as text.
func (x *person) watches(subscription string, vars client.Vars) *client.Subscription {
	s, err := x.socket.Subscribe(subscription, vars, 100)
	x.p.must(err)
	return s
}

// told waits for the item of a subscription whose JSON is the wanted one, and lets others pass.
func (x *person) told(s *client.Subscription, what, want string) {
	ctx, cancel := context.WithTimeout(x.p.ctx, stepTimeout)
	defer cancel()
	for {
		var data json.RawMessage
		if err := s.Next(ctx, &data); err != nil {
			x.p.fail("%s should be told %s: %w", x.name, want, err)
		}
		if string(data) == want {
			x.p.say("         %-6s sees %s", x.name, what)
			return
		}
	}
}
