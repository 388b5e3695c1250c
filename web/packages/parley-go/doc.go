// Package parley listens to a Parley server from Go: a graphql.WebSocketClient for what genqlient generates, which goes on
// where it was after a lost network, a restarted server or an expired token.
//
// One goroutine (run) owns the connection: it dials, reads, and dials again. It alone puts events into the queues of the
// subscriptions and closes these. Each subscription has a goroutine (deliver) that hands its queue to the channel of the generated
// code; it alone sends on that channel and closes it. A pinger lives as long as its connection. Close waits for all of them.
//
// What it guarantees for a subscription that takes $after and selects cursor: each event once and in order, across any number of
// connections. Each connection's replay ends with a CaughtUp event, which is delivered as any other. What is bounded: the
// queue of each subscription; while one is full the connection is not read, and the server keeps the rest.
package parley
