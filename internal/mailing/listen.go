package mailing

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/mail"
	"github.com/parley-chat/parley/internal/store"
)

// DeviceArgs tells of a session from a new device.
type DeviceArgs struct {
	Session chat.ID `json:"session"`
}

// Kind is for the queue.
func (DeviceArgs) Kind() string { return "mail_device" }

// InsertOpts is for the queue.
func (DeviceArgs) InsertOpts() job.Options { return job.Options{Queue: job.Mail, Priority: 2} }

// devices is how many devices of a user are remembered.
const devices = 50

// OnSessionStarted notes the device, and tells of one that is new. Nobody is told of the first that they ever use.
func (s *Service) OnSessionStarted(ctx context.Context, tx *store.Tx, e *chat.Event) error {
	sum := sha256.Sum256([]byte(device(e.Rows.Session.UserAgent)))
	strange, err := tx.SeeDevice(e.Topic.ID, [16]byte(sum[:16]), devices)
	if err != nil || !strange {
		return err
	}
	return s.jobs.Insert(ctx, tx, DeviceArgs{e.Subject}, nil)
}

// device is what a program says of itself, without what changes with each version of it.
func device(userAgent string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' || r == '_' {
			return -1
		}
		return r
	}, strings.ToLower(userAgent))
}

// SendDevice tells of a sign-in, also when the session has ended since.
func (s *Service) SendDevice(ctx context.Context, j *job.Job[DeviceArgs]) error {
	found, err := s.store.Sessions(ctx, []chat.ID{j.Args.Session})
	if err != nil || len(found) == 0 {
		return err
	}
	in := found[0]
	return s.Send(ctx, in.User, "device "+in.ID.String(), j.CreatedAt, mail.NewDevice{At: in.CreatedAt, Device: in.UserAgent, Address: in.Address})
}

// FriendArgs tells of a friend request: once a day of those from one to another, who could be flooded by asking, taking that back
// and asking again.
type FriendArgs struct {
	Request chat.ID `json:"request"`
	From    chat.ID `json:"from" river:"unique"`
	To      chat.ID `json:"to" river:"unique"`
}

// Kind is for the queue.
func (FriendArgs) Kind() string { return "mail_friend" }

// InsertOpts is for the queue.
func (FriendArgs) InsertOpts() job.Options {
	return job.Options{Queue: job.Mail, Priority: 3, UniqueOpts: job.Unique{ByArgs: true, ByPeriod: 24 * time.Hour}}
}

// OnFriendRequestSent has the one who was asked told.
func (s *Service) OnFriendRequestSent(e *chat.Event) job.Args {
	if e.Topic.ID == e.Actor {
		return nil
	}
	return FriendArgs{e.Subject, e.Actor, e.Topic.ID}
}

// SendFriend tells of a friend request, if it still waits for an answer.
func (s *Service) SendFriend(ctx context.Context, j *job.Job[FriendArgs]) error {
	f, err := s.store.FriendRequest(ctx, j.Args.Request)
	if errors.Is(err, chat.ErrNotFound) || err == nil && f.Status != chat.RequestPending {
		return nil
	} else if err != nil {
		return err
	}
	from, err := s.store.Users(ctx, []chat.ID{f.From})
	if err != nil || len(from) == 0 {
		return err
	}
	return s.Send(ctx, f.To, "friend "+f.ID.String(), j.CreatedAt, mail.FriendRequest{From: from[0]})
}
