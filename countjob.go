package neohook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/neohook/neohook/internal/job"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// MaxUsageTenants is how many tenants may be named for CountUsage.
const MaxUsageTenants = 10_000

// CountUsage starts a job that counts the deliveries that were made for the named tenants,
// by id or UID, or for all of the organisation where none is named; in a span that is
// widened as Span says. Names that no tenant has are in the job's Unknown. What it finds, at
// most 8 MiB, is kept with the job, of which an organisation has the last 25; see Job.
//
// Errors: *webhook.InvalidError, also where none of the names is that of a tenant;
// ErrTooManyJobs; ErrKeyReused.
func (o *Organisation) CountUsage(ctx context.Context, tenants []webhook.TenantID, span Span) (webhook.Job, error) {
	plan := &jobPlan{kind: webhook.JobUsage, operation: countUsageOp}
	return o.storeJob(ctx, 0, plan, func(at time.Time) (store.Job, error) {
		span, err := span.fill(at)
		if err != nil {
			return store.Job{}, err
		}
		unit := span.finest(at)
		span = span.widen(unit)
		plan.spec.Count = job.Count{Unit: unit, From: span.From, To: span.To}
		if err := o.usageOf(ctx, tenants, &plan.spec.Count); err != nil {
			return store.Job{}, err
		}
		return o.countJob(plan, at), nil
	})
}

// usageOf finds the tenants that a job is to count.
func (o *Organisation) usageOf(ctx context.Context, tenants []webhook.TenantID, count *job.Count) error {
	var bad webhook.InvalidError
	if len(tenants) > MaxUsageTenants {
		bad.Add("tenants", fmt.Sprintf("must have at most %d items", MaxUsageTenants))
		return bad.Err()
	}
	named := make(map[store.TenantKey]struct{})
	for _, ref := range tenants {
		found, err := o.tenant(ctx, ref)
		if errors.Is(err, ErrNotFound) || errors.Is(err, webhook.ErrMalformedID) {
			count.Unknown = append(count.Unknown, string(ref))
			continue
		}
		if err != nil {
			return err
		}
		if _, before := named[found.Key]; !before {
			named[found.Key] = struct{}{}
			count.Tenants = append(count.Tenants, found.Key)
		}
	}
	if len(tenants) > 0 && len(count.Tenants) == 0 {
		bad.Add("tenants", "must name at least one that there is")
	}
	return bad.Err()
}

// CountSubscriptions starts a job that gathers which event types the endpoints of each tenant
// listen to. Else it is as CountUsage.
func (o *Organisation) CountSubscriptions(ctx context.Context) (webhook.Job, error) {
	plan := &jobPlan{kind: webhook.JobSubscriptions, operation: subscriptionsOp}
	return o.storeJob(ctx, 0, plan, func(at time.Time) (store.Job, error) { return o.countJob(plan, at), nil })
}

// countJob makes a job of a plan that is for no tenant.
func (o *Organisation) countJob(plan *jobPlan, at time.Time) store.Job {
	return store.Job{
		Organisation: string(o.id), Kind: plan.kind, Spec: plan.spec.Encode(), CreatedAt: at, Version: 1,
		JobProgress: store.JobProgress{State: webhook.JobRunning, UpdatedAt: at},
	}
}
