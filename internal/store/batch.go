package store

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// Send is a message on its way. Commit fills in the answer.
type Send struct {
	// What is asked. ID is new, and orders the sends of a batch; Key is the sender's own.
	ID, Conversation, Sender chat.ID
	Key, Body                string

	// The answer: the stored message (of an earlier send with the same key, if there was one) and its sender; or Err.
	Message chat.Message
	User    chat.User
	Stored  bool // by this batch
	Err     error
}

// Read is a read mark on its way. Commit fills in the answer.
type Read struct {
	Conversation, User chat.ID
	Seq                int64

	// The answer: the mark as it stands, and the position of its event if it moved; or Err.
	Receipt  chat.Receipt
	Position chat.Position
	Moved    bool
	Err      error
}

// Batch is what is committed together. No two sends share sender and key, no two reads conversation and user.
type Batch struct {
	At    time.Time // microseconds
	Sends []*Send   // ordered by ID
	Reads []*Read
}

var (
	errSilent   = chat.Forbidden("the two are not friends any more: the conversation is silent")
	errKeyTaken = &chat.Error{Code: chat.CodeConflict, Message: "this key was used for another message", Path: []string{"input", "clientKey"}}
	errNotYet   = chat.BadInput("there is no message with this seq yet", "input", "seq")
)

// Commit stores a whole batch, with its events, in one transaction, or nothing of it: then it returns why. An item that is
// refused (its Err is set) does not hurt the others. A send whose key is known gets the first answer.
func (s *Store) Commit(ctx context.Context, b *Batch) error {
	commit := s.commitSQLite
	if s.postgres {
		commit = s.commitPostgres
	}
	if err := commit(ctx, b); err != nil {
		return err
	}
	if events := b.events(); len(events) > 0 {
		s.committed(events)
	}
	return nil
}

// Retryable says that the same batch may succeed when it is committed again: it lost a race against another node.
func (s *Store) Retryable(err error) bool { return s.lostRace(err) }

// Translate gives what Commit returned its code.
func (s *Store) Translate(err error) error { return translate(err) }

// events is what the batch appended, with what it wrote.
func (b *Batch) events() []*chat.Event {
	var out []*chat.Event
	for _, x := range b.Sends {
		if x.Err == nil && x.Stored {
			m, u := x.Message, x.User
			out = append(out, &chat.Event{Position: m.Position, At: b.At, Topic: chat.ConversationTopic(m.Conversation), Type: chat.MessageAdded,
				Actor: m.Sender, Subject: m.ID, Seq: m.Seq, Rows: chat.Rows{Message: &m, Actor: &u}})
		}
	}
	for _, x := range b.Reads {
		if x.Err == nil && x.Moved {
			out = append(out, &chat.Event{Position: x.Position, At: b.At, Topic: chat.ConversationTopic(x.Conversation), Type: chat.ReceiptUpdated,
				Actor: x.User, Subject: x.User, Seq: x.Receipt.Seq})
		}
	}
	return out
}
