package verdict

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/parley-chat/parley/bench/chaos/history"
)

// stream judges what a subscriber was told, across its connections.
func (v *Verdict) stream(r *Run, db *Database, s *subscriber) {
	w := walk{v: v, r: r, db: db, s: s, want: db.entitled(s.user, s.conv), skipped: map[int64]int{}}
	for i, m := range s.moments {
		w.i = i
		switch m.k {
		case subscribe:
			w.subscribed(m)
		case delivered:
			w.delivered(m)
			w.told = m.pos
		case caughtUp:
			w.caughtUp(m)
			w.told = m.pos
		}
	}
	for i, e := range w.want {
		if at, ok := w.skipped[e.Pos]; ok {
			v.broken(Gap, w.excerpt(at, w.want[max(0, i-1)], e), "subscriber %d was not told of %d, %s, and was told of what came after", s.n, e.Pos, e.Type)
		}
	}
	final, known := r.finals[s.n]
	if s.conns[0].session != "" || !known || s.conv != "" && !db.member(s.user, s.conv, 0) {
		return // it need not come to an end: revoked, or no member at the end
	}
	if w.next < len(w.want) && w.want[w.next].Pos <= final {
		v.broken(Stuck, w.excerpt(len(s.moments)-1, w.want[w.next]), "subscriber %d came to %d, and not to %d", s.n, w.cur, final)
	}
}

// walk goes through a stream and the part of the log that it is to be, side by side.
type walk struct {
	v       *Verdict
	r       *Run
	db      *Database
	s       *subscriber
	want    []*Row
	next    int   // the first of want that is not delivered
	cur     int64 // everything up to here was told
	told    int64 // the last cursor, which is what it continues after
	begun   bool
	i       int           // the moment
	skipped map[int64]int // positions that were passed over, and the moment that did it
}

// excerpt is the moments around one, its connection, and rows of the log.
func (w *walk) excerpt(i int, log ...*Row) []string {
	var out []string
	var c *conn
	for k := max(0, i-2); k <= min(i+1, len(w.s.moments)-1); k++ {
		m := w.s.moments[k]
		if m.conn != c {
			if c != nil && c.closed != 0 {
				out = append(out, c.closing())
			}
			c = m.conn
			out = append(out, c.line())
		}
		out = append(out, w.r.line(m))
	}
	if i == len(w.s.moments)-1 && c != nil && c.closed != 0 {
		out = append(out, c.closing())
	}
	return append(out, rows(log...)...)
}

func (w *walk) broken(kind, format string, args ...any) {
	e := w.db.at[w.s.moments[w.i].pos]
	w.v.broken(kind, w.excerpt(w.i, e), "subscriber %d (%s): %s", w.s.n, w.s.user, fmt.Sprintf(format, args...))
}

func (w *walk) subscribed(m moment) {
	if w.begun {
		if m.pos != w.told {
			w.broken(Reorder, "continues after %d, and was told up to %d", m.pos, w.told)
		}
		return
	}
	w.begun, w.cur, w.told = true, m.pos, m.pos
	for w.next < len(w.want) && w.want[w.next].Pos <= m.pos {
		w.next++
	}
}

// pass skips what was to come before a position.
func (w *walk) pass(to int64) {
	for ; w.next < len(w.want) && w.want[w.next].Pos < to; w.next++ {
		w.skipped[w.want[w.next].Pos] = w.i
	}
}

func (w *walk) delivered(m moment) {
	n, wanted := slices.BinarySearchFunc(w.want, m.pos, func(e *Row, p int64) int { return int(min(1, max(-1, e.Pos-p))) })
	e := w.db.at[m.pos]
	switch {
	case e == nil:
		w.broken(Phantom, "the log has no position %d", m.pos)
		return
	case !wanted:
		w.broken(Leak, "position %d is not theirs", m.pos)
		return
	case m.epoch != w.db.head.Epoch || !w.same(m, e):
		w.broken(Phantom, "position %d was told otherwise", m.pos)
	}
	if n >= w.next {
		w.pass(m.pos)
		w.next, w.cur = n+1, max(w.cur, m.pos)
		return
	}
	if _, late := w.skipped[m.pos]; late {
		delete(w.skipped, m.pos)
		w.broken(Reorder, "position %d came after %d", m.pos, w.cur)
	} else {
		w.broken(Duplicate, "position %d was told before", m.pos)
	}
}

// same says whether an event was told as the log has it.
func (w *walk) same(m moment, e *Row) bool {
	if w.r.texts[m.typ] != typename(e.Type) || w.r.texts[m.conv] != e.conversation() || w.r.texts[m.id] != e.Subject || m.seq != e.Seq {
		return false
	}
	if e.Type != "MESSAGE_ADDED" {
		return true
	}
	stored := w.db.message[e.Subject]
	return stored != nil && stored.Hash == m.hash
}

