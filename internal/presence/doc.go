// Package presence knows who is connected and who is typing. Neither is part of the log: it may be merged, and is lost
// with the node.
//
// mu guards the state. One goroutine (run) publishes: whoever changes the state marks what changed and wakes it, and it
// publishes the state as it then is. So signals about one user or conversation are in order, several changes at once
// become one, and nothing is called while mu is held.
package presence
