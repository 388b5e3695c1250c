package verdict

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/parley-chat/parley/bench/chaos/history"
)

// A leak in a run of minutes is more than this; a heap that has been busy is not.
const (
	goroutineFactor, goroutineSlack = 1.25, 50
	memoryFactor, memorySlack       = 2.0, 96 << 20
)

// failures are what went wrong with processes besides the faults. That of PostgreSQL or NATS says nothing of the nodes.
func (v *Verdict) failures(r *Run) {
	for _, x := range r.failed {
		if x.Node == 0 {
			v.Vacuous = append(v.Vacuous, fmt.Sprintf("%s: %s %s", x.Name, x.K, x.Text))
			continue
		}
		v.broken(Failed, []string{line(x)}, "%s: %s", x.Name, map[string]string{
			"died": "it ended, and nobody ended it", "undrained": "it did not end in time when it was asked to", "startfailed": "it did not come back",
		}[x.K])
	}
}

// growth compares the servers at rest before and after: all nodes together, since sockets move from one to another.
func (v *Verdict) growth(r *Run) {
	quiet, _ := r.phase("quiet")
	load, _ := r.phase("load")
	settled, _ := r.phase("settled")
	end, ended := r.phase("end")
	g0, m0, n0 := r.atRest(quiet, load)
	g1, m1, n1 := r.atRest(settled, end)
	if !ended || n0 == 0 || n0 != n1 || n0 < r.first.Nodes {
		v.Vacuous = append(v.Vacuous, "not every node was measured at rest, before and after")
		return
	}
	v.count("goroutines at rest before", g0)
	v.count("goroutines at rest after", g1)
	v.count("MiB resident at rest before", int(m0>>20))
	v.count("MiB resident at rest after", int(m1>>20))
	if most := int(float64(g0)*goroutineFactor) + goroutineSlack*n0; g1 > most {
		v.broken(Growth, nil, "%d goroutines at rest before, %d after; %d are allowed", g0, g1, most)
	}
	if most := int64(float64(m0)*memoryFactor) + int64(memorySlack*n0); m1 > most {
		v.broken(Growth, nil, "%d MiB resident at rest before, %d after; %d are allowed", m0>>20, m1>>20, most>>20)
	}
}

// atRest is the least of each node between two moments, added up.
func (r *Run) atRest(from, to int64) (goroutines int, memory int64, nodes int) {
	least := map[int]*history.Record{}
	for _, s := range r.samples {
		if s.T < from || s.T > to || s.Goroutines == 0 {
			continue
		}
		l := least[s.Node]
		if l == nil {
			l = &history.Record{Goroutines: s.Goroutines, Memory: s.Memory}
			least[s.Node] = l
		}
		l.Goroutines, l.Memory = min(l.Goroutines, s.Goroutines), min(l.Memory, s.Memory)
	}
	for _, l := range least {
		goroutines, memory = goroutines+l.Goroutines, memory+l.Memory
	}
	return goroutines, memory, len(least)
}

// thresholds are what must have happened for a run to say anything.
type thresholds struct{ kills, repairs, replays, races, catchUps, revocations, held, unheard int }

func (r *Run) thresholds() thresholds {
	if r.first.Quick {
		return thresholds{kills: 1, repairs: 10, replays: 30, races: 30, revocations: 3, held: 1}
	}
	return thresholds{kills: 5, repairs: 100, replays: 100, races: 100, catchUps: 20, revocations: 50, held: 10, unheard: 1}
}

