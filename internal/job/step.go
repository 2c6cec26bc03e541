package job

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// errOver says that a job has ended, and that this is stored.
var errOver = errors.New("job has ended")

// Why jobs end before they have finished.
const (
	tenantDeleted    = "the tenant was deleted"
	endpointDeleted  = "the endpoint was deleted"
	endpointDisabled = "the endpoint is disabled: enable it, and start a new job for what is left"
)

// step takes a job a little further: it looks at a page of deliveries, and stores what it
// makes of them. It returns how long to rest for the sake of the rate.
func (r *Runner) step(ctx context.Context, of *run, now time.Time) (time.Duration, error) {
	switch {
	case of.job.Version == unknownVersion:
		return 0, store.ErrStale
	case of.unreadable != nil:
		return 0, r.finish(ctx, of, of.end(webhook.JobFailed, of.unreadable.Error(), now))
	case counts(of.job.Kind):
		return r.tally(ctx, of, now)
	case of.job.Kind == webhook.JobExpunge:
		return r.expunge(ctx, of, now)
	}
	at, rest, found := of.place(now)
	switch {
	case !found && rest > 0:
		return rest, r.save(ctx, of, now)
	case !found:
		return 0, r.finish(ctx, of, of.end(webhook.JobFinished, "", now))
	case !of.entered(at):
		return 0, r.enter(ctx, of, now)
	}
	ep, err := r.Store.Endpoint(ctx, of.job.Tenant, at.Endpoint)
	switch {
	case errors.Is(err, store.ErrNotFound) && of.single():
		return 0, r.finish(ctx, of, of.end(webhook.JobCancelled, r.whyGone(ctx, of), now))
	case errors.Is(err, store.ErrNotFound):
		of.leave(at)
		return 0, nil
	case err != nil:
		return 0, err
	case ep.Disabled && sends(of.job.Kind) && of.single():
		return 0, r.finish(ctx, of, of.end(webhook.JobFailed, endpointDisabled, now))
	case ep.Disabled && sends(of.job.Kind):
		of.leave(at)
		return 0, nil
	}
	room, err := r.room(ctx, of, at)
	if err != nil {
		return 0, err
	}
	if room <= 0 {
		of.putOff(at, now)
		return 0, nil
	}
	read, err := r.read(ctx, of.walk, at, room)
	if err != nil {
		return 0, err
	}
	r.examined.Add(uint64(read.Examined)) //nolint:gosec // not negative
	before, unstored := of.job.JobProgress, of.unstored
	step := of.visit(at, &ep, &read, now)
	if err := r.keep(ctx, of, step, &ep, now); err != nil { // it will be visited again
		of.job.JobProgress, of.unstored = before, unstored
		return 0, err
	}
	return r.pace(of.walk, &step, read.Examined), nil
}

// enter goes on to the next endpoint of a tenant, or the only one.
func (r *Runner) enter(ctx context.Context, of *run, now time.Time) error {
	if of.single() {
		if of.job.Through == 0 { // there is nothing that it could be for
			of.enter(nil)
			return nil
		}
		of.enter(&store.Endpoint{Key: of.job.Endpoint})
		return nil
	}
	next, err := r.Store.Endpoints(ctx, of.job.Tenant, store.Page{After: int64(of.job.At.Endpoint), Limit: 1})
	if err != nil {
		return err
	}
	if len(next) > 0 {
		of.enter(&next[0])
		return nil
	}
	_, err = r.Store.Tenant(ctx, of.job.Organisation, of.job.Tenant)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return r.finish(ctx, of, of.end(webhook.JobCancelled, tenantDeleted, now))
	case err == nil:
		of.enter(nil)
	}
	return err
}

// whyGone says why an endpoint is not there any more.
func (r *Runner) whyGone(ctx context.Context, of *run) string {
	if _, err := r.Store.Tenant(ctx, of.job.Organisation, of.job.Tenant); errors.Is(err, store.ErrNotFound) {
		return tenantDeleted
	}
	return endpointDeleted
}

// room is how many deliveries a step may take at a place. A step is about a quarter of a
// second's, so that a low rate is even.
func (r *Runner) room(ctx context.Context, of *run, at place) (int, error) {
	room := min(r.limits.Batch, max(1, of.spec.Rate/4))
	if !sends(of.job.Kind) {
		return room, nil
	}
	open, untried, err := r.Store.JobOpen(ctx, of.job.Key, at.Endpoint, r.limits.Open)
	return min(room, r.limits.Open-open, r.limits.Untried-untried), err
}

