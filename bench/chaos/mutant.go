package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parley-chat/parley/bench/chaos/check/verdict"
)

// mutants are servers without one of their safety nets, which check must catch: it could be blind otherwise. Each edit
// replaces a text of a file that must be there exactly once.
var mutants = map[string]mutant{
	// Events that no doorbell has told are skipped when a later one is known.
	"gap-repair": {[]edit{{"internal/eventlog/log.go", `		e, ok := l.offered[p+1]
`, `		e, ok := l.offered[p+1]
		for q, later := range l.offered {
			if !ok && q > p && (e == nil || q < e.Position) {
				e = later
			}
		}
		if !ok && e != nil {
			p, ok = e.Position-1, true
		}
`}}, verdict.Gap},
	// A retry with the same key is stored again.
	"idempotency": {[]edit{
		{"internal/store/batch_postgres.go", `WHERE sender_id = r.sender_id AND client_key = r.client_key LIMIT 1`, `WHERE false LIMIT 1`},
		{"migrations/postgres/0001_core.sql", `,
  UNIQUE (sender_id, client_key)`, ``},
	}, verdict.Duplicate},
	// Spans have no end: neither live nor in a replay.
	"entitlement": {[]edit{
		{"internal/eventlog/log.go", `if s.Covers(e.Position) {`, `if e.Position > s.From {`},
		{"internal/transport/live/span.go", `s.Covers(e.Position)`, `e.Position > s.From`},
		{"internal/transport/live/apply.go", `			l.endSpans(p, e, e.Subject)
`, ``},
	}, verdict.Leak},
}

type mutant struct {
	edits []edit
	kind  string // of violation, which check must find
}

type edit struct{ file, old, new string }

func mutantNames() []string { return slices.Sorted(maps.Keys(mutants)) }

// mutate returns go build's flags for a mutant: an overlay of the changed files, which it writes into dir.
func mutate(name, root, dir string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	m, ok := mutants[name]
	if !ok {
		return nil, fmt.Errorf("there is no mutant %q, only %s", name, strings.Join(mutantNames(), ", "))
	}
	replace := map[string]string{}
	for i, e := range m.edits {
		file, err := filepath.Abs(filepath.Join(root, e.file))
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			return nil, fmt.Errorf("mutant %s: %s has %d times what is to be replaced, and must have it once:\n%s", name, e.file, n, e.old)
		}
		changed := filepath.Join(dir, fmt.Sprintf("mutant%d%s", i, filepath.Ext(e.file)))
		if err := os.WriteFile(changed, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			return nil, err
		}
		replace[file] = changed
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, _ := json.Marshal(map[string]any{"Replace": replace})
	return []string{"-overlay", overlay}, os.WriteFile(overlay, text, 0o600)
}

// selftest lets every mutant run. It passes when check catches each, and for what it does to those who listen or send.
func selftest(ctx context.Context, o options) int {
	o.quick, o.load = true, append([]string{"-settle", "15s", "-quiet", "2s"}, o.load...)
	exit := passed
	for _, name := range mutantNames() {
		if ctx.Err() != nil {
			return inconclusive
		}
		o.mutant = name
		if !caught(ctx, o) {
			exit = broken
		}
	}
	fmt.Println(outcome(exit))
	return exit
}

func caught(ctx context.Context, o options) bool {
	dir, err := os.MkdirTemp("", "parley-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return false
	}
	exit, judged, err := run(ctx, o, dir)
	report, _ := os.ReadFile(filepath.Join(dir, "report.md"))
	// A heading, not a word: every report has a row about gap repairs.
	if err == nil && judged == broken && strings.Contains(string(report), "\n## "+mutants[o.mutant].kind+": ") {
		fmt.Printf("caught: %s\n\n", o.mutant)
		_ = os.RemoveAll(dir)
		return true
	}
	_ = os.RemoveAll(filepath.Join(dir, "bin"))
	fmt.Printf("not caught: %s (check's exit %d, the run's %d, %v); see %s\n\n", o.mutant, judged, exit, err, dir)
	return false
}
