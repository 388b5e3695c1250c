package notification_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/notification"
)

func (w world) head() chat.Position {
	w.Helper()
	h, err := w.store.Head(ctx)
	w.ok(err)
	return h.Position
}

// list is what somebody was told, the oldest first; what is read is in brackets.
func (w world) list(u chat.ID) (kinds []string) {
	w.Helper()
	l, err := w.Page(ctx, u, false, chat.Page{Limit: 100})
	w.ok(err)
	for _, n := range slices.Backward(l.Nodes) {
		k := string(n.Kind)
		if !n.ReadAt.IsZero() {
			k = "(" + k + ")"
		}
		kinds = append(kinds, k)
	}
	return kinds
}

func (w world) told(u chat.ID, want string) {
	w.Helper()
	if got := strings.Join(w.list(u), " "); got != want {
		w.Errorf("told %q, want %q", got, want)
	}
}

// said is by messages that are sent one after the other, and a stretch with all of them.
func (w world) said(bodies map[chat.ID]string) notification.MentionArgs {
	w.Helper()
	m := message.New(w.store, message.Config{})
	m.Start()
	defer m.Stop()
	from := w.head() + 1
	for u, body := range bodies {
		_, err := m.Send(ctx, chat.Viewer{User: u}, w.group, body, chat.NewID(chat.KindMessage).String())
		w.ok(err)
	}
	return notification.MentionArgs{From: from, Through: w.head()}
}

func (w world) names() (names []string) {
	l, err := w.store.Users(ctx, w.people)
	w.ok(err)
	for _, p := range w.people {
		i := slices.IndexFunc(l, func(u chat.User) bool { return u.ID == p })
		names = append(names, "@"+l[i].Username)
	}
	return names
}

func (w world) find(a notification.MentionArgs) {
	w.Helper()
	w.ok(w.FindMentions(ctx, &job.Job[notification.MentionArgs]{Args: a}))
}

func TestCauses(t *testing.T) {
	worlds(t, 3, func(w world) {
		a, b, c := w.people[0], w.people[1], w.people[2]
		w.told(a, "FRIEND_REQUEST_ACCEPTED FRIEND_REQUEST_ACCEPTED")
		w.told(b, "(FRIEND_REQUEST) ADDED_TO_GROUP")
		r, _, err := w.friends.Request(ctx, b, c)
		w.ok(err)
		w.told(c, "(FRIEND_REQUEST) ADDED_TO_GROUP FRIEND_REQUEST")
		_, _, err = w.friends.Cancel(ctx, b, r.ID)
		w.ok(err)
		w.told(c, "(FRIEND_REQUEST) ADDED_TO_GROUP (FRIEND_REQUEST)")
		// Each time that somebody is added is another.
		_, err = w.rooms.LeaveGroup(ctx, c, w.group)
		w.ok(err)
		_, _, err = w.rooms.AddMembers(ctx, a, w.group, []chat.ID{c})
		w.ok(err)
		w.told(c, "(FRIEND_REQUEST) ADDED_TO_GROUP (FRIEND_REQUEST) ADDED_TO_GROUP")
		w.told(a, "FRIEND_REQUEST_ACCEPTED FRIEND_REQUEST_ACCEPTED")
		// What is not wanted is not told.
		w.change(c, notification.Change{Kinds: []chat.NotificationPreference{{Kind: chat.NotifyFriendRequest, InApp: new(false)}}})
		_, _, err = w.friends.Request(ctx, b, c)
		w.ok(err)
		w.told(c, "(FRIEND_REQUEST) ADDED_TO_GROUP (FRIEND_REQUEST) ADDED_TO_GROUP")
	})
}

func TestMentions(t *testing.T) {
	worlds(t, 8, func(w world) {
		p, names := w.people, w.names()
		_, err := w.friends.Block(ctx, p[2], p[0])
		w.ok(err)
		w.set(p[3], chat.LevelNone, time.Time{})
		w.set(p[4], chat.LevelAll, time.Now().Add(time.Hour))
		w.set(p[5], chat.LevelMentions, time.Time{})
		_, err = w.rooms.LeaveGroup(ctx, p[6], w.group)
		w.ok(err)
		_, err = w.rooms.LeaveGroup(ctx, p[7], w.group)
		w.ok(err)
		a := w.said(map[chat.ID]string{p[0]: strings.Join(names, ", ") + " " + strings.ToUpper(names[1]) + "!"})
		_, _, err = w.rooms.AddMembers(ctx, p[0], w.group, p[7:]) // who was not there
		w.ok(err)
		for range 2 { // a job may run twice
			w.find(a)
		}
		for i := range p {
			want := i == 1 || i == 5
			if got := strings.Contains(strings.Join(w.list(p[i]), " "), "MENTION"); got != want {
				t.Errorf("person %d is told: %t", i, got)
			}
		}
		if n := len(w.list(p[1])); n != 3 {
			t.Errorf("%v", w.list(p[1]))
		}
	})
}

