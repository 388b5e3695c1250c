package socket

import (
	"slices"
	"sync"
	"sync/atomic"
)

type op uint8

const (
	opPush op = iota
	opRetreat
	opAdd
	opRemove
	opDrop
	opHold
	opChunk
	opSnapshot
	opRefresh
	opFinish
	opWithdraw
	opReply
	opComplete
	opFail
	opRaw
	opLast
	opRevoke
	opKill
	opLinger
	opUnpark
)

// command is something for a shard to do, in order.
type command struct {
	op    op
	fail  bool // opUnpark: the write failed
	room  *Room
	to    *Stream
	sock  *Socket
	frame *Frame
	chunk *Chunk
	bytes []byte
}

type itemKind uint8

const (
	itemNext itemKind = iota
	itemError
	itemComplete
	itemRaw
	itemSent // bytes of a stream whose owner has been told of the end
	itemLast
)

type item struct {
	kind itemKind
	s    *Stream
	f    *Frame
}

const overhead = 64 // what an envelope may add to a payload, for the queue's bound

// shard is the only writer of its sockets and the only owner of their queues.
type shard struct {
	e *Engine
	i int

	mu   sync.Mutex
	cmds []command

	bell chan struct{}

	deliveries, writes, behind atomic.Int64

	direct bool // nothing is to be joined with what is delivered now
	one    [1]item
	dirty  []*Socket
	spare  [][]item // queues of idle sockets
	prev   []item   // what buf holds
	sent   int      // how many next frames buf holds
	buf    []byte
	ends   []int // where in buf each of prev ends
}

func newShard(e *Engine, i int) *shard { return &shard{e: e, i: i, bell: make(chan struct{}, 1)} }

func (sh *shard) post(c command) {
	sh.mu.Lock()
	sh.cmds = append(sh.cmds, c)
	sh.mu.Unlock()
}

func (sh *shard) postRing(c command) { sh.post(c); sh.ring() }

func (sh *shard) ring() {
	select {
	case sh.bell <- struct{}{}:
	default:
	}
}

func (sh *shard) run() {
	var cmds []command
	for {
		select {
		case <-sh.e.shutdown:
			return
		case <-sh.bell:
		}
		sh.mu.Lock()
		cmds, sh.cmds = sh.cmds, cmds[:0]
		sh.mu.Unlock()
		for i := range cmds {
			sh.direct = i == len(cmds)-1 && len(sh.dirty) == 0
			sh.carryOut(&cmds[i])
		}
		sh.direct = false
		clear(cmds)
		if cap(cmds) > 1<<14 {
			cmds = nil
		}
		for i := 0; i < len(sh.dirty); i++ {
			sh.flush(sh.dirty[i])
			sh.dirty[i] = nil
		}
		sh.dirty = sh.dirty[:0]
		clear(sh.prev)
		sh.prev, sh.one = sh.prev[:0], [1]item{}
		if cap(sh.buf) > 1<<20 {
			sh.buf = nil
		}
	}
}

