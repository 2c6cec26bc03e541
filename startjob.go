package neohook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/internal/job"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// MaxJobRate is how many deliveries a job sends or cancels a second at most.
const MaxJobRate = 5000

// maxJobs is how many jobs of a tenant may run at once.
const maxJobs = 20

// Window is the time that a job is about, and its pace.
type Window struct {
	// Since is inclusive and must be given; Until is exclusive, and zero for the present.
	Since, Until time.Time
	// Rate is how many deliveries are sent a second, at most MaxJobRate; 0 = Options.JobRate.
	Rate int
}

// Selection says which deliveries of a tenant a job is for, as they stand when it comes to
// them, and its pace.
type Selection struct {
	// Endpoint narrows to one, by id or UID; "" is all endpoints of the tenant.
	Endpoint webhook.EndpointID
	// DeliveryFilter narrows further; WithPayload is not looked at.
	DeliveryFilter
	// Rate is how many are sent or cancelled a second, at most MaxJobRate; 0 is
	// Options.JobRate to send, and MaxJobRate to cancel.
	Rate int
}

// Preview is what a job would find.
type Preview struct {
	// Examined is how many deliveries were looked at, or events by ReplayMissing, and
	// Matched how many of them the job would be for.
	Examined, Matched int64
	// Exact says that all were looked at. Else these are the first 20,000 or so, and there
	// may be more.
	Exact bool
}

// Recover starts a job that sends to an endpoint once more whatever has failed since a
// time and has not succeeded: events with an attempt there that began in the window and
// failed, and none that succeeded. It is for what was accepted before; each is sent as by
// Resend, and tried again by the endpoint's schedule if it fails. A delivery that is open
// keeps its own schedule beside.
//
// The job goes on by itself, survives restarts, and slows down for what is published; see
// Job. At an endpoint that does not answer it keeps a bounded number under way. It ends as
// JobFailed where the endpoint is disabled meanwhile, and as JobCancelled where it is
// deleted. Under a Once, a repeat starts nothing and returns the job as it is by then.
//
// Errors: *webhook.InvalidError; ErrNotFound; ErrEndpointDisabled; ErrTooManyJobs;
// ErrKeyReused.
func (o *Organisation) Recover(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, window Window) (webhook.Job, error) {
	return o.startJob(ctx, tenant, o.recovering(endpoint, window))
}

// PreviewRecover counts what Recover would find.
func (o *Organisation) PreviewRecover(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, window Window) (Preview, error) {
	return o.previewJob(ctx, tenant, o.recovering(endpoint, window))
}

// ReplayMissing starts a job that sends to an endpoint what the tenant published in the
// window and was never sent there: because the endpoint did not exist yet, was disabled, or
// listened to something else. What it listens to now counts. An event without a delivery
// gets one, like any other; one whose delivery was cancelled before it was tried is sent as
// by Recover. Left out are events that somebody cancelled, here or as a whole, that are not
// due yet, or that have no payload any more. Else it is as Recover.
func (o *Organisation) ReplayMissing(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, window Window) (webhook.Job, error) {
	return o.startJob(ctx, tenant, o.replaying(endpoint, window))
}

// PreviewReplayMissing counts what ReplayMissing would find.
func (o *Organisation) PreviewReplayMissing(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, window Window) (Preview, error) {
	return o.previewJob(ctx, tenant, o.replaying(endpoint, window))
}

// ResendWhere starts a job that sends once more what a selection lets through, each as by
// Resend: a single time, whatever the endpoint listens to. The selection must name States,
// so that nothing is sent again that nobody meant. Endpoints that are disabled are passed
// over, where none is named. Else it is as Recover.
func (o *Organisation) ResendWhere(ctx context.Context, tenant webhook.TenantID, selection Selection) (webhook.Job, error) {
	return o.startJob(ctx, tenant, o.resending(selection))
}

// PreviewResendWhere counts what ResendWhere would find.
func (o *Organisation) PreviewResendWhere(ctx context.Context, tenant webhook.TenantID, selection Selection) (Preview, error) {
	return o.previewJob(ctx, tenant, o.resending(selection))
}

