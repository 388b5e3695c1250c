// Package conversation holds the rules of conversations and their members.
//
// Every change locks the conversation's row first, as sends do: what happens to one conversation happens in one order.
// Memberships get their positions in the log from the events that begin and end them.
package conversation

import (
	"context"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// Config has the limits. Zero values mean the defaults.
type Config struct {
	MaxMembers int // of a group; 0: 10,000
}

// MaxAdded is how many members a call may add.
const MaxAdded = 100

// Service holds the rules.
type Service struct {
	store *store.Store
	Config
}

// New makes the service. It registers nothing: see OnFriendshipMade and OnFriendshipEnded.
func New(s *store.Store, c Config) *Service {
	if c.MaxMembers == 0 {
		c.MaxMembers = 10000
	}
	return &Service{s, c}
}

// Get reads a conversation of user's. Errors: NOT_FOUND when there is none such or user is not in it.
func (s *Service) Get(ctx context.Context, user, conversation chat.ID) (chat.Conversation, error) {
	if conversation.Kind != chat.KindConversation {
		return chat.Conversation{}, chat.ErrNotFound
	}
	return s.store.ConversationOf(ctx, user, conversation)
}

// GetWithMembership is Get, and what user is there.
func (s *Service) GetWithMembership(ctx context.Context, user, conversation chat.ID) (chat.Conversation, chat.Member, error) {
	if conversation.Kind != chat.KindConversation {
		return chat.Conversation{}, chat.Member{}, chat.ErrNotFound
	}
	return s.store.ConversationAndMembership(ctx, user, conversation)
}

// Page reads a page of user's conversations, the one with the newest message first.
func (s *Service) Page(ctx context.Context, user chat.ID, p chat.Page) (chat.List[chat.Conversation], error) {
	return s.store.ConversationPage(ctx, user, p)
}

// ByIDs reads conversations by id, whoever is in them. Deleted ones are not there.
func (s *Service) ByIDs(ctx context.Context, ids []chat.ID) (map[chat.ID]*chat.Conversation, error) {
	l, err := s.store.Conversations(ctx, ids)
	out := make(map[chat.ID]*chat.Conversation, len(l))
	for i := range l {
		out[l[i].ID] = &l[i]
	}
	return out, err
}

// Memberships reads user's memberships in those of the given conversations that they are in now.
func (s *Service) Memberships(ctx context.Context, user chat.ID, conversations []chat.ID) (map[chat.ID]*chat.Member, error) {
	l, err := s.store.Memberships(ctx, user, conversations)
	out := make(map[chat.ID]*chat.Member, len(l))
	for i := range l {
		out[l[i].Conversation] = &l[i]
	}
	return out, err
}

// Peers reads the other one of each of the given conversations that is a direct one.
func (s *Service) Peers(ctx context.Context, user chat.ID, conversations []chat.ID) (map[chat.ID]chat.ID, error) {
	return s.store.Peers(ctx, user, conversations)
}

// Members reads a page of a conversation's members, in the order in which they joined.
func (s *Service) Members(ctx context.Context, conversation chat.ID, p chat.Page) (chat.List[chat.Member], error) {
	return s.store.MemberPage(ctx, conversation, chat.ID{}, p)
}

// MembersOf is Members of several conversations.
func (s *Service) MembersOf(ctx context.Context, conversations []chat.ID, p chat.Page) (map[chat.ID]chat.List[chat.Member], error) {
	return s.store.MemberPages(ctx, conversations, chat.ID{}, p)
}

// Receipts reads a page of how far the members other than user have read, in the order in which they joined.
func (s *Service) Receipts(ctx context.Context, user, conversation chat.ID, p chat.Page) (chat.List[chat.Receipt], error) {
	l, err := s.store.MemberPage(ctx, conversation, user, p)
	return receipts(l), err
}

// ReceiptsOf is Receipts of several conversations.
func (s *Service) ReceiptsOf(ctx context.Context, user chat.ID, conversations []chat.ID, p chat.Page) (map[chat.ID]chat.List[chat.Receipt], error) {
	by, err := s.store.MemberPages(ctx, conversations, user, p)
	out := make(map[chat.ID]chat.List[chat.Receipt], len(by))
	for c, l := range by {
		out[c] = receipts(l)
	}
	return out, err
}

func receipts(l chat.List[chat.Member]) chat.List[chat.Receipt] {
	out := chat.List[chat.Receipt]{Nodes: make([]chat.Receipt, len(l.Nodes)), Cursors: l.Cursors, Info: l.Info}
	for i, m := range l.Nodes {
		out.Nodes[i] = chat.Receipt{Conversation: m.Conversation, User: m.User, Seq: m.ReadSeq, At: m.ReadAt}
	}
	return out
}