func (sh *shard) carryOut(c *command) {
	switch c.op {
	case opPush:
		if c.to != nil {
			sh.deliver(c.to, c.frame)
			return
		}
		for _, s := range c.room.lists[sh.i].streams {
			sh.deliver(s, c.frame)
		}
	case opRetreat:
		if c.to != nil {
			sh.retreat(c.to)
			return
		}
		for _, s := range c.room.lists[sh.i].streams {
			sh.retreat(s)
		}
	case opAdd, opRemove, opDrop:
		c.room.lists[sh.i].change(c.op, c.to)
	case opHold:
		if s := c.to; s.mode == waiting {
			s.mode = holding
		}
	case opChunk:
		sh.chunk(c.to, c.chunk)
	case opSnapshot:
		sh.snapshot(c.to, c.frame)
	case opRefresh:
		if s := c.to; s.mode == live {
			s.mode, s.missed = waiting, false
			sh.ask(s)
		} else {
			s.missed = true
		}
	case opFinish:
		switch s := c.to; s.mode {
		case holding:
			s.hold = append(s.hold, held{end: true})
		case live:
			sh.end(s, itemComplete, nil)
		}
	case opWithdraw:
		sh.withdraw(c.to)
	case opReply:
		sh.reply(c.to, c.frame)
	case opComplete:
		sh.end(c.to, itemComplete, nil)
	case opFail:
		sh.end(c.to, itemError, c.frame)
	case opRaw:
		sh.queue(c.sock, item{kind: itemRaw, f: &Frame{Payload: c.bytes}})
	case opLast:
		sh.queue(c.sock, item{kind: itemLast, f: &Frame{Payload: c.bytes}})
	case opRevoke:
		if c.sock.parked {
			if c.sock.conn == nil { // what the kernel still has of it is not to arrive either
				c.sock.d.abort()
			}
			sh.kill(c.sock)
			return
		}
		for _, it := range c.sock.items {
			if it.kind == itemError || it.kind == itemComplete {
				it.s.owner.Ended()
			}
		}
		if len(c.sock.items) > 0 {
			c.sock.last = false // a close that is not written yet gives way
		}
		clear(c.sock.items)
		c.sock.items, c.sock.queued, c.sock.raw = c.sock.items[:0], 0, 0
		sh.queue(c.sock, item{kind: itemLast, f: &Frame{Payload: c.bytes}})
	case opKill:
		sh.kill(c.sock)
	case opLinger:
		if c.sock.last && !c.sock.parked {
			sh.kill(c.sock)
		}
	case opUnpark:
		sh.unpark(c)
	}
}

func (l *list) change(o op, s *Stream) {
	switch o {
	case opAdd:
		if s.gone.Load() {
			l.n.Add(-1)
			return
		}
		l.streams = append(l.streams, s)
	case opRemove:
		for i := len(l.streams) - 1; i >= 0; i-- {
			if l.streams[i] == s {
				n := len(l.streams) - 1
				l.streams[i], l.streams[n] = l.streams[n], nil
				l.streams = l.streams[:n]
				l.n.Add(-1)
				return
			}
		}
	case opDrop:
		if l.dropped++; l.dropped*2 < len(l.streams) {
			return
		}
		l.dropped = 0
		kept := l.streams[:0]
		for _, s := range l.streams {
			if !s.gone.Load() {
				kept = append(kept, s)
			}
		}
		l.n.Add(int32(len(kept) - len(l.streams))) //nolint:gosec // streams in one room
		clear(l.streams[len(kept):])
		l.streams = kept
	}
}

func (sh *shard) full(s *Socket) bool { return s.queued > sh.e.cfg.MaxQueued }

func (sh *shard) deliver(s *Stream, f *Frame) {
	if s.ended || s.Gone() || s.sock.last {
		return
	}
	switch {
	case s.mode == waiting:
		s.missed = true
	case f.Pos != 0 && f.Pos <= s.last:
	case s.mode == holding && len(s.hold) < maxHeld:
		s.hold = append(s.hold, held{f: f})
	case s.mode == holding:
		s.mode, s.hold = waiting, nil
	case sh.full(s.sock):
		sh.fallBack(s)
	default:
		if f.Pos != 0 {
			s.last = f.Pos
		}
		if it := (item{itemNext, s, f}); !sh.direct || len(s.sock.items) > 0 || s.sock.parked {
			sh.queue(s.sock, it)
		} else { // at once: a second round over a large room would find nothing of it in the processor's caches
			sh.one[0] = it
			sh.write(s.sock, sh.one[:])
		}
	}
}

// fallBack: served by its owner when the socket has drained.
func (sh *shard) fallBack(s *Stream) {
	sh.behind.Add(1)
	s.mode, s.hold, s.missed = waiting, nil, false
	s.sock.late = append(s.sock.late, s)
}

// withdraw takes back what is queued of a stream: its owner, who knows by now what of it may still be seen, serves it anew.
// A socket that can be written to has nothing queued.
func (sh *shard) withdraw(s *Stream) {
	sock := s.sock
	sh.flush(sock)
	kept, withdrawn := sock.items[:0], false
	for _, it := range sock.items {
		if it.s != s || it.kind != itemNext {
			kept = append(kept, it)
			continue
		}
		switch {
		case it.f.Pos == 0:
			s.greeted = false
		case it.f.Pos <= s.last:
			s.last = it.f.Pos - 1
		}
		sock.queued -= len(it.f.Payload) + overhead
		withdrawn = true
	}
	clear(sock.items[len(kept):])
	sock.items = kept
	switch {
	case !withdrawn || s.ended:
	case s.mode == live:
		sh.fallBack(s)
	case !slices.Contains(sock.late, s):
		s.outdated = true
	}
}