// CancelWhere starts a job that cancels the open deliveries that a selection lets through,
// each as by CancelDelivery. Its States are Pending and Waiting; none means both. It is for
// what was accepted before; an event that is not due yet has no deliveries, and is cancelled
// by CancelEvent. Else it is as Recover, but that disabled endpoints are not passed over.
func (o *Organisation) CancelWhere(ctx context.Context, tenant webhook.TenantID, selection Selection) (webhook.Job, error) {
	return o.startJob(ctx, tenant, o.cancelling(selection))
}

// PreviewCancelWhere counts what CancelWhere would find.
func (o *Organisation) PreviewCancelWhere(ctx context.Context, tenant webhook.TenantID, selection Selection) (Preview, error) {
	return o.previewJob(ctx, tenant, o.cancelling(selection))
}

// jobPlan is a job as it was asked for.
type jobPlan struct {
	kind      webhook.JobKind
	operation string // for a Once
	endpoint  webhook.EndpointID
	spec      job.Spec
	bad       webhook.InvalidError
}

func (o *Organisation) recovering(endpoint webhook.EndpointID, window Window) *jobPlan {
	plan := &jobPlan{kind: webhook.JobRecover, operation: recoverOp, endpoint: endpoint}
	since, until := plan.window(window)
	plan.spec = job.Spec{Rate: plan.rate(window.Rate, o.engine.opts.JobRate), Filter: job.Recover(since, until)}
	return plan
}

func (o *Organisation) replaying(endpoint webhook.EndpointID, window Window) *jobPlan {
	plan := &jobPlan{kind: webhook.JobReplayMissing, operation: replayMissingOp, endpoint: endpoint}
	since, until := plan.window(window)
	plan.spec = job.Spec{Rate: plan.rate(window.Rate, o.engine.opts.JobRate), Filter: job.ReplayMissing(since, until)}
	return plan
}

func (o *Organisation) resending(selection Selection) *jobPlan {
	plan := &jobPlan{kind: webhook.JobResend, operation: resendWhereOp, endpoint: selection.Endpoint}
	plan.spec = job.Spec{Rate: plan.rate(selection.Rate, o.engine.opts.JobRate), Filter: plan.filter(selection.DeliveryFilter)}
	if len(selection.States) == 0 {
		plan.bad.Add("states", "must name at least one: what is in it is sent again")
	}
	return plan
}

func (o *Organisation) cancelling(selection Selection) *jobPlan {
	plan := &jobPlan{kind: webhook.JobCancel, operation: cancelWhereOp, endpoint: selection.Endpoint}
	open := []webhook.State{webhook.Pending, webhook.Waiting}
	for i, state := range selection.States {
		if slices.Contains(storedStates, state) && !slices.Contains(open, state) {
			plan.bad.Add(fmt.Sprintf("states[%d]", i), "must be pending or waiting: what has ended can't be cancelled")
		}
	}
	if len(selection.States) == 0 {
		selection.States = open
	}
	plan.spec = job.Spec{Rate: plan.rate(selection.Rate, MaxJobRate), Filter: plan.filter(selection.DeliveryFilter)}
	return plan
}

func (p *jobPlan) window(window Window) (since, until time.Time) {
	since, until = window.Since.UTC().Truncate(time.Microsecond), window.Until.UTC().Truncate(time.Microsecond)
	if window.Until.IsZero() {
		until = now()
	}
	switch {
	case window.Since.IsZero():
		p.bad.Add("since", "must be given")
	case !since.Before(until) && window.Until.IsZero():
		p.bad.Add("since", "must be in the past")
	case !since.Before(until):
		p.bad.Add("until", "must be after since")
	}
	return since, until
}

func (p *jobPlan) rate(asked, otherwise int) int {
	switch {
	case asked < 0 || asked > MaxJobRate:
		p.bad.Add("rate", fmt.Sprintf("must be between 1 and %d a second", MaxJobRate))
	case asked == 0:
		return otherwise
	}
	return asked
}

func (p *jobPlan) filter(f DeliveryFilter) store.DeliveryFilter {
	f.WithPayload = false
	stored, err := f.stored()
	var bad *webhook.InvalidError
	if errors.As(err, &bad) {
		p.bad.Fields = append(p.bad.Fields, bad.Fields...)
	}
	return stored
}

