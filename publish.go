package neohook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// diskRetryAfter is how long to wait for somebody to free space.
const diskRetryAfter = 10 * time.Second

// Publish accepts an event: when it returns without an error, the event and a delivery
// for every endpoint that hears of it are on disk, in one transaction. It returns the
// event with its ID, its tenant's id and AcceptedAt; under a Once, a repeat returns what
// the first one returned.
//
// It waits for its turn to be stored, for Options.PublishWait at most, also while Run is
// not running yet. Tenants take turns: however much one of them publishes, another's event
// does not wait behind it. Of events that are published one after another, each
// endpoint's deliveries begin in that order. Publish does not keep the payload that it
// is given.
//
// Errors: *webhook.InvalidError; ErrNotFound for the tenant; ErrConflict where the UID is
// taken; ErrKeyReused; ErrOverloaded; ErrBacklogFull, for a repeat too; ErrStopped. With an error of the store, or that of
// ctx, the event may have been accepted all the same: publish it again, under a Once, to
// be sure that it is accepted a single time.
func (o *Organisation) Publish(ctx context.Context, event webhook.Event) (webhook.Event, error) {
	accepted, err := o.publish(ctx, event)
	if err != nil {
		o.engine.tally.refuse(err)
	}
	return accepted, err
}

func (o *Organisation) publish(ctx context.Context, event webhook.Event) (webhook.Event, error) {
	if err := o.engine.checkEvent(&event); err != nil {
		return webhook.Event{}, err
	}
	if _, low := o.engine.space.check(); low {
		return webhook.Event{}, &OverloadedError{Cause: DiskFull, RetryAfter: diskRetryAfter}
	}
	accept := store.Accept{
		UID: event.UID, Type: event.Type, Channels: slices.Clone(event.Channels), Tags: slices.Clone(event.Tags),
		PayloadTTL: event.PayloadTTL,
		Payload:    append([]byte{}, event.Payload...), // nil would say that it is gone
	}
	// A tenant whose endpoints change between the routing and the commit is routed again;
	// one that never stops changing must not hold the publisher for ever.
	const tries = 100
	for range tries {
		routes, verdict, err := o.submit(ctx, event.Tenant, &accept)
		if err != nil {
			return webhook.Event{}, err
		}
		switch verdict.Kind {
		case store.Accepted, store.Replayed:
			o.engine.tally.accept(verdict.Kind)
			event.ID = o.engine.records.IDs.Event(verdict.AcceptedAt, verdict.Event)
			event.Tenant = o.engine.records.IDs.Tenant(routes.Tenant.CreatedAt, routes.Tenant.Key)
			event.AcceptedAt = verdict.AcceptedAt
			event.Channels, event.Tags = accept.Channels, accept.Tags
			return event, nil
		case store.Mismatched:
			return webhook.Event{}, ErrKeyReused
		case store.UIDTaken:
			return webhook.Event{}, fmt.Errorf("%w: event %q", ErrConflict, event.UID)
		case store.TooLarge:
			return webhook.Event{}, tooLarge(store.MaxEventBytes)
		case store.Rerouted, store.TenantGone:
			o.engine.routes.Refresh(routes.Tenant.Key)
		}
	}
	return webhook.Event{}, &OverloadedError{Cause: RoutesChanging, RetryAfter: time.Second}
}

// submit routes an event and has it committed.
func (o *Organisation) submit(ctx context.Context, tenant webhook.TenantID, accept *store.Accept) (*routing.Routes, store.Verdict, error) {
	if err := checkOrganisation(o.id); err != nil {
		return nil, store.Verdict{}, err
	}
	routes, err := o.engine.routes.Tenant(ctx, o.id, tenant)
	if err != nil {
		return nil, store.Verdict{}, translate(err, "tenant", string(tenant))
	}
	accept.Tenant, accept.RouteVersion = routes.Tenant.Key, routes.Version
	accept.Endpoints = routes.Match(accept.Type, accept.Channels)
	if accept.Once, err = o.storeOnce(time.Now(), publishOp, int64(routes.Tenant.Key)); err != nil {
		return nil, store.Verdict{}, err
	}
	granted, err := o.engine.quota.Take(ctx, accept.Tenant, len(accept.Endpoints))
	if err != nil {
		return nil, store.Verdict{}, fmt.Errorf("neohook: publish: %w", err)
	}
	if !granted {
		return nil, store.Verdict{}, &LimitError{ErrBacklogFull, o.engine.opts.MaxTenantBacklog}
	}
	verdict, err := o.engine.intake.Submit(ctx, *accept)
	// Where nobody knows, what is stored counts.
	stored := verdict.Kind == store.Accepted || errors.Is(err, store.ErrCommitUnknown)
	o.engine.quota.Settle(accept.Tenant, len(accept.Endpoints), stored)
	var overloaded *intake.OverloadedError
	switch {
	case errors.As(err, &overloaded):
		err = &OverloadedError{Cause: QueueFull, RetryAfter: overloaded.RetryAfter}
	case errors.Is(err, intake.ErrStopped):
		err = ErrStopped
	case err != nil:
		err = fmt.Errorf("neohook: publish: %w", err)
	}
	return routes, verdict, err
}

func (e *Engine) checkEvent(event *webhook.Event) error {
	var bad *webhook.InvalidError
	if err := event.Validate(); err != nil && !errors.As(err, &bad) {
		return err
	}
	if bad == nil {
		bad = &webhook.InvalidError{}
	}
	if event.ID != "" {
		bad.Add("id", "must be empty: the engine gives it")
	}
	if len(event.Payload) > e.opts.MaxPayloadBytes {
		bad.Fields = append(bad.Fields, tooLarge(e.opts.MaxPayloadBytes).Fields...)
	}
	return bad.Err()
}

func tooLarge(limit int) *webhook.InvalidError {
	var bad webhook.InvalidError
	bad.Add("payload", fmt.Sprintf("must be at most %d bytes", limit))
	return &bad
}
