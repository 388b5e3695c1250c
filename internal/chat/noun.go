package chat

import "time"

// User is a person with an account, or a bot.
type User struct {
	ID          ID
	Username    string
	DisplayName string
	Bio         string
	Avatar      ID // a file; zero: none
	CreatedAt   time.Time
	LastSeenAt  time.Time // when they were last connected; zero: never
	Owner       ID        // of a bot; zero: a person
}

// Bot says whether a program acts as the user.
func (u User) Bot() bool { return !u.Owner.IsZero() }

// Session is one signed-in device or program.
type Session struct {
	ID         ID
	User       ID
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time
	UserAgent  string
	Address    string // where it was signed in from; empty: not known
}

// Account is what a user sees of themselves alone.
type Account struct {
	User            ID
	Email           string    // the user has shown that it is theirs; empty: there is none
	EmailVerifiedAt time.Time // zero without Email
	UnverifiedEmail string    // takes the place of Email once the user has shown that it is theirs; empty: there is none
}

// MailTokenKind says what a mail is about that leads somewhere.
type MailTokenKind string

// The kinds of mail tokens.
const (
	MailWelcome MailTokenKind = "WELCOME" // verifies the address of a new account
	MailVerify  MailTokenKind = "VERIFY"  // verifies an address
	MailReset   MailTokenKind = "RESET"   // sets a new password
	MailChanged MailTokenKind = "CHANGED" // leads nowhere: tells a former address that it is that
)

// MailToken is a mail to an address, and what its link is worth: once, and until it expires.
type MailToken struct {
	ID        ID
	Kind      MailTokenKind
	User      ID // zero: a mail to nobody
	Email     string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// RequestStatus says where a friend request stands. Only RequestPending ever changes.
type RequestStatus string

// The states of a friend request.
const (
	RequestPending   RequestStatus = "PENDING"
	RequestAccepted  RequestStatus = "ACCEPTED"
	RequestRejected  RequestStatus = "REJECTED"
	RequestCancelled RequestStatus = "CANCELLED"
)

// FriendRequest is one user asking another to become friends.
type FriendRequest struct {
	ID         ID
	From, To   ID
	Status     RequestStatus
	CreatedAt  time.Time
	AnsweredAt time.Time // zero while pending
}

// Friendship is two users being friends, as seen by Of.
type Friendship struct {
	Of, User     ID
	Since        time.Time
	Conversation ID
}

// Relationship says how a user stands to a viewer.
type Relationship string

// The ways in which a user can stand to a viewer.
const (
	RelationSelf            Relationship = "SELF"
	RelationNone            Relationship = "NONE"
	RelationFriend          Relationship = "FRIEND"
	RelationRequestSent     Relationship = "REQUEST_SENT"
	RelationRequestReceived Relationship = "REQUEST_RECEIVED"
	RelationBlocked         Relationship = "BLOCKED"
)

// ConversationKind is direct or group.
type ConversationKind string

// The kinds of conversations.
const (
	Direct ConversationKind = "DIRECT"
	Group  ConversationKind = "GROUP"
)

// Conversation is a place where messages are exchanged. Closed ones carry nothing but ID and Kind: they are what somebody
// who is not a member (any more) meets in the replay of an old event.
type Conversation struct {
	ID          ID
	Kind        ConversationKind
	Title       string // empty for a direct one
	Avatar      ID     // a file; zero: none
	CreatedAt   time.Time
	UpdatedAt   time.Time
	MemberCount int
	Silent      bool // a direct one whose two are not friends
	LastSeq     int64
	LastMessage ID // zero while there is none
	Closed      bool
}

// Role says what a member may do in a group.
type Role string

// The roles. In a direct conversation both are RoleMember.
const (
	RoleOwner  Role = "OWNER"
	RoleAdmin  Role = "ADMIN"
	RoleMember Role = "MEMBER"
)

// Member is a user in a conversation, from the position at which they joined up to the one at which they left, both
// inclusive: a span. Somebody who comes back has a second span.
type Member struct {
	Conversation ID
	User         ID
	Role         Role
	JoinedAt     time.Time
	Joined       Position
	Left         Position // 0: still there
	ReadSeq      int64
	ReadAt       time.Time // zero: has not read since they joined
	Level        NotificationLevel
	MutedUntil   time.Time // zero: not muted; it may be over
}

// Message is something said in a conversation.
type Message struct {
	ID           ID
	Conversation ID
	Seq          int64 // 1, 2, 3, … within the conversation
	Position     Position
	Sender       ID
	Body         string
	CreatedAt    time.Time
}

// Receipt is how far a member has read.
type Receipt struct {
	Conversation ID
	User         ID
	Seq          int64
	At           time.Time // zero: has not read since they joined
}

// Presence is whether a user is connected.
type Presence struct {
	User       ID
	Online     bool
	LastSeenAt time.Time // zero while online, and for somebody who never was
}

// Close is the conversation as somebody sees it who is not in it. Its times are never null, and say no more than its id.
func (c Conversation) Close() Conversation {
	return Conversation{ID: c.ID, Kind: c.Kind, CreatedAt: c.CreatedAt, UpdatedAt: c.CreatedAt, Closed: true}
}
