package app

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 1600, 4 << 20: 1600, 16 << 20: 400, 64 << 20: 100, 1 << 30: 100} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB: %d, want %d", live>>20, got, want)
		}
	}
}

// It goes on after the first collection, and ends with its context.
func TestEachCollection(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int32
	eachCollection(ctx, func() { n.Add(1) })
	for want := int32(1); want <= 3; want++ {
		for until := time.Now().Add(10 * time.Second); n.Load() < want && time.Now().Before(until); time.Sleep(time.Millisecond) {
			runtime.GC()
		}
		if n.Load() < want {
			t.Fatalf("called %d times, want %d", n.Load(), want)
		}
	}
	cancel()
	last := n.Load()
	for range 5 {
		runtime.GC()
		time.Sleep(time.Millisecond) // cleanups run after the collection, beside us
	}
	if n.Load() > last+1 { // one may have been on its way
		t.Error("it goes on")
	}
}
