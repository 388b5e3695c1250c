package feed

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// Whoever comes while a question is being answered is asked for together; everybody gets their own answer.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan error)
		var sizes []int
		g := gather[int, int]{ask: func(_ context.Context, qs ...int) ([]int, error) {
			sizes = append(sizes, len(qs))
			as := make([]int, len(qs))
			for i, q := range qs {
				as[i] = q * q
			}
			return as, <-release
		}}
		var wg sync.WaitGroup
		want := func(q int, fail error) {
			wg.Go(func() {
				if a, err := g.get(t.Context(), q); !errors.Is(err, fail) || fail == nil && a != q*q {
					t.Errorf("%d: %d, %v", q, a, err)
				}
			})
		}
		want(3, nil)
		synctest.Wait()
		broken := errors.New("broken")
		for q := range 300 {
			if q < gatherMax {
				want(q, broken)
			}
			synctest.Wait()
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.get(gone, 5); !errors.Is(err, context.Canceled) {
			t.Error("who stops waiting waits:", err)
		}
		release <- nil
		release <- broken
		release <- nil // of who did not wait
		wg.Wait()
		synctest.Wait()
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != gatherMax || sizes[2] != 1 || g.busy || g.waiting != nil {
			t.Error(sizes, g.busy)
		}
	})
}

// A panic is an error of those who asked, and the next are answered.
func TestGatherPanics(t *testing.T) {
	t.Parallel()
	g := gather[int, int]{ask: func(_ context.Context, qs ...int) ([]int, error) { return []int{10 / qs[0]}, nil }}
	if _, err := g.get(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "divide") {
		t.Error(err)
	}
	if a, err := g.get(t.Context(), 5); err != nil || a != 2 {
		t.Error(a, err)
	}
}
