package app_test

import (
	"testing"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
)

// webhookLaws: no event tells of webhooks, so that each change of one is idle.
func webhookLaws() map[string][]law {
	const url = "https://hooks.invalid/in"
	create := func(by func(w *world) *person) func(w *world) mutation {
		return inGroup(by, func(*world, string) vars { return vars{"url": url, "types": []string{"MEMBER_LEFT"}} })
	}
	// about is a mutation by somebody of a webhook of ann's group.
	about := func(by func(w *world) *person, more vars) func(w *world) mutation {
		return func(w *world) mutation {
			input := vars{"webhookId": w.webhook()}
			for k, v := range more {
				input[k] = v
			}
			return mutation{by(w).Client, input}
		}
	}
	all := func(name string, more vars) []law {
		return []law{
			idle("by the owner", about(ann, more)),
			refused("NOT_FOUND", "by a member", about(bob, more)),
			refused("NOT_FOUND", "by one who was a member", about(fay, more)),
			refused("NOT_FOUND", "deleted", func(w *world) mutation {
				m := about(ann, more)(w)
				w.ann.do("deleteWebhook", "DeleteWebhookInput", "cursor", vars{"webhookId": m.input["webhookId"]}, nil)
				return m
			}),
		}
	}
	return map[string][]law{
		"createWebhook": {
			idle("by the owner", create(ann)),
			idle("by a friend", func(w *world) mutation {
				return mutation{w.dan.Client, vars{"conversationId": w.direct(w.ann, w.dan), "url": url, "types": []string{"MEMBER_LEFT"}}}
			}),
			refused("FORBIDDEN", "by a member", create(bob)),
			refused("NOT_FOUND", "by one who was a member", create(fay)),
			refused("FORBIDDEN", "of everything, by one who is no administrator", func(w *world) mutation { return mutation{w.ann.Client, vars{"url": url}} }),
			refused("BAD_USER_INPUT", "of a private address", inGroup(ann, func(*world, string) vars { return vars{"url": "https://127.0.0.1/"} })),
		},
		"updateWebhook":       append(all("updateWebhook", vars{"types": []string{}, "enabled": false}), refused("BAD_USER_INPUT", "no address", about(ann, vars{"url": "ftp://hooks.invalid"}))),
		"rotateWebhookSecret": all("rotateWebhookSecret", nil),
		"deleteWebhook":       all("deleteWebhook", nil),
		"pingWebhook": append(all("pingWebhook", nil), refused("CONFLICT", "disabled", func(w *world) mutation {
			m := about(ann, nil)(w)
			w.ann.do("updateWebhook", "UpdateWebhookInput", "cursor", vars{"webhookId": m.input["webhookId"], "enabled": false}, nil)
			return m
		})),
		"replayWebhookDelivery": {
			idle("dead", func(w *world) mutation { return mutation{w.ann.Client, vars{"deliveryId": w.dead()}} }),
			refused("NOT_FOUND", "by a member", func(w *world) mutation { return mutation{w.bob.Client, vars{"deliveryId": w.dead()}} }),
			refused("CONFLICT", "twice", func(w *world) mutation {
				id := w.dead()
				w.ann.do("replayWebhookDelivery", "ReplayWebhookDeliveryInput", "cursor", vars{"deliveryId": id}, nil)
				return mutation{w.ann.Client, vars{"deliveryId": id}}
			}),
		},
		"replayDeadWebhookDeliveries": all("replayDeadWebhookDeliveries", nil),
	}
}

// webhook is of a group of ann's. Nothing listens where it leads to.
func (w *world) webhook() string {
	var out struct{ Out struct{ Webhook ref } }
	w.ann.do("createWebhook", "CreateWebhookInput", "webhook { id }", vars{"conversationId": w.group(), "url": "https://hooks.invalid/in", "types": []string{"MEMBER_LEFT"}}, &out)
	return out.Out.Webhook.ID
}

// dead is a delivery to such a webhook that was given up.
func (w *world) dead() string { return mustDie(w, w.store, mustID(w, w.webhook())) }

// mustDie stores a dead delivery to a webhook.
func mustDie(tb testing.TB, s *store.Store, webhook chat.ID) string {
	tb.Helper()
	d := chat.WebhookDelivery{ID: chat.NewID(chat.KindWebhookDelivery), Webhook: webhook, Position: 1, Type: chat.MemberLeft}
	_, err := s.Write(tb.Context(), chat.ID{}, func(tx *store.Tx) error {
		w, err := tx.LockWebhook(webhook)
		if err != nil {
			return err
		}
		d.QueuedAt, d.NextAt = tx.Now, tx.Now
		if err := tx.InsertDeliveries(webhook, []chat.WebhookDelivery{d}); err != nil {
			return err
		}
		d.Attempts, d.AttemptedAt, d.Status = 1, tx.Now, chat.DeliveryDead
		_, err = tx.SettleDelivery(w, d)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return d.ID.String()
}
