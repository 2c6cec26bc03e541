package job

import (
	"context"
	"math"
	"time"

	"github.com/neohook/neohook/store"
)

// Preview is what a job would find.
type Preview struct {
	// Examined is how many deliveries were looked at, and Matched how many of them the job
	// would be for, as they stand now.
	Examined, Matched int64
	// Exact says that all were looked at; else these are only the first.
	Exact bool
}

// A preview looks at no more than this: deliveries, and pages of them.
const (
	mostPreviewed    = 20_000
	mostPreviewPages = 200
)

// Preview counts what a job would find that is not stored. Its cost is bounded: of many
// deliveries it looks at the first ones, endpoint by endpoint.
func (r *Runner) Preview(ctx context.Context, job store.Job) (Preview, error) {
	job.Through = math.MaxInt64 - 1
	of := &run{walk: newWalk(job)}
	if of.unreadable != nil {
		return Preview{}, of.unreadable
	}
	now := time.Now()
	for range mostPreviewPages {
		at, _, found := of.place(now)
		if !found {
			return Preview{Examined: of.job.Examined, Matched: of.job.Matched, Exact: true}, nil
		}
		if of.job.Examined >= mostPreviewed {
			break
		}
		if err := r.look(ctx, of, at, now); err != nil {
			return Preview{}, err
		}
	}
	return Preview{Examined: of.job.Examined, Matched: of.job.Matched}, nil
}

// look is a step that makes nothing.
func (r *Runner) look(ctx context.Context, of *run, at place, now time.Time) error {
	if !of.entered(at) {
		return r.enter(ctx, of, now)
	}
	const limit = 1000
	ep, err := r.Store.Endpoint(ctx, of.job.Tenant, at.Endpoint)
	if err != nil {
		return err
	}
	if ep.Disabled && sends(of.job.Kind) {
		of.leave(at)
		return nil
	}
	read, err := r.read(ctx, of.walk, at, limit)
	if err != nil {
		return err
	}
	of.visit(at, &ep, &read, now)
	return nil
}
