package socket

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
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

// flush joins what is pending for a socket into one write.
func (sh *shard) flush(s *Socket) {
	if s.dead.Load() || s.parked || len(s.items) == 0 {
		return
	}
	items := s.items
	s.items, s.queued, s.raw = nil, 0, 0
	sh.write(s, items)
	clear(items)
	if cap(items) <= 1024 && len(sh.spare) < 256 {
		sh.spare = append(sh.spare, items[:0])
	}
}

// write writes items to a socket that is not parked and has nothing queued.
func (sh *shard) write(s *Socket, items []item) {
	if !sh.same(items) {
		sh.fill(items)
	}
	if s.conn != nil {
		sh.park(s, items, 0, piece)
		return
	}
	sh.writes.Add(1)
	n, err := s.d.write(sh.buf)
	if err != nil {
		sh.kill(s)
		return
	}
	if n < len(sh.buf) {
		sh.park(s, items, n, n+1)
		return
	}
	sh.deliveries.Add(int64(sh.sent))
	sh.drained(s)
}

func (sh *shard) fill(items []item) {
	b := sh.buf[:0]
	sh.sent, sh.ends = 0, sh.ends[:0]
	for _, it := range items {
		switch {
		case it.kind == itemRaw, it.kind == itemSent, it.kind == itemLast:
			b = append(b, it.f.Payload...)
		case it.s.gone.Load(): // nothing is sent of an operation that was cancelled
		case it.kind == itemNext:
			b = it.s.framing.Next(b, it.s.id, it.f.Payload)
			sh.sent++
		case it.kind == itemError:
			it.s.owner.Ended()
			b = it.s.framing.Error(b, it.s.id, it.f.Payload)
		case it.kind == itemComplete:
			it.s.owner.Ended()
			b = it.s.framing.Complete(b, it.s.id)
		}
		sh.ends = append(sh.ends, len(b))
	}
	sh.buf = b
	sh.prev = append(sh.prev[:0], items...)
}

// same: the last socket got exactly these bytes (same events, same operation id).
func (sh *shard) same(items []item) bool {
	if len(items) != len(sh.prev) {
		return false
	}
	for i, it := range items {
		p := sh.prev[i]
		if it.kind != itemNext || p.kind != itemNext || it.f != p.f || it.s.id != p.s.id || it.s.framing != p.s.framing ||
			it.s.gone.Load() || p.s.gone.Load() {
			return false
		}
	}
	return true
}

func (sh *shard) drained(s *Socket) {
	if s.last {
		// The end is signalled and the rest of what the peer says is read: closing at once with unread input would reset
		// the connection, and take the last words with it.
		hc, ok := s.conn.(interface{ CloseWrite() error })
		if ok && hc.CloseWrite() == nil || s.conn == nil && s.d.closeWrite() {
			s.e.wheel.set(s, time.Now().Add(s.e.cfg.Linger), false)
			return
		}
		sh.kill(s)
		return
	}
	if len(s.late) == 0 {
		return
	}
	late := s.late
	s.late = nil
	for _, st := range late {
		sh.ask(st)
	}
}

const piece = 16 << 10

// park gives what is left of buf after from, up to the end of the message that to is in, to a goroutine that may wait;
// until it is done the socket only queues. What follows is queued again, so that it can be taken back.
func (sh *shard) park(s *Socket, items []item, from, to int) {
	i, _ := slices.BinarySearch(sh.ends, to)
	i = min(i, len(items)-1)
	rest := slices.Clone(sh.buf[from:sh.ends[i]])
	s.parked, s.queued, s.rest = true, len(rest), len(rest)
	sent := sh.sent
	for i++; i < len(items); i++ {
		it := items[i]
		switch {
		case it.kind == itemRaw:
			s.raw += len(it.f.Payload) + overhead
		case it.s != nil && it.s.ended: // and its owner was told, who may have let go of it
			it = item{kind: itemSent, f: &Frame{Payload: slices.Clone(sh.buf[sh.ends[i-1]:sh.ends[i]])}}
		case it.kind == itemNext && sh.ends[i] > sh.ends[i-1]:
			sent--
		}
		s.items = append(s.items, it)
		s.queued += len(it.f.Payload) + overhead
	}
	sh.deliveries.Add(int64(sent))
	sh.e.parked.Add(1)
	sh.e.do(func() {
		err := s.write(rest, sh.e.cfg.WriteTimeout)
		sh.e.parked.Add(-1)
		sh.postRing(command{op: opUnpark, sock: s, fail: err != nil})
	})
}

// write writes pieces. Each has the whole time-out: a peer that reads slowly is not one that is stuck.
func (s *Socket) write(b []byte, timeout time.Duration) error {
	var w waiter = s.conn
	if s.conn == nil {
		var err error
		if w, err = s.d.waiting(); err != nil {
			return err
		}
		defer func() { _ = w.Close() }()
	}
	for len(b) > 0 {
		p := b[:min(piece, len(b))]
		b = b[len(p):]
		if err := w.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (sh *shard) unpark(c *command) {
	s := c.sock
	s.parked = false
	s.queued -= s.rest
	s.rest = 0
	switch {
	case c.fail:
		sh.kill(s)
	case len(s.items) > 0:
		sh.dirty = append(sh.dirty, s)
	default:
		sh.drained(s)
	}
}

func (sh *shard) kill(s *Socket) {
	if s.dead.Swap(true) {
		return
	}
	s.items, s.late = nil, nil
	sh.e.do(s.close)
}
