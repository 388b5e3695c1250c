package verdict_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/parley-chat/parley/bench/chaos/check/verdict"
	"github.com/parley-chat/parley/bench/chaos/history"
)

// story is a run that can be falsified.
type story struct {
	t    *testing.T
	recs []history.Record
	rows []verdict.Row
}

// truth is told once, and falsified often.
var truth = sync.OnceValues(func() ([]history.Record, []verdict.Row) { return simulate(1) })

func tell(t *testing.T) *story {
	t.Helper()
	recs, rows := truth()
	return &story{t, slices.Clone(recs), slices.Clone(rows)}
}

// find is the place of the n-th record that fits.
func (s *story) find(n int, fits func(r *history.Record) bool) int {
	s.t.Helper()
	for i := range s.recs {
		if fits(&s.recs[i]) {
			if n--; n < 0 {
				return i
			}
		}
	}
	s.t.Fatal("there is no such record")
	return 0
}

func (s *story) row(n int, fits func(r *verdict.Row) bool) *verdict.Row {
	s.t.Helper()
	for i := range s.rows {
		if fits(&s.rows[i]) {
			if n--; n < 0 {
				return &s.rows[i]
			}
		}
	}
	s.t.Fatal("there is no such row")
	return nil
}

// heard is the n-th event of the connections of a subscriber: of messages, if all is false.
func (s *story) heard(sub, n int) int {
	conns := map[int]int{}
	for _, r := range s.recs {
		if r.K == "connect" {
			conns[r.Conn] = r.Sub
		}
	}
	return s.find(n, func(r *history.Record) bool { return r.K == "event" && conns[r.Conn] == sub })
}

func (s *story) drop(i int) { s.recs = slices.Delete(s.recs, i, i+1) }
func (s *story) insert(i int, r history.Record) {
	s.recs = slices.Insert(s.recs, i, r)
}

// op is the place of an outcome of the n-th attempt at something.
func (s *story) op(n int, act, outcome string) (invoke, done int) {
	s.t.Helper()
	ops := map[int64]int{}
	for i, r := range s.recs {
		if r.K == "invoke" && r.Act == act {
			ops[r.Op] = i
		}
	}
	done = s.find(n, func(r *history.Record) bool { _, mine := ops[r.Op]; return mine && r.K == outcome })
	return ops[s.recs[done].Op], done
}

// stream has the stream for other services hold the log.
func (s *story) stream() {
	var told []verdict.Row
	for _, r := range s.rows {
		if r.Table == "event" {
			r.Table, r.ID = "told", strconv.FormatInt(r.Pos, 10)
			told = append(told, r)
		}
	}
	slices.SortStableFunc(told, func(a, b verdict.Row) int { return cmp.Compare(a.Pos, b.Pos) })
	s.rows = append(s.rows, slices.CompactFunc(told, func(a, b verdict.Row) bool { return a.Pos == b.Pos })...)
}

func (s *story) judge() *verdict.Verdict {
	run := verdict.NewRun()
	for i := range s.recs {
		run.Add(&s.recs[i])
	}
	if !slices.ContainsFunc(s.rows, func(r verdict.Row) bool { return r.Table == "told" }) {
		s.stream()
	}
	return verdict.Judge(run, verdict.NewDatabase(s.rows))
}

func TestFilesSayTheSame(t *testing.T) {
	t.Parallel()
	s := tell(t)
	s.stream()
	name := filepath.Join(t.TempDir(), "h.jsonl")
	w, err := history.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.recs {
		w.Write(r)
	}
	var dump bytes.Buffer
	for _, r := range s.rows {
		if err := json.NewEncoder(&dump).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run := verdict.NewRun()
	if err := run.Read(f); err != nil {
		t.Fatal(err)
	}
	db, err := verdict.ReadDatabase(&dump)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := verdict.Judge(run, db), s.judge(); !reflect.DeepEqual(a, b) {
		t.Fatalf("%+v\n%+v", a, b)
	}
}

func isEvent(typ string) func(r *verdict.Row) bool {
	return func(r *verdict.Row) bool { return r.Table == "event" && r.Type == typ }
}

func table(name string) func(r *verdict.Row) bool {
	return func(r *verdict.Row) bool { return r.Table == name }
}

const second = int64(1e9)

func TestWhatKeepsEveryPromisePasses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		s := &story{t: t}
		s.recs, s.rows = simulate(seed)
		v := s.judge()
		if v.Exit() != 0 {
			t.Fatalf("seed %d: %v %v", seed, v.Violations, v.Vacuous)
		}
		var b strings.Builder
		r := verdict.Report{Verdict: v, Seed: seed, Quick: true, Commit: "abc"}
		if _, err := r.WriteTo(&b); err != nil || !strings.Contains(b.String(), "# Chaos: PASSED") || !strings.Contains(b.String(), "deliveries") {
			t.Fatalf("%v: %s", err, b.String())
		}
	}
}

