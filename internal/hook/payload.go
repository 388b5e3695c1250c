package hook

import (
	"context"
	"encoding/json"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// payload is what a webhook is sent.
type payload struct {
	Type           chat.EventType `json:"type"`
	ID             chat.ID        `json:"id"` // of the delivery
	Cursor         string         `json:"cursor,omitempty"`
	At             time.Time      `json:"at"`
	Actor          *person        `json:"actor"` // null: the system, or nobody any more
	ConversationID chat.ID        `json:"conversationId,omitzero"`
	Data           data           `json:"data"`
}

type person struct {
	ID       chat.ID `json:"id"`
	Username string  `json:"username"`
}

// data is what the event says besides. What does not apply is left out.
type data struct {
	Topic        chat.ID       `json:"topic,omitzero"`
	SubjectID    chat.ID       `json:"subjectId,omitzero"`
	Seq          int64         `json:"seq,omitempty"`
	Role         chat.Role     `json:"role,omitempty"`
	MemberIDs    []chat.ID     `json:"memberIds,omitempty"`
	MemberCount  int           `json:"memberCount,omitempty"`
	User         *person       `json:"user,omitempty"` // the subject, where that is one
	Message      *message      `json:"message,omitempty"`
	Conversation *conversation `json:"conversation,omitempty"`
}

type message struct {
	ID        chat.ID   `json:"id"`
	Seq       int64     `json:"seq"`
	SenderID  chat.ID   `json:"senderId"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"createdAt"`
}

type conversation struct {
	ID          chat.ID               `json:"id"`
	Kind        chat.ConversationKind `json:"kind"`
	Title       string                `json:"title,omitempty"`
	MemberCount int                   `json:"memberCount"`
}

// payload reads what a delivery is about, as it is now. It is nil when the event is gone.
func (s *Service) payload(ctx context.Context, next store.NextDelivery) ([]byte, error) {
	d := next.Delivery
	p := payload{Type: d.Type, ID: d.ID, At: d.QueuedAt, ConversationID: next.Webhook.Conversation}
	if d.Type == chat.PingDelivery {
		return json.Marshal(p)
	}
	events, err := s.store.Events(ctx, d.Position-1, 1)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 || events[0].Position != d.Position {
		return nil, nil
	}
	e := events[0]
	p.Cursor, p.At, p.ConversationID = chat.Cursor{Epoch: next.Epoch, Position: e.Position}.String(), e.At, e.ConversationID()
	p.Data = data{Topic: e.Topic.ID, SubjectID: e.Subject, Seq: e.Seq, Role: e.Detail.Role, MemberIDs: e.Detail.Members, MemberCount: e.Detail.Count}
	var ids []chat.ID
	for _, id := range []chat.ID{e.Actor, e.Subject} {
		if id.Kind == chat.KindUser {
			ids = append(ids, id)
		}
	}
	if ids != nil {
		users, err := s.store.Users(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			who := &person{u.ID, u.Username}
			if u.ID == e.Actor {
				p.Actor = who
			}
			if u.ID == e.Subject {
				p.Data.User = who
			}
		}
	}
	switch e.Type {
	case chat.MessageAdded:
		found, err := s.store.Messages(ctx, []chat.ID{e.Subject})
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			p.Data.Message = &message{m.ID, m.Seq, m.Sender, m.Body, m.CreatedAt}
		}
	case chat.ConversationCreated, chat.ConversationUpdated:
		found, err := s.store.Conversations(ctx, []chat.ID{e.Topic.ID})
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			p.Data.Conversation = &conversation{c.ID, c.Kind, c.Title, c.MemberCount}
		}
	}
	return json.Marshal(p)
}
