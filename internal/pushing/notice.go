package pushing

import (
	"context"
	"errors"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
)

type noticeArgs struct {
	Subscription chat.ID `json:"subscription"`
	User         chat.ID `json:"user"` // who had it then
	Notification chat.ID `json:"notification"`
}

func (noticeArgs) Kind() string            { return "push_notice" }
func (noticeArgs) InsertOpts() job.Options { return job.Options{Queue: job.Notify, Priority: calls} }

// OnNotification is a store.Listener for NOTIFICATION_ADDED: it has the users' browsers told. Of those that are added together it
// looks all users up at once.
func (s *Service) OnNotification(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	told := map[chat.ID][]chat.ID{} // by user
	var users []chat.ID
	for _, e := range tx.Run(e) {
		if n := e.Rows.Notification; n != nil && n.ReadAt.IsZero() {
			if told[n.User] == nil {
				users = append(users, n.User)
			}
			told[n.User] = append(told[n.User], n.ID)
		}
	}
	if users == nil {
		return nil
	}
	found, err := tx.PushesOf(ctx, users, tx.Now)
	if err != nil {
		return err
	}
	var jobs []job.Insertion
	for _, p := range found {
		var later *job.Options
		if s.Online(p.User) {
			later = &job.Options{ScheduledAt: s.Now().Add(lost)}
		}
		for _, n := range told[p.User] {
			jobs = append(jobs, job.Insertion{Args: noticeArgs{p.ID, p.User, n}, InsertOpts: later})
		}
	}
	return s.jobs.InsertMany(ctx, tx, jobs)
}

// Notice tells a browser of a notification, unless it is read, or there is another reason not to.
func (s *Service) Notice(ctx context.Context, j *job.Job[noticeArgs]) error {
	found, err := s.store.Notifications(ctx, []chat.ID{j.Args.Notification})
	if err != nil || len(found) == 0 || !found[0].ReadAt.IsZero() {
		return err
	}
	n := found[0]
	p, err := s.store.Push(ctx, j.Args.Subscription, s.Now())
	if errors.Is(err, chat.ErrNotFound) || err == nil && (p.User != j.Args.User || s.Online(p.User)) {
		return nil
	} else if err != nil {
		return err
	}
	what, err := s.notice(ctx, n)
	if err != nil || what == nil {
		return err
	}
	if wanted, err := s.Wants(ctx, p.User, n.Kind, n.Conversation, n.Actor); err != nil || !wanted {
		return err
	}
	about := n.ID
	if !n.Conversation.IsZero() {
		about = n.Conversation
	}
	wait, err := s.send(ctx, p, *what, about, s.Now().Sub(n.CreatedAt))
	if err == nil && wait > 0 {
		return job.Snooze(wait)
	}
	return err
}

// notice is what a notification tells; nil: nothing (any more).
func (s *Service) notice(ctx context.Context, n chat.Notification) (*Payload, error) {
	who := ""
	if !n.Actor.IsZero() {
		found, err := s.store.Users(ctx, []chat.ID{n.Actor})
		if err != nil || len(found) == 0 {
			return nil, err
		}
		who = clean(nameOf(found[0]), maxTitle)
	}
	p := &Payload{Kind: n.Kind, Title: who, ConversationID: n.Conversation, Count: 1}
	switch n.Kind {
	case chat.NotifyFriendRequest:
		p.Body, p.URL = "asks to be your friend", "/friends"
		return p, nil
	case chat.NotifyFriendRequestAccepted:
		p.Body, p.URL = "is your friend now", "/friends"
		return p, nil
	}
	c, m, err := s.store.ConversationAndMembership(ctx, n.User, n.Conversation)
	if errors.Is(err, chat.ErrNotFound) || err == nil && n.Kind == chat.NotifyMention && m.ReadSeq >= n.Seq {
		return nil, nil //nolint:nilnil // nothing to tell
	} else if err != nil {
		return nil, err
	}
	p.Title, p.URL = clean(c.Title, maxTitle), "/conversations/"+c.ID.String()
	if n.Kind != chat.NotifyMention {
		p.Body = who + " added you"
		return p, nil
	}
	// Whoever wants all messages is told of this one anyway.
	if all, err := s.Wants(ctx, n.User, kindOf(c.Kind), c.ID, n.Actor); err != nil || all {
		return nil, err
	}
	found, err := s.store.Messages(ctx, []chat.ID{n.Subject})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	p.MessageID, p.Body = found[0].ID, who+": "+clean(found[0].Body, maxBody)
	return p, nil
}

func kindOf(c chat.ConversationKind) chat.NotificationKind {
	if c == chat.Direct {
		return chat.NotifyDirectMessage
	}
	return chat.NotifyGroupMessage
}
