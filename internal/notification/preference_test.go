package notification_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

var ctx = context.Background()

const maxEntries = 40

// world is a store with what the service stands beside.
type world struct {
	*testing.T
	store *store.Store
	*notification.Service
	friends *friend.Service
	rooms   *conversation.Service
	// Friends of the first.
	people []chat.ID
	group  chat.ID
}

func worlds(t *testing.T, n int, test func(w world)) {
	t.Parallel()
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w := world{T: t, store: s, Service: notification.New(s, notification.Config{MaxEntries: maxEntries}), friends: friend.New(s, friend.Config{}), rooms: conversation.New(s, conversation.Config{})}
		s.On(chat.FriendRequestAccepted, w.friends.OnAccepted)
		s.On(chat.FriendshipMade, w.rooms.OnFriendshipMade)
		s.On(chat.FriendshipEnded, w.rooms.OnFriendshipEnded)
		s.On(chat.FriendRequestSent, w.OnRequestSent)
		for _, e := range []chat.EventType{chat.FriendRequestAccepted, chat.FriendRequestRejected, chat.FriendRequestCancelled} {
			s.On(e, w.OnRequestAnswered)
		}
		s.On(chat.MemberAdded, w.OnMemberAdded)
		s.On(chat.ConversationCreated, w.OnConversationCreated)
		w.people = testkit.MustAddUsers(t, s, n)
		for _, p := range w.people[1:] {
			w.befriend(w.people[0], p)
		}
		g, _, err := w.rooms.CreateGroup(ctx, w.people[0], "Group", w.people[1:])
		w.ok(err)
		w.group = g.ID
		test(w)
	})
}

func (w world) befriend(a, b chat.ID) {
	w.Helper()
	r, _, err := w.friends.Request(ctx, a, b)
	w.ok(err)
	_, _, _, err = w.friends.Accept(ctx, b, r.ID)
	w.ok(err)
}

func (w world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w world) change(u chat.ID, c notification.Change) {
	w.Helper()
	_, _, err := w.Update(ctx, u, c)
	w.ok(err)
}

func (w world) set(u chat.ID, level chat.NotificationLevel, until time.Time) {
	w.Helper()
	_, err := w.SetConversation(ctx, u, w.group, &level, &until)
	w.ok(err)
}

// wants expects those of the people, by their numbers, who want a push.
func (w world) wants(o notification.Occasion, want ...int) {
	w.Helper()
	got, err := w.WantPush(ctx, o, w.people)
	w.ok(err)
	var who []int
	for i, p := range w.people {
		if slices.Contains(got, p) {
			who = append(who, i)
		}
	}
	if !slices.Equal(who, want) {
		w.Errorf("%+v: %v want a push, not %v", o, who, want)
	}
}

func TestOnlyWhatDiffersIsStored(t *testing.T) {
	worlds(t, 1, func(w world) {
		u := w.people[0]
		stored := func() store.StoredPreferences {
			l, err := w.store.NotificationPreferences(ctx, w.people)
			w.ok(err)
			return l[0]
		}
		w.change(u, notification.Change{TimeZone: new("Asia/Tokyo"), Digest: new(false), Kinds: []chat.NotificationPreference{{Kind: chat.NotifyFriendRequest, Mail: new(false), InApp: new(true)}}})
		s := stored()
		if *s.TimeZone != "Asia/Tokyo" || *s.Digest || s.DigestHour != nil || len(s.Kinds) != 1 || *s.Kinds[0].Mail || s.Kinds[0].InApp != nil {
			w.Errorf("%+v", s)
		}
		w.change(u, notification.Change{TimeZone: new("UTC"), Digest: new(true), Kinds: []chat.NotificationPreference{{Kind: chat.NotifyFriendRequest, Mail: new(true)}}})
		s = stored()
		if s.TimeZone != nil || s.Digest != nil || s.Kinds[0].Mail != nil {
			w.Errorf("%+v", s)
		}
	})
}

func TestMails(t *testing.T) {
	worlds(t, 1, func(w world) {
		u := w.people[0]
		wants := func(user chat.ID, k chat.NotificationKind, want bool) {
			w.Helper()
			if got, err := w.WantsMail(ctx, user, k); err != nil || got != want {
				w.Errorf("%s: %t %v", k, got, err)
			}
		}
		wants(u, chat.NotifyFriendRequest, true)
		wants(u, chat.NotifyNewDevice, true)
		wants(u, chat.NotifyGroupMessage, true)
		wants(u, chat.NotifyMention, false)
		wants(chat.NewID(chat.KindUser), chat.NotifyFriendRequest, false)
		w.change(u, notification.Change{Kinds: []chat.NotificationPreference{{Kind: chat.NotifyFriendRequest, Mail: new(false)}}})
		head := func() chat.Position { h, err := w.store.Head(ctx); w.ok(err); return h.Position }
		before := head()
		for range 2 {
			w.ok(w.DigestOff(ctx, u))
		}
		if n := head() - before; n != 1 {
			w.Errorf("%d events", n)
		}
		wants(u, chat.NotifyFriendRequest, false)
		wants(u, chat.NotifyGroupMessage, false)
		wants(u, chat.NotifyNewDevice, true)
	})
}