// Each of these breaks one promise, and must be called by its name, and by no other unless more is broken by it.
func TestEachLieIsCaught(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		lie   func(s *story)
		kinds string // separated by commas
	}{
		{"the stream lacks an event", func(s *story) { s.stream(); s.row(30, table("told")).Table = "gone" }, verdict.Lost},
		{"the stream ends early", func(s *story) {
			s.stream()
			s.rows = s.rows[:len(s.rows)-3]
		}, verdict.Lost},
		{"the stream repeats an event", func(s *story) {
			s.stream()
			i := slices.IndexFunc(s.rows, func(r verdict.Row) bool { return r.Table == "told" && r.Pos == 30 })
			s.rows = slices.Insert(s.rows, i, s.rows[i])
		}, verdict.Duplicate},
		{"the stream has two events in another order", func(s *story) {
			s.stream()
			a, b := s.row(30, table("told")), s.row(31, table("told"))
			*a, *b = *b, *a
		}, verdict.Reorder + "," + verdict.Lost},
		{"the stream tells something else", func(s *story) { s.stream(); s.row(30, table("told")).Subject = "usr_x" }, verdict.Phantom},
		{"the stream knows an event by another id", func(s *story) { s.stream(); s.row(30, table("told")).ID = "x" }, verdict.Phantom},
		{"a delivery is dropped", func(s *story) { s.drop(s.heard(1, 40)) }, verdict.Gap},
		{"a narrow delivery is dropped", func(s *story) { s.drop(s.heard(7, 10)) }, verdict.Gap},
		{"a delivery is doubled", func(s *story) { i := s.heard(2, 40); s.insert(i, s.recs[i]) }, verdict.Duplicate},
		{"two deliveries are swapped", func(s *story) {
			for n := 40; ; n++ {
				i, j := s.heard(5, n), s.heard(5, n+1)
				if a, b := &s.recs[i], &s.recs[j]; a.Conn == b.Conn && !slices.ContainsFunc(s.recs[i:j], func(r history.Record) bool { return r.K == "caughtup" && r.Conn == a.Conn }) {
					*a, *b = *b, *a
					return
				}
			}
		}, verdict.Reorder},
		{"an event of a foreign room is delivered", func(s *story) {
			e := s.row(3, func(r *verdict.Row) bool { return isEvent("RECEIPT_UPDATED")(r) && r.Topic == "cnv_b" })
			s.insert(s.after(1, e.Pos), history.Record{K: "event", Conn: s.connAt(1, e.Pos), Type: "ReceiptUpdated", Pos: e.Pos, Epoch: epoch, Conv: e.Topic, ID: e.Subject, Seq: e.Seq})
		}, verdict.Leak},
		{"a message after a removal is delivered", func(s *story) {
			removed := s.row(1, func(r *verdict.Row) bool { return isEvent("MEMBER_REMOVED")(r) && r.Subject == "usr_2" })
			e := s.row(0, func(r *verdict.Row) bool {
				return isEvent("MESSAGE_ADDED")(r) && r.Topic == removed.Topic && r.Pos > removed.Pos
			})
			i := s.find(0, func(r *history.Record) bool { return r.K == "event" && r.Pos == e.Pos })
			x := s.recs[i]
			x.Conn = s.connAt(3, e.Pos)
			s.insert(s.after(3, e.Pos), x)
		}, verdict.Leak},
		{"an event is invented", func(s *story) {
			i := s.heard(1, 40)
			x := s.recs[i]
			x.Pos = 1 << 40
			s.insert(i+1, x)
		}, verdict.Phantom},
		{"an event has another message's text", func(s *story) { s.recs[s.find(50, isMessage)].Hash++ }, verdict.Phantom},
		{"an event has another type", func(s *story) { s.recs[s.find(50, isMessage)].Type = "MemberAdded" }, verdict.Phantom},
		{"an event is of another log", func(s *story) { s.recs[s.find(50, isMessage)].Epoch++ }, verdict.Phantom},
		{"a subscriber stays behind", func(s *story) {
			last := s.heard(3, 0)
			for i := last; i < len(s.recs); i++ {
				if s.recs[i].K == "event" && s.recs[i].Conn == s.connAt(3, 1<<40) {
					last = i
				}
			}
			s.drop(last)
		}, verdict.Stuck},
		{"the system does not settle", func(s *story) {
			s.recs = append(s.recs, history.Record{T: s.recs[len(s.recs)-1].T, K: "phase", Name: "unsettled"})
		}, verdict.Stuck},
		{"a node ends by itself", func(s *story) { s.failed("died", 2) }, verdict.Failed},
		{"a node does not drain", func(s *story) { s.failed("undrained", 2) }, verdict.Failed},
		{"a node does not come back", func(s *story) { s.failed("startfailed", 2) }, verdict.Failed},
		{"caught up too early", func(s *story) {
			i := s.heard(1, 60)
			s.insert(i, history.Record{K: "caughtup", Conn: s.recs[i].Conn, Pos: s.recs[i].Pos, Epoch: epoch})
		}, verdict.Reorder},
		{"caught up backwards", func(s *story) {
			i := s.heard(1, 60)
			s.insert(i+1, history.Record{K: "caughtup", Conn: s.recs[i].Conn, Pos: s.recs[i].Pos - 1, Epoch: epoch})
			s.insert(i+2, s.recs[i])
		}, verdict.Duplicate + "," + verdict.Reorder},
		{"an acknowledged message is not stored", func(s *story) {
			m := s.row(20, table("message"))
			s.recs = slices.DeleteFunc(s.recs, func(r history.Record) bool { return r.K == "event" && r.Pos == m.Pos })
			*s.row(0, func(r *verdict.Row) bool { return r.Table == "event" && r.Pos == m.Pos }) = verdict.Row{Table: "event", Pos: m.Pos, Topic: "usr_x", Type: "PROFILE_CHANGED"}
			for i := range s.rows { // the others close up
				if r := &s.rows[i]; r.Table == "message" && r.Conv == m.Conv && r.Seq > m.Seq || r.Table == "conversation" && r.ID == m.Conv {
					r.Seq--
				}
			}
			m.Table = "gone"
		}, verdict.Lost + "," + verdict.Phantom}, // and all later seqs are not those that were told
		{"a message is stored twice", func(s *story) {
			s.again(*s.row(20, table("message")))
		}, verdict.Duplicate},
		{"a message is stored that nobody sent", func(s *story) {
			m := s.row(20, table("message"))
			s.recs = slices.DeleteFunc(s.recs, func(r history.Record) bool { return r.K == "invoke" && r.Key == m.Key })
		}, verdict.Phantom},
		{"a refused message is stored", func(s *story) {
			_, done := s.op(20, "sendMessage", "ok")
			s.recs[done].K, s.recs[done].Code = "fail", "NOT_FOUND"
		}, verdict.Phantom + "," + verdict.Refused},
		{"a message has another text", func(s *story) { s.row(20, table("message")).Hash++ }, verdict.Phantom},
		{"an acknowledgement names another seq", func(s *story) { _, done := s.op(20, "sendMessage", "ok"); s.recs[done].Seq++ }, verdict.Phantom},
		{"the log has a hole", func(s *story) {
			e := s.row(5, isEvent("RECEIPT_UPDATED"))
			s.recs = slices.DeleteFunc(s.recs, func(r history.Record) bool { return r.K == "event" && r.Pos == e.Pos })
			e.Table = "gone"
		}, verdict.Gap},
		{"the log has a position twice", func(s *story) { s.rows = append(s.rows, *s.row(2, isEvent("SESSION_ENDED"))) }, verdict.Duplicate + "," + verdict.Gap},
		{"the log ends before its head", func(s *story) { s.row(0, table("head")).Pos++ }, verdict.Gap},
		{"what was sent later stands before", func(s *story) {
			a, _ := s.op(20, "sendMessage", "ok")
			b, done := s.op(25, "sendMessage", "ok")
			s.recs[b].T, s.recs[done].T = s.recs[a].T-2, s.recs[a].T-1
		}, verdict.Reorder + "," + verdict.Refused},
		{"a removal was acknowledged and did not happen", func(s *story) {
			s.attempt(history.Record{Act: "removeMember", User: usr(5), Conv: "cnv_b"}, history.Record{K: "ok", Pos: s.row(0, table("head")).Pos})
		}, verdict.Lost},
		{"a membership is longer than the log says", func(s *story) {
			s.row(1, func(r *verdict.Row) bool { return r.Table == "membership" && r.Left > 0 }).Left += 3
		}, verdict.Leak + "," + verdict.Lost},
		{"somebody is removed twice", func(s *story) {
			e := *s.row(0, isEvent("MEMBER_REMOVED"))
			e.Subject = "usr_5"
			s.append(e)
		}, verdict.DoubleWin + "," + verdict.Stuck + "," + verdict.Phantom},
		{"somebody sends who is no member", func(s *story) {
			s.row(0, func(r *verdict.Row) bool { return r.Table == "membership" && r.User == "usr_4" && r.Conv == "cnv_b" }).Pos++
			for i := range s.rows {
				if r := &s.rows[i]; r.Type == "CONVERSATION_CREATED" && r.Topic == "cnv_b" {
					r.Members = slices.DeleteFunc(slices.Clone(r.Members), func(u string) bool { return u == "usr_4" })
				}
			}
		}, verdict.Leak},
		{"two answers to a friend request win", func(s *story) { _, done := s.op(3, "acceptFriendRequest", "fail"); s.recs[done].K = "ok" }, verdict.DoubleWin + "," + verdict.Lost},
		{"a friend request has two answers in the log", func(s *story) {
			e := *s.row(0, isEvent("FRIEND_REQUEST_CANCELLED"))
			e.Topic, e.Type = "usr_x", "FRIEND_REQUEST_ACCEPTED"
			s.append(e)
			s.append(e)
		}, verdict.DoubleWin},
		{"an answer is not stored", func(s *story) { s.row(3, table("request")).Status = "PENDING" }, verdict.Lost},
		{"a read mark is not stored", func(s *story) {
			s.row(0, func(r *verdict.Row) bool { return r.Table == "membership" && r.Seq > 0 }).Seq--
		}, verdict.Lost},
		{"a session is not stored", func(s *story) { s.row(2, table("session")).Table = "gone" }, verdict.Lost},
		{"a session's end is not stored", func(s *story) { s.row(2, table("session")).Ended = false }, verdict.Lost},
		{"a revoked session hears something", func(s *story) { s.late(2, 1100*ms) }, verdict.Late},
		{"a revoked session hears something for long while NATS is down", func(s *story) {
			s.late(2, 5200*ms)
			s.fault("nats", 0, 2)
		}, verdict.Late + "," + verdict.Stuck},
		{"a revoked session hears something for longer than overlapping faults last", func(s *story) {
			s.late(2, 7500*ms)
			s.fault("postgres", 0, 2)
			s.fault("postgres", 0, 2)
		}, verdict.Late},
		{"a revoked session hears something after doorbells were lost", func(s *story) {
			s.late(2, 2000*ms)
			s.fault("doorbells", 0, 2)
			for i := range s.recs[len(s.recs)-2:] {
				s.recs[len(s.recs)-2+i].T -= 3 * second
			}
		}, verdict.Late},
		{"a revoked session's socket is closed late", func(s *story) {
			i := s.find(2, func(r *history.Record) bool { return r.K == "close" && r.Close == 4401 })
			s.recs[i].T += 1100 * ms
		}, verdict.Late},
		{"a delivery is late", func(s *story) { s.slow() }, verdict.Stuck},
		{"a delivery is late while NATS is down and another node is dead", func(s *story) {
			conn := s.slow()
			node := s.recs[s.find(0, func(r *history.Record) bool { return r.K == "connect" && r.Conn == conn })].Node
			s.fault("nats", 0, 2)
			s.fault("kill", node%nodes+1, 2)
		}, verdict.Stuck},
		{"it does not recover from a fault of PostgreSQL", func(s *story) {
			s.attempt(history.Record{Act: "sendMessage", Actor: usr(3), Conv: "cnv_b", Key: "k"}, history.Record{K: "unknown"})
			done := s.find(0, func(r *history.Record) bool { return r.K == "unknown" && r.Op == 1<<40 })
			begin := s.recs[done].T
			s.recs[done].T += 12 * second
			s.recs = append(s.recs, history.Record{T: begin, K: "fault", N: 1000, Phase: "begin", Name: "postgres"},
				history.Record{T: begin + second, K: "fault", N: 1000, Phase: "heal", Name: "postgres"})
		}, verdict.Stuck},
		{"a revoked session's socket stays open", func(s *story) {
			i := s.find(1, func(r *history.Record) bool { return r.K == "close" && r.Close == 4401 })
			s.recs[i].Close = -1
		}, verdict.Late},
		{"a revoked session comes back", func(s *story) {
			i := s.find(1, func(r *history.Record) bool { return r.K == "close" && r.Close == 4403 })
			s.insert(i, history.Record{K: "ready", T: s.recs[i].T + 2*second, Conn: s.recs[i].Conn})
		}, verdict.Late},
		{"the log does not tell of a read mark", func(s *story) {
			for slices.ContainsFunc(s.rows, func(r verdict.Row) bool { return isEvent("RECEIPT_UPDATED")(&r) }) {
				s.untold(0, "RECEIPT_UPDATED")
			}
		}, verdict.Lost},
		{"the log tells one side of a friend request's answer too late", func(s *story) { _, done := s.op(5, "cancelFriendRequest", "ok"); s.recs[done].Pos-- }, verdict.Lost},
		{"the log does not tell one side of a friend request", func(s *story) { s.untold(5, "FRIEND_REQUEST_SENT") }, verdict.Lost},
		{"the log does not tell one side of its answer", func(s *story) { s.untold(5, "FRIEND_REQUEST_CANCELLED") }, verdict.Lost},
		{"the log does not tell of a session's begin", func(s *story) { s.untold(2, "SESSION_STARTED") }, verdict.Lost},
		{"the log does not tell of a session's end", func(s *story) { s.untold(2, "SESSION_ENDED") }, verdict.Lost},
		{"the log does not tell of a new group", func(s *story) {
			s.attempt(history.Record{Act: "createGroup"}, history.Record{K: "ok", ID: "cnv_none", Pos: s.row(0, table("head")).Pos})
		}, verdict.Lost},
		{"somebody is removed whom nobody asked to leave", func(s *story) {
			s.each("invoke", func(r *history.Record) {
				if r.Act == "removeMember" && r.Op < 100 {
					r.Act = "nothing"
				}
			})
		}, verdict.Phantom},
		{"a member's message is refused", func(s *story) { s.unsent(20, "NOT_FOUND") }, verdict.Refused},
		{"who was removed and is back is refused", func(s *story) {
			s.refuse(history.Record{Act: "sendMessage", Actor: usr(1), Conv: "cnv_a", Key: "k"}, "NOT_FOUND")
		}, verdict.Refused},
		{"a message is refused for no reason", func(s *story) { s.unsent(20, "FORBIDDEN") }, verdict.Refused},
		{"a stored message's retry is refused", func(s *story) {
			invoke, _ := s.op(20, "sendMessage", "ok")
			s.refuse(s.recs[invoke], "NOT_FOUND")
		}, verdict.Refused},
		{"a read mark is refused", func(s *story) {
			s.refuse(history.Record{Act: "markRead", Actor: usr(3), Conv: "cnv_b", Seq: 1}, "NOT_FOUND")
		}, verdict.Refused},
		{"a removal is refused", func(s *story) {
			s.refuse(history.Record{Act: "removeMember", Actor: usr(3), User: usr(4), Conv: "cnv_b"}, "NOT_FOUND")
		}, verdict.Refused},
		{"an addition is refused", func(s *story) {
			s.refuse(history.Record{Act: "addMembers", Actor: usr(3), User: usr(4), Conv: "cnv_b"}, "CONFLICT")
		}, verdict.Refused},
		{"a friend request is refused", func(s *story) {
			s.refuse(history.Record{Act: "sendFriendRequest", Actor: usr(3), User: usr(4)}, "CONFLICT")
		}, verdict.Refused},
		{"the only answer to a friend request is refused", func(s *story) {
			s.refuse(history.Record{Act: "acceptFriendRequest", Actor: usr(3), ID: "frq_none"}, "CONFLICT")
		}, verdict.Refused},
		{"a sign-in is refused", func(s *story) { s.refuse(history.Record{Act: "signIn", Actor: usr(3)}, "RATE_LIMITED") }, verdict.Refused},
		{"a first revocation is refused", func(s *story) {
			s.refuse(history.Record{Act: "revokeSession", Actor: usr(3), ID: "ses_x"}, "NOT_FOUND")
		}, verdict.Refused},
		{"a server takes itself to be wrong", func(s *story) {
			s.attempt(history.Record{Act: "signIn", Actor: usr(3)}, history.Record{K: "unknown", Text: "INTERNAL: internal error"})
		}, verdict.Refused},
		{"a server cannot do anything while all is well", func(s *story) {
			s.attempt(history.Record{Act: "signIn", Actor: usr(3)}, history.Record{K: "unknown", Text: "UNAVAILABLE: try again"})
			s.recs[s.find(0, func(r *history.Record) bool { return r.K == "unknown" && r.Op == 1<<40 })].T += 15 * second
		}, verdict.Refused},
		{"a feed's cursor is refused", func(s *story) { s.ended(2, "error", "CURSOR_EXPIRED", 0) }, verdict.Refused},
		{"a feed is not found", func(s *story) { s.ended(2, "error", "NOT_FOUND", 0) }, verdict.Refused},
		{"a narrow subscriber's room is not found", func(s *story) { s.ended(8, "error", "NOT_FOUND", 0) }, verdict.Refused},
		{"a good session is not known", func(s *story) { s.ended(2, "error", "UNAUTHENTICATED", 0) }, verdict.Refused},
		{"a feed is unavailable while all is well", func(s *story) { s.ended(2, "error", "UNAVAILABLE", 0) }, verdict.Refused},
		{"a feed ends", func(s *story) { s.ended(2, "complete", "", 0) }, verdict.Refused},
		{"a member's narrow subscription ends", func(s *story) { s.ended(8, "complete", "", 0) }, verdict.Refused},
		{"a good session's socket is closed", func(s *story) { s.ended(2, "close", "", 4401) }, verdict.Refused},
		{"a good token is forbidden", func(s *story) { s.ended(2, "close", "", 4403) }, verdict.Refused},
		{"a client is told that it is wrong", func(s *story) { s.ended(2, "close", "", 4400) }, verdict.Refused},
		{"a good token is refused over Server-Sent Events", func(s *story) { s.ended(2, "close", "status 401: no", 0) }, verdict.Refused},
		{"goroutines leak", func(s *story) { s.grow(func(r *history.Record) { r.Goroutines += 80 }) }, verdict.Growth},
		{"memory leaks", func(s *story) { s.grow(func(r *history.Record) { r.Memory += 200 << 20 }) }, verdict.Growth},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := tell(t)
			c.lie(s)
			v := s.judge()
			got := map[string]bool{}
			for _, x := range v.Violations {
				got[x.Kind] = true
			}
			var kinds []string
			for k := range got {
				kinds = append(kinds, k)
			}
			slices.Sort(kinds)
			want := strings.Split(c.kinds, ",")
			slices.Sort(want)
			if !slices.Equal(kinds, want) || v.Exit() != 1 {
				t.Fatalf("verdicts %q, want %q: %v", kinds, want, v.Violations[:min(5, len(v.Violations))])
			}
			var b strings.Builder
			if _, err := (verdict.Report{Verdict: v, Again: "-seed 1"}).WriteTo(&b); err != nil || !strings.Contains(b.String(), "## "+kinds[0]) || !strings.Contains(b.String(), "make chaos ARGS='-seed 1'") {
				t.Fatalf("%v: %s", err, b.String())
			}
		})
	}
}

func TestWhatIsAllowedPasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(s *story)
	}{
		{"a revoked session hears something at once", func(s *story) { s.late(2, 900*ms) }},
		{"a revoked session hears something while NATS is down", func(s *story) {
			s.late(2, 4800*ms)
			s.fault("nats stopped", 0, 2)
		}},
		{"a revoked session hears something when its node goes on", func(s *story) {
			s.late(2, 6500*ms)
			s.fault("stop", 1, 2)
			s.fault("stop", 2, 2)
			s.fault("stop", 3, 2)
		}},
		{"load itself was late", func(s *story) {
			s.late(2, 1800*ms)
			_, done := s.op(2, "signOut", "ok")
			s.recs = append(s.recs, history.Record{T: s.recs[done].T + second, K: "lag", For: second})
		}},
		{"the answer to the end of a session was lost", func(s *story) {
			invoke, done := s.op(2, "signOut", "ok")
			r := s.recs[invoke]
			s.recs[done].K = "unknown"
			r.Of, r.Op = r.Op, 1<<40
			s.recs = append(s.recs, r, history.Record{T: s.recs[done].T, K: "fail", Op: 1 << 40, Code: "UNAUTHENTICATED"})
		}},
		{"a message of unknown outcome is stored", func(s *story) { _, done := s.op(20, "sendMessage", "ok"); s.recs[done].K = "unknown" }},
		{"no answer ever came", func(s *story) { _, done := s.op(20, "sendMessage", "ok"); s.drop(done) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := tell(t)
			c.do(s)
			if v := s.judge(); v.Exit() != 0 {
				t.Fatalf("%v %v", v.Violations, v.Vacuous)
			}
		})
	}
}

