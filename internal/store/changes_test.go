package store_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// change is a method of a transaction, or of the store, that changes something or reads what is about to change.
type change struct {
	sorts string // why its plan may sort, if it may
	make  func(tx *store.Tx) error
}

// changes are the transaction's own methods, by name.
func changes() map[string]change {
	me, other, room := nth(chat.KindUser, 1), nth(chat.KindUser, 7), nth(chat.KindConversation, 1)
	a, b, session := nth(chat.KindUser, 2500), nth(chat.KindUser, 2600), nth(chat.KindSession, 1)
	subscription := nth(chat.KindPushSubscription, 5)
	request := chat.FriendRequest{ID: chat.NewID(chat.KindFriendRequest), From: a, To: b, Status: chat.RequestPending, CreatedAt: time.Unix(1700000000, 0)}
	group := chat.Conversation{ID: chat.NewID(chat.KindConversation), Kind: chat.Group, CreatedAt: request.CreatedAt, UpdatedAt: request.CreatedAt}
	user := chat.User{ID: chat.NewID(chat.KindUser), Username: "newcomer", CreatedAt: request.CreatedAt}
	hook := chat.Webhook{ID: nth(chat.KindWebhook, 7), Owner: me}
	delivery := chat.WebhookDelivery{ID: chat.NewID(chat.KindWebhookDelivery), Webhook: hook.ID, Position: 100_000, Type: chat.MessageAdded, QueuedAt: request.CreatedAt, NextAt: request.CreatedAt}
	known := map[string]change{
		"Emit": {make: func(tx *store.Tx) error {
			for _, e := range []chat.EventType{chat.ConversationCreated, chat.MemberAdded, chat.MemberRemoved, chat.MemberLeft, chat.ConversationDeleted} {
				tx.Emit(chat.Event{Type: e, Subject: other}, chat.ConversationTopic(room))
			}
			return nil
		}},

		"LockUser": {make: func(tx *store.Tx) error { _, _, err := tx.LockUser(me); return err }},
		"LockUsers": {"the users that are given", func(tx *store.Tx) error {
			_, err := tx.LockUsers(me, other)
			return err
		}},
		"InsertUser":      {make: func(tx *store.Tx) error { _, err := tx.InsertUser(user, "-"); return err }},
		"UpdateProfile":   {make: func(tx *store.Tx) error { return tx.UpdateProfile(chat.User{ID: me}) }},
		"SetPasswordHash": {make: func(tx *store.Tx) error { return tx.SetPasswordHash(me, "-") }},
		"Suspend":         {make: func(tx *store.Tx) error { return tx.Suspend(other) }},
		"SetAdmin":        {make: func(tx *store.Tx) error { return tx.SetAdmin(other, true) }},
		"Restore":         {make: func(tx *store.Tx) error { return tx.Restore(other) }},

		"InsertMailToken": {make: func(tx *store.Tx) error {
			return tx.InsertMailToken(chat.MailToken{ID: chat.NewID(chat.KindMailToken), Kind: chat.MailReset, CreatedAt: tx.Now, ExpiresAt: tx.Now})
		}},
		"UseMailToken":       {make: func(tx *store.Tx) error { _, err := tx.UseMailToken(nth(chat.KindMailToken, 7)); return err }},
		"DeleteMailTokens":   {make: func(tx *store.Tx) error { return tx.DeleteMailTokens(me, chat.MailReset) }},
		"SetUnverifiedEmail": {make: func(tx *store.Tx) error { return tx.SetUnverifiedEmail(me, "me@example.org") }},
		"SetEmail":           {make: func(tx *store.Tx) error { _, err := tx.SetEmail(me, "me@example.org"); return err }},
		"SeeDevice": {"the devices of one user", func(tx *store.Tx) error {
			_, err := tx.SeeDevice(me, [16]byte{1}, 10)
			return err
		}},

		"InsertFile": {make: func(tx *store.Tx) error {
			f := chat.File{ID: chat.NewID(chat.KindFile), Owner: me, Purpose: chat.FileAvatar, CreatedAt: tx.Now}
			if _, err := tx.InsertFile(f); err != nil {
				return err
			}
			return tx.CompleteFile(f)
		}},
		"InsertChunk":   {make: func(tx *store.Tx) error { return tx.InsertChunk(nth(chat.KindFile, 7), 9, []byte("x")) }},
		"CompleteFile":  {make: func(tx *store.Tx) error { return none(tx.CompleteFile(chat.File{ID: nth(chat.KindFile, 7)})) }},
		"UseUpload":     {make: func(tx *store.Tx) error { return none(tx.UseUpload(me, nth(chat.KindFile, 7))) }},
		"UnusedUploads": {make: func(tx *store.Tx) error { _, _, err := tx.UnusedUploads(me); return err }},
		"DeleteFile":    {make: func(tx *store.Tx) error { return tx.DeleteFile(nth(chat.KindFile, 7)) }},
		"ExpireFile":    {make: func(tx *store.Tx) error { return tx.ExpireFile(nth(chat.KindFile, 7)) }},
		"PutExport": {make: func(tx *store.Tx) error {
			return tx.PutExport(chat.Export{User: me, RequestedAt: tx.Now, ExpiresAt: tx.Now})
		}},
		"FinishExport": {make: func(tx *store.Tx) error {
			_, err := tx.FinishExport(chat.Export{User: me, RequestedAt: tx.Now, ExpiresAt: tx.Now})
			return err
		}},

		"PendingRequest":       {make: func(tx *store.Tx) error { return absent(tx.PendingRequest(a, b)) }},
		"CountPendingRequests": {make: func(tx *store.Tx) error { _, err := tx.CountPendingRequests(me, 100); return err }},
		"InsertRequest":        {make: func(tx *store.Tx) error { return tx.InsertRequest(request) }},
		"AnswerRequest":        {make: func(tx *store.Tx) error { return tx.AnswerRequest(request) }},
		"CountFriends":         {make: func(tx *store.Tx) error { _, err := tx.CountFriends(me, 100); return err }},
		"InsertFriendship": {make: func(tx *store.Tx) error {
			return tx.InsertFriendship(chat.Friendship{Of: nth(chat.KindUser, 2), User: nth(chat.KindUser, 3), Since: request.CreatedAt, Conversation: room})
		}},
		"DeleteFriendship": {make: func(tx *store.Tx) error { return tx.DeleteFriendship(me, other) }},
		"Blocked":          {make: func(tx *store.Tx) error { _, err := tx.Blocked(a, b); return err }},
		"InsertBlock":      {make: func(tx *store.Tx) error { _, err := tx.InsertBlock(a, b); return err }},
		"DeleteBlock":      {make: func(tx *store.Tx) error { _, err := tx.DeleteBlock(a, b); return err }},

		"InsertSession": {make: func(tx *store.Tx) error {
			at := request.CreatedAt
			return tx.InsertSession(chat.Session{ID: chat.NewID(chat.KindSession), User: me, CreatedAt: at, LastUsedAt: at, ExpiresAt: at})
		}},
		"RotateSession":    {make: func(tx *store.Tx) error { return absent(tx.RotateSession(session, 1, tx.Now)) }},
		"IsLive":           {make: func(tx *store.Tx) error { _, err := tx.IsLive(me, session); return err }},
		"EndSession":       {make: func(tx *store.Tx) error { _, err := tx.EndSession(me, session); return err }},
		"EndReusedSession": {make: func(tx *store.Tx) error { _, err := tx.EndReusedSession(session, 1); return err }},
		"EndOtherSessions": {make: func(tx *store.Tx) error { _, err := tx.EndOtherSessions(me, session); return err }},
		"EndSessions":      {make: func(tx *store.Tx) error { _, err := tx.EndSessions(me); return err }},
		"EndSurplusSessions": {"one user's sessions", func(tx *store.Tx) error {
			_, err := tx.EndSurplusSessions(me, 1)
			return err
		}},

		"LockConversation":   {make: func(tx *store.Tx) error { _, err := tx.LockConversation(room); return err }},
		"InsertConversation": {make: func(tx *store.Tx) error { return tx.InsertConversation(group) }},
		"InsertDirect":       {make: func(tx *store.Tx) error { return tx.InsertDirect(a, b, room) }},
		"UpdateConversation": {make: func(tx *store.Tx) error { return tx.UpdateConversation(chat.Conversation{ID: room}) }},
		"DeleteConversation": {make: func(tx *store.Tx) error { return tx.DeleteConversation(room) }},
		"MembersAmong":       {make: func(tx *store.Tx) error { _, err := tx.MembersAmong(room, []chat.ID{a, b}); return err }},
		"Successor": {"the members of one conversation", func(tx *store.Tx) error {
			_, err := tx.Successor(room, me)
			return err
		}},
		"InsertMembers": {make: func(tx *store.Tx) error {
			if err := tx.InsertConversation(group); err != nil {
				return err
			}
			return tx.InsertMembers([]chat.Member{{Conversation: group.ID, User: me, Role: chat.RoleMember, JoinedAt: tx.Now}})
		}},
		"CountWebhooks": {make: func(tx *store.Tx) error {
			if _, err := tx.CountWebhooks(chat.ID{}); err != nil {
				return err
			}
			_, err := tx.CountWebhooks(room)
			return err
		}},
		"InsertWebhook": {make: func(tx *store.Tx) error {
			return tx.InsertWebhook(chat.Webhook{ID: chat.NewID(chat.KindWebhook), Conversation: room, Owner: me, CreatedAt: tx.Now})
		}},
		"LockWebhook":       {make: func(tx *store.Tx) error { _, err := tx.LockWebhook(hook.ID); return err }},
		"UpdateWebhook":     {make: func(tx *store.Tx) error { return tx.UpdateWebhook(hook) }},
		"DeleteWebhook":     {make: func(tx *store.Tx) error { return tx.DeleteWebhook(hook.ID) }},
		"DeleteWebhooksOf":  {make: func(tx *store.Tx) error { return tx.DeleteWebhooksOf(room) }},
		"DisableWebhooksOf": {make: func(tx *store.Tx) error { return tx.DisableWebhooksOf(room, me, "gone") }},
		"DisableWebhook":    {make: func(tx *store.Tx) error { return tx.DisableWebhook(hook.ID, "") }},
		"ListeningWebhooks": {"the webhooks that listen", func(tx *store.Tx) error {
			_, err := tx.ListeningWebhooks(several(chat.KindConversation, 1, 40))
			return err
		}},
		"InsertDeliveries": {make: func(tx *store.Tx) error { return tx.InsertDeliveries(hook.ID, []chat.WebhookDelivery{delivery}) }},
		"HasPing":          {make: func(tx *store.Tx) error { _, err := tx.HasPing(hook.ID); return err }},
		"SettleDelivery":   {make: func(tx *store.Tx) error { _, err := tx.SettleDelivery(hook, delivery); return err }},
		"DueNow":           {make: func(tx *store.Tx) error { return tx.DueNow(hook.ID, tx.Now) }},
		"ReplayDeliveries": {make: func(tx *store.Tx) error {
			if _, err := tx.ReplayDeliveries(hook.ID, delivery.ID, tx.Now, 100); err != nil {
				return err
			}
			_, err := tx.ReplayDeliveries(hook.ID, chat.ID{}, tx.Now, 100)
			return err
		}},
		"EndMembership":  {make: func(tx *store.Tx) error { return tx.EndMembership(room, me) }},
		"LockMembership": {make: func(tx *store.Tx) error { return absent(tx.LockMembership(room, me)) }},
		"LockNotified": {"the users that are given", func(tx *store.Tx) error {
			_, err := tx.LockNotified(chat.NotifyMention, []chat.ID{me, other})
			return err
		}},
		"Mentioned": {make: func(tx *store.Tx) error {
			return tx.Mentioned([]store.Mention{{Message: &chat.Message{Conversation: room, Sender: me, Position: 20000, Seq: 1}, Name: "user8"}})
		}},
		"InsertNotifications": {make: func(tx *store.Tx) error {
			_, err := tx.InsertNotifications([]chat.Notification{{ID: chat.NewID(chat.KindNotification), User: me, Kind: chat.NotifyNewDevice, Subject: session, CreatedAt: tx.Now}})
			return err
		}},
		"DropNotifications": {make: func(tx *store.Tx) error { return tx.DropNotifications([]chat.ID{me, other}, 5) }},
		"ReadNotifications": {make: func(tx *store.Tx) error {
			_, err := tx.ReadNotifications(several(chat.KindNotification, 1, 10))
			return err
		}},
		"ReadNotificationAbout": {make: func(tx *store.Tx) error {
			_, err := tx.ReadNotificationAbout(me, chat.NotifyFriendRequest, request.ID)
			return err
		}},
		"ReadNotificationsThrough": {make: func(tx *store.Tx) error {
			_, err := tx.ReadNotificationsThrough(me, nth(chat.KindNotification, 50))
			return err
		}},
		"DeleteNotifications": {make: func(tx *store.Tx) error { return tx.DeleteNotifications(several(chat.KindNotification, 1, 10)) }},
		"SetConversationNotifications": {make: func(tx *store.Tx) error {
			return tx.SetConversationNotifications(chat.Member{Conversation: room, User: me, Level: chat.LevelNone, MutedUntil: tx.Now})
		}},
		"SetNotificationKind": {make: func(tx *store.Tx) error {
			return tx.SetNotificationKind(me, chat.NotificationPreference{Kind: chat.NotifyMention, Push: new(true)})
		}},
		"SetNotificationPreferences": {make: func(tx *store.Tx) error {
			return tx.SetNotificationPreferences(store.StoredPreferences{User: me, QuietHours: &chat.QuietHours{End: 1}, TimeZone: new("UTC")})
		}},

		"PutPushSubscription": {"one user's subscriptions", func(tx *store.Tx) error {
			return tx.PutPushSubscription(store.PushSubscription{ID: chat.NewID(chat.KindPushSubscription), User: me, Session: session, Endpoint: "e"}, 1)
		}},
		"DeletePushEndpoint": {make: func(tx *store.Tx) error { return tx.DeletePushEndpoint(me, "e") }},
		"DeletePushesOf":     {make: func(tx *store.Tx) error { return tx.DeletePushesOf(session) }},
		"DeletePush":         {make: func(tx *store.Tx) error { return tx.DeletePush(subscription) }},
		"SetPushFailures":    {make: func(tx *store.Tx) error { return tx.SetPushFailures(subscription, 1) }},
		"HasPushes":          {make: func(tx *store.Tx) error { _, err := tx.HasPushes(); return err }},
		"HasMentions":        {make: func(tx *store.Tx) error { _, err := tx.HasMentions(10001, 10100); return err }},
		"HasSeenMentions":    {make: func(tx *store.Tx) error { _, err := tx.HasSeenMentions(10001, 10100); return err }},
		"LockPushes": {"as many as a job makes", func(tx *store.Tx) error {
			return tx.LockPushes([]chat.ID{subscription, nth(chat.KindPushSubscription, 8)})
		}},

		"LockDueDigests": {make: func(tx *store.Tx) error { _, err := tx.LockDueDigests(10); return err }},
		"SetDigest":      {make: func(tx *store.Tx) error { return tx.SetDigest(store.Digest{User: me, DueOn: "2026-11-21"}) }},
		"DigestTold":     {make: func(tx *store.Tx) error { return tx.DigestTold(me, 1) }},

		"SetRole": {make: func(tx *store.Tx) error { return tx.SetRole(room, me, chat.RoleAdmin) }},
	}
	maps.Copy(known, botChanges())
	return known
}

