package bus

import (
	"encoding/json"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Event is an entry of the log as other services get it. The names are a contract: fields may be added, and none is renamed.
// Ids are those of the API, and say by their prefix what they name.
type Event struct {
	Epoch          chat.Epoch     `json:"epoch"`    // of the log: positions of another one mean something else
	Position       chat.Position  `json:"position"` // 1, 2, 3, …
	Cursor         string         `json:"cursor"`   // the same for the API
	Type           chat.EventType `json:"type"`
	At             time.Time      `json:"at"`
	Topic          chat.ID        `json:"topic"`              // who may see it: a user, or the members of a conversation
	ActorID        chat.ID        `json:"actorId,omitzero"`   // who made the change; absent: the system
	SubjectID      chat.ID        `json:"subjectId,omitzero"` // the message, user, request or session it is about
	ConversationID chat.ID        `json:"conversationId,omitzero"`
	Seq            int64          `json:"seq,omitempty"`         // of the message, or how far somebody has read
	MemberIDs      []chat.ID      `json:"memberIds,omitempty"`   // the first members of a conversation
	Role           chat.Role      `json:"role,omitempty"`        // that a member has from now on
	MemberCount    int            `json:"memberCount,omitempty"` // members that are left when one goes
}

// NewEvent is what other services are told of e.
func NewEvent(epoch chat.Epoch, e *chat.Event) Event {
	return Event{
		epoch, e.Position, chat.Cursor{Epoch: epoch, Position: e.Position}.String(), e.Type, e.At, e.Topic.ID, e.Actor, e.Subject,
		e.ConversationID(), e.Seq, e.Detail.Members, e.Detail.Role, e.Detail.Count,
	}
}

// JSON is the event as it is sent.
func (e Event) JSON() []byte {
	b, _ := json.Marshal(e) // ids, numbers and texts cannot fail
	return b
}
