package verdict

import (
	"cmp"
	"slices"
)

// acknowledged judges that the log tells of everything that was acknowledged, and whom it concerns, no later than at the
// acknowledgement's position; and of no removal that nobody asked for.
func (v *Verdict) acknowledged(r *Run, db *Database, w *when) {
	first := map[[3]string]int64{} // positions by topic, type and subject
	for _, e := range slices.Backward(db.events) {
		first[[3]string{e.Topic, e.Type, e.Subject}] = e.Pos
	}
	asked := map[[2]string]int{} // removals, by conversation and user
	for _, o := range r.order {
		if who := o.removes(); who != "" && o.outcome != "fail" {
			asked[[2]string{o.Conv, who}]++
		}
		if !o.ok() {
			continue
		}
		// Where there was nothing left to do, the acknowledgement's position is that of the node, which may be behind.
		before := func(p int64, done bool) bool { return p <= o.pos || done && w.since(p) < o.done }
		for _, k := range o.events(db) {
			if p := first[k]; p == 0 || !before(p, o.Of != o.Op) {
				v.broken(Lost, append(o.lines(), rows(db.at[p])...), "%s was acknowledged at %d, and by then the log does not tell %s of it", o.Act, o.pos, k[0])
			}
		}
		if o.Act == "markRead" && !db.marked(o, func(p int64) bool { return before(p, true) }) {
			v.broken(Lost, o.lines(), "the read mark at %d was acknowledged at %d, and by then the log does not tell of it", o.seq, o.pos)
		}
	}
	for _, e := range db.events {
		if e.Type == "MEMBER_REMOVED" || e.Type == "MEMBER_LEFT" {
			k := [2]string{e.Topic, e.Subject}
			if asked[k]--; asked[k] < 0 {
				v.broken(Phantom, rows(e), "nobody asked that %s leave %s", e.Subject, e.Topic)
			}
		}
	}
}

// removes is who an attempt is to remove.
func (o *op) removes() string {
	switch o.Act {
	case "removeMember":
		return o.User
	case "leaveGroup":
		return o.Actor
	}
	return ""
}

// events are what the log must hold of an acknowledged attempt: topic, type and subject.
func (o *op) events(db *Database) [][3]string {
	switch o.Act {
	case "signUp", "signIn":
		if s := db.sessions[o.id]; s != nil {
			return [][3]string{{s.User, "SESSION_STARTED", o.id}}
		}
	case "signOut", "revokeSession":
		return [][3]string{{o.Actor, "SESSION_ENDED", o.ID}}
	case "createGroup":
		return [][3]string{{o.id, "CONVERSATION_CREATED", ""}}
	}
	status := answers[o.Act]
	if o.Act == "sendFriendRequest" {
		status = "SENT"
	}
	if x := db.requests[cmp.Or(o.ID, o.id)]; status != "" && x != nil {
		told := [][3]string{{x.User, "FRIEND_REQUEST_" + status, x.ID}, {x.Other, "FRIEND_REQUEST_" + status, x.ID}}
		if status == "ACCEPTED" {
			told = append(told, [3]string{x.User, "FRIENDSHIP_MADE", x.Other}, [3]string{x.Other, "FRIENDSHIP_MADE", x.User})
		}
		return told
	}
	return nil
}

// marked says whether the log tells of a read mark: by itself, by a later message of the reader's own, or because they
// joined after what they have read.
func (db *Database) marked(o *op, before func(int64) bool) bool {
	joined := int64(0)
	for _, s := range db.spans[o.Actor][o.Conv] {
		if s.first <= o.pos {
			joined = max(joined, s.first)
		}
	}
	return slices.ContainsFunc(db.byTopic[o.Conv], func(e *Row) bool {
		switch {
		case e.Seq < o.seq || !before(e.Pos):
			return false
		case e.Type == "RECEIPT_UPDATED":
			return e.Subject == o.Actor && e.Pos > joined
		case e.Type == "MESSAGE_ADDED":
			return e.Actor == o.Actor && e.Pos > joined || e.Pos < joined
		}
		return false
	})
}
