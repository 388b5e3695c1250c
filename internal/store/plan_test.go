package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/testkit"
)

// reading is a method of the store that reads.
type reading struct {
	// sorts says why its plan may sort, if it may.
	sorts string
	read  func(ctx context.Context, s *store.Store) error
}

func read[T any](f func(ctx context.Context, s *store.Store) (T, error)) reading {
	return reading{read: func(ctx context.Context, s *store.Store) error {
		_, err := f(ctx, s)
		return err
	}}
}

// paged reads pages in both directions: the first, the one after it, and between two places.
func paged[T any](f func(ctx context.Context, s *store.Store, p chat.Page) (chat.List[T], error)) reading {
	return reading{read: func(ctx context.Context, s *store.Store) error {
		for _, backward := range []bool{false, true} {
			l, err := f(ctx, s, chat.Page{Limit: 20, Backward: backward})
			if err != nil {
				return err
			}
			if len(l.Nodes) != 20 || !(l.Info.HasNextPage || l.Info.HasPreviousPage) {
				return fmt.Errorf("a page of %d: too few rows to mean anything", len(l.Nodes))
			}
			for _, p := range []chat.Page{{After: l.Cursors[10]}, {Before: l.Cursors[10]}, {After: l.Cursors[0], Before: l.Cursors[19]}} {
				p.Limit, p.Backward = 5, backward
				if _, err := f(ctx, s, p); err != nil {
					return err
				}
			}
		}
		return nil
	}}
}

func (r reading) sorting(why string) reading {
	r.sorts = why
	return r
}

func several(k chat.Kind, from, n int) (ids []chat.ID) {
	for i := range n {
		ids = append(ids, nth(k, from+i*7))
	}
	return ids
}

