package app_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// state is what a client keeps: everything that its user can see through queries, by id.
//
// Left out is what no event promises: presence and typing, which are not in the log; when a session was last used and when
// it expires, which every refresh moves; webhooks, which change by themselves as they deliver; and the profiles of users who are neither the viewer nor friends. Left out too is
// the order of friends, requests and conversations: it follows from since, createdAt and updatedAt.
type state struct {
	Me            profile
	Account       knownAccount
	Friends       map[string]knownFriend
	Requests      map[string]knownRequest
	Blocked       map[string]bool
	Sessions      map[string]knownSession
	Bots          map[string]robot
	Conversations map[string]*room
	Export        *knownExport
	Relations     map[string]string // how the users that the client has met stand to the viewer
	Preferences   wishes
	Notifications map[string]knownNotification // the newest 30

	UnreadNotifications int
}

type profile struct {
	ID, Username, DisplayName, Bio string
	AvatarURL                      *string
}

type knownExport struct {
	Status               string
	CreatedAt, ExpiresAt time.Time
}

type knownAccount struct {
	Email           *string
	EmailVerifiedAt *time.Time
	UnverifiedEmail *string
}

type knownFriend struct {
	Profile      profile
	Since        time.Time
	Conversation string
}

type knownRequest struct {
	ID         string
	From, To   ref
	Status     string
	CreatedAt  time.Time
	AnsweredAt *time.Time
}

type knownSession struct {
	ID        string
	CreatedAt time.Time
	UserAgent string
	Current   bool
}

// room is a conversation.
type room struct {
	ID, Kind             string
	Title, Role          *string
	AvatarURL            *string
	CreatedAt, UpdatedAt time.Time
	Writable             bool
	MemberCount          int
	Peer                 *ref
	LastMessage          *last
	UnreadCount          int
	NotificationLevel    string
	MutedUntil           *time.Time
	ReadSeq              int // how far the viewer has read: what UnreadCount follows from
	IncomingWebhooks     []hook
	Members              []member       // in the order in which they joined
	Receipts             []receipt      // in the same order, without the viewer
	Messages             []knownMessage // by seq
}

type ref struct{ ID string }

type last struct {
	ID  string
	Seq int
}

type member struct {
	User     ref
	Role     string
	JoinedAt time.Time
}

type receipt struct {
	User   ref
	Seq    int
	ReadAt *time.Time
}

type knownMessage struct {
	ID        string
	Seq       int
	Body      string
	CreatedAt time.Time
	Sender    ref
}

// wireRoom is a conversation as queries and events carry it.
type wireRoom struct {
	room
	Members  struct{ Nodes []member }
	Receipts struct{ Nodes []receipt }
	Messages struct{ Nodes []knownMessage }
}

// keep is what a client keeps of a conversation that it is shown. An event may show the conversation as it was then and its
// lists as they are now: unreadCount goes with lastMessage, not with messages.
func (w *wireRoom) keep() *room {
	r := w.room
	r.Members, r.Receipts, r.Messages = slices.Clone(w.Members.Nodes), slices.Clone(w.Receipts.Nodes), slices.Clone(w.Messages.Nodes)
	r.ReadSeq = r.lastSeq() - r.UnreadCount
	return &r
}

func (r *room) lastSeq() int {
	if r.LastMessage == nil {
		return 0
	}
	return r.LastMessage.Seq
}

const fragments = robotFragments + `
fragment told on Notification { id kind createdAt readAt actor { id } conversationId conversation { id } messageId message { id body } request { id } }
fragment wishes on NotificationPreferences { kinds { kind inApp push mail } quietHours { start end } timeZone digest digestHour }
fragment person on User { id username displayName bio avatarUrl }
fragment copy on Export { status createdAt expiresAt }
fragment account on Account { email emailVerifiedAt unverifiedEmail }
fragment asked on FriendRequest { id from { id } to { id } status createdAt answeredAt }
fragment device on Session { id createdAt userAgent current }
fragment room on Conversation {
  id kind title avatarUrl createdAt updatedAt writable memberCount role peer { id } lastMessage { id seq } unreadCount notificationLevel mutedUntil
  incomingWebhooks { ...hook }
  members(first: 100) { nodes { user { id } role joinedAt } }
  receipts(first: 100) { nodes { user { id } seq readAt } }
  messages(last: 100) { nodes { id seq body createdAt sender { id } } }
}`

// everything is one query for the whole state. users are those whom the client has met.
func everything(users []string) string {
	var b strings.Builder
	b.WriteString("{ cursor me { ...person } export { ...copy } account { ...account } notificationPreferences { ...wishes } notifications(first: 30) { nodes { ...told } } unreadNotificationCount\n friends(first: 100) { nodes { user { ...person } since conversation { id } } }\n")
	for _, direction := range []string{"INCOMING", "OUTGOING"} {
		for _, status := range []string{"PENDING", "ACCEPTED", "REJECTED", "CANCELLED"} {
			fmt.Fprintf(&b, " %s_%s: friendRequests(direction: %[1]s, status: %[2]s, first: 100) { nodes { ...asked } }\n", direction, status)
		}
	}
	b.WriteString(" blockedUsers(first: 100) { nodes { id } }\n sessions(first: 100) { nodes { ...device } }\n bots(first: 100) { nodes { ...robot } }\n conversations(first: 100) { nodes { ...room } }\n")
	for i, id := range users {
		fmt.Fprintf(&b, " user_%d: user(id: %q) { id relationship }\n", i, id)
	}
	return b.String() + "}" + fragments
}

