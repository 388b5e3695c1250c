package live_test

import (
	"context"

	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/internal/chat"
)

type (
	everyKey      struct{}
	everyIncoming struct{}
)

func (everything) ApiKey() generated.ApiKeyResolver                   { return everyKey{} }
func (everything) IncomingWebhook() generated.IncomingWebhookResolver { return everyIncoming{} }

func (everyConversation) IncomingWebhooks(ctx context.Context, _ *chat.Conversation) ([]chat.IncomingWebhook, error) {
	return []chat.IncomingWebhook{{ID: id(chat.KindIncomingWebhook, looking(ctx)), Name: "Hook", Bot: user(9), CreatedAt: someTime}}[:looking(ctx)%2], nil
}

func (everyKey) Prefix(context.Context, *chat.APIKey) (string, error) { return "prl_1", nil }

func (everyIncoming) Bot(context.Context, *chat.IncomingWebhook) (*chat.User, error) {
	return someUser(9), nil
}