func TestPushes(t *testing.T) {
	worlds(t, 7, func(w world) {
		p := w.people
		now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		far := time.Now().Add(time.Hour)
		w.set(p[1], chat.LevelMentions, time.Time{})
		w.set(p[2], chat.LevelNone, time.Time{})
		w.set(p[3], chat.LevelAll, far)
		w.change(p[4], notification.Change{Kinds: []chat.NotificationPreference{{Kind: chat.NotifyGroupMessage, Push: new(false)}}})
		w.change(p[5], notification.Change{SetQuietHours: true, QuietHours: &chat.QuietHours{Start: 14 * 60, End: 15 * 60}, TimeZone: new("Europe/Berlin")})
		said := notification.Occasion{Kind: chat.NotifyGroupMessage, Conversation: w.group, From: p[0], At: now}
		w.wants(said, 6)
		// Nothing is muted any more.
		said.At = time.Date(far.Year()+1, 1, 1, 13, 30, 0, 0, time.UTC)
		w.wants(said, 3, 6)
		said.At = time.Date(far.Year()+1, 1, 1, 14, 0, 0, 0, time.UTC)
		w.wants(said, 3, 5, 6)
		// Whatever it is about, it is not for the suspended, nor between those who have blocked each other.
		_, err := w.friends.Block(ctx, p[3], p[0])
		w.ok(err)
		_, err = w.friends.Block(ctx, p[0], p[5])
		w.ok(err)
		_, err = w.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.Suspend(p[6]) })
		w.ok(err)
		w.wants(said)
		w.wants(notification.Occasion{Kind: chat.NotifyDirectMessage, At: said.At.Add(2 * time.Hour)}, 0, 1, 2, 3, 4, 5)
		w.wants(notification.Occasion{Kind: chat.NotifyNewDevice, At: said.At}) // has no pushes
	})
}

func TestNoPushesToWhoLeft(t *testing.T) {
	worlds(t, 3, func(w world) {
		w.set(w.people[1], chat.LevelNone, time.Time{})
		o := notification.Occasion{Kind: chat.NotifyGroupMessage, Conversation: w.group, From: w.people[0], At: time.Now()}
		w.wants(o, 2)
		for _, u := range w.people[1:] {
			_, err := w.rooms.LeaveGroup(ctx, u, w.group)
			w.ok(err)
		}
		w.wants(o)
		_, _, err := w.rooms.AddMembers(ctx, w.people[0], w.group, w.people[1:2])
		w.ok(err)
		w.wants(o, 1) // a membership begins anew
	})
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	at := func(zone, local string) time.Time {
		l, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		x, err := time.ParseInLocation("2006-01-02 15:04", local, l)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	night, noon := chat.QuietHours{Start: 22 * 60, End: 7 * 60}, chat.QuietHours{Start: 12 * 60, End: 13 * 60}
	for _, c := range []struct {
		q    chat.QuietHours
		at   time.Time
		want bool
	}{
		{night, at("UTC", "2026-01-01 21:59"), false},
		{night, at("UTC", "2026-01-01 22:00"), true},
		{night, at("UTC", "2026-01-01 23:59"), true},
		{night, at("UTC", "2026-01-02 00:00"), true},
		{night, at("UTC", "2026-01-02 06:59"), true},
		{night, at("UTC", "2026-01-02 07:00"), false},
		{noon, at("UTC", "2026-01-02 11:59"), false},
		{noon, at("UTC", "2026-01-02 12:00"), true},
		{noon, at("UTC", "2026-01-02 13:00"), false},
		// The hour that is left out, and the one that comes twice.
		{night, time.Date(2026, 3, 29, 5, 0, 0, 0, time.UTC).In(at("Europe/Berlin", "2026-01-01 00:00").Location()), false},
		{night, time.Date(2026, 3, 28, 5, 0, 0, 0, time.UTC).In(at("Europe/Berlin", "2026-01-01 00:00").Location()), true},
		{chat.QuietHours{Start: 2*60 + 30, End: 3 * 60}, time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC).In(at("Europe/Berlin", "2026-01-01 00:00").Location()), true},
		{chat.QuietHours{Start: 2*60 + 30, End: 3 * 60}, time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC).In(at("Europe/Berlin", "2026-01-01 00:00").Location()), true},
	} {
		if got := c.q.Cover(c.at); got != c.want {
			t.Errorf("%v covers %v: %t", c.q, c.at, got)
		}
	}
}
