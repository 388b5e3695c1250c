package store_test

import (
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// botChanges are those of bots, keys and incoming webhooks.
func botChanges() map[string]change {
	owner, bot, session := nth(chat.KindUser, 1), nth(chat.KindUser, 3020), nth(chat.KindSession, 7020)
	room, hook, at := nth(chat.KindConversation, 2), nth(chat.KindIncomingWebhook, 1), time.Unix(1700000000, 0)
	key := chat.APIKey{ID: nth(chat.KindAPIKey, 20), Bot: bot, CreatedAt: at, Session: chat.NewID(chat.KindSession)}
	fresh := key
	fresh.ID = chat.NewID(chat.KindAPIKey)
	return map[string]change{
		"LockBot":        {make: func(tx *store.Tx) error { _, err := tx.LockBot(owner, bot); return err }},
		"CountBots":      {make: func(tx *store.Tx) error { _, err := tx.CountBots(owner); return err }},
		"DeleteBot":      {make: func(tx *store.Tx) error { _, _, err := tx.DeleteBot(bot); return err }},
		"CountAPIKeys":   {make: func(tx *store.Tx) error { _, err := tx.CountAPIKeys(bot); return err }},
		"APIKey":         {make: func(tx *store.Tx) error { _, err := tx.APIKey(key.ID); return err }},
		"InsertAPIKey":   {make: func(tx *store.Tx) error { return tx.InsertAPIKey(fresh) }},
		"SetSecret":      {make: func(tx *store.Tx) error { return tx.SetSecret(key, [32]byte{1}) }},
		"ShortenSession": {make: func(tx *store.Tx) error { return tx.ShortenSession(session, at) }},
		"EndExpired":     {make: func(tx *store.Tx) error { _, err := tx.EndExpired(session); return err }},
		"DeleteAPIKey":   {make: func(tx *store.Tx) error { _, err := tx.DeleteAPIKey(key.ID); return err }},

		"IncomingWebhook":        {make: func(tx *store.Tx) error { _, err := tx.IncomingWebhook(hook); return err }},
		"CountIncomingWebhooks":  {make: func(tx *store.Tx) error { _, err := tx.CountIncomingWebhooks(room); return err }},
		"SetHookSecret":          {make: func(tx *store.Tx) error { return tx.SetHookSecret(hook, [32]byte{1}) }},
		"DeleteIncomingWebhook":  {make: func(tx *store.Tx) error { return tx.DeleteIncomingWebhook(hook) }},
		"DeleteIncomingWebhooks": {make: func(tx *store.Tx) error { _, err := tx.DeleteIncomingWebhooks(room, bot); return err }},
		"InsertIncomingWebhook": {make: func(tx *store.Tx) error {
			w := chat.IncomingWebhook{ID: chat.NewID(chat.KindIncomingWebhook), Conversation: room, Bot: bot, CreatedAt: at}
			return tx.InsertIncomingWebhook(w, [32]byte{1}, []byte("sealed"))
		}},
	}
}
