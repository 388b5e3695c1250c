package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// BotPage reads a page of the bots of a user, in the order in which they were made. Deleted ones are not there.
func (r reader) BotPage(ctx context.Context, owner chat.ID, p chat.Page) (l chat.List[chat.Bot], err error) {
	q, args, err := r.page(keyset{id: "id"}, p, "SELECT "+userColumns+" FROM users WHERE owner_id = ? AND suspended_at IS NULL", id(owner))
	if err != nil {
		return l, err
	}
	users, err := list(r.db.WithContext(ctx), scanUser, q, args...)
	if err != nil {
		return l, translate(err)
	}
	bots, err := r.withKeys(ctx, users)
	return chat.NewList(p, bots, func(b chat.Bot) string { return place{id: b.User.ID}.String() }), translate(err)
}

// Bots reads bots by id. Deleted ones are not there.
func (r reader) Bots(ctx context.Context, ids []chat.ID) ([]chat.Bot, error) {
	users, err := list(r.db.WithContext(ctx), scanUser, "SELECT "+userColumns+" FROM users WHERE owner_id IS NOT NULL AND suspended_at IS NULL AND id"+r.ids, r.set(ids))
	if err != nil {
		return nil, translate(err)
	}
	bots, err := r.withKeys(ctx, users)
	return bots, translate(err)
}

const keyColumns = "k.id, k.bot_id, k.name, k.scopes, k.created_at, k.expires_at, k.session_id"

func keyFields(k *chat.APIKey) []any {
	return []any{scanID(&k.ID, chat.KindAPIKey), scanID(&k.Bot, chat.KindUser), &k.Name, &k.Allows, scanTime(&k.CreatedAt), scanTime(&k.ExpiresAt),
		scanID(&k.Session, chat.KindSession)}
}

