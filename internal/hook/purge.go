package hook

import (
	"context"
	"time"

	"github.com/parley-chat/parley/internal/job"
)

// PurgeArgs has old deliveries deleted.
type PurgeArgs struct{}

// Kind is the job's.
func (PurgeArgs) Kind() string { return "webhook_purge" }

// InsertOpts are the job's.
func (PurgeArgs) InsertOpts() job.Options { return job.Options{Queue: job.Maintenance} }

// PurgeEvery is how often it is due.
const PurgeEvery = 10 * time.Minute

const (
	keepDelivered = 3 * 24 * time.Hour
	keepDead      = 30 * 24 * time.Hour
	purgeMax      = 10_000 // rows in one transaction
)

// Purge deletes deliveries that are old, and those to webhooks that were deleted.
func (s *Service) Purge(ctx context.Context, _ *job.Job[PurgeArgs]) error {
	now := s.Now()
	for n := int64(purgeMax); n >= purgeMax; { // a piece at a time, so that nobody waits long for the lock
		var err error
		if n, err = s.store.PurgeDeliveries(ctx, now.Add(-keepDelivered), now.Add(-keepDead), purgeMax); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if more, err = s.store.PurgeWebhooks(ctx, now, purgeMax); err != nil {
			return err
		}
	}
	return nil
}
