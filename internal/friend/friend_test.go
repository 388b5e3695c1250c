package friend_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// world is a store with both services, joined as the program joins them.
type world struct {
	*testing.T
	store *store.Store
	*friend.Service
	rooms *conversation.Service
}

var ctx = context.Background()

func worlds(t *testing.T, c friend.Config, test func(w world)) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w := world{t, s, friend.New(s, c), conversation.New(s, conversation.Config{})}
		s.On(chat.FriendRequestAccepted, w.OnAccepted)
		s.On(chat.FriendshipMade, w.rooms.OnFriendshipMade)
		s.On(chat.FriendshipEnded, w.rooms.OnFriendshipEnded)
		test(w)
	})
}

func (w world) people(n int) []chat.ID { return testkit.MustAddUsers(w, w.store, n) }

func (w world) code(want chat.Code, err error) {
	w.Helper()
	if got := chat.CodeOf(err); got != want {
		w.Errorf("%q, want %q: %v", got, want, err)
	}
}

// notFound wants the very answer that an unknown id gets.
func (w world) notFound(err error) {
	w.Helper()
	if !errors.Is(err, chat.ErrNotFound) {
		w.Errorf("%v, want the identical NOT_FOUND", err)
	}
}

func (w world) ask(from, to chat.ID) chat.FriendRequest {
	w.Helper()
	f, _, err := w.Request(ctx, from, to)
	w.code("", err)
	return f
}

func (w world) befriend(a, b chat.ID) chat.Friendship {
	w.Helper()
	_, f, _, err := w.Accept(ctx, b, w.ask(a, b).ID)
	w.code("", err)
	return f
}

type seen struct {
	typ   chat.EventType
	topic chat.Topic
}

// events are those after a position, and their end.
func (w world) events(after chat.Position) []*chat.Event {
	w.Helper()
	l, err := w.store.Events(ctx, after, 1000)
	w.code("", err)
	return l
}

func (w world) head() chat.Position {
	w.Helper()
	h, err := w.store.Head(ctx)
	w.code("", err)
	return h.Position
}

func (w world) emitted(after chat.Position, want ...seen) {
	w.Helper()
	var got []seen
	for _, e := range w.events(after) {
		got = append(got, seen{e.Type, e.Topic})
	}
	if !slices.Equal(got, want) {
		w.Errorf("events %v, want %v", got, want)
	}
}

func (w world) relation(viewer, user chat.ID, want chat.Relationship) {
	w.Helper()
	m, err := w.Relationships(ctx, viewer, []chat.ID{user})
	if w.code("", err); m[user] != want {
		w.Errorf("relationship %q, want %q", m[user], want)
	}
}

func TestAcceptingLeadsToFriendshipAndConversation(t *testing.T) {
	worlds(t, friend.Config{}, func(w world) {
		p := w.people(2)
		a, b := p[0], p[1]
		r := w.ask(a, b)
		w.relation(a, b, chat.RelationRequestSent)
		w.relation(b, a, chat.RelationRequestReceived)
		before := w.head()
		got, made, pos, err := w.Accept(ctx, b, r.ID)
		w.code("", err)
		if got.Status != chat.RequestAccepted || got.AnsweredAt.IsZero() || pos != w.head() || made.User != a || made.Of != b {
			w.Errorf("%+v, %+v at %d", got, made, pos)
		}
		room := chat.ConversationTopic(made.Conversation)
		w.emitted(before, seen{chat.FriendRequestAccepted, chat.UserTopic(a)}, seen{chat.FriendRequestAccepted, chat.UserTopic(b)},
			seen{chat.FriendshipMade, chat.UserTopic(a)}, seen{chat.FriendshipMade, chat.UserTopic(b)}, seen{chat.ConversationCreated, room})
		events := w.events(before)
		if m := events[2]; m.Subject != b || m.Detail.Conversation != made.Conversation || m.Actor != b {
			w.Errorf("%+v", m)
		}
		if c := events[4]; len(c.Detail.Members) != 2 || !slices.Contains(c.Detail.Members, a) || !slices.Contains(c.Detail.Members, b) {
			w.Errorf("%+v", c)
		}
		for _, u := range p {
			m, err := w.store.CurrentMembership(ctx, made.Conversation, u)
			if w.code("", err); m.Joined != events[4].Position || m.Role != chat.RoleMember {
				w.Errorf("%+v", m)
			}
			fs, err := w.Friends(ctx, u, chat.Page{Limit: 10})
			if w.code("", err); len(fs.Nodes) != 1 || fs.Nodes[0].Conversation != made.Conversation || !fs.Nodes[0].Since.Equal(made.Since) {
				w.Errorf("%+v", fs)
			}
		}
		w.relation(a, b, chat.RelationFriend)
		w.relation(a, a, chat.RelationSelf)
	})
}

