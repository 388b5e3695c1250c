package verdict_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/parley-chat/parley/bench/chaos/check/verdict"
	"github.com/parley-chat/parley/bench/chaos/history"
)

const (
	ms    = int64(1e6)
	epoch = 7
	nodes = 3
)

// sim is a small system that keeps every promise, and the histories and the dump that it leaves.
type sim struct {
	r       *rand.Rand
	t       int64
	recs    []history.Record
	rows    []verdict.Row
	pos     int64
	ops     int64
	conns   int
	members map[string]map[string]bool // by conversation
	rows4   map[[2]string]int          // the row of a current membership
	seqs    map[string]int64
	lastPos map[string]int64
	subs    []*simSub
	keys    int
}

type simSub struct {
	n          int
	user, conv string
	session    string
	conn       int
	cur        int64
	queue      []history.Record
}

func usr(n int) string { return fmt.Sprintf("usr_%d", n) }

// simulate plays a quick run: six people in a big room, three each in two small ones, and all that load does.
func simulate(seed uint64) ([]history.Record, []verdict.Row) {
	s := &sim{r: rand.New(rand.NewPCG(seed, 0)), t: 1e9, members: map[string]map[string]bool{}, rows4: map[[2]string]int{}, seqs: map[string]int64{}, lastPos: map[string]int64{}}
	s.rec(history.Record{K: "run", Seed: seed, Planned: 300, Users: 6, Nodes: nodes, Quick: true})
	s.create("cnv_big", 0, 1, 2, 3, 4, 5)
	s.create("cnv_a", 0, 1, 2)
	s.create("cnv_b", 3, 4, 5)
	s.t += 20 * second
	for u := range 6 {
		s.subscribe(usr(u), "", "")
	}
	s.subscribe(usr(1), "cnv_a", "")
	s.subscribe(usr(4), "cnv_big", "")
	s.rec(history.Record{K: "phase", Name: "quiet"})
	s.sample(0)
	s.rec(history.Record{K: "phase", Name: "load"})
	for i := range 300 {
		switch {
		case i%8 == 1:
			s.race(usr(1+i/8%2), "cnv_a", i%16 == 1)
		case i%8 == 3:
			s.friends(i)
		case i%50 == 7:
			s.revoke(usr(i % 6))
		case i%50 == 9:
			s.kill(i)
		case i%10 == 2:
			s.read(usr(3), "cnv_b")
		}
		u := s.r.IntN(6)
		conv := []string{"cnv_a", "cnv_b"}[u/3]
		if s.r.IntN(3) == 0 || !s.members[conv][usr(u)] {
			conv = "cnv_big"
		}
		s.send(usr(u), conv, s.node())
		if i%5 == 0 {
			x := s.subs[s.r.IntN(len(s.subs))]
			for range 10 { // rather one that has something to be told
				if len(x.queue) == 0 {
					x = s.subs[s.r.IntN(len(s.subs))]
				}
			}
			s.reconnect(x)
		}
		s.t += 20 * ms
	}
	s.sample(40)
	s.rec(history.Record{K: "phase", Name: "settle"})
	for _, c := range []string{"cnv_big", "cnv_a", "cnv_b"} {
		s.send(usr(map[string]int{"cnv_b": 3}[c]), c, 1)
	}
	for _, x := range s.subs {
		s.deliver(x, len(x.queue))
		if x.session == "" {
			s.rec(history.Record{K: "final", Sub: x.n, Pos: x.cur})
		}
	}
	s.t += 20 * second
	s.rec(history.Record{K: "phase", Name: "settled"})
	s.sample(40)
	s.rec(history.Record{K: "phase", Name: "end"})
	for _, x := range s.subs {
		if x.session == "" {
			s.rec(history.Record{K: "close", Conn: x.conn, Close: -1})
		}
	}
	for c, n := range s.seqs {
		s.rows = append(s.rows, verdict.Row{Table: "conversation", ID: c, Seq: n})
	}
	s.rows = append(s.rows, verdict.Row{Table: "head", Epoch: epoch, Pos: s.pos})
	return s.recs, s.rows
}

func (s *sim) rec(r history.Record) {
	s.t += ms / 10
	r.T = s.t
	s.recs = append(s.recs, r)
}

func (s *sim) node() int { return 1 + s.r.IntN(nodes) }