// place finds the tenant and the endpoint of a plan, and makes the job of it.
func (o *Organisation) place(ctx context.Context, tenant webhook.TenantID, plan *jobPlan, at time.Time) (store.Job, error) {
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return store.Job{}, err
	}
	made := store.Job{
		Organisation: string(o.id), Tenant: owner.Key, Kind: plan.kind, CreatedAt: at, Version: 1,
		JobProgress: store.JobProgress{State: webhook.JobRunning, UpdatedAt: at},
	}
	plan.spec.Tenant = o.engine.records.IDs.Tenant(owner.CreatedAt, owner.Key)
	single := plan.kind == webhook.JobRecover || plan.kind == webhook.JobReplayMissing
	if plan.endpoint != "" || single {
		_, to, err := o.endpoint(ctx, tenant, plan.endpoint)
		if err != nil {
			return store.Job{}, err
		}
		if to.Disabled && plan.kind != webhook.JobCancel {
			return store.Job{}, fmt.Errorf("%w: %q", ErrEndpointDisabled, plan.endpoint)
		}
		made.Endpoint, plan.spec.Endpoint = to.Key, o.engine.records.IDs.Endpoint(to.CreatedAt, to.Key)
	}
	made.Spec = plan.spec.Encode()
	return made, nil
}

func (o *Organisation) startJob(ctx context.Context, tenant webhook.TenantID, plan *jobPlan) (webhook.Job, error) {
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return webhook.Job{}, err
	}
	return o.storeJob(ctx, owner.Key, plan, func(at time.Time) (store.Job, error) { return o.place(ctx, tenant, plan, at) })
}

// storeJob stores the job of a plan that is on a tenant, or 0, and runs it.
func (o *Organisation) storeJob(ctx context.Context, tenant store.TenantKey, plan *jobPlan, place func(at time.Time) (store.Job, error)) (webhook.Job, error) {
	if err := checkOrganisation(o.id); err != nil {
		return webhook.Job{}, err
	}
	at := now()
	once, err := o.storeOnce(at, plan.operation, int64(tenant))
	if err != nil {
		return webhook.Job{}, err
	}
	var planned store.Job
	return create(ctx, o, once, at, creation[store.Job, webhook.Job]{
		validate: func() (err error) {
			if err := plan.bad.Err(); err != nil {
				return err
			}
			if planned, err = place(at); err != nil {
				return err
			}
			return o.mayRunMore(ctx, tenant)
		},
		record: func(key int64) (store.Job, error) {
			planned.Key = store.JobKey(key)
			return planned, nil
		},
		insert: func(made store.Job, once *store.Once) error {
			stored, err := o.engine.store.InsertJob(ctx, made, once)
			switch {
			case err == nil:
				o.engine.jobs.Add(stored)
			case errors.Is(err, store.ErrCommitUnknown):
				o.engine.jobs.Look()
			}
			return translate(err, "tenant or endpoint of a job", string(plan.spec.Tenant))
		},
		show: func(made *store.Job) (webhook.Job, error) { return o.presentJob(ctx, made) },
	})
}

// mayRunMore says no where a tenant, or for 0 the organisation itself, has as many jobs
// running as it may.
func (o *Organisation) mayRunMore(ctx context.Context, tenant store.TenantKey) error {
	filter := store.JobFilter{Tenant: tenant, States: []webhook.JobState{webhook.JobRunning}}
	if tenant == 0 {
		filter.Kinds = []webhook.JobKind{webhook.JobUsage, webhook.JobSubscriptions}
	}
	running, err := o.engine.store.Jobs(ctx, string(o.id), filter, store.Page{Limit: maxJobs, Descending: true})
	if err != nil {
		return translate(err, "jobs of", "the tenant")
	}
	if len(running.Items) >= maxJobs {
		return &LimitError{ErrTooManyJobs, maxJobs}
	}
	return nil
}

func (o *Organisation) previewJob(ctx context.Context, tenant webhook.TenantID, plan *jobPlan) (Preview, error) {
	planned, err := o.place(ctx, tenant, plan, now())
	if err != nil {
		return Preview{}, err
	}
	if err := plan.bad.Err(); err != nil {
		return Preview{}, err
	}
	found, err := o.engine.jobs.Preview(ctx, planned)
	return Preview(found), translate(err, "tenant or endpoint of a job", string(tenant))
}
