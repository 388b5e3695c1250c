package verdict

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// shown is how many violations of a kind a report shows with what proves them.
const shown = 3

// Report is for people.
type Report struct {
	*Verdict
	Seed   uint64
	Quick  bool
	Commit string
	Again  string // flags of chaos that replay the run
}

// Seed is the run's, and whether it was a quick one.
func (r *Run) Seed() (seed uint64, quick bool) { return r.first.Seed, r.first.Quick }

// Summary is the outcome in a line.
func (r Report) Summary() string {
	switch r.Exit() {
	case 1:
		kinds := map[string]int{}
		for _, x := range r.Violations {
			kinds[x.Kind]++
		}
		var parts []string
		for k, n := range kinds {
			parts = append(parts, fmt.Sprintf("%s %d", k, n))
		}
		slices.Sort(parts)
		return "BROKEN: " + strings.Join(parts, ", ")
	case 2:
		return "INCONCLUSIVE: " + strings.Join(r.Vacuous, "; ")
	}
	return "PASSED"
}

// Command replays the run: the same faults and people in the same order, as far as the machine's timing lets them.
func (r Report) Command() string { return "make chaos ARGS='" + r.Again + "'" }

// WriteTo writes Markdown.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Chaos: %s\n\nSeed %d, commit %s. Again: `%s`\n", r.Summary(), r.Seed, cmp.Or(r.Commit, "unknown"), r.Command())
	for _, s := range r.Vacuous {
		fmt.Fprintf(&b, "\nToo little happened: %s\n", s)
	}
	r.violations(&b)
	b.WriteString("\n| | |\n|---|--:|\n")
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "| %s | %d |\n", f.Name, f.N)
	}
	b.WriteString("\n## Latencies\n\nFrom the first attempt to send to its acknowledgement, and to each delivery (without subscribers that pause on purpose, and those of one room that were not always in it).\n\n" +
		"| | sent | number | p50 | p99 | most |\n|---|---|--:|--:|--:|--:|\n")
	for _, l := range r.Latencies {
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s |\n", l.What, l.Phase, l.N, span3(l.P50), span3(l.P99), span3(l.Max))
	}
	fmt.Fprintf(&b, "\n## Recoveries\n\nFrom the end of a fault to the last answer or delivery that took more than %s, before the next fault.\n\n"+
		"| fault | node | began at | lasted | recovered in |\n|---|--:|--:|--:|--:|\n", span3(abnormal))
	for _, x := range r.Recoveries {
		node := "–"
		if x.Node > 0 {
			node = fmt.Sprint(x.Node)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", x.Name, node, span3(x.At), span3(x.Outage), span3(x.Took))
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (r Report) violations(b *strings.Builder) {
	by := map[string][]Violation{}
	for _, x := range r.Violations {
		by[x.Kind] = append(by[x.Kind], x)
	}
	kinds := make([]string, 0, len(by))
	for k := range by {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for _, k := range kinds {
		xs := by[k]
		// What takes the fewest lines to show comes first.
		slices.SortStableFunc(xs, func(a, b Violation) int { return cmp.Compare(len(a.Excerpt), len(b.Excerpt)) })
		fmt.Fprintf(b, "\n## %s: %d\n", k, len(xs))
		for _, x := range xs[:min(shown, len(xs))] {
			fmt.Fprintf(b, "\n%s\n", x.Text)
			if len(x.Excerpt) > 0 {
				fmt.Fprintf(b, "\n```json\n%s\n```\n", strings.Join(x.Excerpt, "\n"))
			}
		}
	}
}

// span3 is a time with about three digits.
func span3(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
