package live

import (
	"context"
	"errors"

	"github.com/parley-chat/parley/internal/chat"
)

// Follow says which of the viewer's changes change what a listener hears.
type Follow uint8

// What a listener can follow.
const (
	FollowNothing      Follow = iota
	FollowMemberships         // the whole feed: conversations come and go with the viewer's memberships
	FollowConversation        // one conversation: the subscription is complete when the viewer's membership ends
	FollowFriends             // presence topics come and go with the viewer's friendships
)

// Admission is what a listener may hear.
type Admission struct {
	// Spans are the parts of the log the viewer may see: for a feed the user's topic and every conversation of theirs,
	// those that have ended after the cursor included.
	Spans []chat.Span
	// Topics are ephemeral (presence, typing). A subscription has either Spans or Topics.
	Topics []chat.Topic
	Follow Follow
	// Only limits FollowFriends to these users; nil: all friends.
	Only []chat.ID
	// Snapshot is the whole state of an ephemeral subscription: at the join, and again after the listener was left
	// behind. The context carries the viewer.
	Snapshot func(ctx context.Context) (*chat.Event, error)
}

type phaseKey struct{}

// The two things a subscription resolver is run for. Which one is in the context.
type (
	joining struct { // once for each listener, with the viewer
		admission Admission
		after     *chat.Cursor
		admitted  bool
	}
	delivery struct { // once for each event and group, without one
		event     *chat.Event
		projected bool
	}
)

var errTransport = errors.New("subscriptions need a WebSocket or Server-Sent Events")

// Subscribe is the body of a subscription resolver. admit runs once for each listener and may use the viewer in the
// context; project runs once for each event and group and may not, and says by false that the subscription does not
// deliver the event. What it returns is executed with a context from Config.PerEvent.
func Subscribe[T any](ctx context.Context, after *chat.Cursor, admit func(context.Context) (Admission, error), project func(*chat.Event) (T, bool)) (<-chan T, error) {
	ch := make(chan T, 1)
	defer close(ch)
	switch p := ctx.Value(phaseKey{}).(type) {
	case *joining:
		a, err := admit(ctx)
		if err != nil {
			return nil, err
		}
		p.admission, p.after, p.admitted = a, after, true
	case *delivery:
		e := p.event
		if chat.IsClosed(ctx) {
			e = e.Close()
		}
		if v, ok := project(e); ok {
			p.projected = true
			ch <- v
		}
	default:
		return nil, errTransport
	}
	return ch, nil
}