func (sh *shard) retreat(s *Stream) {
	switch {
	case s.ended || s.Gone():
	case s.mode == live:
		sh.behind.Add(1)
		s.mode = waiting
		sh.ask(s)
	case s.mode == holding:
		s.mode, s.hold = waiting, nil // the last chunk finds that it is not
	}
}

func (sh *shard) ask(s *Stream) {
	last, greeted := s.last, s.greeted
	sh.e.do(func() {
		if !s.Gone() {
			s.owner.Behind(last, greeted)
		}
	})
}

func (sh *shard) chunk(s *Stream, c *Chunk) {
	if s.ended || s.Gone() || s.sock.last {
		return
	}
	if s.outdated {
		sh.again(s)
		return
	}
	for _, f := range c.Frames {
		if f.Pos <= s.last {
			continue
		}
		if sh.full(s.sock) {
			sh.fallBack(s)
			return
		}
		s.last = f.Pos
		sh.queue(s.sock, item{itemNext, s, f})
	}
	s.last = max(s.last, c.Through)
	if c.Greeting != nil && !s.greeted {
		s.greeted = true
		sh.queue(s.sock, item{itemNext, s, c.Greeting})
	}
	switch {
	case c.End:
		sh.end(s, itemComplete, nil)
	case c.Final && s.mode == holding:
		hold := s.hold
		s.mode, s.hold = live, nil
		for _, h := range hold {
			switch {
			case !h.end:
				sh.deliver(s, h.f)
			case s.mode == live: // else its owner ends it
				sh.end(s, itemComplete, nil)
			}
		}
	default:
		sh.again(s)
	}
}

func (sh *shard) again(s *Stream) {
	s.mode, s.hold, s.outdated = waiting, nil, false
	sh.ask(s)
}

func (sh *shard) snapshot(s *Stream, f *Frame) {
	switch {
	case s.ended || s.Gone() || s.sock.last:
		return
	case sh.full(s.sock):
		sh.fallBack(s)
		return
	case s.outdated:
		sh.again(s)
		return
	}
	if f != nil {
		sh.queue(s.sock, item{itemNext, s, f})
	}
	if s.missed {
		s.missed = false
		sh.ask(s)
		return
	}
	s.mode = live
}

func (sh *shard) end(s *Stream, k itemKind, f *Frame) {
	if s.ended {
		return
	}
	s.ended, s.hold = true, nil
	if f == nil {
		f = &Frame{}
	}
	sh.queue(s.sock, item{k, s, f})
}

// reply queues an answer, however large. Its reader may be owed another one already that is being written, and a little
// more; who asks on and does not read is cut off.
func (sh *shard) reply(st *Stream, f *Frame) {
	s := st.sock
	if s.queued-s.rest > 4*sh.e.cfg.MaxQueued {
		if s.parked {
			sh.kill(s)
			return
		}
		sh.flush(s)
	}
	sh.queue(s, item{itemNext, st, f})
}

func (sh *shard) queue(s *Socket, it item) {
	if s.dead.Load() || s.last {
		return
	}
	if it.kind == itemRaw {
		if s.raw += len(it.f.Payload) + overhead; s.raw > 2*sh.e.cfg.MaxQueued { // pings, and does not read
			sh.kill(s)
			return
		}
	}
	s.last = it.kind == itemLast
	if len(s.items) == 0 {
		if n := len(sh.spare); s.items == nil && n > 0 {
			s.items, sh.spare = sh.spare[n-1], sh.spare[:n-1]
		}
		if !s.parked {
			sh.dirty = append(sh.dirty, s)
		}
	}
	s.items = append(s.items, it)
	s.queued += len(it.f.Payload) + overhead
}
