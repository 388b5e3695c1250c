package live_test

import (
	"context"
	"time"

	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/graph/model"
	"github.com/parley-chat/parley/internal/chat"
)

type (
	everyWebhook  struct{}
	everyDelivery struct{}
)

func (everything) Webhook() generated.WebhookResolver                 { return everyWebhook{} }
func (everything) WebhookDelivery() generated.WebhookDeliveryResolver { return everyDelivery{} }

func (everyConversation) Webhooks(ctx context.Context, _ *chat.Conversation) ([]chat.Webhook, error) {
	n := looking(ctx)
	return []chat.Webhook{{ID: id(chat.KindWebhook, n), URL: "https://example.org", Enabled: true, Pending: n, CreatedAt: someTime}}, nil
}

func (everyWebhook) Conversation(context.Context, *chat.Webhook) (*chat.Conversation, error) {
	return someConversation(), nil
}

func (everyWebhook) Owner(context.Context, *chat.Webhook) (*chat.User, error) {
	return someUser(1), nil
}

func (everyWebhook) DisabledReason(context.Context, *chat.Webhook) (*string, error) { return nil, nil }

func (everyWebhook) Deliveries(_ context.Context, _ *chat.Webhook, s chat.DeliveryStatus, first *int, after *string, last *int, before *string) (*model.WebhookDeliveryConnection, error) {
	e, n, p := pageOf(first, after, last, before, func(n int) chat.WebhookDelivery {
		return chat.WebhookDelivery{ID: id(chat.KindWebhookDelivery, n), Status: s, QueuedAt: someTime}
	}, func(c string, d *chat.WebhookDelivery) model.WebhookDeliveryEdge {
		return model.WebhookDeliveryEdge{Cursor: c, Node: d}
	})
	return &model.WebhookDeliveryConnection{Edges: e, Nodes: n, PageInfo: p}, nil
}

func (everyDelivery) Type(context.Context, *chat.WebhookDelivery) (*chat.EventType, error) {
	return nil, nil
}

func (everyDelivery) NextAttemptAt(context.Context, *chat.WebhookDelivery) (*time.Time, error) {
	return nil, nil
}

func (everyDelivery) HTTPStatus(context.Context, *chat.WebhookDelivery) (*int, error) {
	return nil, nil
}

func (everyDelivery) Reason(context.Context, *chat.WebhookDelivery) (*string, error) { return nil, nil }
