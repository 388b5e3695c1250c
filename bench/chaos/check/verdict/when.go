package verdict

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// when bounds the moments at which positions were written: the log has none that a client could have read.
type when struct {
	told, asked []written
}

type written struct{ pos, t int64 }

func newWhen(r *Run, db *Database) *when {
	w := &when{}
	asked := map[[2]string]int64{} // when a message was, by sender and key
	for _, o := range r.order {
		if o.ok() && o.pos > 0 {
			w.told = append(w.told, written{o.pos, o.done})
		}
		if k := [2]string{o.Actor, o.Key}; o.Act == "sendMessage" && asked[k] == 0 {
			asked[k] = o.T
		}
	}
	for _, m := range db.messages {
		w.asked = append(w.asked, written{m.Pos, asked[[2]string{m.User, m.Key}]})
	}
	byPosition := func(a, b written) int { return cmp.Compare(a.pos, b.pos) }
	slices.SortFunc(w.told, byPosition)
	slices.SortFunc(w.asked, byPosition)
	for i := len(w.told) - 2; i >= 0; i-- {
		w.told[i].t = min(w.told[i].t, w.told[i+1].t)
	}
	for i := 1; i < len(w.asked); i++ {
		w.asked[i].t = max(w.asked[i].t, w.asked[i-1].t)
	}
	return w
}

// by is a moment at which a position was written for certain: somebody had been told of it, or of a later one.
func (w *when) by(p int64) int64 {
	if i := sort.Search(len(w.told), func(i int) bool { return w.told[i].pos >= p }); i < len(w.told) {
		return w.told[i].t
	}
	return math.MaxInt64
}

// since is a moment at which a position was not written for certain: a message that stands before it was not sent yet.
func (w *when) since(p int64) int64 {
	if i := sort.Search(len(w.asked), func(i int) bool { return w.asked[i].pos > p }); i > 0 {
		return w.asked[i-1].t
	}
	return 0
}

// throughout says whether a user was a member for certain from one moment to another.
func (w *when) throughout(db *Database, user, conv string, from, to int64) bool {
	return slices.ContainsFunc(db.spans[user][conv], func(s span) bool {
		return w.by(s.first) < from && (s.last == 0 || w.since(s.last) > to)
	})
}
