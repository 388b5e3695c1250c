package verdict

import (
	"cmp"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-chat/parley/bench/chaos/history"
)

// Run is what the histories tell, kept small: a full run has millions of events.
type Run struct {
	first  history.Record
	phases []history.Record
	lags   []history.Record
	finals map[int]int64 // by subscriber

	ops     map[int64]*op
	order   []*op // as they began
	subs    []*subscriber
	bySub   map[int]*subscriber
	conns   map[int]*conn
	faults  []*fault
	failed  []history.Record
	samples []history.Record

	texts []string
	known map[string]int32
}

// op is an attempt and its outcome. done is 0 while there is none: as good as unknown.
type op struct {
	history.Record // invoke
	outcome        string
	done           int64
	id             string
	seq, pos       int64
	epoch          uint32
	code, text     string
}

func (o *op) ok() bool { return o.outcome == "ok" }

// says is whether the answer was a code that leaves the outcome open.
func (o *op) says(code string) bool {
	return o.outcome == "unknown" && strings.HasPrefix(o.text, code)
}

// over is when it was known what came of an attempt; after everything, if it never was.
func (o *op) over() int64 {
	if o.done == 0 {
		return 1<<63 - 1
	}
	return o.done
}

// subscriber is one stream, across its connections.
type subscriber struct {
	n          int
	user, conv string
	moments    []moment
	conns      []*conn
	slow       bool
}

// conn is one connection of a subscriber.
type conn struct {
	n, node          int
	sub              *subscriber
	session, what    string
	began, ready     int64
	live             int64 // first caught up
	closed           int64
	ended            int64 // by the server or the network; 0: it was not
	code             int
	text             string
	resume, replayed bool // replayed: it was told of something before it had caught up
	refused          bool
}

// reason is why the server closed a connection; nothing if it was not it, or did not say.
func (c *conn) reason() string {
	switch {
	case c.code > 0:
		return strconv.Itoa(c.code)
	case strings.HasPrefix(c.text, "status 401"), strings.HasPrefix(c.text, "status 403"):
		return "UNAUTHENTICATED"
	case strings.HasPrefix(c.text, "status 4"):
		return c.text
	}
	return ""
}

// moment is something that a subscriber saw.
type moment struct {
	t, pos, seq   int64
	conn          *conn
	typ, conv, id int32
	hash, epoch   uint32
	k             kind
}

type kind uint8

const (
	subscribe kind = iota
	delivered
	caughtUp
	refused
	completed
)

var kinds = map[string]kind{"subscribe": subscribe, "event": delivered, "caughtup": caughtUp, "error": refused, "complete": completed}

// fault is something that the nemesis did. heal is 0 if it never ended.
type fault struct {
	history.Record
	heal int64
}

// NewRun makes an empty one.
func NewRun() *Run {
	r := &Run{finals: map[int]int64{}, ops: map[int64]*op{}, bySub: map[int]*subscriber{}, conns: map[int]*conn{}, known: map[string]int32{}}
	r.text("")
	return r
}

// Read adds a file.
func (r *Run) Read(f io.Reader) error {
	return history.Read(f, func(x *history.Record) error {
		r.Add(x)
		return nil
	})
}

// text keeps each text once.
func (r *Run) text(s string) int32 {
	n, ok := r.known[s]
	if !ok {
		n = int32(len(r.texts)) //nolint:gosec // millions at most
		r.texts, r.known[s] = append(r.texts, s), n
	}
	return n
}

// Add takes a record. Those of one program come in their order; the programs' files may come in any.
func (r *Run) Add(x *history.Record) {
	switch x.K {
	case "run":
		r.first = *x
	case "phase":
		r.phases = append(r.phases, *x)
	case "lag":
		r.lags = append(r.lags, *x)
	case "final":
		r.finals[x.Sub] = x.Pos
	case "sample":
		r.samples = append(r.samples, *x)
	case "invoke":
		o := &op{Record: *x}
		r.ops[x.Op], r.order = o, append(r.order, o)
	case "ok", "fail", "unknown":
		if o := r.ops[x.Op]; o != nil {
			o.outcome, o.done, o.id, o.seq, o.pos, o.epoch, o.code, o.text = x.K, x.T, x.ID, x.Seq, x.Pos, x.Epoch, x.Code, x.Text
		}
	case "fault":
		r.fault(x)
	case "died", "undrained", "startfailed":
		r.failed = append(r.failed, *x)
	case "connect":
		s := r.bySub[x.Sub]
		if s == nil {
			s = &subscriber{n: x.Sub, user: x.Actor, conv: x.Conv}
			r.subs, r.bySub[x.Sub] = append(r.subs, s), s
		}
		c := &conn{n: x.Conn, node: x.Node, sub: s, session: x.Session, what: x.What, began: x.T, resume: len(s.conns) > 0}
		s.conns, r.conns[x.Conn] = append(s.conns, c), c
	default:
		if c := r.conns[x.Conn]; c != nil {
			r.seen(c, x)
		}
	}
}