// read reads what lies behind a place.
func (r *Runner) read(ctx context.Context, w *walk, at place, limit int) (store.Listed[store.EndpointDelivery], error) {
	page := store.Page{After: int64(at.Event), Limit: limit}
	if w.job.Kind == webhook.JobReplayMissing {
		return r.Store.UntriedAtEndpoint(ctx, w.job.Tenant, at.Endpoint, w.spec.events(), page)
	}
	return r.Store.DeliveriesAtEndpoint(ctx, at.Endpoint, w.spec.Filter, page)
}

// pace is how long a job rests after a step.
func (r *Runner) pace(w *walk, step *store.JobStep, examined int) time.Duration {
	made := time.Duration(makes(step)) * time.Second / time.Duration(max(1, w.spec.Rate))
	return max(made, time.Duration(examined)*time.Second/time.Duration(r.limits.Examine))
}

// keep stores a step that makes something. Others are stored now and then, as nothing is
// lost with them.
func (r *Runner) keep(ctx context.Context, of *run, step store.JobStep, ep *store.Endpoint, now time.Time) error {
	if makes(&step) == 0 {
		return r.save(ctx, of, now)
	}
	if len(step.Cancels) > 0 {
		step.Announce = r.Announce(of.job.Organisation, of.job.Tenant)
	}
	lanes := []store.Lane{{Tenant: of.job.Tenant, Endpoint: ep.Key}}
	return r.Writer.Do(ctx, lanes, func(ctx context.Context) error {
		step.Progress.UpdatedAt = time.Now()
		made, err := r.Store.StepJob(ctx, step.Progress.UpdatedAt, step)
		if errors.Is(err, store.ErrCommitUnknown) {
			of.doubtful = &step
			r.Told(time.Now(), &Made{Tenant: of.job.Tenant, Announced: len(step.Cancels) * len(step.Announce)})
		}
		if err != nil {
			return err
		}
		of.follow(&step)
		told := stored(of.job.Tenant, &step, &made)
		r.made.Add(uint64(len(told.Sends) + len(told.Openings) + len(told.Cancelled)))
		r.Told(time.Now(), told)
		return nil
	})
}

// stored is what a step has made, of what it was to make.
func stored(tenant store.TenantKey, step *store.JobStep, made *store.JobMade) *Made {
	of := &Made{Tenant: tenant}
	for i, key := range made.Sends {
		if key != 0 {
			send := step.Sends[i]
			send.Key = key
			of.Sends = append(of.Sends, send)
		}
	}
	for i, opened := range made.Opened {
		if opened {
			of.Openings = append(of.Openings, step.Openings[i])
		}
	}
	for i, cancelled := range made.Cancelled {
		if cancelled {
			of.Cancelled = append(of.Cancelled, step.Cancels[i])
			of.Announced += len(step.Announce)
		}
	}
	return of
}

// save stores how far a job has come, where that is worth it.
func (r *Runner) save(ctx context.Context, of *run, now time.Time) error {
	const (
		often  = time.Second
		enough = 10_000 // examined
	)
	if of.unstored == 0 || of.unstored < enough && now.Sub(of.stored) < often {
		return nil
	}
	step := store.JobStep{Job: of.job.Key, Version: of.job.Version, Progress: of.job.JobProgress}
	step.Progress.UpdatedAt = now
	if _, err := r.Store.StepJob(ctx, now, step); err != nil {
		return err
	}
	of.follow(&step)
	return nil
}

// finish stores the end of a job.
func (r *Runner) finish(ctx context.Context, of *run, step store.JobStep) error {
	step.Progress.UpdatedAt = step.Progress.EndedAt
	if _, err := r.Store.StepJob(ctx, step.Progress.UpdatedAt, step); err != nil {
		of.job.State, of.job.Error, of.job.EndedAt, of.job.Result = webhook.JobRunning, "", time.Time{}, nil
		return err
	}
	r.Log.InfoContext(ctx, "job has ended", "job_id", r.ID(&of.job), "kind", of.job.Kind, "state", step.Progress.State, "reason", step.Progress.Error)
	return errOver
}

// follow says that a step was stored.
func (of *run) follow(step *store.JobStep) {
	of.job.Version++
	of.job.UpdatedAt = step.Progress.UpdatedAt
	of.stored, of.unstored, of.doubtful = step.Progress.UpdatedAt, 0, nil
}
