package neohook

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/internal/job"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// JobFilter narrows a list of jobs. Zero fields do not narrow.
type JobFilter struct {
	// Tenant is whose jobs are listed, by id or UID.
	Tenant webhook.TenantID
	States []webhook.JobState
	Kinds  []webhook.JobKind
}

// Job returns a job. One that has ended is kept for 30 days, and of a tenant the last 250.
func (o *Organisation) Job(ctx context.Context, id webhook.JobID) (webhook.Job, error) {
	key, err := o.jobKey(id)
	if err != nil {
		return webhook.Job{}, err
	}
	found, err := o.engine.store.Job(ctx, string(o.id), key)
	if err != nil {
		return webhook.Job{}, translate(err, "job", string(id))
	}
	return o.showJob(ctx, &found)
}

func (o *Organisation) jobKey(id webhook.JobID) (store.JobKey, error) {
	if err := checkOrganisation(o.id); err != nil {
		return 0, err
	}
	key, _, err := o.engine.records.IDs.ParseJob(id)
	if err != nil {
		return 0, translate(store.ErrNotFound, "job", string(id))
	}
	return key, nil
}

// Jobs lists the organisation's jobs in the order in which they were started, without what
// they have counted.
func (o *Organisation) Jobs(ctx context.Context, filter JobFilter, page Page) (List[webhook.Job], error) {
	if err := checkOrganisation(o.id); err != nil {
		return List[webhook.Job]{}, err
	}
	narrow := store.JobFilter{States: filter.States, Kinds: filter.Kinds}
	if filter.Tenant != "" {
		owner, err := o.tenant(ctx, filter.Tenant)
		if err != nil {
			return List[webhook.Job]{}, err
		}
		narrow.Tenant = owner.Key
	}
	part, err := storePage(page, o.engine.records.IDs.ParseJob)
	if err != nil {
		return List[webhook.Job]{}, err
	}
	got, err := o.engine.store.Jobs(ctx, string(o.id), narrow, part)
	if err != nil {
		return List[webhook.Job]{}, translate(err, "jobs of", string(o.id))
	}
	list := List[webhook.Job]{Done: got.Done, Items: make([]webhook.Job, len(got.Items))}
	for i := range got.Items {
		if list.Items[i], err = o.showJob(ctx, &got.Items[i]); err != nil {
			return List[webhook.Job]{}, err
		}
	}
	if got.Last != 0 {
		list.Last = string(o.engine.records.IDs.Job(got.LastAt, store.JobKey(got.Last)))
	}
	return list, nil
}

// jobCancelled is the reason of a job that was cancelled on request.
const jobCancelled = "somebody asked for it"

// CancelJob ends a job, and returns it: it makes nothing more. What it has sent goes on,
// and what it has cancelled stays so. A job that has ended stays as it is.
func (o *Organisation) CancelJob(ctx context.Context, id webhook.JobID) (webhook.Job, error) {
	key, err := o.jobKey(id)
	if err != nil {
		return webhook.Job{}, err
	}
	ended, err := o.engine.store.CancelJob(ctx, string(o.id), key, jobCancelled, now())
	if err != nil {
		return webhook.Job{}, translate(err, "job", string(id))
	}
	o.engine.jobs.Ended(key)
	return o.showJob(ctx, &ended)
}

// presentJob shows a job as it is by now.
func (o *Organisation) presentJob(ctx context.Context, made *store.Job) (webhook.Job, error) {
	stored, err := o.engine.store.Job(ctx, string(o.id), made.Key)
	switch {
	case errors.Is(err, store.ErrNotFound): // it is not kept any more
		return o.showJob(ctx, made)
	case err != nil:
		return webhook.Job{}, translate(err, "job", string(o.engine.jobID(made)))
	}
	return o.showJob(ctx, &stored)
}

