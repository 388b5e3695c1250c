// Package presence knows who is connected and who is typing. Neither is part of the log: it may be merged, and is lost
// with the node.
//
// # Locks and goroutines
//
// mu guards the state (roster, typing). Two goroutines belong to the Service, from Start until Stop waits for them. run
// publishes to the listeners of this node, lets the grace period pass and writes last_seen: whoever changes the state
// marks what changed and wakes it, and it publishes the state as it then is. So signals about one user or conversation
// are in order, several changes at once become one, and nothing is called while mu is held. talk speaks to the other
// nodes and never waits for the database. What comes from them is taken in by the goroutine of the bus. On one node there
// is no talk.
//
// # Between nodes
//
// Each start of a node has a random id. It tells the others whom it holds, which is who has a socket there or had one
// within the grace period; wire.go has the format, one message is at most 32 KB.
//
//   - hello, every second: the number (seq) of its last delta, and how many users it holds.
//   - delta: who has come and who has gone since the last one, at most one in 50 ms. A reconnect on the same node says
//     nothing.
//   - ask, when a node is new to somebody or a seq is missing; at most once a second, and not before a mere reordering had
//     its time.
//   - state, the answer to everybody: all users, in pages of 2,000; at most once a second, however many ask.
//   - bye, when it stops.
//
// A user is online while any node holds them. Whom nobody holds any more stays online for two seconds, in which the next
// hello, and what is asked for then, finds a lost message: who is back within the grace period, anywhere, never went.
// A node that was not heard for four seconds is dead, and has no more users than one that said bye; theirs is the whole
// grace period. A node that has lost the bus, or stood still itself, blames nobody: it changes nothing until the others
// had four seconds to be heard. What it has to tell is kept, so that its next delta follows on.
//
// last_seen is written before anybody is told that a user is offline: by the node that lets them go last (by both, if two
// do within four seconds and each takes the other for the last), for a dead node by the live one with the smallest id.
//
// Who types is told when it begins, again when it is said again, and when it is taken back; it expires by the clock of
// each node, and a message in the log ends it everywhere. Another node cannot make this one keep more than 256 nodes, 64
// deltas of each that do not follow on, or 200 typists of a conversation and 50,000 in all.
//
// Messages are sealed, so that only a node of the cluster can speak. Somebody who recorded those of a node that is gone
// could show its users as online for as long as they keep repeating them, and nothing else.
package presence
