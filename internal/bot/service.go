// Package bot holds the rules of bots, of the API keys that programs act with as them, and of the incoming webhooks that post
// as them.
//
// A secret of an API key is a session of the bot's: revoking it ends the session, and closes its sockets on every node at
// once, by what does that for everybody. Changes of a bot, its keys and its webhooks lock the bot's row first.
package bot

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/job"
	"github.com/parley-chat/parley/internal/limit"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// Config has what New needs. Zero values of the limits mean the defaults.
type Config struct {
	Store   *store.Store
	Jobs    *job.Client
	Revoked *token.Revoked
	// Send stores a message, as message.Service does.
	Send func(ctx context.Context, v chat.Viewer, conversation chat.ID, body, key string) (chat.Message, error)
	// SealKey seals the secrets that senders sign with, 32 bytes; every node has the same.
	SealKey []byte

	MaxBots     int // of a user; 0: 10
	MaxKeys     int // of a bot; 0: 10
	MaxWebhooks int // of a conversation; 0: 20
	// WrongPerAddr is how many wrong keys a minute are looked at from one client address, or one /64 of IPv6, on all nodes
	// together; 0: 20, less: no limit.
	WrongPerAddr int
	Now          func() time.Time // nil means time.Now
}

// Service holds the rules. It is safe for concurrent use.
type Service struct {
	Config
	store *store.Store
	seal  seal
	wrong *limit.Shared
	known *lru.Cache[chat.ID, *known]
	good  *lru.Cache[[32]byte, struct{}] // hashes of webhooks' keys that were right before
}

// New makes the service. It registers nothing: see OnGone and EndSecret.
func New(c Config) (*Service, error) {
	for setting, otherwise := range map[*int]int{&c.MaxBots: 10, &c.MaxKeys: 10, &c.MaxWebhooks: 20, &c.WrongPerAddr: 20} {
		if *setting == 0 {
			*setting = otherwise
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Service{Config: c, store: c.Store, wrong: limit.NewShared(limit.Config{N: c.WrongPerAddr, Now: c.Now}, c.Store.TakeLimit)}
	var err error
	if s.seal, err = newSeal(c.SealKey); err != nil {
		return nil, err
	}
	if s.known, err = lru.New[chat.ID, *known](maxKnown); err != nil {
		return nil, err
	}
	s.good, err = lru.New[[32]byte, struct{}](maxKnown)
	return s, err
}

// Page reads a page of a user's bots, in the order in which they were made.
func (s *Service) Page(ctx context.Context, owner chat.ID, p chat.Page) (chat.List[chat.Bot], error) {
	return s.store.BotPage(ctx, owner, p)
}

// Create makes a bot. It and its owner are friends from the start. Errors: BAD_USER_INPUT; CONFLICT when the username is
// taken, and for more than MaxBots; FORBIDDEN for a bot.
func (s *Service) Create(ctx context.Context, owner chat.ID, username, displayName string) (*chat.Bot, chat.Position, error) {
	username, err := chat.NewUsername(username)
	if err != nil {
		return nil, 0, err
	}
	displayName, err = chat.NewName(displayName, "displayName")
	if err != nil {
		return nil, 0, err
	}
	u := chat.User{ID: chat.NewID(chat.KindUser), Username: username, DisplayName: displayName, Owner: owner}
	pos, err := s.store.Write(ctx, owner, func(tx *store.Tx) error {
		switch me, _, err := tx.LockUser(owner); {
		case err != nil:
			return err
		case me.Bot():
			return chat.Forbidden("a bot cannot have bots")
		}
		if n, err := tx.CountBots(owner); err != nil {
			return err
		} else if n >= s.MaxBots {
			return chat.Conflict(fmt.Sprintf("you have %d bots, which is as many as anybody may have", n))
		}
		u.CreatedAt = tx.Now
		switch free, err := tx.InsertUser(u, ""); { // no password: see user.SignIn
		case err != nil:
			return err
		case !free:
			return chat.Conflict("this username is taken")
		}
		direct := chat.NewID(chat.KindConversation)
		if err := tx.InsertFriendship(chat.Friendship{Of: owner, User: u.ID, Since: tx.Now, Conversation: direct}); err != nil {
			return err
		}
		tell(tx, u)
		made := chat.Event{Type: chat.FriendshipMade, Subject: u.ID, Detail: chat.Detail{Conversation: direct}}
		tx.Emit(made, chat.UserTopic(owner))
		made.Subject = owner
		tx.Emit(made, chat.UserTopic(u.ID))
		return nil
	})
	return &chat.Bot{User: u}, pos, err
}

// Delete suspends a bot for good: its keys and webhooks are gone, what it has said stays. Errors: NOT_FOUND.
func (s *Service) Delete(ctx context.Context, owner, bot chat.ID) (chat.Position, error) {
	_, pos, err := s.change(ctx, owner, bot, func(tx *store.Tx) ([]chat.Session, error) {
		ended, posted, err := tx.DeleteBot(bot)
		for _, c := range posted {
			tx.Emit(chat.Event{Type: chat.ConversationUpdated}, chat.ConversationTopic(c))
		}
		return ended, err
	})
	return pos, err
}

// change is a Write with a bot's row locked, in which do may end sessions of the bot's: each gets its event, and is refused
// from the commit. The bot's owner is told, and the bot returned as it is then; nil if it was deleted. Errors: NOT_FOUND.
func (s *Service) change(ctx context.Context, owner, bot chat.ID, do func(*store.Tx) ([]chat.Session, error)) (after *chat.Bot, pos chat.Position, err error) {
	if bot.Kind != chat.KindUser {
		return nil, 0, chat.ErrNotFound
	}
	var ended []chat.Session
	var at time.Time
	pos, err = s.store.Write(ctx, owner, func(tx *store.Tx) error {
		u, err := tx.LockBot(owner, bot)
		if err != nil {
			return err
		}
		if ended, err = do(tx); err != nil {
			return err
		}
		at = tx.Now
		tell(tx, u)
		end(tx, ended)
		left, err := tx.Bots(ctx, []chat.ID{bot})
		if after = nil; len(left) > 0 {
			after = &left[0]
		}
		return err
	})
	if err == nil {
		for _, x := range ended {
			s.Revoked.Ended(x.ID, at)
		}
	}
	return after, pos, err
}

func tell(tx *store.Tx, u chat.User) {
	tx.Emit(chat.Event{Type: chat.BotUpdated, Subject: u.ID}, chat.UserTopic(u.Owner))
}

func end(tx *store.Tx, ended []chat.Session) {
	for _, x := range ended {
		tx.Emit(chat.Event{Type: chat.SessionEnded, Subject: x.ID, Rows: chat.Rows{Session: &x}}, chat.UserTopic(x.User))
	}
}