// parse reads the answer to everything.
func parse(data json.RawMessage) (s state, cursor string, err error) {
	var known struct {
		Cursor  string
		Me      profile
		Account knownAccount
		Export  *knownExport
		Friends struct {
			Nodes []struct {
				User         profile
				Since        time.Time
				Conversation ref
			}
		}
		BlockedUsers  struct{ Nodes []ref }
		Sessions      struct{ Nodes []knownSession }
		Bots          struct{ Nodes []robot }
		Conversations struct{ Nodes []wireRoom }

		NotificationPreferences wishes
		Notifications           struct{ Nodes []knownNotification }
		UnreadNotificationCount int
	}
	if err := json.Unmarshal(data, &known); err != nil {
		return s, "", err
	}
	s = state{Me: known.Me, Export: known.Export, Account: known.Account, Preferences: known.NotificationPreferences, Notifications: map[string]knownNotification{}, UnreadNotifications: known.UnreadNotificationCount,
		Friends: map[string]knownFriend{}, Requests: map[string]knownRequest{}, Blocked: map[string]bool{},
		Sessions: map[string]knownSession{}, Bots: map[string]robot{}, Conversations: map[string]*room{}, Relations: map[string]string{}}
	for _, f := range known.Friends.Nodes {
		s.Friends[f.User.ID] = knownFriend{f.User, f.Since, f.Conversation.ID}
	}
	for _, n := range known.Notifications.Nodes {
		s.Notifications[n.ID] = n
	}
	for _, u := range known.BlockedUsers.Nodes {
		s.Blocked[u.ID] = true
	}
	for _, x := range known.Sessions.Nodes {
		s.Sessions[x.ID] = x
	}
	for _, b := range known.Bots.Nodes {
		s.Bots[b.User.ID] = b
	}
	for _, c := range known.Conversations.Nodes {
		s.Conversations[c.ID] = c.keep()
	}
	if !slices.IsSortedFunc(known.Conversations.Nodes, func(a, b wireRoom) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), cmp.Compare(b.ID, a.ID))
	}) {
		return s, "", fmt.Errorf("conversations do not follow their updatedAt: %s", data)
	}
	var aliased map[string]json.RawMessage
	if err := json.Unmarshal(data, &aliased); err != nil {
		return s, "", err
	}
	for alias, data := range aliased {
		var x struct {
			ID, Relationship string
			Nodes            []knownRequest
		}
		switch {
		case strings.HasPrefix(alias, "user_"):
			err = json.Unmarshal(data, &x)
			s.Relations[x.ID] = x.Relationship
		case strings.HasPrefix(alias, "INCOMING_") || strings.HasPrefix(alias, "OUTGOING_"):
			err = json.Unmarshal(data, &x)
			for _, r := range x.Nodes {
				s.Requests[r.ID] = r
			}
		}
		if err != nil {
			return s, "", err
		}
	}
	return s, known.Cursor, nil
}

// clone is a copy that shares nothing.
func (s state) clone() (c state) {
	data, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		panic(err)
	}
	return c
}

// difference is empty when two states are equal, and else says where they are not.
func difference(got, want state) string {
	if reflect.DeepEqual(got, want) {
		return ""
	}
	a, b := lines(got), lines(want)
	if slices.Equal(a, b) {
		return ""
	}
	var out []string
	only := func(sign string, these, those []string) {
		for _, l := range these {
			if !slices.Contains(those, l) {
				out = append(out, sign+" "+l)
			}
		}
	}
	only("reduced:", a, b)
	only("queried:", b, a)
	if out == nil {
		out = []string{"order:"}
		out = append(append(append(out, a...), "instead of:"), b...)
	}
	return strings.Join(out, "\n")
}

// lines is a state as text, one fact a line.
func lines(s state) (out []string) {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	var facts any
	if err := json.Unmarshal(data, &facts); err != nil {
		panic(err)
	}
	var walk func(path string, x any)
	walk = func(path string, x any) {
		switch x := x.(type) {
		case map[string]any:
			keys := make([]string, 0, len(x))
			for k := range x {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				walk(path+"."+k, x[k])
			}
		case []any:
			out = append(out, fmt.Sprintf("%s has %d", path, len(x)))
			for i, e := range x {
				walk(fmt.Sprintf("%s[%d]", path, i), e)
			}
		default:
			out = append(out, fmt.Sprintf("%s = %v", path, x))
		}
	}
	walk("", facts)
	return out
}
