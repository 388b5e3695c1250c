package verdict

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/parley-chat/parley/bench/chaos/history"
)

// log judges the database alone: the numbers, and that log and rows tell the same.
func (v *Verdict) log(db *Database) {
	last := int64(0)
	for _, e := range db.events {
		switch {
		case e.Pos == last:
			v.broken(Duplicate, []string{e.line()}, "two events at position %d", e.Pos)
		case e.Pos != last+1 && last >= db.head.Trimmed:
			v.broken(Gap, []string{e.line()}, "the log has no positions %d to %d", last+1, e.Pos-1)
		}
		last = e.Pos
	}
	if last != db.head.Pos {
		v.broken(Gap, []string{db.head.line()}, "the log ends at %d, its head says %d", last, db.head.Pos)
	}
	seqs := map[string]int64{}
	for _, m := range db.messages {
		switch was := seqs[m.Conv]; {
		case m.Seq == was:
			v.broken(Duplicate, []string{m.line()}, "two messages with seq %d in %s", m.Seq, m.Conv)
		case m.Seq < was:
			v.broken(Reorder, []string{m.line()}, "seq %d after %d in %s", m.Seq, was, m.Conv)
		case m.Seq != was+1:
			v.broken(Gap, []string{m.line()}, "seq %d follows %d in %s", m.Seq, was, m.Conv)
		}
		seqs[m.Conv] = max(m.Seq, seqs[m.Conv])
		if e := db.at[m.Pos]; e == nil || e.Type != "MESSAGE_ADDED" || e.Topic != m.Conv || e.Subject != m.ID || e.Seq != m.Seq || e.Actor != m.User {
			v.broken(Lost, rows(m, e), "the log does not tell of message %s at its position %d", m.ID, m.Pos)
		}
	}
	for _, e := range db.events {
		if e.Type == "MESSAGE_ADDED" {
			if m := db.message[e.Subject]; m == nil || m.Pos != e.Pos {
				v.broken(Phantom, rows(e, m), "the log tells at %d of a message that is not stored", e.Pos)
			}
		}
	}
	for id, c := range db.conversations {
		if c.Seq != seqs[id] {
			v.broken(Gap, rows(c), "%s is at seq %d, its messages end at %d", id, c.Seq, seqs[id])
		}
	}
}

// told compares the stream for other services with the log.
func (v *Verdict) told(db *Database) {
	last, next := int64(0), 0 // next of the log's events to be told
	until := func(p int64) (missing []*Row) {
		for ; next < len(db.events) && db.events[next].Pos <= p; next++ {
			if e := db.events[next]; e.Pos < p {
				missing = append(missing, e)
			}
		}
		return missing
	}
	for _, x := range db.told {
		switch {
		case x.Pos == last:
			v.broken(Duplicate, rows(x), "the stream has position %d twice", x.Pos)
		case x.Pos < last:
			v.broken(Reorder, rows(x), "the stream has position %d after %d", x.Pos, last)
		}
		if missing := until(x.Pos); len(missing) > 0 {
			v.broken(Lost, rows(missing[0], x), "the stream lacks %d events before position %d", len(missing), x.Pos)
		}
		e := db.at[x.Pos]
		if e == nil || x.ID != strconv.FormatInt(x.Pos, 10) || x.Topic != e.Topic || x.Type != e.Type || x.Actor != e.Actor || x.Subject != e.Subject || x.Seq != e.Seq {
			v.broken(Phantom, rows(x, e), "the stream tells of position %d what the log does not", x.Pos)
		}
		last = max(last, x.Pos)
	}
	if missing := until(math.MaxInt64); len(missing) > 0 {
		v.broken(Lost, rows(missing[0]), "the stream ends at %d and lacks %d events", last, len(missing))
	}
}

func rows(rs ...*Row) []string {
	var out []string
	for _, r := range rs {
		if r != nil {
			out = append(out, r.line())
		}
	}
	return out
}

