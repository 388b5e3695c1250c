// Package socket owns the connections of the live path: it reads, frames, queues and writes bytes, and knows nothing of
// what they mean.
//
// # Who owns what
//
// An Engine has a few writer shards, one goroutine each. A Socket belongs to one shard for life; its queue, and what is
// said of its Streams below "the shard's", is touched by that goroutine alone. Everybody else posts commands, which a
// shard carries out in the order in which they were posted. A shard never waits: it writes what a socket has pending
// with one non-blocking write(2); where that would block it parks the socket, which means that a goroutine writes the
// rest of the message under a deadline while the shard only queues. What is queued can be taken back (Stream.Withdraw), and
// is thrown away when the socket is revoked. A socket that is not a descriptor of its own (TLS, other systems than Linux)
// is parked for every write, of some messages at once.
//
// What is queued for a socket is bounded. A Stream for which there is no room falls behind: it gets nothing until its
// socket has drained, and then its Owner is asked to serve it from elsewhere (Owner.Behind) with Chunk or Snapshot. While
// the last chunk is being made the stream holds what arrives, so that nothing is missed and nothing doubled; a position
// at or below the stream's last is dropped.
//
// On Linux a connection is taken from net, so that nothing of Go's runtime belongs to it, and all idle sockets wait in one
// epoll, without a goroutine. Handler.Input is called by one goroutine at a time. One wheel calls Handler.Tick when a
// socket asked for it; no socket has a timer.
//
// # Life cycle
//
// New starts nothing. Start starts shards, poller and wheel; Stop closes every socket, waits for every goroutine and is
// idempotent. A closed socket calls Handler.Closed exactly once, from a goroutine that may wait.
//
// # Locks
//
// Engine.mu, shard.mu, wheel.mu and poller.mu are leaves: nothing is called while they are held. descriptor.mu is held
// during a system call that does not wait, and is taken before poller.mu. Owner.Ended is called by a shard and must not
// wait for one.
package socket