// readings are the store's methods that read, by name.
func readings() map[string]reading {
	me, other, room := nth(chat.KindUser, 1), nth(chat.KindUser, 7), nth(chat.KindConversation, 1)
	users, rooms := several(chat.KindUser, 2, 40), several(chat.KindConversation, 1, 40)
	now := time.Unix(1700002000, 0)
	type (
		ctx = context.Context
		st  = *store.Store
	)
	return map[string]reading{
		"Bounds": read(func(ctx ctx, s st) (store.Head, error) { _, _, _, err := s.Bounds(ctx); return store.Head{}, err }),
		"Head":   read(func(ctx ctx, s st) (store.Head, error) { return s.Head(ctx) }),
		"Events": read(func(ctx ctx, s st) ([]*chat.Event, error) { return s.Events(ctx, 8000, 100) }),
		"EventsOf": read(func(ctx ctx, s st) ([]*chat.Event, error) {
			return s.EventsOf(ctx, append([]chat.ID{me}, rooms...), 100, 10000, 100)
		}).sorting("the topics' next events are merged: at most a page of each"),

		"BlockPage":    paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.ID], error) { return s.BlockPage(ctx, me, p) }),
		"FriendIDs":    read(func(ctx ctx, s st) ([]chat.ID, error) { return s.FriendIDs(ctx, me) }),
		"FriendsAmong": read(func(ctx ctx, s st) ([]chat.ID, error) { return s.FriendsAmong(ctx, me, users) }),
		"FriendRequest": read(func(ctx ctx, s st) (chat.FriendRequest, error) {
			return s.FriendRequest(ctx, nth(chat.KindFriendRequest, 5))
		}),
		"FriendRequests": read(func(ctx ctx, s st) ([]chat.FriendRequest, error) {
			return s.FriendRequests(ctx, several(chat.KindFriendRequest, 1, 40))
		}),
		"Friendship": read(func(ctx ctx, s st) (chat.Friendship, error) { return s.Friendship(ctx, me, other) }),
		"FriendshipPage": paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.Friendship], error) {
			return s.FriendshipPage(ctx, me, p)
		}),
		"Relationships": read(func(ctx ctx, s st) (map[chat.ID]chat.Relationship, error) {
			return s.Relationships(ctx, me, users)
		}),
		"RequestPage": paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.FriendRequest], error) {
			if _, err := s.RequestPage(ctx, me, true, chat.RequestPending, p); err != nil {
				return chat.List[chat.FriendRequest]{}, err
			}
			return s.RequestPage(ctx, me, false, chat.RequestPending, p)
		}),

		"APIKeyOf": read(func(ctx ctx, s st) (chat.APIKey, error) { return s.APIKeyOf(ctx, me, nth(chat.KindAPIKey, 20)) }),
		"BotPage":  paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.Bot], error) { return s.BotPage(ctx, me, p) }),
		"Bots":     read(func(ctx ctx, s st) ([]chat.Bot, error) { return s.Bots(ctx, several(chat.KindUser, 3001, 40)) }),
		"HookSecrets": read(func(ctx ctx, s st) (store.HookSecrets, error) {
			return s.HookSecrets(ctx, nth(chat.KindIncomingWebhook, 1))
		}),
		"IncomingWebhooks": read(func(ctx ctx, s st) ([]chat.IncomingWebhook, error) { return s.IncomingWebhooks(ctx, rooms) }),
		"Secret":           read(func(ctx ctx, s st) (store.Secret, error) { return s.Secret(ctx, nth(chat.KindSession, 7001), now) }),

		"ConversationOf": read(func(ctx ctx, s st) (chat.Conversation, error) { return s.ConversationOf(ctx, me, room) }),
		"ConversationAndMembership": read(func(ctx ctx, s st) (chat.Member, error) {
			_, m, err := s.ConversationAndMembership(ctx, me, room)
			return m, err
		}),
		"ConversationPage": paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.Conversation], error) {
			return s.ConversationPage(ctx, me, p)
		}).sorting("the viewer's own conversations: their order changes with every message, and is kept nowhere"),
		"Conversations":      read(func(ctx ctx, s st) ([]chat.Conversation, error) { return s.Conversations(ctx, rooms) }),
		"DirectConversation": read(func(ctx ctx, s st) (chat.ID, error) { return s.DirectConversation(ctx, me, nth(chat.KindUser, 2)) }),
		"CurrentMembership":  read(func(ctx ctx, s st) (chat.Member, error) { return s.CurrentMembership(ctx, room, me) }),
		"MemberPage": paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.Member], error) {
			if _, err := s.MemberPage(ctx, room, me, p); err != nil { // receipts
				return chat.List[chat.Member]{}, err
			}
			return s.MemberPage(ctx, room, chat.ID{}, p)
		}),
		"MemberPages": read(func(ctx ctx, s st) (map[chat.ID]chat.List[chat.Member], error) {
			return s.MemberPages(ctx, rooms, me, chat.Page{Limit: 20})
		}),
		"Memberships": read(func(ctx ctx, s st) ([]chat.Member, error) { return s.Memberships(ctx, me, rooms) }),
		"Peers":       read(func(ctx ctx, s st) (map[chat.ID]chat.ID, error) { return s.Peers(ctx, me, rooms) }),
		"Spans": read(func(ctx ctx, s st) ([][]chat.Span, error) {
			return s.Spans(ctx, store.SpanQuery{User: me, After: 10}, store.SpanQuery{User: me, Conversation: room, After: 10})
		}),

		"Notifications": read(func(ctx ctx, s st) ([]chat.Notification, error) {
			return s.Notifications(ctx, several(chat.KindNotification, 1, 40))
		}),
		"NotificationPage": paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.Notification], error) {
			if _, err := s.NotificationPage(ctx, me, true, p); err != nil {
				return chat.List[chat.Notification]{}, err
			}
			return s.NotificationPage(ctx, me, false, p)
		}),
		"UnreadNotifications": read(func(ctx ctx, s st) (map[chat.ID]int, error) { return s.UnreadNotifications(ctx, users) }),
		"MentionsSeen": read(func(ctx ctx, s st) ([]chat.Notification, error) {
			return s.MentionsSeen(ctx, []store.Membership{{User: me, Conversation: room}, {User: other, Conversation: room}})
		}),
		"OldNotifications":        read(func(ctx ctx, s st) ([]chat.Notification, error) { return s.OldNotifications(ctx, now, 100) }),
		"NotificationPreferences": read(func(ctx ctx, s st) ([]store.StoredPreferences, error) { return s.NotificationPreferences(ctx, users) }),
		"PushWishes": read(func(ctx ctx, s st) ([]store.PushWish, error) {
			if _, err := s.PushWishes(ctx, chat.NotifyNewDevice, chat.ID{}, chat.ID{}, users); err != nil {
				return nil, err
			}
			return s.PushWishes(ctx, chat.NotifyMention, room, other, users)
		}),

		"Made": read(func(ctx ctx, s st) (store.Made, error) { return s.Made(ctx, now, now.Add(time.Hour)) }),

		"Messages": read(func(ctx ctx, s st) ([]chat.Message, error) { return s.Messages(ctx, several(chat.KindMessage, 10, 40)) }),
		"MessagePages": read(func(ctx ctx, s st) (map[chat.ID]chat.List[chat.Message], error) {
			return s.MessagePages(ctx, rooms, chat.Page{Limit: 20, Backward: true})
		}),
		"MessagePage": paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.Message], error) { return s.MessagePage(ctx, room, p) }),

		"Digest": read(func(ctx ctx, s st) (store.Digest, error) { return s.Digest(ctx, me) }),
		"Missed": read(func(ctx ctx, s st) ([]store.Missed, error) { return s.Missed(ctx, me, 10, now, 10) }).
			sorting("the viewer's own conversations"),
		"Push": read(func(ctx ctx, s st) (store.PushSubscription, error) {
			return s.Push(ctx, nth(chat.KindPushSubscription, 5), now)
		}),
		"PushesOf": read(func(ctx ctx, s st) ([]store.PushSubscription, error) { return s.PushesOf(ctx, []chat.ID{me}, now) }),
		"PushTargets": read(func(ctx ctx, s st) ([]store.PushTarget, error) {
			l, err := s.PushTargets(ctx, 10001, 10100, now, store.PushTarget{}, 20)
			if err != nil || len(l) < 20 {
				return l, fmt.Errorf("%d targets: %w", len(l), err)
			}
			return s.PushTargets(ctx, 10001, 10100, now, l[19], 20)
		}).sorting("whom the messages of a stretch are for, so that a page follows upon another"),
		"UnreadPush": read(func(ctx ctx, s st) (store.Unread, error) {
			_, u, err := s.UnreadPush(ctx, store.PushTarget{Subscription: nth(chat.KindPushSubscription, 8), User: nth(chat.KindUser, 9), Conversation: room}, now)
			return u, err
		}),

		"FileByID":   read(func(ctx ctx, s st) (chat.File, error) { return s.FileByID(ctx, nth(chat.KindFile, 1), now) }),
		"Thumbnails": read(func(ctx ctx, s st) ([]chat.File, error) { return s.Thumbnails(ctx, nth(chat.KindFile, 1)) }),
		"ReadFile": read(func(ctx ctx, s st) ([]byte, error) {
			return io.ReadAll(s.ReadFile(ctx, chat.File{ID: nth(chat.KindFile, 1), Size: 10}))
		}),
		"Exports":  read(func(ctx ctx, s st) ([]chat.Export, error) { return s.Exports(ctx, users) }),
		"FirstSeq": read(func(ctx ctx, s st) (int64, error) { return s.FirstSeq(ctx, room, 100) }),

		"Holder": read(func(ctx ctx, s st) (chat.ID, error) {
			id, err := s.Holder(ctx, nth(chat.KindSession, 3), 1, now)
			if errors.Is(err, chat.ErrNotFound) { // what it costs is the same
				err = nil
			}
			return id, err
		}),
		"SessionPage": read(func(ctx ctx, s st) (chat.List[chat.Session], error) {
			return s.SessionPage(ctx, me, now, chat.Page{Limit: 50})
		}),
		"Sessions": read(func(ctx ctx, s st) ([]chat.Session, error) { return s.Sessions(ctx, several(chat.KindSession, 1, 40)) }),
		"SessionsEndedSince": read(func(ctx ctx, s st) ([]store.EndedSession, error) {
			return s.SessionsEndedSince(ctx, time.Unix(1700005900, 0))
		}),

		"Accounts": read(func(ctx ctx, s st) ([]chat.Account, error) { return s.Accounts(ctx, users) }),
		"Mailbox":  read(func(ctx ctx, s st) (string, error) { _, a, err := s.Mailbox(ctx, me); return a, err }),
		"FindMailbox": read(func(ctx ctx, s st) (chat.ID, error) {
			if u, _, err := s.FindMailbox(ctx, "user7"); err != nil {
				return u, err
			}
			u, _, err := s.FindMailbox(ctx, "user7@example.org")
			return u, err
		}),
		"MailToken": read(func(ctx ctx, s st) (chat.MailToken, error) { return s.MailToken(ctx, nth(chat.KindMailToken, 7)) }),

		"Webhook":        read(func(ctx ctx, s st) (chat.Webhook, error) { return s.Webhook(ctx, nth(chat.KindWebhook, 5)) }),
		"GlobalWebhooks": read(func(ctx ctx, s st) ([]chat.Webhook, error) { return s.GlobalWebhooks(ctx) }).sorting("at most fifty"),
		"WebhooksOf":     read(func(ctx ctx, s st) ([]chat.Webhook, error) { return s.WebhooksOf(ctx, rooms) }),
		"NextDelivery":   read(func(ctx ctx, s st) (store.NextDelivery, error) { return s.NextDelivery(ctx, nth(chat.KindWebhook, 7)) }),
		"WebhookDelivery": read(func(ctx ctx, s st) (chat.WebhookDelivery, error) {
			return s.WebhookDelivery(ctx, nth(chat.KindWebhookDelivery, 7))
		}),
		"DeliveryPages": read(func(ctx ctx, s st) (map[chat.ID]chat.List[chat.WebhookDelivery], error) {
			return s.DeliveryPages(ctx, several(chat.KindWebhook, 1, 10), chat.DeliveryDead, chat.Page{Limit: 5})
		}),
		"PurgeDeliveries": read(func(ctx ctx, s st) (int64, error) {
			return s.PurgeDeliveries(ctx, time.Unix(0, 0), time.Unix(0, 0), 100)
		}).sorting("two pieces of what is to be deleted are put together"),
		"PurgeWebhooks": read(func(ctx ctx, s st) (bool, error) { return s.PurgeWebhooks(ctx, now, 100) }),

		"Credentials":   read(func(ctx ctx, s st) (store.Credentials, error) { return s.Credentials(ctx, "user7") }),
		"CredentialsOf": read(func(ctx ctx, s st) (store.Credentials, error) { return s.CredentialsOf(ctx, me) }),
		"IsAdmin":       read(func(ctx ctx, s st) (bool, error) { return s.IsAdmin(ctx, me) }),
		"SearchUsers": paged(func(ctx ctx, s st, p chat.Page) (chat.List[chat.User], error) {
			return s.SearchUsers(ctx, "user 11", p)
		}).sorting("those whose display name begins so, by username"),
		"Users": read(func(ctx ctx, s st) ([]chat.User, error) { return s.Users(ctx, users) }),
	}
}

