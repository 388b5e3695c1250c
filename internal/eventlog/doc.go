// Package eventlog knows what of the log has been applied on this node.
//
// One goroutine (run) takes the events in position order, with no gap: from what was offered (the doorbell) when it
// follows on directly, otherwise from the database, and also on a timer, so that a lost doorbell costs latency, never an
// event. It fills in what the events are about, keeps the newest in a ring and hands them to the consumer; only then does
// Applied report them. Nobody else calls the consumer.
//
// Ring tells the other nodes of a commit, and hear is called by whatever carries that. Neither is trusted with more than
// latency: an event is taken by its position, once, and what is missing is read.
//
// Open puts the newest events that there are into the ring already: after a restart everybody comes back at once.
//
// mu guards the ring and what was offered; nothing is called while it is held.
package eventlog
