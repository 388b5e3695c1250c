package export

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

const (
	pageSize = 500   // rows of a statement
	mostName = 10000 // of users, that are remembered while messages are written
)

// archive writes one export: what its user may see as of a position of the log, whatever happens meanwhile.
type archive struct {
	*Service
	user  chat.ID
	as    chat.Position
	zip   *zip.Writer
	names map[chat.ID]string
	file  *json.Encoder // of the one that is being written
}

// write writes a ZIP file, a page at a time.
func (s *Service) write(ctx context.Context, w io.Writer, user chat.ID) error {
	head, err := s.store.Head(ctx)
	if err != nil {
		return err
	}
	a := &archive{Service: s, user: user, as: head.Position, zip: zip.NewWriter(w), names: map[chat.ID]string{}}
	for _, part := range []struct {
		name  string
		write func(context.Context) error
	}{
		{"profile.jsonl", a.profile},
		{"sessions.jsonl", a.sessions},
		{"friends.jsonl", a.friends},
		{"friend-requests.jsonl", a.requests},
		{"blocked-users.jsonl", a.blocked},
		{"conversations.jsonl", a.conversations},
		{"messages.jsonl", a.messages},
		{"notifications.jsonl", a.notifications},
	} {
		to, err := a.zip.CreateHeader(&zip.FileHeader{Name: part.name, Method: zip.Deflate, Modified: s.Now().UTC()})
		if err != nil {
			return err
		}
		a.file = json.NewEncoder(to)
		a.file.SetEscapeHTML(false)
		if err := part.write(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return a.zip.Close()
}

// line is one JSON object.
type line = map[string]any

// pages reads a list from its beginning to its end.
func pages[T any](read func(chat.Page) (chat.List[T], error), each func([]T) error) error {
	for p := (chat.Page{Limit: pageSize}); ; {
		l, err := read(p)
		if err != nil {
			return err
		}
		if err := each(l.Nodes); err != nil {
			return err
		}
		if !l.Info.HasNextPage {
			return nil
		}
		p.After = *l.Info.EndCursor
	}
}

// named looks up the usernames of those who are not known yet.
func (a *archive) named(ctx context.Context, users ...chat.ID) error {
	users = slices.DeleteFunc(users, func(u chat.ID) bool { _, known := a.names[u]; return known || u.IsZero() })
	if len(users) == 0 {
		return nil
	}
	if len(a.names) > mostName {
		a.names = map[chat.ID]string{}
	}
	slices.SortFunc(users, func(x, y chat.ID) int { return slices.Compare(x.UUID[:], y.UUID[:]) })
	found, err := a.store.Users(ctx, slices.Compact(users))
	for _, u := range found {
		a.names[u.ID] = u.Username
	}
	return err
}

func (a *archive) person(u chat.ID) line { return line{"id": u, "username": a.names[u]} }

func (a *archive) profile(ctx context.Context) error {
	us, err := a.store.Users(ctx, []chat.ID{a.user})
	if err != nil || len(us) == 0 {
		return err
	}
	u := us[0]
	a.names[u.ID] = u.Username
	x := line{"id": u.ID, "username": u.Username, "displayName": u.DisplayName, "bio": u.Bio, "createdAt": u.CreatedAt}
	accounts, err := a.store.Accounts(ctx, []chat.ID{a.user})
	for _, c := range accounts {
		x["email"], x["emailVerifiedAt"], x["unverifiedEmail"] = c.Email, orNull(c.EmailVerifiedAt), c.UnverifiedEmail
	}
	if err != nil {
		return err
	}
	return a.file.Encode(x)
}

func (a *archive) sessions(ctx context.Context) error {
	now := a.Now()
	return pages(func(p chat.Page) (chat.List[chat.Session], error) { return a.store.SessionPage(ctx, a.user, now, p) }, func(l []chat.Session) error {
		for _, s := range l {
			if err := a.file.Encode(line{"id": s.ID, "createdAt": s.CreatedAt, "lastUsedAt": s.LastUsedAt, "expiresAt": s.ExpiresAt, "userAgent": s.UserAgent}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *archive) friends(ctx context.Context) error {
	return pages(func(p chat.Page) (chat.List[chat.Friendship], error) { return a.store.FriendshipPage(ctx, a.user, p) }, func(l []chat.Friendship) error {
		ids := make([]chat.ID, len(l))
		for i, f := range l {
			ids[i] = f.User
		}
		if err := a.named(ctx, ids...); err != nil {
			return err
		}
		for _, f := range l {
			if err := a.file.Encode(line{"user": a.person(f.User), "since": f.Since, "conversationId": f.Conversation}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *archive) requests(ctx context.Context) error {
	for _, outgoing := range []bool{false, true} {
		for _, status := range []chat.RequestStatus{chat.RequestPending, chat.RequestAccepted, chat.RequestRejected, chat.RequestCancelled} {
			if err := pages(func(p chat.Page) (chat.List[chat.FriendRequest], error) {
				return a.store.RequestPage(ctx, a.user, outgoing, status, p)
			}, func(l []chat.FriendRequest) error { return a.requestLines(ctx, l) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *archive) requestLines(ctx context.Context, l []chat.FriendRequest) error {
	ids := make([]chat.ID, 0, 2*len(l))
	for _, r := range l {
		ids = append(ids, r.From, r.To)
	}
	if err := a.named(ctx, ids...); err != nil {
		return err
	}
	for _, r := range l {
		if err := a.file.Encode(line{"id": r.ID, "from": a.person(r.From), "to": a.person(r.To), "status": r.Status,
			"createdAt": r.CreatedAt, "answeredAt": orNull(r.AnsweredAt)}); err != nil {
			return err
		}
	}
	return nil
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func (a *archive) blocked(ctx context.Context) error {
	return pages(func(p chat.Page) (chat.List[chat.ID], error) { return a.store.BlockPage(ctx, a.user, p) }, func(l []chat.ID) error {
		if err := a.named(ctx, slices.Clone(l)...); err != nil {
			return err
		}
		for _, u := range l {
			if err := a.file.Encode(line{"user": a.person(u)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// rooms are the conversations that the user is or was in, by id, each with the spans of the log in which they were.
func (a *archive) rooms(ctx context.Context, each func(map[chat.ID][]chat.Span, []chat.ID) error) error {
	all, err := a.store.Spans(ctx, store.SpanQuery{User: a.user})
	if err != nil {
		return err
	}
	spans, ids := map[chat.ID][]chat.Span{}, []chat.ID{}
	for _, s := range all[0] {
		if s.From >= a.as {
			continue // begun since
		}
		if spans[s.Topic.ID] == nil {
			ids = append(ids, s.Topic.ID)
		}
		spans[s.Topic.ID] = append(spans[s.Topic.ID], s)
	}
	slices.SortFunc(ids, func(x, y chat.ID) int { return slices.Compare(x.UUID[:], y.UUID[:]) })
	for some := range slices.Chunk(ids, pageSize) {
		if err := each(spans, some); err != nil {
			return err
		}
	}
	return nil
}

// isIn says whether one of the spans has no end.
func isIn(spans []chat.Span) bool {
	return slices.ContainsFunc(spans, func(s chat.Span) bool { return s.To == 0 })
}

func (a *archive) conversations(ctx context.Context) error {
	return a.rooms(ctx, func(spans map[chat.ID][]chat.Span, ids []chat.ID) error {
		found, err := a.store.Conversations(ctx, ids)
		if err != nil {
			return err
		}
		mine, err := a.store.Memberships(ctx, a.user, ids)
		if err != nil {
			return err
		}
		peers, err := a.store.Peers(ctx, a.user, ids)
		if err != nil {
			return err
		}
		others := make([]chat.ID, 0, len(peers))
		for _, p := range peers {
			others = append(others, p)
		}
		if err := a.named(ctx, others...); err != nil {
			return err
		}
		as := map[chat.ID]chat.Member{}
		for _, m := range mine {
			as[m.Conversation] = m
		}
		for _, c := range found {
			m, in := as[c.ID]
			x := line{"id": c.ID, "kind": c.Kind, "createdAt": c.CreatedAt, "member": in && isIn(spans[c.ID])}
			if x["member"] == true { // else it is closed
				x["updatedAt"], x["memberCount"], x["role"], x["joinedAt"], x["readSeq"] = c.UpdatedAt, c.MemberCount, m.Role, m.JoinedAt, m.ReadSeq
				if c.Kind == chat.Group {
					x["title"] = c.Title
				} else {
					x["peer"] = a.person(peers[c.ID])
				}
			}
			if err := a.file.Encode(x); err != nil {
				return err
			}
		}
		return nil
	})
}

// messages are those of the conversations that the user is in, from the beginning, as newcomers see it; and of those that
// they have left, what was said while they were there.
func (a *archive) messages(ctx context.Context) error {
	return a.rooms(ctx, func(spans map[chat.ID][]chat.Span, ids []chat.ID) error {
		found, err := a.store.Conversations(ctx, ids)
		if err != nil {
			return err
		}
		for _, c := range found {
			visible := spans[c.ID]
			if isIn(visible) {
				visible = []chat.Span{{}}
			}
			slices.SortFunc(visible, func(x, y chat.Span) int { return int(x.From - y.From) })
			for _, s := range visible {
				if err := a.said(ctx, c.ID, s); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// said writes the messages of a span. Within a conversation positions ascend with seq.
func (a *archive) said(ctx context.Context, conversation chat.ID, s chat.Span) error {
	last := a.as
	if s.To != 0 {
		last = min(last, s.To)
	}
	p := chat.Page{Limit: pageSize}
	if s.From > 0 {
		first, err := a.store.FirstSeq(ctx, conversation, s.From+1)
		if err != nil || first == 0 {
			return err
		}
		if first > 1 {
			p.After = fmt.Sprint(first - 1)
		}
	}
	for more := true; more; {
		l, err := a.store.MessagePage(ctx, conversation, p)
		if err != nil {
			return err
		}
		ids := make([]chat.ID, len(l.Nodes))
		for i, m := range l.Nodes {
			ids[i] = m.Sender
		}
		if err := a.named(ctx, ids...); err != nil {
			return err
		}
		for _, m := range l.Nodes {
			if m.Position > last {
				return nil
			}
			if err := a.file.Encode(line{"id": m.ID, "conversationId": m.Conversation, "seq": m.Seq, "sender": a.person(m.Sender), "body": m.Body, "createdAt": m.CreatedAt}); err != nil {
				return err
			}
		}
		if more = l.Info.HasNextPage; more {
			p.After = *l.Info.EndCursor
		}
	}
	return nil
}

// notifications are what the user was told: of whom and of what, by id.
func (a *archive) notifications(ctx context.Context) error {
	return pages(func(p chat.Page) (chat.List[chat.Notification], error) {
		return a.store.NotificationPage(ctx, a.user, false, p)
	}, func(l []chat.Notification) error {
		for _, n := range l {
			if err := a.file.Encode(line{"id": n.ID, "kind": n.Kind, "actorId": n.Actor, "conversationId": n.Conversation, "aboutId": n.Subject,
				"createdAt": n.CreatedAt, "readAt": orNull(n.ReadAt)}); err != nil {
				return err
			}
		}
		return nil
	})
}
