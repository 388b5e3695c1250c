package webhook_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-chat/parley/internal/webhook"
)

// life plays a message that always fails, and says when it was tried.
func life(took time.Duration, after func() time.Duration, jitter func() float64) (tries []time.Duration) {
	age := took
	tries = append(tries, 0)
	for failures := 1; failures < 10_000; failures++ {
		wait, ok := webhook.Next(failures, age, after(), jitter())
		if !ok {
			break
		}
		age += wait
		tries = append(tries, age)
		age += took
	}
	return tries
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	tries := life(0, func() time.Duration { return 0 }, func() float64 { return 0.5 })
	want := []time.Duration{
		0, 5 * time.Second, 35 * time.Second, 155 * time.Second, 755 * time.Second, 2555 * time.Second, 6155 * time.Second, 13355 * time.Second,
		27755 * time.Second, 56555 * time.Second, 85355 * time.Second, webhook.Life,
	}
	if len(tries) != len(want) {
		t.Fatal(tries)
	}
	for i := range want {
		if tries[i] != want[i] {
			t.Errorf("try %d at %s, want %s", i, tries[i], want[i])
		}
	}
}

func TestEveryScheduleEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		took := time.Duration(rapid.IntRange(0, 30_000).Draw(t, "took")) * time.Millisecond
		asked := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(webhook.MaxAfter)).Draw(t, "after"))
		}), 1, 5).Draw(t, "asked")
		polite := rapid.Bool().Draw(t, "polite")
		var n int
		after := func() time.Duration {
			if polite {
				return 0
			}
			n++
			return asked[n%len(asked)]
		}
		tries := life(took, after, func() float64 { return rapid.Float64Range(0, 0.999999).Draw(t, "jitter") })
		if last := tries[len(tries)-1]; last != webhook.Life && last+took < webhook.Life {
			t.Errorf("the last try is at %s", last)
		}
		if len(tries) < 5 || len(tries) > 16 || tries[len(tries)-1] > webhook.Life {
			t.Errorf("%d tries: %s", len(tries), tries)
		}
		for i := 1; i < len(tries); i++ {
			if tries[i]-tries[i-1] < min(4*time.Second, webhook.Life-tries[i-1]) {
				t.Errorf("tries at %s and %s", tries[i-1], tries[i])
			}
		}
	})
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failures   int
		age, after time.Duration
		jitter     float64
		wait       time.Duration
		ok         bool
	}{
		{1, 0, 0, 0, 4 * time.Second, true},
		{1, 0, 0, 0.5, 5 * time.Second, true},
		{0, 0, 0, 0.5, 5 * time.Second, true},
		{1, 0, time.Minute, 0.5, time.Minute, true},
		{6, 0, time.Minute, 0.5, time.Hour, true},
		{1000, 0, 0, 0.5, 8 * time.Hour, true},
		{1000, 23 * time.Hour, 0, 0.5, time.Hour, true},
		{1, 23 * time.Hour, 6 * time.Hour, 0.5, time.Hour, true},
		{1, webhook.Life, 0, 0.5, 0, false},
		{1, webhook.Life + time.Hour, time.Hour, 0.5, 0, false},
	} {
		if wait, ok := webhook.Next(c.failures, c.age, c.after, c.jitter); wait != c.wait || ok != c.ok {
			t.Errorf("%+v: %s, %t", c, wait, ok)
		}
	}
}
