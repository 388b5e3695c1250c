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

// measure takes latencies and recoveries. They are for people to read: nothing is judged by them.
func (v *Verdict) measure(r *Run) {
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
		if s.acked-t > abnormal {
			bad = append(bad, s.acked)
		}
	}
	phases := map[*send]string{}
	for _, s := range r.subs {
		for _, m := range s.moments {
			sent := began[m.id]
			if m.k != delivered || sent == nil || s.slow {
				continue
			}
			t := sent.attempts[0].T
			name, ok := phases[sent]
			if !ok {
				name = phaseAt(t)
				phases[sent] = name
			}
			k := [2]string{name, "deliveries"}
			took[k] = append(took[k], m.t-t)
			if m.t-t > abnormal {
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
				until = min(until, next.T)
			}
		}
		took := int64(0)
		if k := sort.Search(len(bad), func(k int) bool { return bad[k] >= until }); k > 0 && bad[k-1] > f.heal {
			took = bad[k-1] - f.heal
		}
		v.Recoveries = append(v.Recoveries, Recovery{f.N, f.Name, f.Node, f.T - load, took, f.heal - f.T})
	}
}