func TestTooLittleIsInconclusive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		starve func(s *story)
		why    string
	}{
		{"PostgreSQL ended by itself", func(s *story) { s.failed("died", 0) }, "died"},
		{"few messages were acknowledged", func(s *story) { s.recs[0].Planned = 600 }, "planned messages"},
		{"no kill hit a send", func(s *story) { s.remove("fault") }, "kills"},
		{"no gap was repaired", func(s *story) { s.each("sample", func(r *history.Record) { r.Gaps = 0 }) }, "gap repairs"},
		{"every kill was of a node that stood still", func(s *story) { s.each("fault", func(r *history.Record) { r.For = second }) }, "kills"},
		{"everybody was told what was stored", func(s *story) { s.remove("unknown"); s.recs[0].Quick = false }, "nobody was told"},
		{"nobody was behind", func(s *story) {
			s.each("sample", func(r *history.Record) { r.CatchUps = 0 })
			s.recs[0].Quick = false
		}, "catch-ups"},
		{"no open socket was revoked", func(s *story) {
			s.each("connect", func(r *history.Record) { r.Session = "" })
			s.each("close", func(r *history.Record) { r.Close = 0 })
		}, "revocations"},
		{"no revocation was of a socket without trouble", func(s *story) { s.fault("nats", 0, 0); s.recs[len(s.recs)-1].T += 60 * second }, "held to"},
		{"load got no time", func(s *story) {
			i := s.find(0, func(r *history.Record) bool { return r.K == "phase" && r.Name == "settle" })
			s.recs = append(s.recs, history.Record{T: s.recs[i].T + 60*second, K: "phase", Name: "unsettled"},
				history.Record{T: s.recs[i].T + 40*second, K: "lag", For: 20 * second})
		}, "load got no time"},
		{"nobody came back", func(s *story) { s.each("connect", func(r *history.Record) { r.Sub = 1000 + r.Conn }) }, "replays"},
		{"it was no quick run", func(s *story) { s.recs[0].Quick = false }, "replays"},
		{"nobody was removed", func(s *story) {
			removals := map[int64]bool{}
			s.each("invoke", func(r *history.Record) { removals[r.Op] = r.Act == "removeMember" || r.Act == "leaveGroup" })
			s.each("ok", func(r *history.Record) {
				if removals[r.Op] {
					r.K = "unknown"
				}
			})
		}, "removals"},
		{"the servers were not measured", func(s *story) { s.remove("sample") }, "at rest"},
		{"one server was not measured", func(s *story) {
			s.recs = slices.DeleteFunc(s.recs, func(r history.Record) bool { return r.K == "sample" && r.Node == 2 })
		}, "at rest"},
		{"load ended early", func(s *story) { s.remove("final") }, "load"},
		{"the log was trimmed", func(s *story) { s.row(0, table("head")).Trimmed = 1 }, "trimmed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := tell(t)
			c.starve(s)
			v := s.judge()
			if v.Exit() != 2 || !strings.Contains(strings.Join(v.Vacuous, "; "), c.why) {
				t.Fatalf("exit %d: %v %v", v.Exit(), v.Violations, v.Vacuous)
			}
		})
	}
}

