package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

const webhookColumns = "w.id, w.conversation_id, w.owner_id, w.url, w.types, w.secret, w.old_secret, w.old_until, w.enabled, w.reason, w.since_position, w.pending, w.failing_since, w.created_at"

// typeList scans types of events, separated by commas.
type typeList []chat.EventType

func (l *typeList) Scan(v any) error {
	text, _ := v.(string)
	*l = nil
	for t := range strings.SplitSeq(text, ",") {
		if t != "" {
			*l = append(*l, chat.EventType(t))
		}
	}
	return nil
}

func (l typeList) text() string {
	texts := make([]string, len(l))
	for i, t := range l {
		texts[i] = string(t)
	}
	return strings.Join(texts, ",")
}

func webhookFields(w *chat.Webhook) []any {
	return []any{scanID(&w.ID, chat.KindWebhook), scanID(&w.Conversation, chat.KindConversation), scanID(&w.Owner, chat.KindUser), &w.URL, (*typeList)(&w.Types),
		&w.Secret, &w.OldSecret, scanTime(&w.OldUntil), &w.Enabled, &w.Reason, scanPosition(&w.Since), &w.Pending, scanTime(&w.FailingSince), scanTime(&w.CreatedAt)}
}

func scanWebhook(r rows) (w chat.Webhook, err error) {
	err = r.Scan(webhookFields(&w)...)
	return w, err
}

// Webhook reads a webhook, or chat.ErrNotFound.
func (r reader) Webhook(ctx context.Context, webhook chat.ID) (chat.Webhook, error) {
	w, err := one(r.db.WithContext(ctx), scanWebhook, "SELECT "+webhookColumns+" FROM webhooks w WHERE w.id = ? AND w.deleted_at IS NULL", id(webhook))
	return w, translate(err)
}

// GlobalWebhooks reads those of the whole installation, the oldest first.
func (r reader) GlobalWebhooks(ctx context.Context) ([]chat.Webhook, error) {
	l, err := list(r.db.WithContext(ctx), scanWebhook, "SELECT "+webhookColumns+" FROM webhooks w WHERE w.conversation_id IS NULL AND w.deleted_at IS NULL ORDER BY w.id")
	return l, translate(err)
}

// WebhooksOf reads those of conversations, in any order.
func (r reader) WebhooksOf(ctx context.Context, conversations []chat.ID) ([]chat.Webhook, error) {
	l, err := list(r.db.WithContext(ctx), scanWebhook, "SELECT "+webhookColumns+" FROM webhooks w WHERE w.deleted_at IS NULL AND w.conversation_id"+r.ids, r.set(conversations))
	return l, translate(err)
}

// CountWebhooks says how many a conversation has, or the whole installation.
func (tx *Tx) CountWebhooks(conversation chat.ID) (int, error) {
	if conversation.IsZero() {
		return one(tx.db, value[int], "SELECT count(*) FROM webhooks WHERE conversation_id IS NULL AND deleted_at IS NULL")
	}
	return one(tx.db, value[int], "SELECT count(*) FROM webhooks WHERE conversation_id = ? AND deleted_at IS NULL", id(conversation))
}

// InsertWebhook stores a new one, which hears of what comes after this.
func (tx *Tx) InsertWebhook(w chat.Webhook) error {
	_, err := tx.exec(`INSERT INTO webhooks (id, conversation_id, owner_id, url, types, secret, enabled, created_at, since_position)
		VALUES (?,?,?,?,?,?,?,?,(SELECT position FROM event_head))`,
		id(w.ID), id(w.Conversation), id(w.Owner), w.URL, typeList(w.Types).text(), w.Secret, w.Enabled, tx.at(w.CreatedAt))
	return err
}

// LockWebhook reads a webhook that is about to change, or chat.ErrNotFound. It is locked before its deliveries and its job.
func (tx *Tx) LockWebhook(webhook chat.ID) (chat.Webhook, error) {
	return one(tx.db, scanWebhook, "SELECT "+webhookColumns+" FROM webhooks w WHERE w.id = ? AND w.deleted_at IS NULL"+tx.lock, id(webhook))
}