// writing are the methods that take a context and do not read, or not for a user.
var writing = []string{"Administrators", "Backup", "Check", "Commit", "Follow", "Health", "JobStats", "KeepJobs", "Migrate", "Migrations", "NewEpoch", "Ping", "RescueJobs", "SetLastSeen", "SetUsed", "TakeLimit", "Trim", "TrimFiles", "TrimLimits", "TrimMailTokens", "TrimSessions", "Write", "WriteFile"}

func TestReadingsAreAllThere(t *testing.T) {
	t.Parallel()
	known := readings()
	for m := range reflect.TypeFor[*store.Store]().Methods() {
		if m.Type.NumIn() > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]() && !slices.Contains(writing, m.Name) && m.Name != "Texts" {
			if _, ok := known[m.Name]; !ok {
				t.Errorf("%s is neither among readings, whose plans are looked at, nor among writing", m.Name)
			}
		}
	}
}

// No query reads a table from end to end, whoever has written how much, and none sorts what may be any number of rows.
// What is explained is what was really run.
func TestQueriesAreReadOffAnIndex(t *testing.T) {
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
		look := func() {
			for name, r := range readings() {
				made := x.of(func() {
					if err := r.read(t.Context(), s); err != nil {
						t.Fatal(name, err)
					}
				})
				if len(made) == 0 {
					t.Error(name, "made no statement")
				}
				for _, q := range made {
					for _, p := range explain(t, s, q) {
						if r.sorts == "" || p.what != sort {
							t.Errorf("%s: %s\n%s\n%s", name, p.what, q.sql, p.plan)
						}
					}
				}
			}
		}
		if strings.HasPrefix(url, "sqlite:") {
			look() // nobody tells SQLite to keep statistics
		}
		mustFill(t, url, "ANALYZE")
		look()
	})
}