// spans reads who was where from the log, and compares it with the memberships.
func (v *Verdict) spans(db *Database) {
	db.spans = map[string]map[string][]span{}
	began := map[[2]string]*Row{}
	begin := func(user, conv string, e *Row) {
		if e0 := began[[2]string{user, conv}]; e0 != nil {
			v.broken(DoubleWin, rows(e0, e), "%s joined %s twice", user, conv)
			return
		}
		began[[2]string{user, conv}] = e
	}
	end := func(user, conv string, e *Row) {
		first := began[[2]string{user, conv}]
		if first == nil {
			v.broken(DoubleWin, rows(e), "%s left %s, and was not there", user, conv)
			return
		}
		delete(began, [2]string{user, conv})
		db.add(user, conv, span{first.Pos, e.Pos})
	}
	for _, e := range db.events {
		switch e.Type {
		case "CONVERSATION_CREATED":
			for _, u := range e.Members {
				begin(u, e.Topic, e)
			}
		case "MEMBER_ADDED":
			begin(e.Subject, e.Topic, e)
		case "MEMBER_REMOVED", "MEMBER_LEFT":
			end(e.Subject, e.Topic, e)
		case "CONVERSATION_DELETED":
			for k := range began {
				if k[1] == e.Topic {
					end(k[0], k[1], e)
				}
			}
		}
	}
	for k, e := range began {
		db.add(k[0], k[1], span{first: e.Pos})
	}
	type membership struct {
		user, conv string
		span
	}
	told := map[membership]bool{}
	for u, convs := range db.spans {
		for c, ss := range convs {
			for _, s := range ss {
				told[membership{u, c, s}] = true
			}
		}
	}
	for _, m := range db.memberships {
		k := membership{m.User, m.Conv, span{m.Pos, m.Left}}
		if !told[k] {
			v.broken(Leak, rows(m, db.at[m.Pos], db.at[m.Left]), "a membership of %s that the log does not tell of", m.User)
		}
		delete(told, k)
	}
	for k := range told {
		v.broken(Lost, rows(db.at[k.first], db.at[k.last]), "the log tells of a membership of %s in %s that is not stored", k.user, k.conv)
	}
	for _, m := range db.messages {
		if !db.member(m.User, m.Conv, m.Pos) {
			v.broken(Leak, rows(m), "%s sent a message to %s at %d, and was no member", m.User, m.Conv, m.Pos)
		}
	}
}

func (db *Database) add(user, conv string, s span) {
	if db.spans[user] == nil {
		db.spans[user] = map[string][]span{}
	}
	db.spans[user][conv] = append(db.spans[user][conv], s)
}

// send is all attempts to store one message.
type send struct {
	attempts []*op
	row      *Row
	acked    int64 // when it was first; 0: never
	refused  bool  // every attempt was refused for certain
}

func (s *send) lines() []string {
	var out []string
	for _, o := range s.attempts {
		out = append(out, o.lines()...)
	}
	return out
}

// grouped are the sends, in the order in which they began.
func (r *Run) grouped() []*send {
	by := map[[2]string]*send{}
	var out []*send
	for _, o := range r.order {
		if o.Act != "sendMessage" {
			continue
		}
		k := [2]string{o.Actor, o.Key}
		s := by[k]
		if s == nil {
			s = &send{refused: true}
			by[k], out = s, append(out, s)
		}
		s.attempts = append(s.attempts, o)
		if o.ok() && (s.acked == 0 || o.done < s.acked) {
			s.acked = o.done
		}
		s.refused = s.refused && o.outcome == "fail"
	}
	return out
}

func (v *Verdict) sends(r *Run, db *Database) {
	sent := map[*Row]bool{}
	var settled []*send
	for _, s := range r.grouped() {
		first := s.attempts[0]
		stored := db.bySender[[2]string{first.Actor, first.Key}]
		for _, m := range stored {
			sent[m] = true
			if m.Conv != first.Conv || m.Hash != history.Hash(history.Body(first.Key)) {
				v.broken(Phantom, append(s.lines(), rows(m)...), "message %s is not what was sent", m.ID)
			}
		}
		switch {
		case len(stored) > 1:
			v.broken(Duplicate, append(s.lines(), rows(stored...)...), "the message with key %s is stored %d times", first.Key, len(stored))
			continue
		case len(stored) == 0 && s.acked != 0:
			v.broken(Lost, s.lines(), "the message with key %s was acknowledged and is not stored", first.Key)
			continue
		case len(stored) == 0:
			continue
		case s.refused:
			v.broken(Phantom, append(s.lines(), rows(stored...)...), "the message with key %s was refused and is stored", first.Key)
		}
		s.row = stored[0]
		for _, o := range s.attempts {
			if o.ok() && (o.id != s.row.ID || o.seq != s.row.Seq || o.pos != s.row.Pos || o.epoch != db.head.Epoch) {
				v.broken(Phantom, append(o.lines(), s.row.line()), "the message with key %s was acknowledged as something else", first.Key)
			}
		}
		settled = append(settled, s)
	}
	for _, m := range db.messages {
		if !sent[m] {
			v.broken(Phantom, rows(m), "nobody sent message %s", m.ID)
		}
	}
	v.before(settled)
}

