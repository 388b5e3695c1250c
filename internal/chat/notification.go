package chat

import (
	"fmt"
	"io"
	"time"
)

// NotificationKind says what somebody is notified of.
type NotificationKind string

// The kinds of notifications.
const (
	NotifyFriendRequest         NotificationKind = "FRIEND_REQUEST"
	NotifyFriendRequestAccepted NotificationKind = "FRIEND_REQUEST_ACCEPTED"
	NotifyAddedToGroup          NotificationKind = "ADDED_TO_GROUP"
	NotifyMention               NotificationKind = "MENTION"
	NotifyDirectMessage         NotificationKind = "DIRECT_MESSAGE"
	NotifyGroupMessage          NotificationKind = "GROUP_MESSAGE"
	NotifyNewDevice             NotificationKind = "NEW_DEVICE"
)

// About is the kind of what such a notification is about; zero: of nothing but its conversation.
func (k NotificationKind) About() Kind {
	switch k {
	case NotifyFriendRequest, NotifyFriendRequestAccepted:
		return KindFriendRequest
	case NotifyMention:
		return KindMessage
	case NotifyNewDevice:
		return KindSession
	}
	return 0
}

// MaxUnread is up to where unread notifications are counted.
const MaxUnread = 100

// Notification is an entry of the list in which a user sees what they were notified of.
type Notification struct {
	ID           ID
	User         ID
	Kind         NotificationKind
	Actor        ID    // whose doing it is; zero: nobody's
	Conversation ID    // where; zero: in none
	Subject      ID    // see About
	Seq          int64 // of the message
	CreatedAt    time.Time
	ReadAt       time.Time // zero: not read
}

// ConversationID is the conversation; nil: none.
func (n Notification) ConversationID() *ID {
	if n.Conversation.IsZero() {
		return nil
	}
	return &n.Conversation
}

// MessageID is the message; nil: none.
func (n Notification) MessageID() *ID {
	if n.Subject.Kind != KindMessage {
		return nil
	}
	return &n.Subject
}

// NotificationPreference says on which channels somebody is notified of a kind; nil where the kind has no such channel (or,
// in a change, where it stays as it is).
type NotificationPreference struct {
	Kind              NotificationKind
	InApp, Push, Mail *bool
}

// NotificationPreferences is what a user wants to be told, and when.
type NotificationPreferences struct {
	User       ID
	Kinds      []NotificationPreference
	QuietHours *QuietHours // nil: none
	TimeZone   string      // IANA
	Digest     bool
	DigestHour int // 0 to 23, in TimeZone
}

// QuietHours are when nothing is pushed: from Start until before End by the clocks on the wall. They may span midnight.
type QuietHours struct{ Start, End ClockTime }

// Cover says whether it is quiet at a time, by the clocks of its location.
func (q QuietHours) Cover(t time.Time) bool {
	m := ClockTime(t.Hour()*60 + t.Minute())
	if q.Start <= q.End {
		return q.Start <= m && m < q.End
	}
	return q.Start <= m || m < q.End
}

// ClockTime is what a clock shows, in minutes since midnight. As text it is "22:00".
type ClockTime int

// MarshalGQL writes the text.
func (c ClockTime) MarshalGQL(w io.Writer) { _, _ = fmt.Fprintf(w, `"%02d:%02d"`, c/60, c%60) }

// UnmarshalGQL reads the text.
func (c *ClockTime) UnmarshalGQL(v any) error {
	s, _ := v.(string)
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return BadInput("not a time of day; write it like 22:00")
	}
	*c = ClockTime(t.Hour()*60 + t.Minute())
	return nil
}

// NotificationLevel says what of a conversation a member is notified of.
type NotificationLevel string

// The levels. A membership begins with LevelAll.
const (
	LevelAll      NotificationLevel = "ALL"
	LevelMentions NotificationLevel = "MENTIONS"
	LevelNone     NotificationLevel = "NONE"
)

// Admits says whether a member with this level is notified of such a thing in the conversation.
func (l NotificationLevel) Admits(k NotificationKind) bool {
	return l == LevelAll || l == LevelMentions && k == NotifyMention
}
