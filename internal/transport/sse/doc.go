// Package sse is the GraphQL transport over Server-Sent Events, in the "distinct connections" mode of the graphql-sse
// protocol: one request, one operation, one stream of `next` events that `complete` ends. Errors before the execution come
// as one `next` and a `complete`, with status 200, as that protocol's reference does it.
//
// Authentication, content types and the rules against forged requests are the business of the HTTP layer: the viewer is
// in the request's context.
//
// A stream over HTTP/1.1 is hijacked, and its connection becomes a socket of the engine like a WebSocket's: no goroutine
// of net/http stays. Where that cannot be (HTTP/2) the handler copies from a pipe whose other end is the socket.
//
// A stream whose token expires or whose session ends is cut without a complete, so that the client comes back.
package sse