// before judges that what was acknowledged before something else began stands before it in the log.
func (v *Verdict) before(sends []*send) {
	acked := slices.DeleteFunc(slices.Clone(sends), func(s *send) bool { return s.acked == 0 })
	slices.SortFunc(acked, func(a, b *send) int { return cmp.Compare(a.acked, b.acked) })
	var furthest *send
	for _, s := range sends { // as they began
		for len(acked) > 0 && acked[0].acked < s.attempts[0].T {
			if furthest == nil || acked[0].row.Pos > furthest.row.Pos {
				furthest = acked[0]
			}
			acked = acked[1:]
		}
		if furthest != nil && s.row.Pos < furthest.row.Pos {
			v.broken(Reorder, append(append(furthest.lines(), s.lines()...), rows(furthest.row, s.row)...),
				"position %d was acknowledged before the message at %d was sent", furthest.row.Pos, s.row.Pos)
		}
	}
}

// members judges that acknowledged changes of memberships are in the log.
func (v *Verdict) members(r *Run, db *Database) {
	ended := map[[2]string][]*Row{}
	for _, e := range db.events {
		if e.Type == "MEMBER_REMOVED" || e.Type == "MEMBER_LEFT" {
			k := [2]string{e.Topic, e.Subject}
			ended[k] = append(ended[k], e)
		}
	}
	acked := map[[2]string]int{}
	for _, o := range r.order {
		if !o.ok() || o.User == "" && o.Act != "leaveGroup" {
			continue
		}
		switch o.Act {
		case "removeMember", "leaveGroup":
			k := [2]string{o.Conv, o.removes()}
			// Those who are removed are removed by one after another.
			if n := acked[k]; n >= len(ended[k]) || ended[k][n].Pos > o.pos {
				v.broken(Lost, append(o.lines(), rows(ended[k]...)...), "%s was acknowledged at %d, and the log does not tell of it", o.Act, o.pos)
			}
			// An attempt whose answer was lost may have been the one.
			n := slices.IndexFunc(ended[k], func(e *Row) bool { return e.Pos > o.pos })
			if n < 0 {
				n = len(ended[k])
			}
			acked[k] = max(acked[k]+1, n)
		case "addMembers":
			if !slices.ContainsFunc(db.spans[o.User][o.Conv], func(s span) bool { return s.first <= o.pos }) {
				v.broken(Lost, o.lines(), "%s was added to %s by %d, and the log does not tell of it", o.User, o.Conv, o.pos)
			}
		}
	}
}

// reads judges that acknowledged read marks are stored.
func (v *Verdict) reads(r *Run, db *Database) {
	current := map[[2]string]*Row{}
	for _, m := range db.memberships {
		if m.Left == 0 {
			current[[2]string{m.User, m.Conv}] = m
		}
	}
	for _, o := range r.order {
		if m := current[[2]string{o.Actor, o.Conv}]; o.Act == "markRead" && o.ok() && m != nil && m.Pos <= o.pos && m.Seq < o.seq {
			v.broken(Lost, append(o.lines(), m.line()), "the read mark at %d was acknowledged; %d is stored", o.seq, m.Seq)
		}
	}
}

var answers = map[string]string{"acceptFriendRequest": "ACCEPTED", "rejectFriendRequest": "REJECTED", "cancelFriendRequest": "CANCELLED"}

// requests judges that each friend request has one outcome, which is what was acknowledged.
func (v *Verdict) requests(r *Run, db *Database) {
	told := map[string]*Row{}
	for _, e := range db.events {
		switch e.Type {
		case "FRIEND_REQUEST_ACCEPTED", "FRIEND_REQUEST_REJECTED", "FRIEND_REQUEST_CANCELLED":
			k := e.Subject + e.Topic // each side is told once
			if was := told[k]; was != nil {
				v.broken(DoubleWin, rows(was, e), "friend request %s was answered twice", e.Subject)
			}
			told[k] = e
		}
	}
	won := map[string]*op{}
	for _, o := range r.order {
		if !o.ok() {
			continue
		}
		id, status := o.ID, answers[o.Act]
		switch {
		case o.Act == "sendFriendRequest":
			id = o.id
		case status == "":
			continue
		case id == "": // before the run
			id = o.id
		}
		row := db.requests[id]
		if row == nil || status != "" && row.Status != status {
			v.broken(Lost, append(o.lines(), rows(row)...), "%s of friend request %s was acknowledged and is not stored", o.Act, id)
		}
		if status == "" {
			continue
		}
		if was := won[id]; was != nil {
			v.broken(DoubleWin, append(was.lines(), o.lines()...), "friend request %s was answered twice", id)
		}
		won[id] = o
	}
}
