package bot

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/webhook"
)

// NewWebhook is a webhook with its newest key, which nobody is told again.
type NewWebhook struct {
	Webhook      chat.IncomingWebhook
	Conversation chat.Conversation
	Key          string
	Position     chat.Position
}

// CreateWebhook makes an address that posts into a conversation as a bot of viewer's. What comes must be signed with the
// secret, if there is one. Errors: BAD_USER_INPUT; NOT_FOUND when viewer is not a member, and for a bot that is not
// viewer's; FORBIDDEN in a group that viewer does not manage; CONFLICT for a bot that is not a member, and for more than
// MaxWebhooks.
func (s *Service) CreateWebhook(ctx context.Context, viewer, conversation, bot chat.ID, name string, signingSecret *string) (*NewWebhook, error) {
	name, err := chat.NewName(name, "name")
	if err != nil {
		return nil, err
	}
	if conversation.Kind != chat.KindConversation || bot.Kind != chat.KindUser {
		return nil, chat.ErrNotFound
	}
	w := &NewWebhook{Webhook: chat.IncomingWebhook{ID: chat.NewID(chat.KindIncomingWebhook), Conversation: conversation, Bot: bot, Name: name}}
	var sealed []byte
	if signingSecret != nil {
		secret, err := webhook.ParseSecret(*signingSecret)
		if err != nil {
			return nil, chat.BadInput("whsec_ and 24 to 64 bytes in base64, as the sender shows it", "input", "signingSecret")
		}
		w.Webhook.Signed, sealed = true, s.seal.close(secret.Text(), w.Webhook.ID)
	}
	var hash [sha256.Size]byte
	w.Key, hash = token.NewKey(token.HookKey, w.Webhook.ID)
	w.Position, err = s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		if _, err := tx.LockBot(viewer, bot); err != nil {
			return err
		}
		var err error
		if w.Conversation, err = tx.LockConversation(conversation); err != nil {
			return err
		}
		switch manages, err := manages(ctx, tx, w.Conversation, viewer); {
		case err != nil:
			return err
		case !manages:
			return chat.Forbidden("your role in this group does not allow this")
		}
		_, err = tx.CurrentMembership(ctx, conversation, bot)
		if errors.Is(err, chat.ErrNotFound) {
			return chat.Conflict("the bot is not a member of this conversation; add it first")
		} else if err != nil {
			return err
		}
		if n, err := tx.CountIncomingWebhooks(conversation); err != nil {
			return err
		} else if n >= s.MaxWebhooks {
			return chat.Conflict(fmt.Sprintf("the conversation has %d incoming webhooks, which is as many as it may have; delete one", n))
		}
		w.Webhook.CreatedAt = tx.Now
		changed(tx, w.Conversation)
		return tx.InsertIncomingWebhook(w.Webhook, hash, sealed)
	})
	return w, err
}

// RotateWebhook gives a webhook a new key; the old one stops working at once. It is for the bot's owner, who manages the
// conversation: whoever knows the key speaks as the bot. Errors: NOT_FOUND, FORBIDDEN.
func (s *Service) RotateWebhook(ctx context.Context, viewer, id chat.ID) (w *NewWebhook, err error) {
	w = &NewWebhook{}
	w.Position, err = s.changeWebhook(ctx, viewer, id, func(tx *store.Tx, x chat.IncomingWebhook, c chat.Conversation, owns, manages bool) error {
		if !owns || !manages {
			return chat.Forbidden("only the bot's owner, while they manage the conversation, gives its webhooks new keys")
		}
		w.Webhook, w.Conversation = x, c
		var hash [sha256.Size]byte
		w.Key, hash = token.NewKey(token.HookKey, id)
		return tx.SetHookSecret(id, hash)
	})
	return w, err
}

// DeleteWebhook deletes one. It is for the bot's owner and for whoever manages the conversation. Errors: NOT_FOUND.
func (s *Service) DeleteWebhook(ctx context.Context, viewer, id chat.ID) (c chat.Conversation, _ chat.Position, err error) {
	pos, err := s.changeWebhook(ctx, viewer, id, func(tx *store.Tx, _ chat.IncomingWebhook, of chat.Conversation, _, _ bool) error {
		c = of
		changed(tx, c)
		return tx.DeleteIncomingWebhook(id)
	})
	return c, pos, err
}

