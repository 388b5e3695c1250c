package app

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// With a small heap the collector would run for every few megabytes that requests leave behind, and take a fifth of the
// CPU of a busy server. headroom is how much they may leave before it is worth a collection.
const headroom = 64 << 20

// tuneMemory lets the collector run less often while the heap is small, unless the operator has set GOGC or GOMEMLIMIT, and
// gives memory back to the system when nothing happens any more, until ctx ends.
func tuneMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		before := debug.SetGCPercent(gcPercent(heap("/gc/heap/live:bytes")))
		defer debug.SetGCPercent(before)
		eachCollection(ctx, func() { debug.SetGCPercent(gcPercent(heap("/gc/heap/live:bytes"))) })
	}
	var allocated, since, freed uint64 // bytes allocated: in all, at the last look, when memory was last given back
	quiet := 0
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		since, allocated = allocated, heap("/gc/heap/allocs:bytes")
		if quiet++; allocated-since > quietBytes {
			quiet = 0
		}
		if quiet >= quietSeconds && allocated-freed > worthFreeing {
			debug.FreeOSMemory()
			freed = allocated
		}
	}
}

const (
	quietBytes   = 1 << 20 // a second: idle sockets are pinged
	quietSeconds = 3
	worthFreeing = 2 << 20
)

func heap(metric string) uint64 {
	s := []metrics.Sample{{Name: metric}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// eachCollection calls f after every collection: at once, because a storm of connections can grow a heap tenfold within a
// second. What is collected by the next one is a small object made for that.
func eachCollection(ctx context.Context, f func()) {
	type canary struct{ _ *byte } // with a pointer, or it would share its memory with other small things
	runtime.AddCleanup(&canary{}, func(ctx context.Context) {
		if ctx.Err() == nil {
			f()
			eachCollection(ctx, f)
		}
	}, ctx)
}

// gcPercent is what GOGC must be for the headroom; Go's own 100 where the heap is large enough for that.
func gcPercent(live uint64) int {
	return int(min(max(100, 100*headroom/max(live, 1)), 1600)) //nolint:gosec // bounded
}