func TestTheConversationIsForEver(t *testing.T) {
	worlds(t, friend.Config{}, func(w world) {
		p := w.people(2)
		a, b := p[0], p[1]
		first := w.befriend(a, b)
		room := chat.ConversationTopic(first.Conversation)

		before := w.head()
		_, err := w.Remove(ctx, b, a)
		w.code("", err)
		w.emitted(before, seen{chat.FriendshipEnded, chat.UserTopic(b)}, seen{chat.FriendshipEnded, chat.UserTopic(a)}, seen{chat.ConversationUpdated, room})
		c, err := w.rooms.Get(ctx, a, first.Conversation)
		if w.code("", err); !c.Silent || c.MemberCount != 2 {
			w.Errorf("%+v", c)
		}
		_, err = w.Remove(ctx, b, a)
		w.notFound(err)

		r := w.ask(b, a)
		before = w.head()
		_, again, _, err := w.Accept(ctx, a, r.ID)
		w.code("", err)
		if again.Conversation != first.Conversation {
			w.Error("a second direct conversation")
		}
		w.emitted(before, seen{chat.FriendRequestAccepted, chat.UserTopic(b)}, seen{chat.FriendRequestAccepted, chat.UserTopic(a)},
			seen{chat.FriendshipMade, chat.UserTopic(b)}, seen{chat.FriendshipMade, chat.UserTopic(a)}, seen{chat.ConversationUpdated, room})
		if c, err = w.rooms.Get(ctx, b, first.Conversation); err != nil || c.Silent {
			w.Errorf("%+v %v", c, err)
		}
	})
}

func TestWhoMayDoWhatWithARequest(t *testing.T) {
	worlds(t, friend.Config{}, func(w world) {
		p := w.people(3)
		a, b, third := p[0], p[1], p[2]
		r := w.ask(a, b).ID
		before := w.head()

		accept := func(v, r chat.ID) error { _, _, _, err := w.Accept(ctx, v, r); return err }
		reject := func(v, r chat.ID) error { _, _, err := w.Reject(ctx, v, r); return err }
		cancel := func(v, r chat.ID) error { _, _, err := w.Cancel(ctx, v, r); return err }
		for _, answer := range []func(v, r chat.ID) error{accept, reject} {
			w.code(chat.CodeForbidden, answer(a, r))
			w.notFound(answer(third, r))
			w.notFound(answer(b, chat.NewID(chat.KindFriendRequest)))
			w.notFound(answer(b, chat.ID{Kind: chat.KindUser, UUID: r.UUID}))
		}
		w.code(chat.CodeForbidden, cancel(b, r))
		w.notFound(cancel(third, r))
		w.notFound(cancel(a, chat.NewID(chat.KindFriendRequest)))

		_, _, err := w.Request(ctx, a, b)
		w.code(chat.CodeConflict, err)
		_, _, err = w.Request(ctx, a, a)
		w.code(chat.CodeBadInput, err)
		_, _, err = w.Request(ctx, a, chat.NewID(chat.KindUser))
		w.notFound(err)
		_, _, err = w.Request(ctx, a, chat.ID{Kind: chat.KindMessage, UUID: b.UUID})
		w.notFound(err)
		_, err = w.Remove(ctx, a, b)
		w.notFound(err)
		_, err = w.Remove(ctx, a, a)
		w.notFound(err)
		_, err = w.Remove(ctx, a, chat.NewID(chat.KindUser))
		w.notFound(err)
		w.emitted(before)

		w.code("", reject(b, r))
		w.emitted(before, seen{chat.FriendRequestRejected, chat.UserTopic(a)}, seen{chat.FriendRequestRejected, chat.UserTopic(b)})
		before = w.head()
		for _, err := range []error{accept(b, r), reject(b, r), cancel(a, r)} {
			w.code(chat.CodeConflict, err)
		}
		w.code(chat.CodeForbidden, accept(a, r))
		w.notFound(accept(third, r))
		w.emitted(before)

		again := w.ask(a, b).ID
		before = w.head()
		w.code("", cancel(a, again))
		w.emitted(before, seen{chat.FriendRequestCancelled, chat.UserTopic(a)}, seen{chat.FriendRequestCancelled, chat.UserTopic(b)})
		w.code(chat.CodeConflict, accept(b, again))

		w.befriend(b, a)
		_, _, err = w.Request(ctx, a, b)
		w.code(chat.CodeConflict, err)
	})
}