func isMessage(r *history.Record) bool { return r.K == "event" && r.Type == "MessageAdded" }

// connAt is the connection of a subscriber when it came to a position, and after where to say so.
func (s *story) connAt(sub int, pos int64) int { return s.recs[s.after(sub, pos)-1].Conn }

func (s *story) after(sub int, pos int64) int {
	conns := map[int]bool{}
	last := 0
	for i, r := range s.recs {
		if r.K == "connect" && r.Sub == sub {
			conns[r.Conn] = true
		}
		if conns[r.Conn] && (r.K == "event" || r.K == "caughtup") && r.Pos <= pos {
			last = i + 1
		}
	}
	return last
}

// append adds an entry to the log.
func (s *story) append(e verdict.Row) {
	head := s.row(0, table("head"))
	head.Pos++
	e.Pos = head.Pos
	for i := range s.recs { // everybody is to come to the end
		if s.recs[i].K == "final" {
			s.recs[i].Pos = e.Pos
		}
	}
	s.rows = append(s.rows, e)
}

// again stores a message once more, in a way that nobody is told.
func (s *story) again(m verdict.Row) {
	head, c := s.row(0, table("head")), s.row(0, func(r *verdict.Row) bool { return r.Table == "conversation" && r.ID == m.Conv })
	head.Pos, c.Seq = head.Pos+1, c.Seq+1
	m.ID, m.Seq, m.Pos = "msg_again", c.Seq, head.Pos
	s.rows = append(s.rows, m, verdict.Row{Table: "event", Pos: m.Pos, Topic: m.Conv, Type: "MESSAGE_ADDED", Actor: m.User, Subject: m.ID, Seq: m.Seq})
}