// UpdateWebhook stores owner, address, types, secrets, and whether and why it is disabled. The pending deliveries are counted anew.
func (tx *Tx) UpdateWebhook(w chat.Webhook) error {
	_, err := tx.exec(`UPDATE webhooks SET owner_id = ?, url = ?, types = ?, secret = ?, old_secret = ?, old_until = ?, enabled = ?, reason = ?, failing_since = ?,
		pending = (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = webhooks.id AND d.status = 'PENDING') WHERE id = ?`,
		id(w.Owner), w.URL, typeList(w.Types).text(), w.Secret, w.OldSecret, tx.at(w.OldUntil), w.Enabled, w.Reason, tx.at(w.FailingSince), id(w.ID))
	return err
}

// DeleteWebhook has nobody see it any more. PurgeWebhooks deletes what it leaves behind.
func (tx *Tx) DeleteWebhook(webhook chat.ID) error {
	_, err := tx.exec("UPDATE webhooks SET deleted_at = ?, enabled = ? WHERE id = ?", tx.at(tx.Now), false, id(webhook))
	return err
}

// DeleteWebhooksOf is DeleteWebhook of all that a conversation has.
func (tx *Tx) DeleteWebhooksOf(conversation chat.ID) error {
	_, err := tx.exec("UPDATE webhooks SET deleted_at = ?, enabled = ? WHERE conversation_id = ? AND deleted_at IS NULL", tx.at(tx.Now), false, id(conversation))
	return err
}

// DisableWebhooksOf disables those of a conversation that are a user's, and says why.
func (tx *Tx) DisableWebhooksOf(conversation, owner chat.ID, reason string) error {
	_, err := tx.exec("UPDATE webhooks SET enabled = ?, reason = ? WHERE conversation_id = ? AND owner_id = ? AND enabled AND deleted_at IS NULL",
		false, reason, id(conversation), id(owner))
	return err
}

// ListeningWebhooks locks and reads, in the order of their ids, those webhooks that may be told of events of conversations, but
// for those whose owner is suspended, and those of the whole installation.
func (tx *Tx) ListeningWebhooks(conversations []chat.ID) ([]chat.Webhook, error) {
	return list(tx.db, scanWebhook, "SELECT "+webhookColumns+` FROM webhooks w WHERE w.enabled AND w.deleted_at IS NULL AND w.id IN (
		SELECT id FROM webhooks WHERE deleted_at IS NULL AND conversation_id IS NULL
		UNION ALL SELECT id FROM webhooks WHERE deleted_at IS NULL AND conversation_id`+tx.ids+`
			AND (SELECT o.suspended_at IS NULL FROM users o WHERE o.id = webhooks.owner_id)) ORDER BY w.id`+tx.lock, tx.set(conversations))
}

const deliveryColumns = "d.id, d.webhook_id, d.position, d.type, d.status, d.attempts, d.queued_at, d.attempted_at, d.next_at, d.http_status, d.reason"

func deliveryFields(d *chat.WebhookDelivery) []any {
	return []any{scanID(&d.ID, chat.KindWebhookDelivery), scanID(&d.Webhook, chat.KindWebhook), &d.Position, &d.Type, &d.Status, &d.Attempts,
		scanTime(&d.QueuedAt), scanTime(&d.AttemptedAt), scanTime(&d.NextAt), &d.HTTPStatus, &d.Reason}
}

func scanDelivery(r rows) (d chat.WebhookDelivery, err error) {
	err = r.Scan(deliveryFields(&d)...)
	return d, err
}

// InsertDeliveries stores new deliveries to a webhook that is locked, those that are not there already, and counts them.
func (tx *Tx) InsertDeliveries(webhook chat.ID, ds []chat.WebhookDelivery) error {
	var n int64
	for len(ds) > 0 {
		some := ds[:min(len(ds), eventsAtOnce)]
		ds = ds[len(some):]
		args := make([]any, 0, 7*len(some))
		for _, d := range some {
			args = append(args, id(webhook), int64(d.Position), id(d.ID), string(d.Type), string(chat.DeliveryPending), tx.at(d.QueuedAt), tx.at(d.NextAt))
		}
		added, err := tx.exec("INSERT INTO webhook_deliveries (webhook_id, position, id, type, status, queued_at, next_at) VALUES "+
			strings.Repeat("(?,?,?,?,?,?,?),", len(some)-1)+"(?,?,?,?,?,?,?) ON CONFLICT DO NOTHING", args...)
		if err != nil {
			return err
		}
		n += added
	}
	_, err := tx.exec("UPDATE webhooks SET pending = pending + ? WHERE id = ?", n, id(webhook))
	return err
}

