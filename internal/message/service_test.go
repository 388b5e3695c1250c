package message_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	*message.Service
	store *store.Store
	users []chat.ID
	group chat.ID
}

// on runs a test on each database: n users, the first all but one of whom are in a group.
func on(t *testing.T, n int, test func(t *testing.T, w world)) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		w := world{message.New(s, message.Config{}), s, testkit.MustAddUsers(t, s, n), chat.NewID(chat.KindConversation)}
		_, err := s.Write(context.Background(), w.users[0], func(tx *store.Tx) error {
			if err := tx.InsertConversation(chat.Conversation{ID: w.group, Kind: chat.Group, Title: "g", CreatedAt: tx.Now, UpdatedAt: tx.Now, MemberCount: n - 1}); err != nil {
				return err
			}
			var members []chat.Member
			for i, u := range w.users[:n-1] {
				role := chat.RoleMember
				if i == 0 {
					role = chat.RoleOwner
				}
				members = append(members, chat.Member{Conversation: w.group, User: u, Role: role, JoinedAt: tx.Now})
			}
			tx.Emit(chat.Event{Type: chat.ConversationCreated, Detail: chat.Detail{Members: w.users[:n-1]}}, chat.ConversationTopic(w.group))
			return tx.InsertMembers(members)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Start()
		t.Cleanup(func() {
			w.Stop()
			if err := s.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
		test(t, w)
	})
}

func (w world) as(i int) chat.Viewer { return chat.Viewer{User: w.users[i]} }

func wantCode(t *testing.T, err error, want chat.Code) {
	t.Helper()
	if got := chat.CodeOf(err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	on(t, 3, func(t *testing.T, w world) {
		ctx := context.Background()
		first, err := w.Send(ctx, w.as(0), w.group, "hello", "k1")
		if err != nil || first.Seq != 1 || first.Position == 0 || first.Body != "hello" {
			t.Fatalf("%+v %v", first, err)
		}
		again, err := w.Send(ctx, w.as(0), w.group, "hello", "k1")
		if err != nil || again != first {
			t.Errorf("the retry got %+v, %v; want %+v", again, err, first)
		}
		other, err := w.Send(ctx, w.as(1), w.group, "hello", "k1") // keys are each sender's own
		if err != nil || other.Seq != 2 {
			t.Errorf("%+v %v", other, err)
		}
		for _, c := range []struct {
			who       int
			in        chat.ID
			body, key string
			want      chat.Code
		}{
			{0, w.group, "other", "k1", chat.CodeConflict},
			{0, chat.NewID(chat.KindConversation), "hello", "k1", chat.CodeConflict},
			{2, w.group, "hello", "k", chat.CodeNotFound},
			{0, chat.NewID(chat.KindConversation), "hello", "k", chat.CodeNotFound},
			{0, w.users[0], "hello", "k", chat.CodeNotFound},
			{0, w.group, "", "k", chat.CodeBadInput},
			{0, w.group, " \n\t", "k", chat.CodeBadInput},
			{0, w.group, strings.Repeat("é", 4001), "k", chat.CodeBadInput},
			{0, w.group, "a\x00b", "k", chat.CodeBadInput},
			{0, w.group, "a\xff", "k", chat.CodeBadInput},
			{0, w.group, "a", "", chat.CodeBadInput},
			{0, w.group, "a", strings.Repeat("k", 65), chat.CodeBadInput},
			{0, w.group, "a", "k\x00", chat.CodeBadInput},
		} {
			_, err := w.Send(ctx, w.as(c.who), c.in, c.body, c.key)
			wantCode(t, err, c.want)
		}
		if m, err := w.Send(ctx, w.as(0), w.group, strings.Repeat("é", 4000), strings.Repeat("k", 64)); err != nil || m.Seq != 3 {
			t.Errorf("%+v %v", m, err)
		}
	})
}

// Many at once, some of them refused: what is acknowledged is stored once, in the order of its seq, and the others do not
// matter.
func TestSendsTogether(t *testing.T) {
	t.Parallel()
	on(t, 9, func(t *testing.T, w world) {
		ctx := context.Background()
		const each = 25
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int64]chat.Message{}
		for u := range 9 { // the last is not a member
			for range 2 { // each key twice at once
				wg.Go(func() {
					for i := range each {
						m, err := w.Send(ctx, w.as(u), w.group, fmt.Sprint(u, i), fmt.Sprint(i))
						if u == 8 {
							wantCode(t, err, chat.CodeNotFound)
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						if o, ok := got[m.Seq]; ok && o != m {
							t.Errorf("seq %d is %+v and %+v", m.Seq, o, m)
						}
						got[m.Seq] = m
						mu.Unlock()
					}
				})
			}
		}
		wg.Wait()
		if len(got) != 8*each {
			t.Fatalf("%d messages, want %d", len(got), 8*each)
		}
		position := chat.Position(0)
		for seq := int64(1); seq <= 8*each; seq++ {
			m, ok := got[seq]
			if !ok || m.Position <= position {
				t.Fatalf("seq %d: %+v after position %d", seq, m, position)
			}
			position = m.Position
		}
		l, err := w.Page(ctx, w.group, chat.Page{Limit: 10, Backward: true, Before: "101"})
		if err != nil || len(l.Nodes) != 10 || l.Nodes[9].Seq != 100 || l.Nodes[9] != got[100] || !l.Info.HasPreviousPage || !l.Info.HasNextPage {
			t.Errorf("%+v %v", l, err)
		}
		l, err = w.Page(ctx, w.group, chat.Page{Limit: 10, After: "195"})
		if err != nil || len(l.Nodes) != 5 || l.Nodes[0].Seq != 196 || l.Info.HasNextPage || *l.Info.EndCursor != "200" {
			t.Errorf("%+v %v", l, err)
		}
		_, err = w.Page(ctx, w.group, chat.Page{Limit: 10, After: "x"})
		wantCode(t, err, chat.CodeBadInput)
	})
}

func TestMarkRead(t *testing.T) {
	t.Parallel()
	on(t, 3, func(t *testing.T, w world) {
		ctx := context.Background()
		for i := range 3 {
			if _, err := w.Send(ctx, w.as(0), w.group, "m", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			who       int
			seq, want int64
			moved     bool
			code      chat.Code
		}{
			{0, 3, 3, false, ""}, // sending has read it
			{1, 2, 2, true, ""},
			{1, 1, 2, false, ""},
			{1, 3, 3, true, ""},
			{1, 3, 3, false, ""},
			{1, 4, 0, false, chat.CodeBadInput},
			{1, -1, 0, false, chat.CodeBadInput},
			{2, 1, 0, false, chat.CodeNotFound},
		} {
			r, p, err := w.MarkRead(ctx, w.as(c.who), w.group, c.seq)
			wantCode(t, err, c.code)
			if err == nil && (r.Seq != c.want || (p != 0) != c.moved || r.At.IsZero()) {
				t.Errorf("mark %d as user %d: %+v at %d", c.seq, c.who, r, p)
			}
		}
		es, err := w.store.Events(ctx, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		last := es[len(es)-1]
		if last.Type != chat.ReceiptUpdated || last.Seq != 3 || last.Subject != w.users[1] || last.Topic != chat.ConversationTopic(w.group) {
			t.Errorf("%+v", last)
		}
	})
}

// Whatever becomes of a send, it counts once, and whoever follows the log does not count it again.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	on(t, 3, func(t *testing.T, w world) {
		ctx := context.Background()
		l := limit.NewSends(limit.Config{N: 6, Per: time.Hour})
		s := message.New(w.store, message.Config{Limit: l})
		s.Start()
		t.Cleanup(s.Stop)
		send := func(from int, key string, want chat.Code) {
			t.Helper()
			_, err := s.Send(ctx, w.as(from), w.group, "m", key)
			wantCode(t, err, want)
		}
		for _, key := range []string{"a", "a", "b"} { // one of them a repetition
			send(0, key, "")
		}
		send(2, "a", chat.CodeNotFound)
		if _, err := w.Send(ctx, w.as(0), w.group, "m", "elsewhere"); err != nil {
			t.Fatal(err)
		}
		send(0, "c", "")
		es, err := w.store.Events(ctx, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		l.Applied(es) // three of here and one of elsewhere
		for _, who := range []struct{ user, left int }{{0, 1}, {1, 6}, {2, 5}} {
			for i := range who.left {
				if err := l.Allow(w.users[who.user]); err != nil {
					t.Errorf("user %d is refused their %d of %d: %v", who.user, i, who.left, err)
				}
			}
			wantCode(t, l.Allow(w.users[who.user]), chat.CodeRateLimited)
		}
		send(0, "d", chat.CodeRateLimited)
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	on(t, 3, func(t *testing.T, w world) {
		var wg sync.WaitGroup
		for u := range 2 {
			wg.Go(func() {
				for i := range 50 {
					if _, err := w.Send(context.Background(), w.as(u), w.group, "m", fmt.Sprint(i)); err != nil {
						wantCode(t, err, chat.CodeUnavailable)
						return
					}
				}
			})
		}
		w.Stop()
		w.Stop()
		wg.Wait()
	})
}

// What the database refuses as a whole (here: a text with NUL, or a sender that does not exist) is found, and does not take
// its neighbours with it.
func TestPoisonDoesNotSpread(t *testing.T) {
	t.Parallel()
	on(t, 3, func(t *testing.T, w world) {
		var sends []*store.Send
		for i := range 33 {
			x := &store.Send{ID: chat.NewID(chat.KindMessage), Conversation: w.group, Sender: w.users[i%2], Key: fmt.Sprint(i), Body: "b"}
			switch i {
			case 17:
				x.Body = "a\x00b"
			case 20:
				x.Sender = chat.NewID(chat.KindUser)
			}
			sends = append(sends, x)
		}
		w.CommitTogether(sends)
		for i, x := range sends {
			switch {
			case i == 20:
				wantCode(t, x.Err, chat.CodeNotFound)
			case i != 17 && x.Err != nil:
				t.Errorf("%d: %v", i, x.Err)
			case i == 17 && x.Err == nil && x.Message.Body != x.Body: // SQLite can keep it
				t.Errorf("%d: %+v", i, x)
			}
		}
	})
}
