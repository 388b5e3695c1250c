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

// trim deletes what is past its time, a piece at a time, until ctx ends.
func trim(ctx context.Context, s *store.Store, retention time.Duration, log *slog.Logger) {
	t := time.NewTicker(trimEvery)
	defer t.Stop()
	for {
		for n := int64(trimMax); n == trimMax && ctx.Err() == nil; {
			var err error
			if n, err = s.Trim(ctx, time.Now().Add(-retention), trimMax); err != nil && ctx.Err() == nil {
				log.Warn("the log cannot be trimmed; trying again", "error", err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