func (o *Organisation) showJob(ctx context.Context, j *store.Job) (webhook.Job, error) {
	spec, _ := job.Decode(j.Spec) // what this version can't read it does not show
	shown := webhook.Job{
		ID: o.engine.jobID(j), Tenant: spec.Tenant, Endpoint: spec.Endpoint, Kind: j.Kind, State: j.State, Error: j.Error, Rate: spec.Rate,
		Progress: webhook.JobProgress{
			Examined: j.Examined, Matched: j.Matched, Made: j.Made, Succeeded: j.Succeeded, Failed: j.Failed,
			AcceptedAt: j.AtTime,
		},
		Unknown: spec.Count.Unknown, CreatedAt: j.CreatedAt, UpdatedAt: j.UpdatedAt, EndedAt: j.EndedAt,
	}
	if err := showFound(&shown, j.Result); err != nil {
		return shown, translate(err, "job", string(shown.ID))
	}
	if j.State != webhook.JobRunning {
		return shown, nil
	}
	if shown.Progress.Endpoint = spec.Endpoint; spec.Endpoint != "" || j.At.Endpoint == 0 {
		return shown, nil
	}
	at, err := o.engine.store.Endpoint(ctx, j.Tenant, j.At.Endpoint)
	switch {
	case err == nil:
		shown.Progress.Endpoint = o.engine.records.IDs.Endpoint(at.CreatedAt, at.Key)
	case !errors.Is(err, store.ErrNotFound): // it is past the last one
		return shown, translate(err, "job", string(shown.ID))
	}
	return shown, nil
}

// showFound puts in what a job has counted.
func showFound(shown *webhook.Job, result []byte) error {
	switch shown.Kind {
	case webhook.JobUsage:
		found, err := job.Found[job.Usage](result)
		for _, of := range found {
			shown.Usage = append(shown.Usage, webhook.TenantUsage(of))
		}
		return err
	case webhook.JobSubscriptions:
		found, err := job.Found[job.Subscriptions](result)
		for _, of := range found {
			shown.Subscriptions = append(shown.Subscriptions, webhook.TenantSubscriptions(of))
		}
		return err
	}
	return nil
}

func (e *Engine) jobID(j *store.Job) webhook.JobID { return e.records.IDs.Job(j.CreatedAt, j.Key) }

// busyIntake is how many events must wait to be stored for jobs to slow down.
const busyIntake = 256

func (e *Engine) assembleJobs() {
	e.jobs = job.New(job.Parts{
		Store: e.store, Writer: e.writer, Told: e.jobMade,
		Announce: func(organisation string, tenant store.TenantKey) []store.Announcement {
			return e.herald.Announce(organisation, store.About{Tenant: tenant}, operational.Details{}, operational.MessageCancelled)
		},
		Busy:    func() bool { return e.intake.Len() >= busyIntake },
		Expunge: e.keeper.Done, ID: e.jobID,
		TenantID: func(t *store.Tenant) webhook.TenantID { return e.records.IDs.Tenant(t.CreatedAt, t.Key) },
		Log:      e.opts.Logger,
	}, job.Limits{})
}

// jobMade hands over what a step of a job has stored.
func (e *Engine) jobMade(now time.Time, made *job.Made) {
	var waiting []lane.Delivery
	for _, send := range made.Sends {
		waiting = append(waiting, lane.Delivery{
			Tenant: made.Tenant, Endpoint: send.Endpoint, Event: send.Event, Send: send.Key, Retried: send.Retried, Due: send.DueAt,
		})
	}
	for _, o := range made.Openings {
		waiting = append(waiting, lane.Delivery{Tenant: made.Tenant, Endpoint: o.Endpoint, Event: o.Event, Due: o.DueAt})
	}
	e.lanes.Await(now, waiting)
	e.lanes.Drop(now, made.Cancelled)
	e.outbox.Added(made.Announced)
	e.tally.deliveries.Add(uint64(len(made.Openings)))
	e.quota.Open(made.Tenant, len(made.Openings))
	for range made.Cancelled {
		e.tally.end(webhook.Cancelled, webhook.CancelAsked)
	}
	e.quota.End(made.Tenant, len(made.Cancelled))
}