// late has the n-th revoked session hear of its last event after its end.
func (s *story) late(n int, by int64) {
	invoke, done := s.op(n, "signOut", "ok")
	session, last := s.recs[invoke].ID, 0
	conn := s.recs[s.find(0, func(r *history.Record) bool { return r.K == "connect" && r.Session == session })].Conn
	for i, r := range s.recs {
		if r.K == "event" && r.Conn == conn {
			last = i
		}
	}
	s.recs[last].T = s.recs[done].T + by
}

// fault is one from the n-th end of a session until two seconds later.
func (s *story) fault(name string, node, n int) {
	_, done := s.op(n, "signOut", "ok")
	t := s.recs[done].T
	s.recs = append(s.recs, history.Record{T: t - second, K: "fault", N: 1000 + node, Phase: "begin", Name: name, Node: node},
		history.Record{T: t + 2*second, K: "fault", N: 1000 + node, Phase: "heal", Name: name, Node: node})
}

// untold has the log hold something else in place of an event, which nobody is to be told of.
func (s *story) untold(n int, typ string) {
	e := s.row(n, isEvent(typ))
	for i := range s.recs { // caught up there instead, which says nothing
		if r := &s.recs[i]; r.K == "event" && r.Pos == e.Pos {
			*r = history.Record{T: r.T, K: "caughtup", Conn: r.Conn, Pos: r.Pos, Epoch: r.Epoch}
		}
	}
	*e = verdict.Row{Table: "event", Pos: e.Pos, Topic: "usr_x", Type: "PROFILE_CHANGED"}
}

