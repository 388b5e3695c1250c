package socket

import "sync/atomic"

// Owner serves a stream that cannot be pushed to.
type Owner interface {
	// Behind asks for what comes after last: with Chunk for positions, with Snapshot for an ephemeral stream. It runs in a
	// goroutine of its own, one at a time for each stream. greeted: a chunk's greeting has been sent already.
	Behind(last int64, greeted bool)
	// Ended tells that the stream's last message is about to be written, so that its id is free. A shard calls it.
	Ended()
}

type mode uint8

const (
	waiting mode = iota // gets nothing: behind
	holding             // keeps what arrives until the last chunk
	live
)

const maxHeld = 1024

// Stream is one operation on one socket. It begins behind: its owner, inside of which it stands, makes it live.
type Stream struct {
	sock    *Socket
	id      string
	framing Framing
	owner   Owner
	gone    atomic.Bool

	// The shard's:
	last     int64
	mode     mode
	missed   bool // something ephemeral passed by
	greeted  bool
	ended    bool // its last message is queued
	outdated bool // what its owner is about to deliver follows on what was withdrawn
	hold     []held
}

type held struct {
	f   *Frame
	end bool
}

// Init makes a stream on a socket. id is what Framing writes: escaped where that is needed.
func (s *Stream) Init(sock *Socket, id string, f Framing, o Owner) {
	s.sock, s.id, s.framing, s.owner = sock, id, f, o
}

// Cancel takes the stream off its socket: nothing more is sent for it, queued messages included.
func (s *Stream) Cancel() { s.gone.Store(true) }

// Gone says that the stream was cancelled or its socket has closed.
func (s *Stream) Gone() bool { return s.gone.Load() || s.sock.dead.Load() }

// Hold makes the stream keep what arrives after pos from now on, until a final chunk.
func (s *Stream) Hold() { s.sock.sh.post(command{op: opHold, to: s}) }

// Chunk is a part of what a stream has missed.
type Chunk struct {
	Frames   []*Frame
	Through  int64  // everything up to here is in Frames
	Final    bool   // the stream was told to hold at Through, and goes live
	Greeting *Frame // sent after Frames, once in the life of a stream; Pos does not matter
	End      bool   // the stream is complete after it
}

// Catch delivers a chunk. Unless the stream goes live by it, its owner is asked for more when there is room.
func (s *Stream) Catch(c Chunk) { s.sock.sh.postRing(command{op: opChunk, to: s, chunk: &c}) }

// Snapshot delivers the whole state to an ephemeral stream and makes it live; where something passed by meanwhile, its
// owner is asked for another one.
func (s *Stream) Snapshot(f *Frame) { s.sock.sh.postRing(command{op: opSnapshot, to: s, frame: f}) }

// Refresh makes an ephemeral stream fall back, so that its owner is asked for a snapshot.
func (s *Stream) Refresh() { s.sock.sh.postRing(command{op: opRefresh, to: s}) }

// Push delivers a frame to this stream alone, by the same rules as a room's. It does not wake the shard.
func (s *Stream) Push(f *Frame) { s.sock.sh.post(command{op: opPush, to: s, frame: f}) }

// Retreat makes a live stream fall back, as if its socket had been full. It does not wake the shard.
func (s *Stream) Retreat() { s.sock.sh.post(command{op: opRetreat, to: s}) }

// Finish completes the stream at this point of what is pushed. One that is behind is not completed: its owner does that
// with the chunk that ends. It does not wake the shard.
func (s *Stream) Finish() { s.sock.sh.post(command{op: opFinish, to: s}) }

// Withdraw takes back what is queued for the stream and not on its way: its owner serves it anew. It does not wake the shard.
func (s *Stream) Withdraw() { s.sock.sh.post(command{op: opWithdraw, to: s}) }

// Reply sends a payload whatever the stream's state (the result of a query).
func (s *Stream) Reply(payload []byte) {
	s.sock.sh.postRing(command{op: opReply, to: s, frame: &Frame{Payload: payload}})
}

// Complete ends the stream.
func (s *Stream) Complete() { s.sock.sh.postRing(command{op: opComplete, to: s}) }

// Fail ends the stream with errors, a JSON list.
func (s *Stream) Fail(errs []byte) {
	s.sock.sh.postRing(command{op: opFail, to: s, frame: &Frame{Payload: errs}})
}

// Room is a set of streams that get the same frames.
type Room struct {
	lists []list // a list for each shard, which alone touches it
}

type list struct {
	n       atomic.Int32 // in it, or posted to be, and never fewer: a shard that has nobody is not told of what is pushed
	streams []*Stream
	dropped int
}

// NewRoom makes an empty room.
func (e *Engine) NewRoom() *Room { return &Room{lists: make([]list, len(e.shards))} }

// Add puts a stream into the room, in order with what is pushed.
func (r *Room) Add(s *Stream) {
	r.lists[s.sock.sh.i].n.Add(1)
	s.sock.sh.post(command{op: opAdd, room: r, to: s})
}

// Remove takes a stream out of the room, in order with what is pushed.
func (r *Room) Remove(s *Stream) { s.sock.sh.post(command{op: opRemove, room: r, to: s}) }

// Drop is Remove for a stream that was cancelled: cheap in a large room. It may come before the Add.
func (r *Room) Drop(s *Stream) { s.sock.sh.post(command{op: opDrop, room: r, to: s}) }

// Push delivers a frame to everybody in the room. It does not wake the shards.
func (e *Engine) Push(r *Room, f *Frame) { e.post(command{op: opPush, room: r, frame: f}) }

// Retreat makes everybody in the room fall back. It does not wake the shards.
func (e *Engine) Retreat(r *Room) { e.post(command{op: opRetreat, room: r}) }

func (e *Engine) post(c command) {
	for i, sh := range e.shards {
		if c.room.lists[i].n.Load() != 0 {
			sh.post(c)
		}
	}
}
