package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// With a small heap the collector would run for every few megabytes that requests leave behind, and take a fifth of the
// CPU of a busy server. headroom is how much they may leave before it is worth a collection.
const headroom = 64 << 20

// tuneMemory lets the collector run less often while the heap is small, and gives memory back to the system when nothing
// happens any more, until ctx ends. Where the operator has set GOGC or GOMEMLIMIT, only the second.
func tuneMemory(ctx context.Context) {
	own := os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == ""
	var percent int
	var allocated, since, freed uint64 // bytes allocated: in all, at the last look, when memory was last given back
	quiet := 0
	t := time.NewTicker(time.Second)
	defer t.Stop()
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	for {
		metrics.Read(s)
		if p := gcPercent(s[0].Value.Uint64()); own && p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
		since, allocated = allocated, s[1].Value.Uint64()
		if quiet++; allocated-since > quietBytes {
			quiet = 0
		}
		if quiet >= quietSeconds && allocated-freed > worthFreeing {
			debug.FreeOSMemory()
			freed = allocated
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

const (
	quietBytes   = 1 << 20 // a second: idle sockets are pinged
	quietSeconds = 3
	worthFreeing = 8 << 20
)

// gcPercent is what GOGC must be for the headroom, in steps so that it seldom changes; Go's own 100 where the heap is large
// enough for that.
func gcPercent(live uint64) int {
	p := 100
	for p < 1600 && live*uint64(p) < 100*headroom {
		p += p / 4
	}
	return p
}