func TestBlocking(t *testing.T) {
	worlds(t, friend.Config{}, func(w world) {
		p := w.people(3)
		a, b, c := p[0], p[1], p[2]
		made := w.befriend(a, b)
		before := w.head()
		block := func(v, u chat.ID) error { _, err := w.Block(ctx, v, u); return err }
		unblock := func(v, u chat.ID) error { _, err := w.Unblock(ctx, v, u); return err }
		w.code("", block(a, b))
		ended := []seen{{chat.FriendshipEnded, chat.UserTopic(a)}, {chat.FriendshipEnded, chat.UserTopic(b)}, {chat.UserBlocked, chat.UserTopic(a)},
			{chat.ConversationUpdated, chat.ConversationTopic(made.Conversation)}}
		w.emitted(before, ended...)
		before = w.head()
		w.code("", block(a, b))
		w.emitted(before)
		w.relation(a, b, chat.RelationBlocked)
		w.relation(b, a, chat.RelationNone)

		for _, pair := range [][2]chat.ID{{a, b}, {b, a}} {
			_, _, err := w.Request(ctx, pair[0], pair[1])
			w.notFound(err)
		}
		w.emitted(before)
		w.code(chat.CodeBadInput, block(a, a))
		w.code(chat.CodeBadInput, unblock(a, a))
		w.notFound(block(a, chat.NewID(chat.KindUser)))
		w.notFound(unblock(a, chat.NewID(chat.KindUser)))

		// A request is ended by a block from either side, as either side could have ended it without.
		for blocker, ended := range map[chat.ID]chat.EventType{b: chat.FriendRequestCancelled, c: chat.FriendRequestRejected} {
			w.ask(b, c)
			other := b
			if blocker == b {
				other = c
			}
			before = w.head()
			w.code("", block(blocker, other))
			w.emitted(before, seen{ended, chat.UserTopic(b)}, seen{ended, chat.UserTopic(c)},
				seen{chat.UserBlocked, chat.UserTopic(blocker)})
			before = w.head()
			w.code("", unblock(blocker, other))
			w.emitted(before, seen{chat.UserUnblocked, chat.UserTopic(blocker)})
			before = w.head()
			w.code("", unblock(blocker, other))
			w.emitted(before)
		}

		w.code("", block(a, c))
		l, err := w.Blocked(ctx, a, chat.Page{Limit: 10})
		if w.code("", err); !slices.Equal(l.Nodes, []chat.ID{c, b}) {
			w.Errorf("blocked %v", l.Nodes)
		}
		w.code("", unblock(a, b))
		w.relation(a, b, chat.RelationNone)
		w.befriend(b, a)
	})
}

func TestLimits(t *testing.T) {
	worlds(t, friend.Config{MaxFriends: 2, MaxPending: 3}, func(w world) {
		p := w.people(6)
		w.befriend(p[0], p[1])
		w.befriend(p[0], p[2])
		r := w.ask(p[3], p[0])
		before := w.head()
		_, _, _, err := w.Accept(ctx, p[0], r.ID)
		w.code(chat.CodeConflict, err)
		w.emitted(before)
		if m, err := w.Requests(ctx, []chat.ID{r.ID}); err != nil || m[r.ID].Status != chat.RequestPending {
			w.Errorf("a refused acceptance left %+v %v", m, err)
		}
		w.ask(p[3], p[1])
		w.ask(p[3], p[2])
		_, _, err = w.Request(ctx, p[3], p[4])
		w.code(chat.CodeConflict, err)
		_, _, err = w.Cancel(ctx, p[3], r.ID)
		w.code("", err)
		w.ask(p[3], p[4])
	})
}

// A consequence that fails takes everything back.
func TestAFailingListenerRollsBack(t *testing.T) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w := world{t, s, friend.New(s, friend.Config{}), nil}
		boom := errors.New("boom")
		s.On(chat.FriendRequestAccepted, w.OnAccepted)
		s.On(chat.FriendshipMade, func(context.Context, *store.Tx, *chat.Event) error { return boom })
		p := w.people(2)
		r := w.ask(p[0], p[1])
		before := w.head()
		if _, _, _, err := w.Accept(ctx, p[1], r.ID); !errors.Is(err, boom) {
			t.Error(err)
		}
		w.emitted(before)
		w.relation(p[0], p[1], chat.RelationRequestSent)
	})
}

