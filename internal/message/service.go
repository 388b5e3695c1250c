// Package message sends messages, marks them as read and pages through them.
package message

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/store"
)

// Config has the limits of messages.
type Config struct {
	MaxBody  int // characters; 0 means 4,000
	MaxBatch int // sends and read marks in one transaction; 0 means 512
	// Limit bounds how often a user sends; nil: as often as they like. Whoever follows the log tells it what was applied.
	Limit *limit.Sends
}

// Service holds the rules of messages.
type Service struct {
	store     *store.Store
	cfg       Config
	committer *committer
}

// New makes the service; Start starts it.
func New(s *store.Store, cfg Config) *Service {
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 4000
	}
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = 512
	}
	return &Service{store: s, cfg: cfg, committer: newCommitter(s, cfg.MaxBatch, cfg.Limit)}
}

// Start begins to commit.
func (s *Service) Start() { s.committer.start() }

// Stop commits what is waiting, and ends. What comes later is UNAVAILABLE.
func (s *Service) Stop() { s.committer.stop() }

const maxKey = 64

// Send stores a message. When it returns without an error the message is on disk; a second call with the same key and
// content returns the first answer. If ctx ends first the message may be stored all the same: calling again tells.
//
// Errors: BAD_USER_INPUT, NOT_FOUND (not a member), FORBIDDEN (silent conversation), CONFLICT (the key was used for
// something else), RATE_LIMITED, UNAVAILABLE.
func (s *Service) Send(ctx context.Context, v chat.Viewer, conversation chat.ID, body, key string) (chat.Message, error) {
	switch {
	case key == "" || utf8.RuneCountInString(key) > maxKey || !storable(key):
		return chat.Message{}, chat.BadInput("1 to 64 characters without NUL", "input", "clientKey")
	case strings.TrimSpace(body) == "" || utf8.RuneCountInString(body) > s.cfg.MaxBody || !storable(body):
		return chat.Message{}, chat.BadInput(fmt.Sprintf("1 to %d characters without NUL that are not all white space", s.cfg.MaxBody), "input", "body")
	case conversation.Kind != chat.KindConversation:
		return chat.Message{}, chat.ErrNotFound
	}
	if err := s.cfg.Limit.Allow(v.User); err != nil {
		return chat.Message{}, err
	}
	x := &store.Send{Conversation: conversation, Sender: v.User, Key: key, Body: body}
	if err := s.committer.send(ctx, x); err != nil {
		return chat.Message{}, err
	}
	return x.Message, x.Err
}

// storable says that both databases can keep the text: PostgreSQL refuses NUL.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// MarkRead moves the viewer's read mark forward to seq, never back. The position is that of the change; 0 if there was
// none.
//
// Errors: BAD_USER_INPUT (no such seq yet), NOT_FOUND (not a member), UNAVAILABLE.
func (s *Service) MarkRead(ctx context.Context, v chat.Viewer, conversation chat.ID, seq int64) (chat.Receipt, chat.Position, error) {
	switch {
	case seq < 0:
		return chat.Receipt{}, 0, chat.BadInput("0 or more", "input", "seq")
	case conversation.Kind != chat.KindConversation:
		return chat.Receipt{}, 0, chat.ErrNotFound
	}
	x := &store.Read{Conversation: conversation, User: v.User, Seq: seq}
	if err := s.committer.read(ctx, x); err != nil {
		return chat.Receipt{}, 0, err
	}
	return x.Receipt, x.Position, x.Err
}

// ByIDs looks messages up. Those that do not exist (any more) are not in the answer.
func (s *Service) ByIDs(ctx context.Context, ids []chat.ID) (map[chat.ID]*chat.Message, error) {
	l, err := s.store.Messages(ctx, ids)
	m := make(map[chat.ID]*chat.Message, len(l))
	for i := range l {
		m[l[i].ID] = &l[i]
	}
	return m, err
}

// Page reads a page of a conversation by seq. Whether somebody may is for the caller to know.
func (s *Service) Page(ctx context.Context, conversation chat.ID, p chat.Page) (chat.List[chat.Message], error) {
	return s.store.MessagePage(ctx, conversation, p)
}

// Pages is Page of several conversations.
func (s *Service) Pages(ctx context.Context, conversations []chat.ID, p chat.Page) (map[chat.ID]chat.List[chat.Message], error) {
	return s.store.MessagePages(ctx, conversations, p)
}