func none(err error) error { return absent(0, err) }

func absent[T any](_ T, err error) error {
	if errors.Is(err, chat.ErrNotFound) {
		return nil
	}
	return err
}

func TestChangesAreAllThere(t *testing.T) {
	t.Parallel()
	known := changes()
	for m := range reflect.TypeFor[*store.Tx]().Methods() {
		if m.Type.NumIn() > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]() {
			continue // one of readings
		}
		if m.Name == "Native" || m.Name == "Emitted" || m.Name == "Run" {
			continue // for statements of the job queue's, and for none
		}
		if _, ok := known[m.Name]; !ok {
			t.Errorf("%s is not among changes, whose plans are looked at", m.Name)
		}
	}
}

// No change reads a table from end to end, and what every node trims each minute neither. (Trim walks along the log from its
// beginning, and takes what it finds.)
func TestChangesGoByAnIndex(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		testkit.MustOpenStore(t, url)
		mustFill(t, url, crowd...)
		s, x := mustTrace(t, url)
		explain := explainPostgres
		if strings.HasPrefix(url, "sqlite:") {
			db := mustConnectSQLite(t, url)
			explain = func(t *testing.T, _ *store.Store, q *statement) []problem { return explainSQLite(t, db, q) }
		}
		look := func(name, sorts string, f func() error) {
			made := x.of(func() {
				if err := f(); err != nil {
					t.Fatal(name, err)
				}
			})
			if len(made) == 0 {
				t.Error(name, "made no statement")
			}
			for _, q := range made {
				for _, p := range explain(t, s, q) {
					if sorts == "" || p.what != sort {
						t.Errorf("%s: %s\n%s\n%s", name, p.what, q.sql, p.plan)
					}
				}
			}
		}
		ctx, now, undo := t.Context(), time.Unix(1700002000, 0), errors.New("undo")
		for _, analyze := range []bool{false, true} {
			if analyze {
				mustFill(t, url, "ANALYZE")
			}
			for name, c := range changes() {
				look(name, c.sorts, func() error {
					_, err := s.Write(ctx, nth(chat.KindUser, 1), func(tx *store.Tx) error {
						if err := c.make(tx); err != nil || name == "Emit" {
							return err
						}
						return undo
					})
					if errors.Is(err, undo) {
						return nil
					}
					return err
				})
			}
			look("SetLastSeen", "the users that are given", func() error { return s.SetLastSeen(ctx, several(chat.KindUser, 2, 40), now) })
			look("TrimSessions", "what is trimmed", func() error { _, err := s.TrimSessions(ctx, time.Unix(1600000000, 0), 100); return err })
			look("TrimMailTokens", "", func() error { _, err := s.TrimMailTokens(ctx, time.Unix(1700000009, 0), 100); return err })
			look("TakeLimit", "", func() error {
				_, err := s.TakeLimit(ctx, [16]byte(nth(chat.KindUser, 1).UUID), 1, time.Hour)
				return err
			})
			look("Follow", "", func() error {
				_, err := s.Follow(ctx, []chat.EventType{chat.MessageAdded}, 100, func(*store.Tx, []*chat.Event) error { return nil })
				return err
			})
			look("KeepJobs", "", func() error { return s.KeepJobs(ctx, []int64{1, 2}) })
			look("RescueJobs", "", func() error { _, err := s.RescueJobs(ctx, time.Minute, 10, "gone"); return err })
			look("TrimFiles", "", func() error {
				_, err := s.TrimFiles(ctx, time.Unix(1700000009, 0), 100)
				return err
			})
			look("TrimLimits", "", func() error { _, err := s.TrimLimits(ctx, 100); return err })
		}
	})
}
