package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-chat/parley/internal/store"
)

const (
	trimEvery = time.Minute
	trimMax   = 10000 // rows in one transaction
)

// trim deletes what is past its time, until ctx ends: events after the retention, and the sessions that ended before it
// (what the log still tells of, and tokens that may still be about, need theirs), and limits for which nothing counts any
// more.
func trim(ctx context.Context, s *store.Store, retention, accessTTL time.Duration, log *slog.Logger) {
	t := time.NewTicker(trimEvery)
	defer t.Stop()
	for {
		now := time.Now()
		pieces(ctx, log, "the log", func() (int64, error) { return s.Trim(ctx, now.Add(-retention), trimMax) })
		pieces(ctx, log, "ended sessions", func() (int64, error) {
			return s.TrimSessions(ctx, now.Add(-max(retention, accessTTL+trimEvery)), trimMax)
		})
		pieces(ctx, log, "limits", func() (int64, error) { return s.TrimLimits(ctx, trimMax) })
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// pieces deletes a piece at a time, so that nobody waits long for the lock.
func pieces(ctx context.Context, log *slog.Logger, what string, piece func() (int64, error)) {
	for n := int64(trimMax); n >= trimMax && ctx.Err() == nil; {
		var err error
		if n, err = piece(); err != nil && ctx.Err() == nil {
			log.Warn("what is past its time cannot be deleted; trying again", "what", what, "error", err)
		}
	}
}
