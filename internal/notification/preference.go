package notification

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"
	_ "time/tzdata" // where the system knows no time zones

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// defaults are the preferences of somebody who has said nothing: which kinds there are, and which channels they have. Only what
// differs is stored.
func defaults(user chat.ID) chat.NotificationPreferences {
	on := func() *bool { return new(true) }
	return chat.NotificationPreferences{User: user, TimeZone: "UTC", Digest: true, DigestHour: 8, Kinds: []chat.NotificationPreference{
		{Kind: chat.NotifyFriendRequest, InApp: on(), Push: on(), Mail: on()},
		{Kind: chat.NotifyFriendRequestAccepted, InApp: on(), Push: on()},
		{Kind: chat.NotifyAddedToGroup, InApp: on(), Push: on()},
		{Kind: chat.NotifyMention, InApp: on(), Push: on()},
		{Kind: chat.NotifyDirectMessage, Push: on()}, // the list of conversations shows it, the digest mails it
		{Kind: chat.NotifyGroupMessage, Push: on()},
		{Kind: chat.NotifyNewDevice, Mail: on()}, // the list of sessions shows it
	}}
}

// Preferences reads what users want to be told, all in one statement. Who does not exist is not in the answer.
func (s *Service) Preferences(ctx context.Context, users []chat.ID) (map[chat.ID]*chat.NotificationPreferences, error) {
	found, err := s.store.NotificationPreferences(ctx, users)
	out := make(map[chat.ID]*chat.NotificationPreferences, len(found))
	for _, p := range found {
		out[p.User] = new(preferences(p))
	}
	return out, err
}

// preferences puts what is stored over the defaults.
func preferences(stored store.StoredPreferences) chat.NotificationPreferences {
	p := defaults(stored.User)
	p.QuietHours = stored.QuietHours
	over(&p.TimeZone, stored.TimeZone)
	over(&p.Digest, stored.Digest)
	over(&p.DigestHour, stored.DigestHour)
	for _, k := range stored.Kinds {
		if at := kindIn(p.Kinds, k.Kind); at != nil {
			switchOver(at, k)
		}
	}
	return p
}

func over[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func kindIn(kinds []chat.NotificationPreference, k chat.NotificationKind) *chat.NotificationPreference {
	for i := range kinds {
		if kinds[i].Kind == k {
			return &kinds[i]
		}
	}
	return nil
}

// channels are the switches of a kind, as the schema names them.
func channels(p *chat.NotificationPreference) map[string]**bool {
	return map[string]**bool{"inApp": &p.InApp, "push": &p.Push, "mail": &p.Mail}
}

// switchOver sets what a change says, on the channels that the kind has. It returns those that it does not have.
func switchOver(to *chat.NotificationPreference, change chat.NotificationPreference) (unknown []string) {
	have := channels(to)
	for name, value := range channels(&change) {
		switch {
		case *value == nil:
		case *have[name] == nil:
			unknown = append(unknown, name)
		default:
			*have[name] = new(**value)
		}
	}
	return unknown
}

// Change is new values for preferences. What is nil stays as it is, and so do the quiet hours unless SetQuietHours.
type Change struct {
	Kinds         []chat.NotificationPreference
	SetQuietHours bool
	QuietHours    *chat.QuietHours
	TimeZone      *string
	Digest        *bool
	DigestHour    *int
}

// check refuses what no preferences can be.
func (c Change) check() error {
	if q := c.QuietHours; q != nil && q.Start == q.End {
		return chat.BadInput("they begin when they end", "input", "quietHours")
	}
	if z := c.TimeZone; z != nil {
		if _, err := time.LoadLocation(*z); err != nil || *z == "" || *z == "Local" {
			return chat.BadInput("not the name of a time zone; write one like Europe/Berlin", "input", "timeZone")
		}
	}
	if h := c.DigestHour; h != nil && (*h < 0 || *h > 23) {
		return chat.BadInput("0 to 23", "input", "digestHour")
	}
	seen := map[chat.NotificationKind]bool{}
	all := defaults(chat.ID{}).Kinds
	for i, k := range c.Kinds {
		at := kindIn(all, k.Kind)
		if at == nil || seen[k.Kind] {
			return chat.BadInput("each kind once", "input", "kinds", fmt.Sprint(i))
		}
		seen[k.Kind] = true
		for _, channel := range switchOver(at, k) {
			return chat.BadInput(strings.ToLower(string(k.Kind))+" has no such channel", "input", "kinds", fmt.Sprint(i), channel)
		}
	}
	return nil
}

// Update changes what viewer wants to be told. Errors: BAD_USER_INPUT.
func (s *Service) Update(ctx context.Context, viewer chat.ID, c Change) (p chat.NotificationPreferences, _ chat.Position, err error) {
	if err := c.check(); err != nil {
		return p, 0, err
	}
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if _, err := tx.LockUsers(viewer); err != nil {
			return err
		}
		stored, err := tx.NotificationPreferences(ctx, []chat.ID{viewer})
		if err != nil {
			return err
		}
		if len(stored) == 0 {
			return chat.ErrNotFound
		}
		before := preferences(stored[0])
		p = preferences(stored[0])
		if c.SetQuietHours {
			p.QuietHours = c.QuietHours
		}
		over(&p.TimeZone, c.TimeZone)
		over(&p.Digest, c.Digest)
		over(&p.DigestHour, c.DigestHour)
		for _, k := range c.Kinds {
			switchOver(kindIn(p.Kinds, k.Kind), k)
		}
		if reflect.DeepEqual(p, before) {
			return nil
		}
		tx.Emit(chat.Event{Type: chat.NotificationPreferencesChanged, Subject: viewer}, chat.UserTopic(viewer))
		return keep(tx, before, p)
	})
	return p, pos, err
}