func (w *walk) caughtUp(m moment) {
	switch {
	case m.pos > w.db.head.Pos || m.epoch != w.db.head.Epoch:
		w.broken(Phantom, "caught up with %d, where the log has never been", m.pos)
		return
	case m.pos < w.cur:
		w.broken(Reorder, "caught up with %d after it was told of %d", m.pos, w.cur)
	}
	w.pass(m.pos + 1)
	w.cur = max(w.cur, m.pos)
}

const (
	second     = int64(1e9)
	promptly   = second     // how soon a revocation is to be everywhere
	eventually = 5 * second // with NATS down
)

// sessions judges that sessions are as they were acknowledged to be, and that nothing comes to the sockets of one that is
// over.
func (v *Verdict) sessions(r *Run, db *Database) {
	over := map[string]*op{} // since when it was certain
	for _, o := range r.order {
		switch {
		case o.Act == "signUp" || o.Act == "signIn":
			if o.ok() && db.sessions[o.id] == nil {
				v.broken(Lost, o.lines(), "%s was acknowledged and session %s is not stored", o.Act, o.id)
			}
		case o.Act != "signOut" && o.Act != "revokeSession":
		case o.ok() || o.outcome == "fail" && o.Of != o.Op && (o.code == "UNAUTHENTICATED" || o.code == "NOT_FOUND"):
			if was := over[o.ID]; was == nil || o.done < was.done {
				over[o.ID] = o
			}
			if row := db.sessions[o.ID]; row == nil || !row.Ended {
				v.broken(Lost, append(o.lines(), rows(row)...), "the end of session %s was acknowledged and is not stored", o.ID)
			}
		}
	}
	open, held := 0, 0
	for _, s := range r.subs {
		o := over[s.conns[0].session]
		if s.conns[0].session == "" || o == nil {
			continue
		}
		for i, m := range s.moments {
			if m.k == delivered || m.k == caughtUp {
				if most, _ := r.silence(o, m.conn, m.t); m.t > o.done+most {
					w := walk{r: r, db: db, s: s}
					v.broken(Late, append(o.lines(), w.excerpt(i)...), "session %s heard of %d %.1f s after its end was acknowledged (%.1f s are allowed)",
						o.ID, m.pos, seconds(m.t-o.done), seconds(most))
					break
				}
			}
		}
		for _, c := range s.conns {
			if c.ready == 0 {
				continue
			}
			if most, _ := r.silence(o, c, c.ready); !c.refused && c.ready > o.done+most { // Server-Sent Events say so in the stream
				v.broken(Late, append(o.lines(), c.line(), line(history.Record{T: c.ready, K: "ready", Conn: c.n})), "session %s was let in after its end was acknowledged", o.ID)
				continue
			}
			end := cmp.Or(c.ended, int64(math.MaxInt64))
			most, calm := r.silence(o, c, min(end, o.done+eventually))
			if c.ready < o.T && end > o.T {
				if open++; calm {
					held++
				}
			}
			if from := max(o.done, c.ready); end > from+most {
				if most, _ = r.silence(o, c, end); c.ended == 0 || end > from+most {
					v.broken(Late, append(o.lines(), c.line(), c.closing()), "the server did not close the connection of session %s within %.1f s", o.ID, seconds(most))
				}
			}
		}
	}
	v.count(revocations, open)
	v.count(heldToIt, held)
	least := r.thresholds()
	v.enough(revocations, open, least.revocations)
	v.enough(heldToIt, held, least.held)
}

const (
	revocations = "revocations of open sockets"
	heldToIt    = "of these held to a second"
)

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// silence is how long after a revocation's acknowledgement something may still come to a connection at a moment: what is
// promised, what load was late itself, and, where there was trouble, five seconds and as long as the node or the database
// was away. calm: there was none.
func (r *Run) silence(o *op, c *conn, at int64) (most int64, calm bool) {
	most, calm = promptly+r.lateness(o.done, at), true
	var away []trouble
	for _, t := range r.troubles() {
		bus, before := strings.HasPrefix(t.name, "nats"), eventually // it comes back some time after
		if t.name == "doorbells" {
			bus, before = true, 0
		}
		switch {
		case t.from > at || t.to < o.done-before:
		case bus:
			calm = false
		case t.name == "postgres" || t.node == c.node:
			calm = false
			away = append(away, trouble{from: max(t.from, o.done), to: min(t.to, at)})
		}
	}
	if !calm {
		most += eventually - promptly
	}
	slices.SortFunc(away, func(a, b trouble) int { return cmp.Compare(a.from, b.from) })
	last := int64(0)
	for _, t := range away { // they overlap
		most += max(0, t.to-max(t.from, last))
		last = max(last, t.to)
	}
	return most, calm
}

// starved says whether load did not get a quarter of the time between two moments.
func (r *Run) starved(from, to int64) bool {
	late := int64(0)
	for _, l := range r.lags {
		late += max(0, min(l.T, to)-max(l.T-l.For, from))
	}
	return late > 0 && 4*late >= to-from
}

// lateness is the most that load was late between two moments.
func (r *Run) lateness(from, to int64) int64 {
	most := int64(0)
	for _, l := range r.lags {
		if l.T >= from && l.T-l.For <= to {
			most = max(most, l.For)
		}
	}
	return most
}
