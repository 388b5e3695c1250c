// Package history is what the programs of the chaos run write down, for check to judge: JSON lines, one Record each.
//
// All times are CLOCK_MONOTONIC in nanoseconds (Now), which is one clock for all processes of a machine. Nodes are
// numbered from 1, in the order of load's -nodes. A program writes one file; check reads any number of them.
//
// # Load
//
//	run        first: seed, planned sends, users, nodes, quick
//	phase      name: setup, quiet (all subscribers live, nothing sent), load, settle (sending is over), settled (everybody
//	           has everything, or had its time; quiet again), end; unsettled if the last messages were not taken
//	room       conv, name (small or big)
//	invoke     op, of, act, actor, node, conv, key, user, id: an attempt begins. of is the first attempt at the same
//	           intention, of which this is a retry
//	ok         op, and what was answered: id, seq, pos, epoch
//	fail       op, code: a definite answer that is an error
//	unknown    op, text: no answer, or one that says nothing (UNAVAILABLE, INTERNAL)
//	connect    conn, sub, node, actor, what, conv, session: subscriber sub opens a connection. what is events or
//	           messageAdded, with "/sse" appended over Server-Sent Events. session is told where it will be revoked
//	ready      conn: connection_ack (the response's header over SSE)
//	subscribe  conn, pos, epoch: the cursor it continues after
//	event      conn, type, pos, epoch, conv, id, seq, hash: as it was delivered
//	caughtup   conn, pos, epoch
//	error      conn, code: the subscription was refused or ended with an error
//	complete   conn: the server ended the subscription
//	close      conn, close, text: the connection is over. close is the WebSocket code; 0 is a network error, -1 the
//	           subscriber's own doing: it has ended, or has waited in vain. text begins with "status" and its number
//	           where there was an HTTP answer that was no connection
//	pause      conn, for: the subscriber stops reading for so long
//	lag        for: how late load's own clock tick came; written when it is more than 100 ms
//	final      sub, pos: the subscriber is to come to this position before the end
//
// # Nemesis
//
//	fault      n, phase (begin, heal), name (kill, stop, restart, postgres, nats, doorbells, sockets, …), node (0: none),
//	           text, for. n numbers the faults; begin is written right before the deed, heal when its cause is gone: the
//	           restarted process answers, the stopped one was continued, the proxy is honest again. for is how long a
//	           node that is killed has been stopped already: what was sent to it meanwhile it has not seen
//	died       name, node (0: PostgreSQL or NATS), pid, text: a process that was ready has ended, and nobody ended it
//	undrained  name, node, pid, text: a node that was asked to end did not in time, and was killed
//	startfailed name, node, text: a process did not come back within a minute
//	lag        for: as load's, of nemesis; written when it is more than a second
//	sample     node, pid, goroutines, memory (resident bytes), pos (log position applied), gaps (parley_log_gaps_total),
//	           catchups (parley_catch_ups_total), sockets. Counters are those of the process pid. Absent while a node is
//	           down. About one a second, from before load's phase quiet until its end
package history

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Record is one line. Which fields it has depends on K; the package says which.
type Record struct {
	T int64  `json:"t"`
	K string `json:"k"`

	Name    string `json:"name,omitempty"`
	Seed    uint64 `json:"seed,omitempty"`
	Planned int    `json:"planned,omitempty"`
	Users   int    `json:"users,omitempty"`
	Nodes   int    `json:"nodes,omitempty"`
	Quick   bool   `json:"quick,omitempty"`

	Op    int64  `json:"op,omitempty"`
	Of    int64  `json:"of,omitempty"`
	Act   string `json:"act,omitempty"` // the mutation's name
	Actor string `json:"actor,omitempty"`
	Node  int    `json:"node,omitempty"`
	Conv  string `json:"conv,omitempty"`
	Key   string `json:"key,omitempty"`
	User  string `json:"user,omitempty"`
	ID    string `json:"id,omitempty"`
	Seq   int64  `json:"seq,omitempty"`
	Pos   int64  `json:"pos,omitempty"`
	Epoch uint32 `json:"epoch,omitempty"`
	Code  string `json:"code,omitempty"`
	Text  string `json:"text,omitempty"`

	Conn    int    `json:"conn,omitempty"`
	Sub     int    `json:"sub,omitempty"`
	What    string `json:"what,omitempty"`
	Session string `json:"session,omitempty"`
	Type    string `json:"type,omitempty"`
	Hash    uint32 `json:"hash,omitempty"` // of a message's text
	Close   int    `json:"close,omitempty"`
	For     int64  `json:"for,omitempty"` // nanoseconds

	N     int    `json:"n,omitempty"`
	Phase string `json:"phase,omitempty"`

	PID        int   `json:"pid,omitempty"`
	Goroutines int   `json:"goroutines,omitempty"`
	Memory     int64 `json:"memory,omitempty"`
	Gaps       int64 `json:"gaps,omitempty"`
	CatchUps   int64 `json:"catchups,omitempty"`
	Sockets    int   `json:"sockets,omitempty"`
}

// Now is CLOCK_MONOTONIC.
func Now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // the clock always exists
	}
	return t.Nano()
}

// Body is the text of the message with a client key, and Hash what stands for a text in a Record.
func Body(key string) string { return "chaos " + key }

// Hash is FNV-1a.
func Hash(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}

// Cursor reads a cursor as the server writes it: base64 of the log's epoch, big endian in 4 bytes, and the position.
func Cursor(s string) (epoch uint32, pos int64, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 5 {
		return 0, 0, fmt.Errorf("not a cursor: %q", s)
	}
	p, n := binary.Uvarint(b[4:])
	if n != len(b)-4 {
		return 0, 0, fmt.Errorf("not a cursor: %q", s)
	}
	return binary.BigEndian.Uint32(b), int64(p), nil //nolint:gosec // positions are far from overflowing
}

// Writer writes records to a file, for any number of goroutines. It keeps the first error for Close.
type Writer struct {
	mu  sync.Mutex
	f   *os.File
	b   *bufio.Writer
	enc *json.Encoder
	err error
}

// Create makes or empties a file.
func Create(name string) (*Writer, error) {
	f, err := os.Create(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	w := &Writer{f: f, b: bufio.NewWriterSize(f, 1<<18)}
	w.enc = json.NewEncoder(w.b)
	w.enc.SetEscapeHTML(false)
	return w, nil
}

// Write adds a record and says when. Records stand in the order of their times, except that T may be set by the caller.
func (w *Writer) Write(r Record) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.T == 0 {
		r.T = Now()
	}
	if err := w.enc.Encode(&r); w.err == nil {
		w.err = err
	}
	return r.T
}

// Flush makes what was written visible to readers of the file.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.b.Flush(); w.err == nil {
		w.err = err
	}
}

// Close ends the file and reports the first error of all.
func (w *Writer) Close() error {
	w.Flush()
	return errors.Join(w.err, w.f.Close())
}

// Read calls fn for each record. fn must not keep the pointer.
func Read(r io.Reader, fn func(*Record) error) error { return ReadLines(r, fn) }

// ReadLines reads JSON lines of any kind. fn must not keep the pointer.
func ReadLines[T any](r io.Reader, fn func(*T) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 1<<16), 1<<24)
	var x, zero T
	for n := 1; s.Scan(); n++ {
		x = zero
		if err := json.Unmarshal(s.Bytes(), &x); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := fn(&x); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return s.Err()
}
