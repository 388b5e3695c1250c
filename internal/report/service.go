// Package report tells administrators by one mail a day how the installation is doing.
//
// A job that is made once a day, on one node, makes a mail job for each administrator. What the mail says is read when it is
// sent: the day before in UTC, and what is wrong now.
package report

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/store"
)

// Every is how often there is a report.
const Every = 24 * time.Hour

const (
	administrators = 100 // who are told at most
	// early is how much before midnight, by the database's clock, the job may be made at midnight.
	early = time.Minute
)

// Config says what is asked besides the database.
type Config struct {
	// Mail sends a mail to a user who has a verified address.
	Mail func(ctx context.Context, to chat.ID, key string, at time.Time, c mail.Content) error
	// Backup is when the newest backup was begun, and zero if there is none; nil: others make them.
	Backup func() (time.Time, error)
}

// Service makes and sends reports.
type Service struct {
	store *store.Store
	jobs  *job.Client
	Config
}

// New makes the service. It registers nothing.
func New(s *store.Store, jobs *job.Client, c Config) *Service { return &Service{s, jobs, c} }

type makeArgs struct{}

func (makeArgs) Kind() string            { return "report" }
func (makeArgs) InsertOpts() job.Options { return job.Options{Queue: job.Maintenance} }

// Args are those of Make.
var Args job.Args = makeArgs{}

type sendArgs struct {
	User chat.ID `json:"user"`
	Day  string  `json:"day"` // as 2026-11-21
}

func (sendArgs) Kind() string { return "mail_report" }
func (sendArgs) InsertOpts() job.Options {
	return job.Options{Queue: job.Mail, Priority: 4, UniqueOpts: job.Unique{ByArgs: true}}
}

// Make has each administrator told of the day before the job was made.
func (s *Service) Make(ctx context.Context, j *job.Job[makeArgs]) error {
	who, err := s.store.Administrators(ctx, administrators)
	if err != nil || len(who) == 0 {
		return err
	}
	day := j.CreatedAt.UTC().Add(early).Truncate(Every).Add(-Every).Format(time.DateOnly)
	jobs := make([]job.Insertion, len(who))
	for i, u := range who {
		jobs[i].Args = sendArgs{u, day}
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return s.jobs.InsertMany(ctx, tx, jobs) })
	return err
}

// Send tells somebody of a day, if they are still an administrator.
func (s *Service) Send(ctx context.Context, j *job.Job[sendArgs]) error {
	if admin, err := s.store.IsAdmin(ctx, j.Args.User); err != nil || !admin {
		return err
	}
	day, err := time.Parse(time.DateOnly, j.Args.Day)
	if err != nil {
		return job.Cancel(err)
	}
	content, err := s.content(ctx, day)
	if err != nil {
		return err
	}
	return s.Mail(ctx, j.Args.User, "report "+j.Args.User.String()+" "+j.Args.Day, j.CreatedAt, content)
}

func (s *Service) content(ctx context.Context, day time.Time) (c mail.Report, err error) {
	until := day.Add(Every)
	made, err := s.store.Made(ctx, day, until)
	if err != nil {
		return c, err
	}
	h, err := s.store.Health(ctx, day, until)
	if err != nil {
		return c, err
	}
	c = mail.Report{
		Day: day, Users: h.Users, NewUsers: made.Users, NewBots: made.Bots, Active: h.Active,
		NewConversations: made.Conversations, NewMessages: made.Messages,
		DeadDeliveries: h.DeadDeliveries, Size: h.Size, Check: mail.ReportCheck(h.Check), BackedUp: s.Backup != nil,
	}
	for _, t := range h.Jobs {
		c.Jobs = append(c.Jobs, mail.ReportJobs(t))
	}
	if s.Backup != nil {
		c.Backup, err = s.Backup()
	}
	return c, err
}