// problem is what should not be in a plan.
type problem struct {
	what string
	plan string
}

const (
	scan = "reads a whole table"
	sort = "sorts"
)

// explainPostgres looks at the plan that the store's connection keeps for the statement.
func explainPostgres(t *testing.T, s *store.Store, q *statement) (found []problem) {
	t.Helper()
	const params = "EXPLAIN (FORMAT JSON) EXECUTE \"' || name || '\" ' || coalesce('(' || (SELECT string_agg('NULL', ',') FROM unnest(parameter_types)) || ')', '')"
	explain, err := s.Texts(t.Context(), "SELECT '"+params+" FROM pg_prepared_statements WHERE statement = ?", q.sql)
	if err != nil || len(explain) != 1 {
		t.Errorf("prepared %d times: %s %v", len(explain), q.sql, err)
		return nil
	}
	plan, err := s.Texts(t.Context(), explain[0])
	if err != nil {
		t.Fatal(explain, err)
	}
	text := strings.Join(plan, "\n")
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	plans[0].Plan.walk(func(n node) {
		switch {
		case n.Relation == "event_head", n.Relation == "job_cursor": // one row
		case n.Type == "Seq Scan", strings.HasPrefix(n.Type, "Index") && n.Condition == "":
			found = append(found, problem{scan, text})
		case strings.Contains(n.Type, "Sort"):
			found = append(found, problem{sort, text})
		}
	})
	return found
}