// NextDelivery is the delivery that is the next for a webhook.
type NextDelivery struct {
	Webhook  chat.Webhook
	Delivery chat.WebhookDelivery
	Epoch    chat.Epoch
}

// NextDelivery reads the first pending delivery to a webhook that is enabled, or chat.ErrNotFound.
func (r reader) NextDelivery(ctx context.Context, webhook chat.ID) (NextDelivery, error) {
	n, err := one(r.db.WithContext(ctx), func(r rows) (n NextDelivery, err error) {
		err = r.Scan(append(append(webhookFields(&n.Webhook), deliveryFields(&n.Delivery)...), &n.Epoch)...)
		return n, err
	}, "SELECT "+webhookColumns+", "+deliveryColumns+`, (SELECT epoch FROM event_head) FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
		WHERE d.webhook_id = ? AND d.status = 'PENDING' AND w.enabled AND w.deleted_at IS NULL ORDER BY d.position LIMIT 1`, id(webhook))
	return n, translate(err)
}

// WebhookDelivery reads a delivery, or chat.ErrNotFound.
func (r reader) WebhookDelivery(ctx context.Context, delivery chat.ID) (chat.WebhookDelivery, error) {
	d, err := one(r.db.WithContext(ctx), scanDelivery, "SELECT "+deliveryColumns+" FROM webhook_deliveries d WHERE d.id = ?", id(delivery))
	return d, translate(err)
}

// DeliveryPages reads a page of each of several webhooks' deliveries that stand so, the newest first.
func (r reader) DeliveryPages(ctx context.Context, webhooks []chat.ID, status chat.DeliveryStatus, p chat.Page) (map[chat.ID]chat.List[chat.WebhookDelivery], error) {
	q, args, err := r.page(keyset{id: "d.id", desc: true}, p, " FROM webhook_deliveries d WHERE d.webhook_id = t.id AND d.status = ?", r.set(webhooks), string(status))
	if err != nil {
		return nil, err
	}
	ds, err := list(r.db.WithContext(ctx), scanDelivery, r.each(deliveryColumns, "webhook_deliveries d WHERE ", "d.id", q), args...)
	return lists(p, webhooks, ds, func(d chat.WebhookDelivery) chat.ID { return d.Webhook },
		func(a, b chat.WebhookDelivery) int { return bytes.Compare(b.ID.UUID[:], a.ID.UUID[:]) },
		func(d chat.WebhookDelivery) string { return place{id: d.ID}.String() }), translate(err)
}

// HasPing says whether a ping of a webhook is on its way.
func (tx *Tx) HasPing(webhook chat.ID) (bool, error) {
	n, err := one(tx.db, value[int], "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = ? AND status = 'PENDING' AND position < 0", id(webhook))
	return n > 0, err
}

// SettleDelivery stores what became of an attempt, and how its webhook is since. It says false, and the transaction must be
// given up, when the delivery is not any more as it was before the attempt.
func (tx *Tx) SettleDelivery(w chat.Webhook, d chat.WebhookDelivery) (bool, error) {
	done := 0
	if d.Status != chat.DeliveryPending {
		done = 1
	}
	if _, err := tx.exec("UPDATE webhooks SET pending = pending - ?, failing_since = ? WHERE id = ?", done, tx.at(w.FailingSince), id(w.ID)); err != nil {
		return false, err
	}
	n, err := tx.exec(`UPDATE webhook_deliveries SET status = ?, attempts = ?, attempted_at = ?, next_at = ?, http_status = ?, reason = ?
		WHERE webhook_id = ? AND position = ? AND id = ? AND status = 'PENDING' AND attempts = ?`,
		string(d.Status), d.Attempts, tx.at(d.AttemptedAt), tx.at(d.NextAt), d.HTTPStatus, d.Reason, id(w.ID), int64(d.Position), id(d.ID), d.Attempts-1)
	return n == 1, err
}

