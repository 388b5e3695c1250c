package verdict

import (
	"slices"
	"sort"
)

// Latency is how long something took in a phase: quiet, during a kind of fault, or within calming of one's end.
type Latency struct {
	Phase, What   string
	N             int
	P50, P99, Max int64
}

// Recovery is how long after the end of a fault the last abnormal answer or delivery came.
type Recovery struct {
	N        int
	Name     string
	Node     int
	At, Took int64 // At: since the load began
	Outage   int64
}

const (
	calming  = 10 * second
	abnormal = second
)

// measure takes latencies and recoveries, and judges those that faults do not explain.
func (v *Verdict) measure(r *Run, db *Database) {
	load, _ := r.phase("load")
	phaseAt := func(t int64) string {
		name := "quiet"
		for _, f := range slices.Backward(r.faults) { // the one that began last
			switch {
			case t >= f.T && (f.heal == 0 || t < f.heal):
				return f.Name
			case f.heal != 0 && t >= f.heal && t < f.heal+calming:
				name = "after a fault"
			}
		}
		return name
	}
	took := map[[2]string][]int64{}
	began := map[int32]*send{} // by the text of the message's id
	var bad []int64            // when abnormal answers and deliveries came
	for _, s := range r.grouped() {
		t := s.attempts[0].T
		for _, o := range s.attempts {
			if o.ok() {
				began[r.text(o.id)] = s
			}
			if o.outcome == "unknown" {
				bad = append(bad, o.done)
			}
		}
		if s.acked == 0 || t < load {
			continue
		}
		k := [2]string{phaseAt(t), "sends"}
		took[k] = append(took[k], s.acked-t)
		if s.acked-t > abnormal && s.acked-t > abnormal+r.lateness(t, s.acked) {
			bad = append(bad, s.acked)
		}
	}
	phases := map[*send]string{}
	for _, s := range r.subs {
		if s.slow || s.conv != "" && !db.always(s.user, s.conv) {
			continue // they are told late for their own sake
		}
		for i, m := range s.moments {
			sent := began[m.id]
			if m.k != delivered || sent == nil {
				continue
			}
			t := sent.attempts[0].T
			if c := m.conn; c.live != 0 && c.live < sent.acked && m.t-sent.acked > eventually && m.t-sent.acked > eventually+r.lateness(sent.acked, m.t) && !r.hampered(c, sent.acked, m.t) {
				v.broken(Stuck, append(sent.lines(), (&walk{r: r, db: db, s: s}).excerpt(i)...), "late: subscriber %d was told of %d %.1f s after it was acknowledged", s.n, m.pos, seconds(m.t-sent.acked))
			}
			name, ok := phases[sent]
			if !ok {
				name = phaseAt(t)
				phases[sent] = name
			}
			k := [2]string{name, "deliveries"}
			took[k] = append(took[k], m.t-t)
			if m.t-t > abnormal && m.t-t > abnormal+r.lateness(t, m.t) {
				bad = append(bad, m.t)
			}
		}
	}
	for k, ns := range took {
		slices.Sort(ns)
		v.Latencies = append(v.Latencies, Latency{k[0], k[1], len(ns), ns[len(ns)/2], ns[len(ns)*99/100], ns[len(ns)-1]})
	}
	slices.SortFunc(v.Latencies, func(a, b Latency) int {
		return slices.Compare([]string{a.What, a.Phase}, []string{b.What, b.Phase})
	})
	v.recoveries(r, bad, load)
}

func (v *Verdict) recoveries(r *Run, bad []int64, load int64) {
	slices.Sort(bad)
	for i, f := range r.faults {
		if f.heal == 0 {
			continue
		}
		until := int64(1<<63 - 1)
		for _, next := range r.faults[i+1:] {
			if next.T > f.heal {
				until = min(until, next.T-next.For)
			}
		}
		took := int64(0)
		if k := sort.Search(len(bad), func(k int) bool { return bad[k] >= until }); k > 0 && bad[k-1] > f.heal {
			took = bad[k-1] - f.heal
		}
		if took > calming && f.Name == "postgres" && !r.otherwise(f, f.heal+took) {
			v.broken(Stuck, []string{line(f.Record)}, "late: %.1f s after PostgreSQL was back, answers or deliveries still took more than %.1f s", seconds(took), seconds(abnormal))
		}
		v.Recoveries = append(v.Recoveries, Recovery{f.N, f.Name, f.Node, f.T - load, took, f.heal - f.T})
	}
}

// hampered says whether there was trouble between two moments that may keep a connection from being told: any but that of
// NATS, its doorbells and other nodes.
func (r *Run) hampered(c *conn, from, to int64) bool {
	return slices.ContainsFunc(r.troubles(), func(t trouble) bool {
		return (t.name == "postgres" || t.node == c.node) && t.from <= to && (t.to >= from || t.to+calming >= from)
	})
}

// otherwise says whether another fault explains what was abnormal at a moment.
func (r *Run) otherwise(f *fault, at int64) bool {
	return slices.ContainsFunc(r.faults, func(g *fault) bool { return g != f && g.T <= at && (g.heal == 0 || g.heal+calming >= at) })
}