func (r *Run) fault(x *history.Record) {
	if x.Phase == "begin" {
		r.faults = append(r.faults, &fault{Record: *x})
		return
	}
	for _, f := range r.faults {
		if f.N == x.N && x.Phase == "heal" {
			f.heal = x.T
		}
	}
}

// seen adds what happened on a connection.
func (r *Run) seen(c *conn, x *history.Record) {
	switch x.K {
	case "ready":
		c.ready = x.T
	case "close":
		c.closed, c.code, c.text = x.T, x.Close, x.Text
		if c.ended == 0 && c.code != -1 {
			c.ended = x.T
		}
	case "pause":
		c.sub.slow = true
	default:
		k, ok := kinds[x.K]
		if !ok {
			return
		}
		switch {
		case k == caughtUp && c.live == 0:
			c.live = x.T
		case k == delivered && c.live == 0:
			c.replayed = true
		case k == refused || k == completed:
			c.refused = c.refused || k == refused
			if c.ended == 0 {
				c.ended = x.T
			}
		}
		what := x.Type
		if k == refused {
			what = x.Code
		}
		c.sub.moments = append(c.sub.moments, moment{t: x.T, pos: x.Pos, seq: x.Seq, conn: c, typ: r.text(what), conv: r.text(x.Conv), id: r.text(x.ID), hash: x.Hash, epoch: x.Epoch, k: k})
	}
}

// line is a moment as history has it.
func (r *Run) line(m moment) string {
	x := history.Record{T: m.t, Conn: m.conn.n, Pos: m.pos, Seq: m.seq, Epoch: m.epoch, Hash: m.hash, Conv: r.texts[m.conv], ID: r.texts[m.id], Type: r.texts[m.typ]}
	for name, k := range kinds {
		if k == m.k {
			x.K = name
		}
	}
	if m.k == refused {
		x.Code, x.Type = x.Type, ""
	}
	return line(x)
}

// line is where a connection was.
func (c *conn) line() string {
	return line(history.Record{T: c.began, K: "connect", Conn: c.n, Sub: c.sub.n, Node: c.node, Actor: c.sub.user, What: c.what, Conv: c.sub.conv, Session: c.session})
}

func (c *conn) closing() string {
	return line(history.Record{T: c.closed, K: "close", Conn: c.n, Close: c.code, Text: c.text})
}

// lines are an attempt and its outcome.
func (o *op) lines() []string {
	out := []string{line(o.Record)}
	if o.outcome != "" {
		out = append(out, line(history.Record{T: o.done, K: o.outcome, Op: o.Op, ID: o.id, Seq: o.seq, Pos: o.pos, Epoch: o.epoch, Code: o.code, Text: o.text}))
	}
	return out
}

func line(x any) string {
	b, _ := json.Marshal(x) // texts and numbers cannot fail
	return string(b)
}

// phase is when one began, and whether it did.
func (r *Run) phase(name string) (int64, bool) {
	for _, p := range r.phases {
		if p.Name == name {
			return p.T, true
		}
	}
	return 0, false
}

// trouble is a time during which something was away or wrong.
type trouble struct {
	name     string
	node     int
	from, to int64 // to is the end of time while it lasts
}

// troubles are what the faults caused, and what preceded them.
func (r *Run) troubles() []trouble {
	var out []trouble
	for _, f := range r.faults {
		t := trouble{f.Name, f.Node, f.T - f.For, cmp.Or(f.heal, math.MaxInt64)}
		out = append(out, t)
		if strings.HasPrefix(f.Text, "PostgreSQL") || strings.HasPrefix(f.Text, "commits") {
			out = append(out, trouble{"postgres", 0, f.T - frozen, f.T})
		}
	}
	return out
}

// frozen is the most that PostgreSQL is stopped, or slow, before a node is killed.
const frozen = second / 2

// troubled says whether anything was wrong at a moment, or had been shortly before.
func (r *Run) troubled(at int64) bool {
	return slices.ContainsFunc(r.troubles(), func(t trouble) bool { return t.from <= at && (t.to > at || t.to+calming > at) })
}
