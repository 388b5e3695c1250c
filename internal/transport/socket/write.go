package socket

import (
	"slices"
	"time"
)

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
