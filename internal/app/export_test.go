package app

import "github.com/parley-chat/parley/internal/transport/socket"

// Sockets counts what the engine of the sockets does.
func (a *App) Sockets() socket.Stats { return a.live.engine.Stats() }
