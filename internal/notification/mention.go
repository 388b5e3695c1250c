package notification

import (
	"context"
	"slices"
	"strings"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/store"
)

// MentionArgs looks for mentions in the messages of a stretch of the log.
type MentionArgs struct {
	From    chat.Position `json:"from"`
	Through chat.Position `json:"through"`
}

// Kind names the job.
func (MentionArgs) Kind() string { return "mentions" }

// InsertOpts says where it runs.
func (MentionArgs) InsertOpts() job.Options { return job.Options{Queue: job.Notify} }

// SeenArgs marks mentions as read whose messages were read in a stretch of the log.
type SeenArgs struct {
	From    chat.Position `json:"from"`
	Through chat.Position `json:"through"`
}

// Kind names the job.
func (SeenArgs) Kind() string { return "mentions_seen" }

// InsertOpts says where it runs.
func (SeenArgs) InsertOpts() job.Options { return job.Options{Queue: job.Notify} }

// Messages is the job of a stretch of the log in which there are messages, if it may have something to do.
func (s *Service) Messages(tx *store.Tx, from, through chat.Position) (job.Args, error) {
	if some, err := tx.HasMentions(from, through); err != nil || !some {
		return nil, err
	}
	return MentionArgs{from, through}, nil
}

// Receipts is the job of a stretch of the log in which there are receipts, if it has something to do.
func (s *Service) Receipts(tx *store.Tx, from, through chat.Position) (job.Args, error) {
	if some, err := tx.HasSeenMentions(from, through); err != nil || !some {
		return nil, err
	}
	return SeenArgs{from, through}, nil
}

// FindMentions tells members who are named in messages, unless they were not there yet, are not any more, or want no such
// thing. Bodies are read by one statement, and members by another.
func (s *Service) FindMentions(ctx context.Context, j *job.Job[MentionArgs]) error {
	events, err := s.stretch(ctx, j.Args.From, j.Args.Through, chat.MessageAdded)
	if err != nil {
		return err
	}
	ids, seen := make([]chat.ID, len(events)), make([]store.Membership, len(events))
	for i, e := range events {
		ids[i], seen[i] = e.Subject, store.Membership{User: e.Actor, Conversation: e.Topic.ID} // who writes has read
	}
	messages, err := s.store.Messages(ctx, ids)
	if err != nil {
		return err
	}
	slices.SortFunc(messages, func(a, b chat.Message) int { return int(a.Position - b.Position) })
	var mentions []store.Mention
	for i := range messages {
		for _, name := range named(messages[i].Body) {
			mentions = append(mentions, store.Mention{Message: &messages[i], Name: name})
		}
	}
	if len(mentions) > 0 {
		told, err := s.mention(ctx, mentions)
		if err != nil {
			return err
		}
		seen = append(seen, told...) // they may have read the message while it was being told
	}
	return s.settle(ctx, seen)
}

// FindSeen marks mentions as read that their members have read.
func (s *Service) FindSeen(ctx context.Context, j *job.Job[SeenArgs]) error {
	events, err := s.stretch(ctx, j.Args.From, j.Args.Through, chat.ReceiptUpdated)
	if err != nil {
		return err
	}
	seen := make([]store.Membership, len(events))
	for i, e := range events {
		seen[i] = store.Membership{User: e.Subject, Conversation: e.Topic.ID}
	}
	return s.settle(ctx, seen)
}

// stretch reads the events of a type in a stretch of the log.
func (s *Service) stretch(ctx context.Context, from, through chat.Position, t chat.EventType) (out []*chat.Event, err error) {
	const page = 1000
	for after := from - 1; after < through; {
		events, err := s.store.Events(ctx, after, page)
		if err != nil || len(events) == 0 {
			return out, err
		}
		for _, e := range events {
			if e.Type == t && e.Position <= through {
				out = append(out, e)
			}
		}
		after = events[len(events)-1].Position
	}
	return out, nil
}

// mention makes the entries, and returns who got some.
func (s *Service) mention(ctx context.Context, mentions []store.Mention) (told []store.Membership, err error) {
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		found := slices.Clone(mentions)
		if err := tx.Mentioned(found); err != nil {
			return err
		}
		var ns []chat.Notification
		told = nil
		for _, f := range found {
			m := f.Message
			if f.User.IsZero() || !wanted(chat.NotifyMention, f.InApp) || !f.Level.Admits(chat.NotifyMention) || f.Muted.After(m.CreatedAt) {
				continue
			}
			n := chat.Notification{ID: chat.NewID(chat.KindNotification), User: f.User, Kind: chat.NotifyMention, Actor: m.Sender, Conversation: m.Conversation,
				Subject: m.ID, Seq: m.Seq, CreatedAt: tx.Now}
			if f.Seen {
				n.ReadAt = tx.Now
			}
			ns, told = append(ns, n), append(told, store.Membership{User: n.User, Conversation: n.Conversation})
		}
		if len(ns) == 0 {
			return nil
		}
		if _, err := tx.LockUsers(usersOf(ns)...); err != nil {
			return err
		}
		return s.add(ctx, tx, ns)
	})
	return told, err
}

// settle marks mentions as read that their members have read.
func (s *Service) settle(ctx context.Context, members []store.Membership) error {
	if len(members) == 0 {
		return nil
	}
	seen, err := s.store.MentionsSeen(ctx, unique(members))
	if err != nil || len(seen) == 0 {
		return err
	}
	ids := make([]chat.ID, len(seen))
	for i, n := range seen {
		ids[i] = n.ID
	}
	_, err = s.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error {
		if _, err := tx.LockUsers(usersOf(seen)...); err != nil {
			return err
		}
		read, err := tx.ReadNotifications(ids)
		if err != nil {
			return err
		}
		_, err = tellRead(ctx, tx, read)
		return err
	})
	return err
}

func unique[T comparable](all []T) (out []T) {
	seen := map[T]bool{}
	for _, x := range all {
		if !seen[x] {
			seen[x], out = true, append(out, x)
		}
	}
	return out
}

const (
	maxMentions = 20 // in one message
	maxName     = 32
	minName     = 3
)

// named are the names that a text mentions, in lower case and each once: @ and a name, where no word ends. A name may end in
// a full stop, and so may a sentence: then both are meant.
func named(body string) (names []string) {
	for end, n := 0, 0; n < maxMentions; {
		at := strings.IndexByte(body[end:], '@')
		if at < 0 {
			break
		}
		at += end
		end = at + 1
		for end < len(body) && isName(body[end]) {
			end++
		}
		if at > 0 && (isName(body[at-1]) || body[at-1] == '@') { // a mail address
			continue
		}
		n++
		name := strings.ToLower(body[at+1 : end])
		for _, x := range unique([]string{name, strings.TrimRight(name, "_.-")}) {
			if len(x) >= minName && len(x) <= maxName && !slices.Contains(names, x) {
				names = append(names, x)
			}
		}
	}
	return names
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
}
