package notification

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
)

// Page reads a page of user's notifications, or of those that are not read, the newest first.
func (s *Service) Page(ctx context.Context, user chat.ID, unread bool, p chat.Page) (chat.List[chat.Notification], error) {
	return s.store.NotificationPage(ctx, user, unread, p)
}

// Unread says how many of user's notifications are not read, counting up to chat.MaxUnread.
func (s *Service) Unread(ctx context.Context, user chat.ID) (int, error) {
	counts, err := s.store.UnreadNotifications(ctx, []chat.ID{user})
	return counts[user], err
}

// MarkRead marks one of viewer's notifications as read. A second time it changes nothing. Errors: NOT_FOUND.
func (s *Service) MarkRead(ctx context.Context, viewer, notification chat.ID) (n chat.Notification, unread int, _ chat.Position, err error) {
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) (err error) {
		if n, err = own(ctx, tx, viewer, notification); err != nil {
			return err
		}
		read, err := tx.ReadNotifications([]chat.ID{n.ID})
		if err != nil {
			return err
		}
		if len(read) > 0 {
			n = read[0]
		}
		counts, err := tellRead(ctx, tx, read, viewer)
		unread = counts[viewer]
		return err
	})
	return n, unread, pos, err
}

// MarkAllRead marks viewer's notifications as read, up to one of them. Errors: NOT_FOUND.
func (s *Service) MarkAllRead(ctx context.Context, viewer, through chat.ID) (unread int, _ chat.Position, err error) {
	pos, err := s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if _, err := own(ctx, tx, viewer, through); err != nil {
			return err
		}
		read, err := tx.ReadNotificationsThrough(viewer, through)
		if err != nil {
			return err
		}
		counts, err := tx.UnreadNotifications(ctx, []chat.ID{viewer})
		if unread = counts[viewer]; err == nil && len(read) > 0 {
			tx.Emit(chat.Event{Type: chat.NotificationsRead, Subject: through, Detail: chat.Detail{Count: unread}}, chat.UserTopic(viewer))
		}
		return err
	})
	return unread, pos, err
}

// own locks viewer and reads a notification of theirs. Errors: NOT_FOUND.
func own(ctx context.Context, tx *store.Tx, viewer, notification chat.ID) (n chat.Notification, err error) {
	if notification.Kind != chat.KindNotification {
		return n, chat.ErrNotFound
	}
	if _, err := tx.LockUsers(viewer); err != nil {
		return n, err
	}
	found, err := tx.Notifications(ctx, []chat.ID{notification})
	if err == nil && (len(found) == 0 || found[0].User != viewer) {
		err = chat.ErrNotFound
	}
	if err != nil {
		return n, err
	}
	return found[0], nil
}

// tellRead tells users that entries of theirs are read, and returns how many others are not; of also, too.
func tellRead(ctx context.Context, tx *store.Tx, read []chat.Notification, also ...chat.ID) (map[chat.ID]int, error) {
	users := usersOf(read, also...)
	if len(users) == 0 {
		return nil, nil
	}
	counts, err := tx.UnreadNotifications(ctx, users)
	for _, n := range read {
		tx.Emit(chat.Event{Type: chat.NotificationRead, Subject: n.ID, Detail: chat.Detail{Count: counts[n.User]}}, chat.UserTopic(n.User))
	}
	return counts, err
}

// usersOf are those whose entries they are, and some more, each once.
func usersOf(ns []chat.Notification, users ...chat.ID) []chat.ID {
	seen := map[chat.ID]bool{}
	for _, u := range users {
		seen[u] = true
	}
	for _, n := range ns {
		if !seen[n.User] {
			seen[n.User], users = true, append(users, n.User)
		}
	}
	return users
}

// notify makes an entry for each of some users who want one of this kind.
func (s *Service) notify(ctx context.Context, tx *store.Tx, n chat.Notification, users ...chat.ID) error {
	if len(users) == 0 {
		return nil
	}
	locked, err := tx.LockNotified(n.Kind, users)
	if err != nil {
		return err
	}
	var ns []chat.Notification
	for _, u := range locked {
		if wanted(n.Kind, u.InApp) {
			n.ID, n.User, n.CreatedAt = chat.NewID(chat.KindNotification), u.User, tx.Now
			ns = append(ns, n)
		}
	}
	return s.add(ctx, tx, ns)
}

// wanted says whether an entry of a kind is wanted by who has said so, or nothing.
func wanted(kind chat.NotificationKind, said *bool) bool {
	want := *kindIn(defaults(chat.ID{}).Kinds, kind).InApp
	over(&want, said)
	return want
}

// add stores entries, whose users are locked, and tells them. What was told before is left out.
func (s *Service) add(ctx context.Context, tx *store.Tx, ns []chat.Notification) error {
	fresh, err := tx.InsertNotifications(ns)
	if err != nil || len(fresh) == 0 {
		return err
	}
	users := usersOf(fresh)
	if err := tx.DropNotifications(users, s.MaxEntries); err != nil {
		return err
	}
	counts, err := tx.UnreadNotifications(ctx, users)
	for _, n := range fresh {
		row := n
		tx.Emit(chat.Event{Type: chat.NotificationAdded, Subject: n.ID, Detail: chat.Detail{Count: counts[n.User]}, Rows: chat.Rows{Notification: &row}}, chat.UserTopic(n.User))
	}
	return err
}

// PurgeArgs deletes what is past its time.
type PurgeArgs struct{}

// Kind names the job.
func (PurgeArgs) Kind() string { return "notifications_purge" }

// InsertOpts says where it runs.
func (PurgeArgs) InsertOpts() job.Options { return job.Options{Queue: job.Maintenance} }

const (
	// PurgeEvery is how often Purge is due.
	PurgeEvery = time.Hour
	purgeMax   = 1000 // entries in one transaction
)

// Purge deletes entries that are past their time. Whoever had not read them is told that there is nothing to read any more.
func (s *Service) Purge(ctx context.Context, j *job.Job[PurgeArgs]) error {
	for {
		old, err := s.store.OldNotifications(ctx, j.CreatedAt.Add(-s.Retention), purgeMax)
		if err != nil || len(old) == 0 {
			return err
		}
		ids := make([]chat.ID, len(old))
		last := map[chat.ID]chat.ID{} // of those who have not read all
		var users []chat.ID
		for i, n := range old {
			if ids[i] = n.ID; n.ReadAt.IsZero() {
				last[n.User] = n.ID
			}
		}
		for u := range last {
			users = append(users, u)
		}
		if _, err := s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
			if _, err := tx.LockUsers(users...); err != nil {
				return err
			}
			if err := tx.DeleteNotifications(ids); err != nil {
				return err
			}
			counts, err := tx.UnreadNotifications(ctx, users)
			for _, u := range users {
				tx.Emit(chat.Event{Type: chat.NotificationsRead, Subject: last[u], Detail: chat.Detail{Count: counts[u]}}, chat.UserTopic(u))
			}
			return err
		}); err != nil {
			return err
		}
	}
}