// node is one of a plan of PostgreSQL's.
type node struct {
	Type      string  `json:"Node Type"`
	Relation  string  `json:"Relation Name"`
	Condition string  `json:"Index Cond"`
	Rows      float64 `json:"Actual Rows"`
	Loops     float64 `json:"Actual Loops"`
	Removed   float64 `json:"Rows Removed by Filter"`
	Hit       int     `json:"Shared Hit Blocks"`
	Read      int     `json:"Shared Read Blocks"`
	Plans     []node
}

func (n node) walk(f func(node)) {
	f(n)
	for _, p := range n.Plans {
		p.walk(f)
	}
}

// wholeTable is a scan of something other than an argument, a part of the query itself, or a table of one row.
var wholeTable = regexp.MustCompile(`^SCAN (\w+)`)

func mustConnectSQLite(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func explainSQLite(t *testing.T, db *sql.DB, q *statement) (found []problem) {
	t.Helper()
	rs, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+q.sql)
	if err != nil {
		t.Fatal(q.sql, err)
	}
	defer rs.Close()
	var plan []string
	for rs.Next() {
		var skip int
		var detail string
		if err := rs.Scan(&skip, &skip, &skip, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(plan, "\n")
	for _, p := range plan {
		m := wholeTable.FindStringSubmatch(p)
		switch {
		case m != nil && !strings.Contains(p, "VIRTUAL TABLE") && !slices.Contains([]string{"event_head", "job_cursor", "CONSTANT", "a", "b", "f", "r", "t"}, m[1]) && !strings.Contains(p, "VALUES CLAUSE"):
			found = append(found, problem{scan, text})
		case strings.Contains(p, "TEMP B-TREE"):
			found = append(found, problem{sort, text})
		}
	}
	return found
}