// DisableWebhook says why one is disabled.
func (tx *Tx) DisableWebhook(webhook chat.ID, reason string) error {
	_, err := tx.exec("UPDATE webhooks SET enabled = ?, reason = ? WHERE id = ?", false, reason, id(webhook))
	return err
}

// ReplayDeliveries makes dead deliveries to a webhook pending again, as if they were new: one, or the oldest max, without pings.
func (tx *Tx) ReplayDeliveries(webhook, only chat.ID, at time.Time, max int) (n int64, err error) {
	which, args := "SELECT id FROM webhook_deliveries WHERE webhook_id = ? AND status = 'DEAD' AND position > 0 ORDER BY id LIMIT ?", []any{id(webhook), max}
	if !only.IsZero() {
		which, args = "SELECT id FROM webhook_deliveries WHERE webhook_id = ? AND status = 'DEAD' AND id = ?", []any{id(webhook), id(only)}
	}
	n, err = tx.exec("UPDATE webhook_deliveries SET status = 'PENDING', attempts = 0, queued_at = ?, next_at = ?, http_status = 0, reason = '' WHERE id IN ("+which+")",
		append([]any{tx.at(Micros(at)), tx.at(Micros(at))}, args...)...)
	if err == nil {
		_, err = tx.exec("UPDATE webhooks SET pending = pending + ? WHERE id = ?", n, id(webhook))
	}
	return n, err
}

// DueNow has the first pending delivery to a webhook tried now; a ping, which has no wait, may be on its way before it.
func (tx *Tx) DueNow(webhook chat.ID, at time.Time) error {
	_, err := tx.exec(`UPDATE webhook_deliveries SET next_at = ? WHERE webhook_id = ? AND position =
		(SELECT position FROM webhook_deliveries WHERE webhook_id = ? AND status = 'PENDING' AND position > 0 ORDER BY position LIMIT 1)`, tx.at(Micros(at)), id(webhook), id(webhook))
	return err
}

// idsUntil is the first id of those that are made from a time on.
func idsUntil(t time.Time) (i chat.ID) {
	i.Kind = chat.KindWebhookDelivery
	binary.BigEndian.PutUint64(i.UUID[:8], uint64(t.UnixMilli())<<16) //nolint:gosec // after 1970
	return i
}

// PurgeDeliveries deletes up to max deliveries that are old enough: those that were delivered, and those that were not and
// will not be. It says how many.
func (s *Store) PurgeDeliveries(ctx context.Context, delivered, dead time.Time, max int) (int64, error) {
	n, err := exec(s.write.WithContext(ctx), `DELETE FROM webhook_deliveries WHERE id IN (
		SELECT id FROM (SELECT id FROM webhook_deliveries WHERE status = 'DELIVERED' AND id < ? ORDER BY id LIMIT ?) a
		UNION SELECT id FROM (SELECT d.id FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
			WHERE d.id < ? AND (d.status = 'DEAD' OR NOT w.enabled) ORDER BY d.id LIMIT ?) b LIMIT ?)`,
		id(idsUntil(delivered)), max, id(idsUntil(dead)), max, max)
	return n, translate(err)
}

// PurgeWebhooks deletes up to max deliveries to webhooks that were deleted before a time, and those webhooks if that was all. It
// says whether there may be more.
func (s *Store) PurgeWebhooks(ctx context.Context, before time.Time, max int) (more bool, err error) {
	const some = 100
	gone, err := list(s.db.WithContext(ctx), func(r rows) (w chat.ID, err error) {
		err = r.Scan(scanID(&w, chat.KindWebhook))
		return w, err
	}, "SELECT id FROM webhooks WHERE deleted_at <= ? ORDER BY deleted_at LIMIT ?", s.at(Micros(before)), some)
	if err != nil || len(gone) == 0 {
		return false, translate(err)
	}
	db := s.write.WithContext(ctx)
	n, err := exec(db, "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE webhook_id"+s.ids+"LIMIT ?)", s.set(gone), max)
	if err != nil || n == int64(max) {
		return true, translate(err)
	}
	_, err = exec(db, "DELETE FROM webhooks WHERE id"+s.ids, s.set(gone))
	return len(gone) == some, translate(err)
}
