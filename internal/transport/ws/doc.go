// Package ws is the GraphQL transport over WebSocket, for the subprotocols graphql-transport-ws and, for older clients,
// graphql-ws (of subscriptions-transport-ws). Where both are offered the first is taken.
//
// # Close codes
//
//	1001, 1000  never sent by us first
//	1002 1003 1007 1009  RFC 6455: protocol error, binary, invalid UTF-8, message too long
//	1012  the server drains: reconnect
//	1013  too many sockets of this user, or authentication is not available now: try again later
//	4400  a message that the subprotocol does not know, or not in this form
//	4401  subscribe before connection_ack; the session has ended (do not come back with this token)
//	4403  connection_init with a token that is not good; the token has expired (come back with a new one)
//	4406  no subprotocol that we speak
//	4408  no connection_init in time
//	4409  the operation id is in use
//	4429  a second connection_init
//
// Before the upgrade: 403 for a refused origin, 429 for too many sockets of an address, 503 while draining.
//
// # Who owns what
//
// A conn belongs to its socket, whose engine calls Input (one goroutine at a time), Tick and Closed. conn.mu guards its
// operations and its state; nothing is called while it is held but the socket's non-blocking methods. Transport.mu guards
// the counts. Order: conn.mu before Transport.mu. A queued message that ends an operation calls back from the writer's
// goroutine (forget), which takes conn.mu: so nothing that waits for a writer may run under conn.mu, and nothing does.
//
// # Life cycle
//
// New starts nothing. The engine and the live registry must be started; Drain ends.
package ws