func TestRacesHaveOneWinner(t *testing.T) {
	worlds(t, friend.Config{}, func(w world) {
		const n = 200
		p := w.people(2 * n)
		accepted, mu := 0, sync.Mutex{}
		var all sync.WaitGroup
		for i := range n {
			a, b := p[2*i], p[2*i+1]
			r := w.ask(a, b).ID
			start := make(chan struct{})
			var race sync.WaitGroup
			var errs [2]error
			race.Go(func() { <-start; _, _, _, errs[0] = w.Accept(ctx, b, r) })
			race.Go(func() { <-start; _, _, errs[1] = w.Cancel(ctx, a, r) })
			close(start)
			all.Go(func() {
				race.Wait()
				codes := [2]chat.Code{chat.CodeOf(errs[0]), chat.CodeOf(errs[1])}
				if codes != [2]chat.Code{"", chat.CodeConflict} && codes != [2]chat.Code{chat.CodeConflict, ""} {
					w.Errorf("race %d: %v", i, errs)
				}
				want := chat.RelationNone
				if errs[0] == nil {
					want = chat.RelationFriend
					mu.Lock()
					accepted++
					mu.Unlock()
				}
				w.relation(a, b, want)
			})
		}
		all.Wait()
		made := 0
		for after := chat.Position(0); ; {
			events := w.events(after)
			for i, e := range events {
				if e.Position != after+chat.Position(i)+1 {
					w.Fatalf("position %d after %d", e.Position, after+chat.Position(i))
				}
				if e.Type == chat.ConversationCreated {
					made++
				}
			}
			if len(events) == 0 {
				break
			}
			after += chat.Position(len(events))
		}
		if made != accepted {
			w.Errorf("%d conversations for %d friendships", made, accepted)
		}
	})
}

func TestCrossedRequestsMakeOneFriendship(t *testing.T) {
	worlds(t, friend.Config{}, func(w world) {
		const n = 50
		p := w.people(2 * n)
		var all sync.WaitGroup
		for i := range n {
			a, b := p[2*i], p[2*i+1]
			all.Go(func() {
				start := make(chan struct{})
				var race sync.WaitGroup
				var got [2]chat.FriendRequest
				var errs [2]error
				race.Go(func() { <-start; got[0], _, errs[0] = w.Request(ctx, a, b) })
				race.Go(func() { <-start; got[1], _, errs[1] = w.Request(ctx, b, a) })
				close(start)
				race.Wait()
				w.code("", errors.Join(errs[:]...))
				if got[0].ID != got[1].ID || (got[0].Status == chat.RequestAccepted) == (got[1].Status == chat.RequestAccepted) {
					w.Errorf("%+v", got)
				}
				w.relation(a, b, chat.RelationFriend)
				l, err := w.rooms.Page(ctx, a, chat.Page{Limit: 10})
				if w.code("", err); len(l.Nodes) != 1 || l.Nodes[0].Kind != chat.Direct {
					w.Errorf("%+v", l.Nodes)
				}
			})
		}
		all.Wait()
	})
}

func TestPages(t *testing.T) {
	worlds(t, friend.Config{}, func(w world) {
		p := w.people(8)
		me := p[0]
		var friends, asked []chat.ID
		for _, u := range p[1:6] {
			w.befriend(u, me)
			friends = append(friends, u)
		}
		for _, u := range p[6:] {
			asked = append(asked, w.ask(me, u).ID)
		}
		slices.Reverse(friends)
		slices.Reverse(asked)
		checkPages(w, friends, func(p chat.Page) (chat.List[chat.Friendship], error) { return w.Friends(ctx, me, p) }, func(f chat.Friendship) chat.ID { return f.User })
		checkPages(w, asked, func(p chat.Page) (chat.List[chat.FriendRequest], error) {
			return w.RequestPage(ctx, me, true, chat.RequestPending, p)
		}, func(f chat.FriendRequest) chat.ID { return f.ID })
		in, err := w.RequestPage(ctx, me, false, chat.RequestAccepted, chat.Page{Limit: 3})
		if w.code("", err); len(in.Nodes) != 3 || !in.Info.HasNextPage {
			w.Errorf("%+v", in)
		}
		for _, place := range []string{"x", "!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "_____________________________________"} {
			_, err := w.Friends(ctx, me, chat.Page{Limit: 3, After: place})
			w.code(chat.CodeBadInput, err)
			_, err = w.RequestPage(ctx, me, true, chat.RequestPending, chat.Page{Limit: 3, Before: place})
			w.code(chat.CodeBadInput, err)
		}
		ids, err := w.FriendIDs(ctx, me)
		if w.code("", err); len(ids) != len(friends) {
			w.Errorf("%v", ids)
		}
	})
}

// checkPages walks a list both ways by pages of two.
func checkPages[T any](w world, want []chat.ID, read func(chat.Page) (chat.List[T], error), id func(T) chat.ID) {
	w.Helper()
	for _, backward := range []bool{false, true} {
		var got []chat.ID
		for p := (chat.Page{Limit: 2, Backward: backward}); ; {
			l, err := read(p)
			w.code("", err)
			var ids []chat.ID
			for _, n := range l.Nodes {
				ids = append(ids, id(n))
			}
			if backward {
				got = append(ids, got...)
				if !l.Info.HasPreviousPage {
					break
				}
				p.Before = *l.Info.StartCursor
			} else {
				got = append(got, ids...)
				if !l.Info.HasNextPage {
					break
				}
				p.After = *l.Info.EndCursor
			}
		}
		if !slices.Equal(got, want) {
			w.Errorf("backward %v: %v, want %v", backward, got, want)
		}
	}
}