// event appends to the log and puts what is told of it before everybody who is to know.
func (s *sim) event(topic, typ, name, actor, subject string, seq int64, members ...string) int64 {
	s.pos++
	s.rows = append(s.rows, verdict.Row{Table: "event", Pos: s.pos, Topic: topic, Type: typ, Actor: actor, Subject: subject, Seq: seq, Members: members})
	r := history.Record{K: "event", Type: name, Pos: s.pos, Epoch: epoch, ID: subject, Seq: seq}
	if s.members[topic] != nil {
		r.Conv = topic
	}
	if typ == "MESSAGE_ADDED" {
		r.Hash = history.Hash(history.Body(fmt.Sprintf("k%d", s.keys)))
	}
	for _, x := range s.subs {
		if s.members[topic][x.user] && (x.conv == "" || x.conv == topic && typ == "MESSAGE_ADDED") || topic == x.user && x.conv == "" {
			x.queue = append(x.queue, r)
			if s.r.IntN(4) > 0 {
				s.deliver(x, len(x.queue))
			}
		}
	}
	return s.pos
}

func (s *sim) deliver(x *simSub, n int) {
	for _, r := range x.queue[:n] {
		r.Conn = x.conn
		s.rec(r)
		x.cur = r.Pos
	}
	x.queue = x.queue[n:]
}

func (s *sim) create(conv string, users ...int) {
	s.members[conv] = map[string]bool{}
	var names []string
	for _, u := range users {
		s.members[conv][usr(u)] = true
		names = append(names, usr(u))
	}
	op := s.invoke(history.Record{Act: "createGroup", Actor: names[0], Node: 1})
	p := s.event(conv, "CONVERSATION_CREATED", "ConversationCreated", names[0], "", 0, names...)
	for _, u := range names {
		s.join(conv, u, p)
	}
	s.ok(op, conv, 0, p)
}

func (s *sim) join(conv, user string, p int64) {
	s.members[conv][user] = true
	s.rows4[[2]string{conv, user}] = len(s.rows)
	s.rows = append(s.rows, verdict.Row{Table: "membership", Conv: conv, User: user, Pos: p})
}

func (s *sim) subscribe(user, conv, session string) *simSub {
	x := &simSub{n: len(s.subs) + 1, user: user, conv: conv, session: session, cur: s.pos}
	s.subs = append(s.subs, x)
	s.connect(x)
	return x
}

func (s *sim) connect(x *simSub) {
	s.conns++
	x.conn = s.conns
	what := "events"
	if x.conv != "" {
		what = "messageAdded"
	}
	s.rec(history.Record{K: "connect", Conn: x.conn, Sub: x.n, Node: s.node(), Actor: x.user, What: what, Conv: x.conv, Session: x.session})
	s.rec(history.Record{K: "ready", Conn: x.conn})
	s.rec(history.Record{K: "subscribe", Conn: x.conn, Pos: x.cur, Epoch: epoch})
	s.deliver(x, len(x.queue))
	x.cur = s.pos
	s.rec(history.Record{K: "caughtup", Conn: x.conn, Pos: s.pos, Epoch: epoch})
}

func (s *sim) reconnect(x *simSub) {
	if x.session != "" {
		return
	}
	s.rec(history.Record{K: "close", Conn: x.conn})
	s.connect(x)
}

// invoke and done write down an attempt.
func (s *sim) invoke(r history.Record) int64 {
	s.ops++
	r.K, r.Op = "invoke", s.ops
	if r.Of == 0 {
		r.Of = r.Op
	}
	s.rec(r)
	return s.ops
}

func (s *sim) ok(op int64, id string, seq, pos int64) {
	s.rec(history.Record{K: "ok", Op: op, ID: id, Seq: seq, Pos: pos, Epoch: epoch})
}

func (s *sim) begin(user, conv string, node int) (op int64, key string) {
	s.keys++
	key = fmt.Sprintf("k%d", s.keys)
	return s.invoke(history.Record{Act: "sendMessage", Actor: user, Conv: conv, Key: key, Node: node}), key
}

func (s *sim) store(user, conv, key string) (id string, seq, pos int64) {
	s.seqs[conv]++
	id, seq = "msg_"+key, s.seqs[conv]
	pos = s.event(conv, "MESSAGE_ADDED", "MessageAdded", user, id, seq)
	s.rows = append(s.rows, verdict.Row{Table: "message", ID: id, Conv: conv, Seq: seq, Pos: pos, User: user, Key: key, Hash: history.Hash(history.Body(key))})
	return id, seq, pos
}

func (s *sim) send(user, conv string, node int) {
	op, key := s.begin(user, conv, node)
	id, seq, pos := s.store(user, conv, key)
	s.ok(op, id, seq, pos)
}