// vacuity counts what happened, and says what was too little.
func (v *Verdict) vacuity(r *Run, db *Database) {
	acked, certain := 0, 0
	sends := r.grouped()
	for _, s := range sends {
		if s.acked != 0 {
			acked++
		}
		if s.refused {
			certain++
		}
	}
	// Members who are being removed are refused: that is no answer too few.
	planned := max(r.first.Planned, len(sends)-certain)
	hit := 0
	for _, f := range r.faults {
		if f.Name == "kill" && slices.ContainsFunc(r.order, func(o *op) bool {
			return o.Act == "sendMessage" && o.Node == f.Node && o.T < f.T-f.For && o.over() > f.T
		}) {
			hit++
		}
	}
	replays, deliveries := 0, 0
	codes := map[int]int{}
	for _, c := range r.conns {
		if c.resume && c.replayed && c.live != 0 {
			replays++
		}
		codes[c.code]++
	}
	for _, s := range r.subs {
		for _, m := range s.moments {
			if m.k == delivered {
				deliveries++
			}
		}
	}
	repairs, races := r.counted(func(s *history.Record) int64 { return s.Gaps }), r.races()
	catchUps := r.counted(func(s *history.Record) int64 { return s.CatchUps }) - r.measured()
	v.count("messages planned", r.first.Planned)
	v.count("messages begun, with those of races", len(sends))
	v.count("messages acknowledged", acked)
	v.count("messages refused to non-members", certain)
	v.count("messages stored", len(db.messages))
	v.count("positions of the log", len(db.events))
	v.count("events in the stream for other services", len(db.told))
	v.count("subscribers, with revoked ones", len(r.subs))
	v.count("connections", len(r.conns))
	v.count("ended by the network", codes[0])
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		if code > 0 {
			v.count(fmt.Sprintf("closed with %d", code), codes[code])
		}
	}
	v.count("deliveries", deliveries)
	kinds := map[string]int{}
	var names []string
	for _, f := range r.faults {
		if kinds[f.Name]++; kinds[f.Name] == 1 {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		v.count("faults: "+n, kinds[n])
	}
	v.count("kills that hit sends in flight", hit)
	v.count("gap repairs", repairs)
	v.count("stored, and nobody was told", unheard(r, db, sends))
	v.count("catch-ups beyond connections", catchUps)
	v.count("replays after a reconnect", replays)
	v.count("removals raced by sends", races)
	least := r.thresholds()
	v.enough("planned messages acknowledged, in percent", 100*acked/max(1, planned), 90)
	v.enough("kills that hit sends in flight", hit, least.kills)
	v.enough("gap repairs", repairs, least.repairs)
	v.enough("stored, and nobody was told", unheard(r, db, sends), least.unheard)
	v.enough("catch-ups beyond connections", catchUps, least.catchUps)
	v.enough("replays after a reconnect", replays, least.replays)
	v.enough("removals raced by sends", races, least.races)
	if db.head.Trimmed > 0 {
		v.Vacuous = append(v.Vacuous, "the log was trimmed")
	}
	if len(r.finals) == 0 {
		v.Vacuous = append(v.Vacuous, "load did not come to its end")
	}
}

// enough says that too little happened, if it did.
func (v *Verdict) enough(name string, n, least int) {
	if n < least {
		v.Vacuous = append(v.Vacuous, fmt.Sprintf("%s: %d of at least %d", name, n, least))
	}
}

// unheard counts the messages that were stored for certain by an attempt that was not told so: somebody was told of a later
// position before any other attempt.
func unheard(r *Run, db *Database, sends []*send) (n int) {
	var told []written // how far the log was known to be
	for _, o := range r.order {
		if o.ok() {
			told = append(told, written{o.pos, o.done})
		}
	}
	slices.SortFunc(told, func(a, b written) int { return cmp.Compare(a.t, b.t) })
	for i := 1; i < len(told); i++ {
		told[i].pos = max(told[i].pos, told[i-1].pos)
	}
	for _, s := range sends {
		stored := db.bySender[[2]string{s.attempts[0].Actor, s.attempts[0].Key}]
		if len(stored) == 0 {
			continue
		}
		for k, o := range s.attempts[1:] {
			if slices.ContainsFunc(s.attempts[:k+1], func(x *op) bool { return x.outcome != "unknown" || x.done > o.T }) {
				break
			}
			if i := sort.Search(len(told), func(i int) bool { return told[i].t >= o.T }); i > 0 && told[i-1].pos > stored[0].Pos {
				n++
				break
			}
		}
	}
	return n
}

// counted adds up a counter that begins anew with each process.
func (r *Run) counted(of func(*history.Record) int64) (n int) {
	last := map[[2]int]int64{}
	for i := range r.samples {
		s := &r.samples[i]
		k := [2]int{s.Node, s.PID}
		n += int(of(s) - last[k])
		last[k] = of(s)
	}
	return n
}

// measured counts the connections that had caught up when their node's process was last asked: each is one catch-up of its
// counter. What comes between that and the end of a process is in no sample; one that drains takes connections for a while.
func (r *Run) measured() (n int) {
	type process struct{ began, first, last int64 }
	nodes := map[int]map[int]*process{} // by node and pid
	for _, s := range r.samples {
		if nodes[s.Node] == nil {
			nodes[s.Node] = map[int]*process{}
		}
		p := nodes[s.Node][s.PID]
		if p == nil {
			p = &process{first: s.T}
			nodes[s.Node][s.PID] = p
		}
		p.last = s.T
	}
	for _, f := range r.faults {
		for _, p := range nodes[f.Node] {
			if (f.Name == "kill" || f.Name == "restart") && f.T < p.first {
				p.began = max(p.began, f.heal)
			}
		}
	}
	for _, c := range r.conns {
		for _, p := range nodes[c.node] {
			if c.live > p.began && c.live <= p.last {
				n++
			}
		}
	}
	return n
}

// races counts acknowledged removals during which a message was under way in the same room.
func (r *Run) races() (n int) {
	byRoom := map[string][]*op{}
	for _, o := range r.order {
		if o.Act == "sendMessage" {
			byRoom[o.Conv] = append(byRoom[o.Conv], o)
		}
	}
	for _, o := range r.order {
		if (o.Act == "removeMember" || o.Act == "leaveGroup") && o.ok() &&
			slices.ContainsFunc(byRoom[o.Conv], func(s *op) bool { return s.T < o.done && s.over() > o.T }) {
			n++
		}
	}
	return n
}