// withKeys reads the keys of bots in one statement.
func (r reader) withKeys(ctx context.Context, users []chat.User) ([]chat.Bot, error) {
	if len(users) == 0 {
		return nil, nil
	}
	bots, ids := make([]chat.Bot, len(users)), make([]chat.ID, len(users))
	for i, u := range users {
		bots[i].User, ids[i] = u, u.ID
	}
	keys, err := list(r.db.WithContext(ctx), func(r rows) (k chat.APIKey, err error) {
		err = r.Scan(append(keyFields(&k), scanTime(&k.LastUsedAt))...)
		return k, err
	}, "SELECT "+keyColumns+", CASE WHEN s.last_used_at > s.created_at THEN s.last_used_at END FROM api_keys k LEFT JOIN sessions s ON s.id = k.session_id WHERE k.bot_id"+r.ids, r.set(ids))
	slices.SortFunc(keys, func(a, b chat.APIKey) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	for _, k := range keys {
		i := slices.Index(ids, k.Bot)
		bots[i].Keys = append(bots[i].Keys, k)
	}
	return bots, err
}

// LockBot locks the row of a bot of a user's, or returns chat.ErrNotFound. Whoever changes its keys or webhooks does so first.
func (tx *Tx) LockBot(owner, bot chat.ID) (chat.User, error) {
	return one(tx.db, scanUser, "SELECT "+userColumns+" FROM users WHERE id = ? AND owner_id = ? AND suspended_at IS NULL"+tx.lock, id(bot), id(owner))
}

// CountBots says how many bots a user has. The user is locked.
func (tx *Tx) CountBots(owner chat.ID) (int, error) {
	return one(tx.db, value[int], "SELECT count(*) FROM users WHERE owner_id = ? AND suspended_at IS NULL", id(owner))
}

// CountAPIKeys says how many keys a bot has. The bot is locked.
func (tx *Tx) CountAPIKeys(bot chat.ID) (int, error) {
	return one(tx.db, value[int], "SELECT count(*) FROM api_keys WHERE bot_id = ?", id(bot))
}

func scanKey(r rows) (k chat.APIKey, err error) {
	err = r.Scan(keyFields(&k)...)
	return k, err
}

// APIKeyOf reads a key of one of a user's bots, or chat.ErrNotFound.
func (r reader) APIKeyOf(ctx context.Context, owner, key chat.ID) (chat.APIKey, error) {
	k, err := one(r.db.WithContext(ctx), scanKey, "SELECT "+keyColumns+" FROM api_keys k JOIN users u ON u.id = k.bot_id AND u.owner_id = ? WHERE k.id = ?", id(owner), id(key))
	return k, translate(err)
}

// APIKey reads a key, whosever it is, or chat.ErrNotFound.
func (tx *Tx) APIKey(key chat.ID) (chat.APIKey, error) {
	return one(tx.db, scanKey, "SELECT "+keyColumns+" FROM api_keys k WHERE k.id = ?", id(key))
}

// InsertAPIKey stores a new key. SetSecret gives it a secret.
func (tx *Tx) InsertAPIKey(k chat.APIKey) error {
	_, err := tx.exec("INSERT INTO api_keys (id, bot_id, name, scopes, created_at, expires_at, session_id) VALUES (?,?,?,?,?,?,?)",
		id(k.ID), id(k.Bot), k.Name, int64(k.Allows), tx.at(k.CreatedAt), tx.at(k.ExpiresAt), id(k.Session))
	return err
}

// never is when the session of a key expires that does not.
var never = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// SetSecret begins the session k.Session of the bot's, as the key's newest. Only this hash of the secret is stored.
func (tx *Tx) SetSecret(k chat.APIKey, hash [32]byte) error {
	expires := k.ExpiresAt
	if expires.IsZero() {
		expires = never
	}
	if err := tx.InsertSession(chat.Session{ID: k.Session, User: k.Bot, CreatedAt: tx.Now, LastUsedAt: tx.Now, ExpiresAt: expires}); err != nil {
		return err
	}
	if _, err := tx.exec("UPDATE sessions SET key_id = ?, secret_hash = ? WHERE id = ?", id(k.ID), blob(hash[:]), id(k.Session)); err != nil {
		return err
	}
	_, err := tx.exec("UPDATE api_keys SET session_id = ? WHERE id = ?", id(k.Session), id(k.ID))
	return err
}

// ShortenSession lets a live session expire at a time, if that is sooner.
func (tx *Tx) ShortenSession(session chat.ID, at time.Time) error {
	_, err := tx.exec("UPDATE sessions SET expires_at = ? WHERE id = ? AND ended_at IS NULL AND expires_at > ?", tx.at(at), id(session), tx.at(at))
	return err
}

// EndExpired ends a session, expired or not. It returns what it has ended: one or none.
func (tx *Tx) EndExpired(session chat.ID) ([]chat.Session, error) {
	return list(tx.db, scanSession, "UPDATE sessions SET ended_at = ? WHERE id = ? AND ended_at IS NULL RETURNING "+sessionColumns, tx.at(tx.Now), id(session))
}

// DeleteAPIKey deletes a key. It returns the sessions of its that it has ended.
func (tx *Tx) DeleteAPIKey(key chat.ID) ([]chat.Session, error) {
	if _, err := tx.exec("DELETE FROM api_keys WHERE id = ?", id(key)); err != nil {
		return nil, err
	}
	return list(tx.db, scanSession, "UPDATE sessions SET ended_at = ? WHERE key_id = ? AND ended_at IS NULL RETURNING "+sessionColumns, tx.at(tx.Now), id(key))
}

// DeleteBot suspends a locked bot for good, and deletes its keys and webhooks. It returns the sessions that it has ended, and
// the conversations of the webhooks.
func (tx *Tx) DeleteBot(bot chat.ID) (ended []chat.Session, posted []chat.ID, err error) {
	if err := tx.Suspend(bot); err != nil {
		return nil, nil, err
	}
	if _, err := tx.exec("DELETE FROM api_keys WHERE bot_id = ?", id(bot)); err != nil {
		return nil, nil, err
	}
	posted, err = list(tx.db, func(r rows) (c chat.ID, err error) {
		err = r.Scan(scanID(&c, chat.KindConversation))
		return c, err
	}, "DELETE FROM incoming_webhooks WHERE bot_id = ? RETURNING conversation_id", id(bot))
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(posted, func(a, b chat.ID) int { return cmp.Compare(a.String(), b.String()) })
	ended, err = tx.EndSessions(bot)
	return ended, slices.Compact(posted), err
}

// Secret is what a secret of an API key is checked against.
type Secret struct {
	Bot       chat.ID
	Hash      []byte
	Scopes    chat.Scopes
	ExpiresAt time.Time // zero: never
	BeganAt   time.Time
	UsedAt    time.Time // BeganAt: not yet
}

// Secret reads the one that begins with a session, while that is neither ended nor expired, and the bot's owner not suspended,
// or chat.ErrNotFound.
func (r reader) Secret(ctx context.Context, session chat.ID, at time.Time) (Secret, error) {
	x, err := one(r.db.WithContext(ctx), func(r rows) (x Secret, err error) {
		err = r.Scan(scanID(&x.Bot, chat.KindUser), &x.Hash, &x.Scopes, scanTime(&x.ExpiresAt), scanTime(&x.BeganAt), scanTime(&x.UsedAt))
		return x, err
	}, `SELECT s.user_id, s.secret_hash, k.scopes, s.expires_at, s.created_at, s.last_used_at FROM sessions s JOIN api_keys k ON k.id = s.key_id
		JOIN users b ON b.id = s.user_id AND b.suspended_at IS NULL JOIN users o ON o.id = b.owner_id AND o.suspended_at IS NULL WHERE s.id = ? AND s.ended_at IS NULL AND s.expires_at > ?`, id(session), r.at(Micros(at)))
	if x.ExpiresAt.Equal(never) {
		x.ExpiresAt = time.Time{}
	}
	return x, translate(err)
}

// SetUsed notes when a session was last used. It is no event.
func (s *Store) SetUsed(ctx context.Context, session chat.ID, at time.Time) error {
	_, err := exec(s.write.WithContext(ctx), "UPDATE sessions SET last_used_at = ? WHERE id = ? AND last_used_at < ?", s.at(Micros(at)), id(session), s.at(Micros(at)))
	return translate(err)
}

const hookColumns = "w.id, w.conversation_id, w.bot_id, w.name, w.created_at, w.signing_secret IS NOT NULL"

func hookFields(w *chat.IncomingWebhook) []any {
	return []any{scanID(&w.ID, chat.KindIncomingWebhook), scanID(&w.Conversation, chat.KindConversation), scanID(&w.Bot, chat.KindUser), &w.Name, scanTime(&w.CreatedAt), &w.Signed}
}

func scanHook(r rows) (w chat.IncomingWebhook, err error) {
	err = r.Scan(hookFields(&w)...)
	return w, err
}

// IncomingWebhooks reads those of conversations, in the order in which they were made.
func (r reader) IncomingWebhooks(ctx context.Context, conversations []chat.ID) ([]chat.IncomingWebhook, error) {
	l, err := list(r.db.WithContext(ctx), scanHook, "SELECT "+hookColumns+" FROM incoming_webhooks w WHERE w.conversation_id"+r.ids, r.set(conversations))
	slices.SortFunc(l, func(a, b chat.IncomingWebhook) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return l, translate(err)
}

// HookSecrets is what a post to an incoming webhook is checked against.
type HookSecrets struct {
	chat.IncomingWebhook
	Hash    []byte
	Signing []byte // sealed; nil: what comes need not be signed
}

// HookSecrets reads those of a webhook whose bot is neither deleted nor its owner suspended, or chat.ErrNotFound.
func (r reader) HookSecrets(ctx context.Context, webhook chat.ID) (HookSecrets, error) {
	x, err := one(r.db.WithContext(ctx), func(r rows) (x HookSecrets, err error) {
		err = r.Scan(append(hookFields(&x.IncomingWebhook), &x.Hash, &x.Signing)...)
		return x, err
	}, "SELECT "+hookColumns+`, w.secret_hash, w.signing_secret FROM incoming_webhooks w JOIN users b ON b.id = w.bot_id AND b.suspended_at IS NULL
		JOIN users o ON o.id = b.owner_id AND o.suspended_at IS NULL WHERE w.id = ?`, id(webhook))
	return x, translate(err)
}

// IncomingWebhook reads one, or chat.ErrNotFound.
func (tx *Tx) IncomingWebhook(webhook chat.ID) (chat.IncomingWebhook, error) {
	return one(tx.db, scanHook, "SELECT "+hookColumns+" FROM incoming_webhooks w WHERE w.id = ?", id(webhook))
}

// CountIncomingWebhooks says how many a conversation has. The conversation is locked.
func (tx *Tx) CountIncomingWebhooks(conversation chat.ID) (int, error) {
	return one(tx.db, value[int], "SELECT count(*) FROM incoming_webhooks WHERE conversation_id = ?", id(conversation))
}

// InsertIncomingWebhook stores a new one.
func (tx *Tx) InsertIncomingWebhook(w chat.IncomingWebhook, hash [32]byte, signing []byte) error {
	_, err := tx.exec("INSERT INTO incoming_webhooks (id, conversation_id, bot_id, name, created_at, secret_hash, signing_secret) VALUES (?,?,?,?,?,?,?)",
		id(w.ID), id(w.Conversation), id(w.Bot), w.Name, tx.at(w.CreatedAt), blob(hash[:]), blob(signing))
	return err
}

// SetHookSecret replaces the secret of a webhook.
func (tx *Tx) SetHookSecret(webhook chat.ID, hash [32]byte) error {
	_, err := tx.exec("UPDATE incoming_webhooks SET secret_hash = ? WHERE id = ?", blob(hash[:]), id(webhook))
	return err
}

// DeleteIncomingWebhook deletes one.
func (tx *Tx) DeleteIncomingWebhook(webhook chat.ID) error {
	_, err := tx.exec("DELETE FROM incoming_webhooks WHERE id = ?", id(webhook))
	return err
}

// DeleteIncomingWebhooks deletes those through which a user posts into a conversation (zero: everybody), and says how many.
func (tx *Tx) DeleteIncomingWebhooks(conversation, bot chat.ID) (int64, error) {
	q, args := "DELETE FROM incoming_webhooks WHERE conversation_id = ?", []any{id(conversation)}
	if !bot.IsZero() {
		q, args = q+" AND bot_id = ?", append(args, id(bot))
	}
	return tx.exec(q, args...)
}