// Who has read the message before the job comes finds the entry read; who reads it after that has read the entry.
func TestMentionsAreReadWithTheirMessages(t *testing.T) {
	worlds(t, 3, func(w world) {
		m := message.New(w.store, message.Config{})
		m.Start()
		defer m.Stop()
		names := w.names()
		a := w.said(map[chat.ID]string{w.people[0]: names[1] + " " + names[2]})
		_, _, err := m.MarkRead(ctx, chat.Viewer{User: w.people[1]}, w.group, 1)
		w.ok(err)
		w.find(a)
		w.told(w.people[1], "(FRIEND_REQUEST) ADDED_TO_GROUP (MENTION)")
		w.told(w.people[2], "(FRIEND_REQUEST) ADDED_TO_GROUP MENTION")
		_, p, err := m.MarkRead(ctx, chat.Viewer{User: w.people[2]}, w.group, 1)
		w.ok(err)
		w.ok(w.FindSeen(ctx, &job.Job[notification.SeenArgs]{Args: notification.SeenArgs{From: p, Through: p}}))
		w.told(w.people[2], "(FRIEND_REQUEST) ADDED_TO_GROUP (MENTION)")
	})
}

// A client that applies the events has what a query shows, and the count after each of them is that of what it has, whatever
// comes while all is being marked as read.
func TestMarkAllWhileMoreComes(t *testing.T) {
	worlds(t, 6, func(w world) {
		u := w.people[1]
		for _, by := range w.people[2:] {
			w.befriend(by, u)
		}
		unread := map[chat.ID]bool{}
		list := func() []chat.Notification {
			l, err := w.Page(ctx, u, false, chat.Page{Limit: 100})
			w.ok(err)
			return l.Nodes
		}
		for _, n := range list() {
			unread[n.ID] = n.ReadAt.IsZero()
		}
		before := w.head()
		var adding, marking sync.WaitGroup
		done := make(chan struct{})
		for _, by := range w.people[2:] {
			adding.Go(func() {
				for i := range 4 {
					if _, _, err := w.rooms.CreateGroup(ctx, by, fmt.Sprint(i), []chat.ID{u}); err != nil {
						w.Error(err)
					}
				}
			})
		}
		for range 2 {
			marking.Go(func() {
				for over := false; !over; {
					select {
					case <-done:
						over = true
					default:
					}
					if _, _, err := w.MarkAllRead(ctx, u, list()[0].ID); err != nil {
						w.Error(err)
					}
				}
			})
		}
		adding.Wait()
		close(done)
		marking.Wait()
		events, err := w.store.Events(ctx, before, 10000)
		w.ok(err)
		for _, e := range events {
			switch {
			case e.Topic != chat.UserTopic(u):
				continue
			case e.Type == chat.NotificationAdded:
				unread[e.Subject] = true
			case e.Type == chat.NotificationsRead:
				for id := range unread {
					unread[id] = unread[id] && id.String() > e.Subject.String()
				}
			}
			n := 0
			for _, is := range unread {
				if is {
					n++
				}
			}
			if e.Detail.Count != n {
				w.Errorf("%d %s says %d, by the events %d are not read", e.Position, e.Type, e.Detail.Count, n)
			}
		}
		for _, n := range list() {
			if unread[n.ID] != n.ReadAt.IsZero() {
				w.Errorf("%s is not read: %t, and by the events %t", n.ID, n.ReadAt.IsZero(), unread[n.ID])
			}
		}
	})
}

func TestOnlySoManyAreKept(t *testing.T) {
	worlds(t, 2, func(w world) {
		u := w.people[1]
		for i := range maxEntries + 3 {
			_, _, err := w.rooms.CreateGroup(ctx, w.people[0], fmt.Sprint(i), []chat.ID{u})
			w.ok(err)
		}
		n, err := w.Unread(ctx, u)
		w.ok(err)
		if l := w.list(u); len(l) != maxEntries || n != maxEntries || slices.Contains(l, "(FRIEND_REQUEST)") {
			t.Errorf("%d, %d unread: %v", len(l), n, l)
		}
	})
}

func TestPurge(t *testing.T) {
	worlds(t, 2, func(w world) {
		u := w.people[1]
		before := w.head()
		purge := func(in time.Duration) {
			j := &job.Job[notification.PurgeArgs]{JobRow: &rivertype.JobRow{CreatedAt: time.Now().Add(in)}}
			w.ok(w.Purge(ctx, j))
		}
		purge(89 * 24 * time.Hour)
		if w.head() != before || len(w.list(u)) != 2 {
			t.Error("gone before its time")
		}
		purge(91 * 24 * time.Hour)
		w.told(u, "")
		events, err := w.store.Events(ctx, before, 100)
		w.ok(err)
		if len(events) != 2 { // each of the two had not read something
			t.Error(len(events))
		}
		for _, e := range events {
			if e.Type != chat.NotificationsRead || e.Detail.Count != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestOthersEntriesAreNotThere(t *testing.T) {
	worlds(t, 2, func(w world) {
		l, err := w.Page(ctx, w.people[1], false, chat.Page{Limit: 1})
		w.ok(err)
		for _, id := range []chat.ID{l.Nodes[0].ID, chat.NewID(chat.KindNotification), {Kind: chat.KindUser, UUID: l.Nodes[0].ID.UUID}} {
			_, _, _, err := w.MarkRead(ctx, w.people[0], id)
			_, _, err2 := w.MarkAllRead(ctx, w.people[0], id)
			if chat.CodeOf(err) != chat.CodeNotFound || chat.CodeOf(err2) != chat.CodeNotFound {
				t.Error(id, err, err2)
			}
		}
	})
}