// keep stores what differs from the defaults.
func keep(tx *store.Tx, before, p chat.NotificationPreferences) error {
	d := defaults(p.User)
	for i, k := range p.Kinds {
		if reflect.DeepEqual(k, before.Kinds[i]) {
			continue
		}
		usual := channels(&d.Kinds[i])
		for name, value := range channels(&k) {
			if *value != nil && **value == **usual[name] {
				*value = nil
			}
		}
		if err := tx.SetNotificationKind(p.User, k); err != nil {
			return err
		}
	}
	return tx.SetNotificationPreferences(store.StoredPreferences{User: p.User, QuietHours: p.QuietHours, TimeZone: unlike(p.TimeZone, d.TimeZone),
		Digest: unlike(p.Digest, d.Digest), DigestHour: unlike(p.DigestHour, d.DigestHour)})
}

// unlike is a value unless it is the usual one.
func unlike[T comparable](value, usual T) *T {
	if value == usual {
		return nil
	}
	return &value
}

// SetConversation changes what viewer is notified of in a conversation. What is nil stays as it is; a mutedUntil that is over,
// or zero, ends the silence. Errors: NOT_FOUND when viewer is not a member.
func (s *Service) SetConversation(ctx context.Context, viewer, conversation chat.ID, level *chat.NotificationLevel, mutedUntil *time.Time) (chat.Position, error) {
	if conversation.Kind != chat.KindConversation {
		return 0, chat.ErrNotFound
	}
	return s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		before, err := tx.LockMembership(conversation, viewer)
		if err != nil {
			return err
		}
		m := before
		over(&m.Level, level)
		if mutedUntil != nil {
			m.MutedUntil = time.Time{}
			if t := store.Micros(*mutedUntil); t.After(tx.Now) {
				m.MutedUntil = t
			}
		}
		if m.Level == before.Level && m.MutedUntil.Equal(before.MutedUntil) {
			return nil
		}
		tx.Emit(chat.Event{Type: chat.ConversationNotificationsChanged, Subject: viewer,
			Detail: chat.Detail{Conversation: conversation, Level: m.Level, Until: m.MutedUntil}}, chat.UserTopic(viewer))
		return tx.SetConversationNotifications(m)
	})
}

// WantsMail says whether a user wants mails of a kind. Those of messages are the digest. Who does not exist wants none.
func (s *Service) WantsMail(ctx context.Context, user chat.ID, kind chat.NotificationKind) (bool, error) {
	all, err := s.Preferences(ctx, []chat.ID{user})
	if err != nil || all[user] == nil {
		return false, err
	}
	if kind == chat.NotifyDirectMessage || kind == chat.NotifyGroupMessage {
		return all[user].Digest, nil
	}
	k := kindIn(all[user].Kinds, kind)
	return k != nil && k.Mail != nil && *k.Mail, nil
}

// DigestOff ends a user's digests: what the link at their end leads to. A second time it changes nothing.
func (s *Service) DigestOff(ctx context.Context, user chat.ID) error {
	_, _, err := s.Update(ctx, user, Change{Digest: new(false)})
	return err
}

// Occasion is what somebody may be told of.
type Occasion struct {
	Kind         chat.NotificationKind
	Conversation chat.ID // where; zero: in none
	From         chat.ID // whose doing; zero: nobody's
	At           time.Time
}

// WantPush says which of some users want a push of an occasion, whatever their number in one statement: the kind is on; they
// are members of the conversation, at a level that admits it, and have not muted it; it is not quiet where they are; and
// there is no block between them and who causes it, who is never told of their own doings.
func (s *Service) WantPush(ctx context.Context, o Occasion, users []chat.ID) ([]chat.ID, error) {
	usual := kindIn(defaults(chat.ID{}).Kinds, o.Kind)
	if usual == nil || usual.Push == nil || len(users) == 0 {
		return nil, nil
	}
	wishes, err := s.store.PushWishes(ctx, o.Kind, o.Conversation, o.From, users)
	if err != nil {
		return nil, err
	}
	var want []chat.ID
	local := map[string]time.Time{}
	for _, w := range wishes {
		on, zone := *usual.Push, defaults(chat.ID{}).TimeZone
		over(&on, w.Push)
		over(&zone, w.TimeZone)
		if !on || w.User == o.From || !w.Level.Admits(o.Kind) && !o.Conversation.IsZero() || w.MutedUntil.After(o.At) {
			continue
		}
		if w.QuietHours != nil {
			t, known := local[zone]
			if !known {
				t = o.At.In(locationOrUTC(zone))
				local[zone] = t
			}
			if w.QuietHours.Cover(t) {
				continue
			}
		}
		want = append(want, w.User)
	}
	return want, nil
}

// locationOrUTC is for a zone that another version of the program knew.
func locationOrUTC(zone string) *time.Location {
	if l, err := time.LoadLocation(zone); err == nil {
		return l
	}
	return time.UTC
}
