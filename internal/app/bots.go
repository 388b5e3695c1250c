package app

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/token"
	"github.com/parley-chat/parley/internal/transport/httpapi"
)

// openBots makes the service of bots: it needs what sends.
func (a *App) openBots(c config.Config, key []byte, revoked *token.Revoked) (*bot.Service, error) {
	sealKey, err := token.Derive(key, "parley incoming webhooks' signing secrets v1")
	if err != nil {
		return nil, err
	}
	return bot.New(bot.Config{Store: a.store, Jobs: a.jobs, Revoked: revoked, Send: a.messages.Send, SealKey: sealKey, WrongPerAddr: c.SignInsPerAddr})
}

// hooksURL is to what the key of an incoming webhook is appended.
func (a *App) hooksURL() string { return a.URL() + "/hooks/" }

// orKey authenticates API keys too.
func orKey(people, keys httpapi.Authenticate) httpapi.Authenticate {
	return func(ctx context.Context, bearer string) (chat.Viewer, time.Time, error) {
		if token.IsAPIKey(bearer) {
			return keys(ctx, bearer)
		}
		return people(ctx, bearer)
	}
}
