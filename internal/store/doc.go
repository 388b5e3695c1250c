// Package store keeps everything that must survive: all SQL and all of gorm are here, one API over two databases,
// PostgreSQL and SQLite. The statements are the same text for both wherever they can be.
//
// # Changes
//
// Write runs a function in a transaction. The function changes rows and emits events; listeners that were registered for
// an event (On) run in the same transaction; last, the events are appended to the log: one UPDATE of event_head takes as
// many positions as there are events, and its row lock is held until the commit. So commit order is position order, and a
// rollback leaves no hole. Sends and receipts, which are frequent, are written by Commit in batches (batch.go).
//
// Locks are taken in this order, whoever takes several: users by id, conversations by id, event_head. Nothing is locked
// after the head. On SQLite BEGIN IMMEDIATE stands for all of them.
//
// # Errors
//
// What is not there is chat.ErrNotFound; a database that cannot be reached, is full or is shutting down is UNAVAILABLE;
// anything else is returned as it is, and becomes INTERNAL at the edge. A transaction that lost a race (deadlock,
// serialisation, unique key) is run again by Write.
package store