// race removes somebody while they send, and has them back.
func (s *sim) race(user, conv string, leaves bool) {
	op, key := s.begin(usr(0), conv, 1)
	act, typ, name, actor := "removeMember", "MEMBER_REMOVED", "MemberRemoved", usr(0)
	if leaves {
		act, typ, name, actor = "leaveGroup", "MEMBER_LEFT", "MemberLeft", user
	}
	removal := s.invoke(history.Record{Act: act, Actor: actor, User: user, Conv: conv, Node: 2})
	id, seq, pos := s.store(usr(0), conv, key)
	s.ok(op, id, seq, pos)
	p := s.event(conv, typ, name, actor, user, 0)
	delete(s.members[conv], user)
	s.rows[s.rows4[[2]string{conv, user}]].Left = p
	s.ok(removal, "", 0, p)
	op, _ = s.begin(user, conv, 3)
	s.rec(history.Record{K: "fail", Op: op, Code: "NOT_FOUND"})
	s.send(usr(0), conv, s.node())
	add := s.invoke(history.Record{Act: "addMembers", Actor: usr(0), User: user, Conv: conv, Node: 2})
	s.members[conv][user] = true
	p = s.event(conv, "MEMBER_ADDED", "MemberAdded", usr(0), user, 0)
	s.join(conv, user, p)
	s.ok(add, conv, 0, p)
}

// kill has a node die with a send on it, which was stored; the answer is lost.
func (s *sim) kill(n int) {
	op, key := s.begin(usr(3), "cnv_b", 2)
	id, seq, pos := s.store(usr(3), "cnv_b", key)
	s.rec(history.Record{K: "fault", N: n, Phase: "begin", Name: "kill", Node: 2})
	s.rec(history.Record{K: "unknown", Op: op})
	s.send(usr(4), "cnv_big", 1)
	again := s.invoke(history.Record{Act: "sendMessage", Actor: usr(3), Conv: "cnv_b", Key: key, Node: 3, Of: op})
	s.ok(again, id, seq, pos)
	s.rec(history.Record{K: "fault", N: n, Phase: "heal", Name: "kill", Node: 2})
}

func (s *sim) friends(n int) {
	a, b, id := usr(n%6), usr((n+1)%6), fmt.Sprintf("frq_%d", n)
	op := s.invoke(history.Record{Act: "sendFriendRequest", Actor: a, User: b, Node: 1})
	s.event(a, "FRIEND_REQUEST_SENT", "FriendRequestSent", a, id, 0)
	p := s.event(b, "FRIEND_REQUEST_SENT", "FriendRequestSent", a, id, 0)
	s.ok(op, id, 0, p)
	yes := s.invoke(history.Record{Act: "acceptFriendRequest", Actor: b, ID: id, Node: 1})
	no := s.invoke(history.Record{Act: "cancelFriendRequest", Actor: a, ID: id, Node: 2})
	s.event(a, "FRIEND_REQUEST_CANCELLED", "FriendRequestCancelled", a, id, 0)
	p = s.event(b, "FRIEND_REQUEST_CANCELLED", "FriendRequestCancelled", a, id, 0)
	s.ok(no, id, 0, p)
	s.rec(history.Record{K: "fail", Op: yes, Code: "CONFLICT"})
	s.rows = append(s.rows, verdict.Row{Table: "request", ID: id, User: a, Other: b, Status: "CANCELLED"})
}

func (s *sim) revoke(user string) {
	ses := fmt.Sprintf("ses_%d", s.pos)
	op := s.invoke(history.Record{Act: "signIn", Actor: user, Node: 1})
	p := s.event(user, "SESSION_STARTED", "SessionStarted", user, ses, 0)
	s.ok(op, ses, 0, p)
	x := s.subscribe(user, "", ses)
	s.send(usr(4), "cnv_big", 1)
	s.deliver(x, len(x.queue))
	op = s.invoke(history.Record{Act: "signOut", Actor: user, ID: ses, Node: 2})
	s.subs = s.subs[:len(s.subs)-1] // it hears nothing more
	p = s.event(user, "SESSION_ENDED", "SessionEnded", user, ses, 0)
	s.ok(op, "", 0, p)
	s.rec(history.Record{K: "close", Conn: x.conn, Close: 4401})
	s.conns++
	s.rec(history.Record{K: "connect", Conn: s.conns, Sub: x.n, Node: 1, Actor: user, What: "events", Session: ses})
	s.rec(history.Record{K: "close", Conn: s.conns, Close: 4403})
	s.rows = append(s.rows, verdict.Row{Table: "session", ID: ses, User: user, Ended: true})
	s.subs = append(s.subs, &simSub{n: -1, session: ses}) // numbers stay unique
}

func (s *sim) read(user, conv string) {
	seq := s.seqs[conv]
	if seq == 0 {
		return
	}
	op := s.invoke(history.Record{Act: "markRead", Actor: user, Conv: conv, Seq: seq, Node: 1})
	p := s.event(conv, "RECEIPT_UPDATED", "ReceiptUpdated", user, user, seq)
	s.rows[s.rows4[[2]string{conv, user}]].Seq = seq
	s.ok(op, "", seq, p)
}

func (s *sim) sample(gaps int64) {
	for n := 1; n <= nodes; n++ {
		s.rec(history.Record{K: "sample", Node: n, PID: 100 + n, Goroutines: 100, Memory: 50 << 20, Pos: s.pos, Gaps: gaps, CatchUps: gaps})
	}
}
