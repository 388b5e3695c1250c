package main

import (
	"reflect"
	"testing"
	"time"
)

// The same seed is the same run; every seed has what a run of ten minutes must have, and is over in time.
func TestSchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		all := schedule(seed, 10*time.Minute, 3)
		if again := schedule(seed, 10*time.Minute, 3); !reflect.DeepEqual(all, again) {
			t.Fatalf("seed %d is two runs", seed)
		}
		counts, killed, ended, overlaps := map[string]int{}, map[int]int{}, map[int]bool{}, 0
		for i, f := range all {
			if counts[f.Name]++; f.Name == "kill" {
				killed[f.Node]++
			}
			if f.At >= 5*time.Minute && (f.Name == "kill" || f.Name == "restart") {
				ended[f.Node] = true
			}
			if f.At < firstAfter || f.At+f.For > 10*time.Minute-healBefore || f.Node < 0 || f.Node > 3 {
				t.Errorf("seed %d: %+v", seed, f)
			}
			if i > 0 && all[i-1].At+all[i-1].For > f.At {
				overlaps++
			}
		}
		if len(ended) != 2 {
			t.Errorf("seed %d: in the second half %d nodes are ended", seed, len(ended))
		}
		if min(killed[1], killed[2], killed[3]) < 2 {
			t.Errorf("seed %d: kills of nodes: %v", seed, killed)
		}
		if counts["kill"] < 20 || counts["postgres"] < 5 || counts["nats"] < 5 || len(counts) != len(kinds) || overlaps == 0 {
			t.Errorf("seed %d: %v, %d overlap", seed, counts, overlaps)
		}
	}
	if reflect.DeepEqual(schedule(1, time.Minute, 3), schedule(2, time.Minute, 3)) {
		t.Error("two seeds are the same run")
	}
	quick := map[string]int{}
	for _, f := range schedule(1, time.Minute, 3) {
		quick[f.Name]++
	}
	if quick["kill"] != 2 || len(quick) != len(kinds) {
		t.Errorf("a minute has %v", quick)
	}
}