// attempt is one more at the end of the load.
func (s *story) attempt(invoke, done history.Record) {
	s.t.Helper()
	i := s.find(0, func(r *history.Record) bool { return r.K == "phase" && r.Name == "settle" })
	invoke.T, done.T = s.recs[i-1].T, s.recs[i].T
	invoke.K, invoke.Op, invoke.Node = "invoke", 1<<40, 1
	if invoke.Of == 0 {
		invoke.Of = invoke.Op
	}
	done.Op = invoke.Op
	s.recs = slices.Insert(s.recs, i, invoke, done)
}

func (s *story) refuse(invoke history.Record, code string) {
	s.attempt(invoke, history.Record{K: "fail", Code: code})
}

// unsent is a message that was refused and not stored: it is the last of all, so that no other has its seq or position.
func (s *story) unsent(n int, code string) {
	invoke, _ := s.op(n, "sendMessage", "ok")
	r := s.recs[invoke]
	r.Of, r.Key = 0, "refused"
	s.refuse(r, code)
}

// ended is the end of a subscriber's last connection, without which it had everything.
func (s *story) ended(sub int, k, what string, code int) {
	conn := s.connAt(sub, 1<<40)
	i := s.find(0, func(r *history.Record) bool { return r.K == "close" && r.Conn == conn })
	if k == "close" {
		s.recs[i].Close, s.recs[i].Text = code, what
		return
	}
	s.insert(i, history.Record{T: s.recs[i].T, K: k, Conn: conn, Code: what})
}

