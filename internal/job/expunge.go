package job

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// expunge takes a job further that deletes a tenant's payloads. Others delete them; the
// job sees to it that it is asked for, and ends when it is done. Who goes on with it after
// a crash asks once more, which deletes what is left.
func (r *Runner) expunge(ctx context.Context, of *run, now time.Time) (time.Duration, error) {
	const often = 100 * time.Millisecond
	if of.expunged == nil {
		asked, err := r.Store.InsertExpunge(ctx, of.job.Organisation, store.Expunge{
			Tenant: of.job.Tenant, Job: of.job.Key, AskedAt: of.job.CreatedAt,
		})
		if errors.Is(err, store.ErrNotFound) {
			return 0, r.finish(ctx, of, of.end(webhook.JobCancelled, tenantDeleted, now))
		}
		if err != nil {
			return 0, err
		}
		of.expunged = r.Expunge(asked)
	}
	select {
	case <-of.expunged:
		return 0, r.finish(ctx, of, of.end(webhook.JobFinished, "", now))
	default:
		return often, nil
	}
}
