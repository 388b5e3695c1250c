// Package digest tells people who are away by one mail a day what they have not read.
//
// When it is due is stored for each user, as a time: an hour that the clocks skip or show twice is one moment all the same.
// Whoever is due is found by Look, which makes a job of each (Send) in the transaction that moves them on to their next
// day.
package digest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/store"
)

const (
	// LookEvery is how often it is looked at who is due.
	LookEvery = 15 * time.Minute
	// awayFor is how long somebody must not have been connected to be away.
	awayFor = time.Hour
	// late is how late a digest may be when no node ran at its hour; it is left out afterwards.
	late = 12 * time.Hour

	atOnce           = 200 // users in one transaction
	maxConversations = 100
	maxMessages      = 3 // of a conversation
)

// Hour is when a user wants their digest.
type Hour struct {
	Hour  int
	Zone  *time.Location
	Wants bool
}

// Config says what else is asked. Everything but Now is required.
type Config struct {
	// Hours reads when users want their digests, as it is within a transaction.
	Hours func(ctx context.Context, tx *store.Tx, users []chat.ID) (map[chat.ID]Hour, error)
	// Online says whether a user has a live socket on any node.
	Online func(user chat.ID) bool
	// Mail sends a mail to a user who has a verified address, and wants it.
	Mail func(ctx context.Context, to chat.ID, key string, at time.Time, c mail.Content) error
	Now  func() time.Time // nil: time.Now
}

// Service holds the rules.
type Service struct {
	store *store.Store
	jobs  *job.Client
	Config
}

// New makes the service. It registers nothing.
func New(s *store.Store, jobs *job.Client, c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{s, jobs, c}
}

// next is the first time after now at which a user's clocks show the hour, on a day after another.
func (h Hour) next(now time.Time, after string) (at time.Time, on string) {
	y, m, d := now.In(h.Zone).Date()
	for day := d; ; day++ {
		at, on = time.Date(y, m, day, h.Hour, 0, 0, 0, h.Zone).UTC(), time.Date(y, m, day, 12, 0, 0, 0, time.UTC).Format(time.DateOnly)
		if at.After(now) && on > after {
			return at, on
		}
	}
}

// OnChange is a store.Listener for what changes a user's address or wishes: it sets when their digest is due.
func (s *Service) OnChange(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	user := e.Topic.ID
	d, err := tx.Digest(ctx, user)
	if err != nil && !errors.Is(err, chat.ErrNotFound) {
		return err
	}
	d.User = user
	return s.plan(ctx, tx, s.Now(), d)
}

func (s *Service) plan(ctx context.Context, tx *store.Tx, now time.Time, ds ...store.Digest) error {
	users := make([]chat.ID, len(ds))
	for i, d := range ds {
		users[i] = d.User
	}
	hours, err := s.Hours(ctx, tx, users)
	if err != nil {
		return err
	}
	for _, d := range ds {
		if d.Due, d.DueOn = (time.Time{}), ""; hours[d.User].Wants {
			d.Due, d.DueOn = hours[d.User].next(now, d.ToldOn)
		}
		if err := tx.SetDigest(d); err != nil {
			return err
		}
	}
	return nil
}

type lookArgs struct{}

func (lookArgs) Kind() string            { return "digest_look" }
func (lookArgs) InsertOpts() job.Options { return job.Options{Queue: job.Notify} }

// LookArgs are those of Look.
var LookArgs job.Args = lookArgs{}

type sendArgs struct {
	User chat.ID `json:"user"`
	Day  string  `json:"day"`
}

func (sendArgs) Kind() string { return "mail_digest" }
func (sendArgs) InsertOpts() job.Options {
	return job.Options{Queue: job.Mail, Priority: 4, UniqueOpts: job.Unique{ByArgs: true}}
}

// Look finds whose digest is due.
func (s *Service) Look(ctx context.Context, _ *job.Job[lookArgs]) error {
	for n := atOnce; n == atOnce; {
		_, err := s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
			due, err := tx.LockDueDigests(atOnce)
			if n = len(due); err != nil || n == 0 {
				return err
			}
			var jobs []job.Insertion
			for i, d := range due {
				if due[i].ToldOn = d.DueOn; tx.Now.Sub(d.Due) <= late {
					jobs = append(jobs, job.Insertion{Args: sendArgs{d.User, d.DueOn}})
				}
			}
			if err := s.jobs.InsertMany(ctx, tx, jobs); err != nil {
				return err
			}
			return s.plan(ctx, tx, tx.Now, due...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Send tells a user what they have not read and were not told before, if they are away and there is something.
func (s *Service) Send(ctx context.Context, j *job.Job[sendArgs]) error {
	user, now := j.Args.User, s.Now()
	d, err := s.store.Digest(ctx, user)
	if err != nil || s.Online(user) {
		return gone(err)
	}
	if seen, err := s.store.Users(ctx, []chat.ID{user}); err != nil || len(seen) == 0 || now.Sub(seen[0].LastSeenAt) < awayFor {
		return err
	}
	head, err := s.store.Head(ctx) // before what it is to cover is read
	if err != nil {
		return err
	}
	content, err := s.content(ctx, user, d.ToldPosition, now)
	if err != nil || len(content.Conversations) == 0 {
		return err
	}
	if err := s.Mail(ctx, user, "digest "+user.String()+" "+j.Args.Day, j.CreatedAt, content); err != nil {
		return err
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.DigestTold(user, head.Position) })
	return err
}

func gone(err error) error {
	if errors.Is(err, chat.ErrNotFound) {
		return nil
	}
	return err
}

// content is what a user has not read and was not told: of each conversation the last messages that are not of somebody
// whom they have blocked.
func (s *Service) content(ctx context.Context, user chat.ID, told chat.Position, now time.Time) (out mail.Digest, err error) {
	missed, err := s.store.Missed(ctx, user, told, now, maxConversations)
	if err != nil || len(missed) == 0 {
		return out, err
	}
	var conversations, senders []chat.ID
	for _, m := range missed {
		conversations = append(conversations, m.Conversation.ID)
	}
	pages, err := s.store.MessagePages(ctx, conversations, chat.Page{Limit: maxMessages, Backward: true})
	if err != nil {
		return out, err
	}
	for _, l := range pages {
		for _, m := range l.Nodes {
			if !slices.Contains(senders, m.Sender) {
				senders = append(senders, m.Sender)
			}
		}
	}
	relations, err := s.store.Relationships(ctx, user, senders)
	if err != nil {
		return out, err
	}
	found, err := s.store.Users(ctx, senders)
	if err != nil {
		return out, err
	}
	people := make(map[chat.ID]chat.User, len(found))
	for _, u := range found {
		people[u.ID] = u
	}
	for _, m := range missed {
		one := mail.DigestConversation{ID: m.Conversation.ID, Title: m.Conversation.Title, Unread: m.Count}
		for _, x := range pages[m.Conversation.ID].Nodes {
			if x.Seq <= m.ReadSeq || x.Position <= told || relations[x.Sender] == chat.RelationBlocked {
				continue
			}
			one.Messages = append(one.Messages, mail.DigestMessage{From: people[x.Sender], Body: x.Body})
			if m.Conversation.Kind == chat.Direct {
				one.With = people[x.Sender]
			}
		}
		if len(one.Messages) > 0 {
			out.Conversations = append(out.Conversations, one)
		}
	}
	return out, nil
}
