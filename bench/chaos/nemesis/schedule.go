package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/parley-chat/parley/bench/cluster"
)

// fault is something that goes wrong, and for how long.
type fault struct {
	At   time.Duration // after the beginning
	For  time.Duration // until it is mended
	Name string
	Node int // from 1; 0: none, or all
	Text string

	Burden   burden           // kill: what is the matter before
	Burdened time.Duration    // for so long
	Share    float64          // sockets: of the connections
	Mischief cluster.Mischief // doorbells
}

// burden is what keeps requests under way, so that there are some when a node is killed.
type burden int

const (
	none burden = iota
	// What PostgreSQL has been told to store, or is storing, nobody is told of.
	slowCommits
	postgresStopped
	// What was sent to it is lost.
	nodeStopped
)

// The faults. How many there are in ten minutes; a shorter run has its share, and some of each.
var kinds = []struct {
	name           string
	inTen, least   int
	atLeast, below time.Duration // of For
	node           bool          // it is about one node
}{
	{"kill", 22, 2, 500 * time.Millisecond, 6 * time.Second, true},
	{"postgres", 6, 1, 500 * time.Millisecond, 4 * time.Second, false},
	{"nats", 6, 1, time.Second, 8 * time.Second, false},
	{"nats stopped", 2, 1, 2 * time.Second, 12 * time.Second, false},
	{"stop", 4, 1, 2 * time.Second, 8 * time.Second, true},
	{"restart", 3, 1, 0, time.Second, true},
	{"doorbells", 9, 1, 12 * time.Second, 18 * time.Second, false},
	{"sockets", 4, 1, 0, time.Second, false},
}

const (
	// The first fault and the end of the last one keep away from the beginning and the end of the run.
	firstAfter = 3 * time.Second
	healBefore = 10 * time.Second
	// What a node needs to come back: a further fault meanwhile would be one of a node that is not there.
	comesBack = 5 * time.Second
)

// schedule says what happens in a run. It follows from its arguments alone. Each kind is spread over the run by itself, so
// that faults of different kinds overlap now and then.
func schedule(seed uint64, length time.Duration, nodes int) (all []fault) {
	r := rand.New(rand.NewPCG(seed, 0x6e656d65736973)) //nolint:gosec // not a secret
	for _, k := range kinds {
		turns := r.Perm(nodes) // every node has its share
		n := max(k.least, int(math.Round(float64(k.inTen)*length.Minutes()/10)))
		for i := range n {
			f := fault{Name: k.name, For: k.atLeast + time.Duration(r.Float64()*float64(k.below-k.atLeast))}
			span := max(0, length-firstAfter-healBefore-f.For)
			f.At = (firstAfter + time.Duration((float64(i)+r.Float64())*float64(span)/float64(n))).Round(time.Millisecond)
			f.For = min(f.For, max(0, length-healBefore-f.At)).Round(time.Millisecond)
			if k.node {
				f.Node = turns[i%nodes] + 1
			}
			detail(&f, i, r)
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(a, b fault) int { return cmp.Compare(a.At, b.At) })
	spare(all, 1+r.IntN(nodes), length, nodes)
	return all
}

// detail says how the i-th fault of its kind is done.
func detail(f *fault, i int, r *rand.Rand) {
	switch f.Name {
	case "kill":
		f.Burdened = time.Duration(200+r.IntN(300)) * time.Millisecond
		f.Burden = []burden{slowCommits, postgresStopped, slowCommits, postgresStopped, none, nodeStopped}[i%6] // a quick run has two
		switch f.Burden {
		case slowCommits:
			f.Text = fmt.Sprintf("commits slow %v before", f.Burdened)
		case postgresStopped:
			f.Text = fmt.Sprintf("PostgreSQL stopped %v before", f.Burdened)
		case nodeStopped:
			f.Text = fmt.Sprintf("stopped %v before", f.Burdened)
		case none:
			f.Burdened = 0
		}
	case "sockets":
		f.Share = 0.2 + 0.8*r.Float64()
		f.Text = fmt.Sprintf("%.0f %% of them", 100*f.Share)
	case "doorbells":
		kinds := [4]float64{r.Float64(), r.Float64(), r.Float64(), r.Float64()}
		scale := (0.5 + 0.5*r.Float64()) / (kinds[0] + kinds[1] + kinds[2] + kinds[3])
		f.Mischief = cluster.Mischief{Drop: kinds[0] * scale, Double: kinds[1] * scale, Delay: kinds[2] * scale, Reorder: kinds[3] * scale,
			Late: time.Duration(r.IntN(2000)) * time.Millisecond}
		f.Text = fmt.Sprintf("%.0f %% dropped, %.0f %% doubled, %.0f %% delayed by up to %v, %.0f %% reordered",
			100*f.Mischief.Drop, 100*f.Mischief.Double, 100*f.Mischief.Delay, f.Mischief.Late, 100*f.Mischief.Reorder)
	}
}

// spare moves a fault to another node where its own is not back from the last one. One node is neither killed nor restarted
// in the second half: what it gathers can be seen only in a process that lives on.
func spare(all []fault, old int, length time.Duration, nodes int) {
	busy := make([]time.Duration, nodes+1)
	for i := range all {
		f := &all[i]
		if f.Node == 0 {
			continue
		}
		spared := func(node int) bool { return node == old && f.At >= length/2 && f.Name != "stop" && nodes > 1 }
		for range nodes {
			if busy[f.Node] <= f.At && !spared(f.Node) {
				break
			}
			f.Node = f.Node%nodes + 1
		}
		if spared(f.Node) { // all others are busy: it waits for the next
			f.Node = f.Node%nodes + 1
		}
		busy[f.Node] = f.At + f.Burdened + f.For + comesBack
	}
}