// slow has a subscriber be told of something six seconds late, on a connection to a node that was not killed.
func (s *story) slow() (conn int) {
	s.t.Helper()
	nodes := map[int]int{}
	s.each("connect", func(r *history.Record) { nodes[r.Conn] = r.Node })
	i := s.find(0, func(r *history.Record) bool {
		return isMessage(r) && nodes[r.Conn] == 1 && s.recs[s.find(0, func(x *history.Record) bool { return x.K == "caughtup" && x.Conn == r.Conn })].Pos < r.Pos-5
	})
	s.recs[i].T += 6 * second
	return s.recs[i].Conn
}

// failed is something wrong with a process that was no fault.
func (s *story) failed(k string, node int) {
	s.recs = append(s.recs, history.Record{T: s.recs[len(s.recs)-1].T, K: k, Name: "a process", Node: node})
}

func (s *story) each(k string, fn func(r *history.Record)) {
	for i := range s.recs {
		if s.recs[i].K == k {
			fn(&s.recs[i])
		}
	}
}

func (s *story) remove(k string) {
	s.recs = slices.DeleteFunc(s.recs, func(r history.Record) bool { return r.K == k })
}

// grow changes what was measured at the end.
func (s *story) grow(fn func(r *history.Record)) {
	settled := s.find(0, func(r *history.Record) bool { return r.K == "phase" && r.Name == "settled" })
	for i := settled; i < len(s.recs); i++ {
		if s.recs[i].K == "sample" {
			fn(&s.recs[i])
		}
	}
}
