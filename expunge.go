package neohook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/neohook/neohook/internal/retention"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// What is expunged is gone when the method returns nil: from lists and look-ups, from the
// memory of what is to be sent, and, as far as the database lets it, from the store's
// files. What is open of it ends as Cancelled for PayloadExpunged. Attempts in flight are
// given a second to end, and are cut off then, uncounted; what a receiver has got, it has.
// With an error it may be done or not: ask again.
//
// Backups, what receivers have, and operational events that tell of a tenant are not
// looked for.

// ExpungePayload deletes the payload of an event. The event stays, with how its deliveries
// ended, and can't be sent again. One whose payload is gone is no error; a deferred event
// is cancelled. ErrNotFound: there is no such event.
func (o *Organisation) ExpungePayload(ctx context.Context, tenant webhook.TenantID, event webhook.EventID) error {
	owner, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return err
	}
	is := func(key store.EventKey) bool { return key == of.Key }
	return o.expunge(ctx, &owner, is, string(event), func(ctx context.Context) ([]store.Turn, error) {
		return o.engine.store.ExpungePayload(ctx, now(), owner.Key, of.Key)
	})
}

// MaxExpungedEvents is how many events may be named for ExpungePayloadsOf.
const MaxExpungedEvents = 250

// ExpungePayloadsOf is ExpungePayload for several events, and says of each whether there is
// such an event. ErrNotFound: there is no such tenant.
func (o *Organisation) ExpungePayloadsOf(ctx context.Context, tenant webhook.TenantID, events []webhook.EventID) ([]bool, error) {
	var bad webhook.InvalidError
	if len(events) > MaxExpungedEvents {
		bad.Add("events", fmt.Sprintf("must have at most %d items", MaxExpungedEvents))
		return nil, bad.Err()
	}
	owner, err := o.tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	keys := make(map[store.EventKey][]int, len(events)) // with their places
	for i, ref := range events {
		_, of, err := o.event(ctx, tenant, ref)
		switch {
		case err == nil:
			keys[of.Key] = append(keys[of.Key], i)
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, webhook.ErrMalformedID):
			return nil, err
		}
	}
	found, gone := make([]bool, len(events)), make(map[store.EventKey]bool, len(keys))
	var failed error
	err = o.expunge(ctx, &owner, func(key store.EventKey) bool { return gone[key] }, "several", func(ctx context.Context) (open []store.Turn, _ error) {
		for key, places := range keys {
			some, err := o.engine.store.ExpungePayload(ctx, now(), owner.Key, key)
			switch {
			case errors.Is(err, store.ErrNotFound): // it went in between
				continue
			case err != nil && len(gone) == 0:
				return nil, err
			case err != nil: // what is done is done, and the lanes are to hear of it
				if failed = err; errors.Is(err, store.ErrCommitUnknown) {
					o.engine.lanes.Review(time.Now(), owner.Key)
				}
				return open, nil
			}
			open, gone[key] = append(open, some...), true
			for _, i := range places {
				found[i] = true
			}
		}
		return open, nil
	})
	if err = cmp.Or(err, expungeError(failed, "event", "several")); err != nil {
		return nil, err
	}
	return found, nil
}

// ExpungeEvent deletes an event with all that is kept of it: deliveries, attempts, and what
// was counted of it. ErrNotFound: there is no such event, or not any more.
func (o *Organisation) ExpungeEvent(ctx context.Context, tenant webhook.TenantID, event webhook.EventID) error {
	owner, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return err
	}
	is := func(key store.EventKey) bool { return key == of.Key }
	return o.expunge(ctx, &owner, is, string(event), func(ctx context.Context) ([]store.Turn, error) {
		return o.engine.store.ExpungeEvent(ctx, now(), owner.Key, of.Key)
	})
}

// ExpungeResponse deletes what was kept of the answer to an attempt, which is Expunged from
// then on. ErrNotFound: there is no such attempt.
func (o *Organisation) ExpungeResponse(ctx context.Context, tenant webhook.TenantID, event webhook.EventID, attempt webhook.AttemptID) error {
	_, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return err
	}
	err = store.ErrNotFound
	if key, _, bad := o.engine.records.IDs.ParseAttempt(attempt); bad == nil {
		err = o.engine.store.ExpungeResponse(ctx, of.Key, key)
	}
	if err != nil {
		return translate(err, "attempt", string(attempt))
	}
	return expungeError(o.engine.store.Scrub(ctx), "attempt", string(attempt))
}