// changeWebhook is a Write with a webhook's bot and conversation locked. Errors: NOT_FOUND for whoever neither owns the bot
// nor manages the conversation.
func (s *Service) changeWebhook(ctx context.Context, viewer, id chat.ID, do func(_ *store.Tx, _ chat.IncomingWebhook, _ chat.Conversation, owns, manages bool) error) (chat.Position, error) {
	if id.Kind != chat.KindIncomingWebhook {
		return 0, chat.ErrNotFound
	}
	return s.store.Write(ctx, viewer, func(tx *store.Tx) error {
		w, err := tx.IncomingWebhook(id)
		if err != nil {
			return err
		}
		_, err = tx.LockBot(viewer, w.Bot)
		owns := err == nil
		if err != nil && !errors.Is(err, chat.ErrNotFound) {
			return err
		}
		c, err := tx.LockConversation(w.Conversation)
		if err != nil {
			return err
		}
		manages, err := manages(ctx, tx, c, viewer)
		if err != nil && !errors.Is(err, chat.ErrNotFound) {
			return err
		}
		if !owns && !manages {
			return chat.ErrNotFound
		}
		if _, err := tx.IncomingWebhook(id); err != nil { // deleted meanwhile
			return err
		}
		return do(tx, w, c, owns, manages)
	})
}

// manages says whether a member may decide what posts into a conversation. Errors: NOT_FOUND when they are none.
func manages(ctx context.Context, tx *store.Tx, c chat.Conversation, user chat.ID) (bool, error) {
	m, err := tx.CurrentMembership(ctx, c.ID, user)
	return err == nil && Manages(c.Kind, m.Role), err
}

// Manages says whether a member with this role may see and decide what posts into a conversation.
func Manages(kind chat.ConversationKind, role chat.Role) bool {
	return kind == chat.Direct || role == chat.RoleOwner || role == chat.RoleAdmin
}

// changed tells the members that what the conversation shows is different.
func changed(tx *store.Tx, c chat.Conversation) {
	tx.Emit(chat.Event{Type: chat.ConversationUpdated, Rows: chat.Rows{Conversation: &c}}, chat.ConversationTopic(c.ID))
}

// OnGone is a store.Listener for MEMBER_LEFT, MEMBER_REMOVED and CONVERSATION_DELETED: the webhooks through which somebody
// posted are gone with them.
func (s *Service) OnGone(_ context.Context, tx *store.Tx, e *chat.Event) error {
	n, err := tx.DeleteIncomingWebhooks(e.Topic.ID, e.Subject)
	if err == nil && n > 0 && e.Type != chat.ConversationDeleted {
		tx.Emit(chat.Event{Type: chat.ConversationUpdated}, e.Topic)
	}
	return err
}

// Webhooks reads those of conversations, in the order in which they were made.
func (s *Service) Webhooks(ctx context.Context, conversations []chat.ID) (map[chat.ID][]chat.IncomingWebhook, error) {
	l, err := s.store.IncomingWebhooks(ctx, conversations)
	by := make(map[chat.ID][]chat.IncomingWebhook, len(conversations))
	for _, c := range conversations {
		by[c] = nil
	}
	for _, w := range l {
		by[w.Conversation] = append(by[w.Conversation], w)
	}
	return by, err
}

// Hook is a webhook that somebody knows the key of.
type Hook struct {
	chat.IncomingWebhook
	Secrets []webhook.Secret // with one of which what comes must be signed; none: it need not be
}

// Hook finds the webhook of a key. Errors: NOT_FOUND, RATE_LIMITED, UNAVAILABLE.
func (s *Service) Hook(ctx context.Context, key string) (h Hook, err error) {
	id, hash, ok := token.ReadKey(token.HookKey, key, chat.KindIncomingWebhook)
	if !ok {
		return h, chat.ErrNotFound
	}
	if !s.good.Contains(hash) {
		if err := s.wrong.Refused(from(ctx)); err != nil {
			return h, err
		}
	}
	found, err := s.store.HookSecrets(ctx, id)
	if err == nil && subtle.ConstantTimeCompare(found.Hash, hash[:]) != 1 {
		err = chat.ErrNotFound
	}
	if errors.Is(err, chat.ErrNotFound) {
		s.good.Remove(hash)
		if guessed := s.guessed(ctx); chat.CodeOf(guessed) == chat.CodeRateLimited {
			err = guessed
		}
	}
	if err != nil {
		return h, err
	}
	s.good.Add(hash, struct{}{})
	h.IncomingWebhook = found.IncomingWebhook
	if found.Signing != nil {
		text, err := s.seal.open(found.Signing, id)
		if err != nil {
			return h, fmt.Errorf("open the signing secret of %s: %w", id, err)
		}
		secret, err := webhook.ParseSecret(text)
		if err != nil {
			return h, err
		}
		h.Secrets = []webhook.Secret{secret}
	}
	return h, nil
}

// Post says something as the webhook's bot. Once for each id, which the sender chose; an empty one is as good as a new one.
// Errors: those of Config.Send.
func (s *Service) Post(ctx context.Context, h Hook, id, text string) (chat.Message, error) {
	sum := sha256.Sum256(slices.Concat(h.ID.UUID[:], []byte(id)))
	if id == "" {
		_, _ = rand.Read(sum[:])
	}
	return s.Send(ctx, chat.Viewer{User: h.Bot}, h.Conversation, text, "hook "+base64.RawURLEncoding.EncodeToString(sum[:]))
}
