// Package graph answers GraphQL operations: each resolver reads the viewer, calls one service and returns.
package graph

import (
	"sync"

	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/conversation"
	"github.com/parley-chat/parley/internal/export"
	"github.com/parley-chat/parley/internal/feed"
	"github.com/parley-chat/parley/internal/file"
	"github.com/parley-chat/parley/internal/friend"
	"github.com/parley-chat/parley/internal/hook"
	"github.com/parley-chat/parley/internal/message"
	"github.com/parley-chat/parley/internal/notification"
	"github.com/parley-chat/parley/internal/presence"
	"github.com/parley-chat/parley/internal/pushing"
	"github.com/parley-chat/parley/internal/user"
)

//go:generate go -C .. tool gqlgen generate

// Resolver holds the services that the resolvers call.
type Resolver struct {
	Users         *user.Service
	Bots          *bot.Service
	Friends       *friend.Service
	Conversations *conversation.Service
	Messages      *message.Service
	Presences     *presence.Service
	Notifications *notification.Service
	Pushes        *pushing.Service
	Hooks         *hook.Service
	Feed          *feed.Service
	Files         *file.Service
	Exports       *export.Service
	HooksURL      func() string        // to which the key of an incoming webhook is appended
	Epoch         chat.Epoch           // of this log's cursors
	Applied       func() chat.Position // what this node has applied of the log

	prepare sync.Once // batches, of the services above
	batches batches
}

func (r *Resolver) cursor(p chat.Position) chat.Cursor {
	return chat.Cursor{Epoch: r.Epoch, Position: p}
}
