package limit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/limit"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)} }

func wantRefused(t *testing.T, err error) (wait time.Duration) {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != chat.CodeRateLimited || e.RetryAfter <= 0 {
		t.Fatalf("%#v", err)
	}
	return e.RetryAfter
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1} {
		sends, shared := limit.NewSends(limit.Config{N: n}), limit.NewShared(limit.Config{N: n}, nil)
		for range 1000 {
			if err := errors.Join(sends.Allow(ada), shared.Allow(t.Context(), "a")); err != nil {
				t.Fatal(err)
			}
		}
		sends.Applied([]*chat.Event{{Type: chat.MessageAdded}})
		sends.Void(ada)
		if sends.Users() != 0 {
			t.Error("users are remembered for nothing")
		}
	}
}
