// Package verdict judges a chaos run: a pure function of what clients and nemesis wrote down and of the database at the
// end. It knows the promises, and shares no code with the server that is to keep them.
//
// What is judged. The log: positions 1 … n; each conversation's messages 1 … n; rows and log agree, and so does the stream
// for other services. Sends: each that was acknowledged is stored once, as the acknowledgement said; one of unknown outcome
// at most once; nothing else is stored; who was acknowledged before another began stands before it. The log tells of
// everything else that was acknowledged, and of no removal that nobody asked for. Nobody is refused, and no subscription or
// connection ended, for no reason. Everybody's stream: exactly the positions of their own topic and of their memberships'
// spans as the log tells them, in order, once, across connections and nodes, up to the run's last messages; in time, where no
// fault explains a delay. Races have one winner. A revoked session hears nothing more, and its sockets are closed. No node
// ends by itself, and each drains and comes back. The servers at rest are as large as before.
package verdict

import (
	"fmt"
	"slices"
)

// Kinds of violations.
const (
	Lost      = "lost"      // acknowledged, and not there
	Duplicate = "duplicate" // there or delivered twice
	Phantom   = "phantom"   // there or delivered, and nobody did it, or not so
	Reorder   = "reorder"   // not in the log's order, or against what was known before
	Gap       = "gap"       // a number is missing, or a delivery
	Leak      = "leak"      // outside a membership's span, or somebody else's
	Late      = "late after revocation"
	DoubleWin = "double win"
	Stuck     = "stuck" // did not come to the end
	Growth    = "growth"
	Refused   = "refused"     // or ended, and nothing explains it
	Failed    = "failed node" // ended by itself, did not drain, or did not come back
)

// Violation is a broken promise.
type Violation struct {
	Kind, Text string
	Excerpt    []string // of histories and dump: no more than shows it
}

// Verdict is what came out.
type Verdict struct {
	Violations []Violation
	Vacuous    []string // why nothing can be said
	Figures    []Figure
	Latencies  []Latency
	Recoveries []Recovery
}

// Figure is a count of the report.
type Figure struct {
	Name string
	N    int
}

// Exit is the program's exit code.
func (v *Verdict) Exit() int {
	switch {
	case len(v.Violations) > 0:
		return 1
	case len(v.Vacuous) > 0:
		return 2
	}
	return 0
}

func (v *Verdict) broken(kind string, excerpt []string, format string, args ...any) {
	v.Violations = append(v.Violations, Violation{kind, fmt.Sprintf(format, args...), excerpt})
}

func (v *Verdict) count(name string, n int) { v.Figures = append(v.Figures, Figure{name, n}) }

// Judge compares a run with the database it left.
func Judge(r *Run, db *Database) *Verdict {
	v := &Verdict{}
	slices.SortStableFunc(r.faults, func(a, b *fault) int { return int(min(1, max(-1, a.T-b.T))) })
	v.log(db)
	v.told(db)
	v.spans(db)
	v.sends(r, db)
	v.members(r, db)
	v.reads(r, db)
	v.requests(r, db)
	v.sessions(r, db)
	w, revoked := newWhen(r, db), r.revoked()
	v.acknowledged(r, db, w)
	v.refusals(r, db, w)
	for _, s := range r.subs {
		v.stream(r, db, s)
		v.ends(r, db, w, s, revoked)
	}
	if t, bad := r.phase("unsettled"); bad {
		if from, _ := r.phase("settle"); r.starved(from, t) {
			v.Vacuous = append(v.Vacuous, "load got no time to settle")
		} else {
			v.broken(Stuck, nil, "the system took no last messages within the time to settle (at %d)", t)
		}
	}
	v.failures(r)
	v.growth(r)
	v.vacuity(r, db)
	v.measure(r, db)
	return v
}
