package app

import (
	"github.com/parley-chat/parley/internal/bus/natsbus"
	"github.com/parley-chat/parley/internal/eventlog"
	"github.com/parley-chat/parley/internal/transport/socket"
)

// Sockets counts what the engine of the sockets does.
func (a *App) Sockets() socket.Stats { return a.live.engine.Stats() }

// Retries counts what found the database away and asked it again.
func (a *App) Retries() int64 { return a.live.hub.Stats().Retries }

// BusKey is what the bus is sealed with.
func BusKey(secret []byte) ([]byte, error) { return busKey(secret) }

// Connected says whether the other nodes are reached.
func (a *App) Connected() bool { return a.bus.Connected() }

// Bell counts what was heard from other nodes.
func (a *App) Bell() eventlog.Stats { return a.events.Stats() }

// BusStats counts messages.
func (a *App) BusStats() natsbus.Stats { return a.nats.Stats() }
