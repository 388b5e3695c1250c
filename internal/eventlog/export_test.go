package eventlog_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/eventlog"
)

// trimmedSource does not have what was trimmed.
type trimmedSource struct{ *source }

func (s trimmedSource) Events(ctx context.Context, after chat.Position, limit int) ([]*chat.Event, error) {
	all, err := s.source.Events(ctx, after, 1<<20)
	all = slices.DeleteFunc(slices.Clone(all), func(e *chat.Event) bool { return e.Position <= s.trimmed })
	return all[:min(limit, len(all))], err
}

// Everything comes after a position, from the ring or the database, and never what is not next.
func TestAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		s.add(topic, 3000)
		l, _ := follow(t, s, 100, nil)
		defer l.Stop()
		grown := l.Grown()
		for range 50 {
			l.Offer(s.add(topic, 10))
			synctest.Wait()
		}
		select {
		case <-grown:
		default:
			t.Error("nobody is told that the log has grown")
		}
		for _, after := range []chat.Position{0, 1, 2000, 2999, 3000, 3299, 3399, 3400, 3499, 3500, 3501, 9999} {
			for _, limit := range []int{1, 7, 5000} {
				got, err := l.After(t.Context(), after, limit)
				if want := min(limit, max(0, 3500-int(after))); err != nil || len(got) != want {
					t.Fatalf("%d events after %d, %v; want %d", len(got), after, err, want)
				}
				for i, e := range got {
					if e.Position != after+1+chat.Position(i) {
						t.Fatalf("%d after %d", e.Position, after)
					}
				}
			}
		}
		reads := s.reads
		if _, err := l.After(t.Context(), 3450, 10); err != nil || s.reads != reads {
			t.Errorf("%v, %d reads of the database for what the ring has", err, s.reads-reads)
		}
		if epoch, head, trimmed, err := l.Bounds(t.Context()); epoch != 7 || head != 3500 || trimmed != 0 || err != nil {
			t.Error(epoch, head, trimmed, err)
		}
		s.down = true
		if _, err := l.After(t.Context(), 10, 10); !errors.Is(err, errDown) {
			t.Error(err)
		}
		s.down = false
	})
}

// What was trimmed is never stepped over in silence.
func TestAfterWhatWasTrimmed(t *testing.T) {
	for trimmed, first := range map[chat.Position]chat.Position{50: 51, 100: 0} {
		s := &source{trimmed: trimmed}
		s.add(topic, 100)
		l := eventlog.New(eventlog.Config{Source: trimmedSource{s}, Ring: 10, Fill: func(context.Context, []*chat.Event) error { return nil }})
		if err := l.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.After(t.Context(), 49, 10); !errors.Is(err, chat.ErrCursorExpired) {
			t.Errorf("trimmed to %d: %v", trimmed, err)
		}
		if got, err := l.After(t.Context(), 50, 10); first > 0 && (err != nil || got[0].Position != first) || first == 0 && !errors.Is(err, chat.ErrCursorExpired) {
			t.Errorf("trimmed to %d: %v %v", trimmed, got, err)
		}
		if got, err := l.After(t.Context(), 100, 10); err != nil || len(got) != 0 {
			t.Errorf("trimmed to %d: %v %v", trimmed, got, err)
		}
	}
}