// ExpungePayloads starts a job that deletes the payloads of all events of a tenant that were
// accepted before the call, and goes on by itself. What is said of methods that expunge
// holds once the job has finished; one that is cancelled leaves the rest. Errors:
// ErrNotFound; ErrTooManyJobs; ErrKeyReused.
func (o *Organisation) ExpungePayloads(ctx context.Context, tenant webhook.TenantID) (webhook.Job, error) {
	return o.startJob(ctx, tenant, &jobPlan{kind: webhook.JobExpunge, operation: expungePayloadsOp})
}

// ExpungeTenant deletes a tenant, as DeleteTenant does, and then everything that is kept of
// it. One that was deleted before is found by its id. That may take long, and is carried out
// by Run: once the call has stored what is asked for, it will be done, also where ctx ends
// before, or the process. ErrNotFound: there is no such tenant, or nothing is left of it.
func (o *Organisation) ExpungeTenant(ctx context.Context, tenant webhook.TenantID) error {
	key, err := o.everTenant(ctx, tenant)
	if err != nil {
		return err
	}
	e := o.engine
	stored, err := e.store.InsertExpunge(ctx, string(o.id), store.Expunge{Tenant: key, Everything: true, AskedAt: now()})
	e.forgetTenant(ctx, key)
	if err != nil {
		return translate(err, "tenant", string(tenant))
	}
	return expungeError(e.keeper.Await(ctx, stored), "tenant", string(tenant))
}

// everTenant finds the key of a tenant, also of one that was deleted, if that is what the
// id names: it is looked for by whoever is given the key.
func (o *Organisation) everTenant(ctx context.Context, ref webhook.TenantID) (store.TenantKey, error) {
	if !strings.HasPrefix(string(ref), webhook.TenantPrefix) {
		stored, err := o.tenant(ctx, ref)
		return stored.Key, err
	}
	if err := checkOrganisation(o.id); err != nil {
		return 0, err
	}
	key, _, err := o.engine.records.IDs.ParseTenant(ref)
	if err != nil {
		err = store.ErrNotFound
	}
	return key, translate(err, "tenant", string(ref))
}

// expunge carries out what takes few transactions and is about the events that is says.
func (o *Organisation) expunge(ctx context.Context, owner *store.Tenant, is func(store.EventKey) bool, name string, do func(context.Context) ([]store.Turn, error)) error {
	e := o.engine
	write := func(ctx context.Context, do func(context.Context) error) error { return e.change(ctx, nil, do) }
	return expungeError(e.keeper.Expunge(ctx, write, owner.Key, is, do), "event", name)
}

func expungeError(err error, kind, name string) error {
	switch {
	case err == nil, errors.Is(err, ErrOverloaded), errors.Is(err, ErrStopped):
		return err
	case errors.Is(err, retention.ErrStopped):
		return ErrStopped
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("neohook: expunge %s: %w", kind, err)
	}
	return translate(err, kind, name)
}

// forgetTenant is called when a tenant may have been deleted in the store.
func (e *Engine) forgetTenant(ctx context.Context, tenant store.TenantKey) {
	if routes := e.routes.Held(tenant); routes != nil {
		defer e.failing.Forget(routes.Keys()...)
	}
	e.changed(ctx, tenant)
}

// expunged counts what was open of what was expunged.
func (e *Engine) expunged(open []store.Turn) {
	for _, turn := range open {
		if turn.Send == 0 {
			e.tally.end(webhook.Cancelled, webhook.PayloadExpunged)
			e.quota.End(turn.Tenant, 1)
		}
	}
}

// RetentionStats are of what the store has let go of since the Engine was made.
type RetentionStats struct {
	// Payloads, Attempts and Events had their time and were deleted. Of an event that went
	// whole the payload is not counted.
	Payloads, Attempts, Events uint64
	// Expunges are asked for, of all of a tenant, and not done yet.
	Expunges int
	// Behind is for how long more has been due than was deleted.
	Behind time.Duration
	// Resting is 1 where the clock has jumped, and nothing is deleted by time for now.
	Resting int
}

func (e *Engine) retentionStats() RetentionStats {
	kept := e.keeper.Stats()
	s := RetentionStats{
		Payloads: kept.Payloads, Attempts: kept.Attempts, Events: kept.Events,
		Expunges: kept.Expunges, Behind: kept.Behind,
	}
	if kept.Resting {
		s.Resting = 1
	}
	return s
}
