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

// outboxRetryAfter is how long to wait for room in the outbox.
const outboxRetryAfter = time.Second

// Publish accepts an event: when it returns without an error, the event and a delivery
// for every endpoint that hears of it are on disk, in one transaction. It returns the
// event with its ID, its tenant's id and AcceptedAt; under a Once, a repeat returns what
// the first one returned. An event with a DeliverAt is on disk alone, and is matched to
// endpoints when it is due; see CancelEvent.
//
// It waits for its turn to be stored, for Options.PublishWait at most, also while Run is
// not running yet. Tenants take turns: however much one of them publishes, another's event
// does not wait behind it. Of events that are published one after another, each
// endpoint's deliveries begin in that order. Publish does not keep the payload that it
// is given.
//
// Errors: *webhook.InvalidError; ErrPayload; ErrNotFound for the tenant; ErrConflict where the UID is taken; ErrKeyReused; ErrOverloaded; ErrBacklogFull, for a
// repeat too; ErrStopped. With an error of the store, or that of ctx, the event may have
// been accepted all the same: publish it again, under a Once, to be sure that it is
// accepted a single time.
func (o *Organisation) Publish(ctx context.Context, event webhook.Event) (webhook.Event, error) {
	accepted, err := o.publish(ctx, event, 0)
	if err != nil {
		o.engine.tally.refuse(err)
	}
	return accepted, err
}

// publish accepts an event, for the endpoints that hear of it or for only one.
func (o *Organisation) publish(ctx context.Context, event webhook.Event, only store.EndpointKey) (webhook.Event, error) {
	if err := o.checkEvent(&event); err != nil {
		return webhook.Event{}, err
	}
	if _, low := o.engine.space.check(); low {
		return webhook.Event{}, &OverloadedError{Cause: DiskFull, RetryAfter: diskRetryAfter}
	}
	accept, otherwise, err := o.acceptOf(ctx, &event)
	if err != nil {
		return webhook.Event{}, err
	}
	accept.Only = only
	// A tenant whose endpoints change between the routing and the commit is routed again;
	// one that never stops changing must not hold the publisher for ever.
	for range maxRoutings {
		routes, verdict, err := o.submit(ctx, event.Tenant, &accept)
		if err != nil {
			return webhook.Event{}, err
		}
		if verdict.Kind == store.Rerouted || verdict.Kind == store.TenantGone {
			o.engine.routes.Refresh(routes.Tenant.Key)
			continue
		}
		if err := o.judged(&event, &accept, otherwise, routes, verdict); err != nil {
			return webhook.Event{}, err
		}
		return event, nil
	}
	return webhook.Event{}, errRoutesChanging
}

// maxRoutings is how often an event is matched anew.
const maxRoutings = 100

var errRoutesChanging = &OverloadedError{Cause: RoutesChanging, RetryAfter: time.Second}

// acceptOf is what the store gets of an event. Its routes are missing. Where there is an
// otherwise, it is why the event is refused now, unless it is a repeat: whoever repeats what
// was accepted is told so, however late, and whatever its type has become since.
func (o *Organisation) acceptOf(ctx context.Context, event *webhook.Event) (accept store.Accept, otherwise, err error) {
	accept = store.Accept{
		UID: event.UID, Type: event.Type, Channels: slices.Clone(event.Channels), Tags: slices.Clone(event.Tags),
		PayloadTTL: event.PayloadTTL,
		Payload:    append([]byte{}, event.Payload...), // nil would say that it is gone
	}
	misfit, err := o.checkPayload(ctx, event)
	if err != nil {
		return accept, nil, err
	}
	if misfit != nil {
		otherwise = misfit
	}
	if !event.DeliverAt.IsZero() {
		accept.DeliverAt = event.DeliverAt.UTC().Truncate(time.Microsecond)
		if ahead := time.Until(accept.DeliverAt); ahead < MinDeferral || ahead > MaxDeferral {
			otherwise = errDeliverAt()
		}
	}
	if o.once == nil {
		return accept, nil, otherwise
	}
	accept.RepeatOnly = otherwise != nil
	return accept, otherwise, nil
}

// judged completes an event that the store has accepted, or says why it has not.
func (o *Organisation) judged(event *webhook.Event, accept *store.Accept, otherwise error, routes *routing.Routes, verdict store.Verdict) error {
	switch verdict.Kind {
	case store.Accepted, store.Replayed:
		o.engine.tally.accept(verdict.Kind)
		event.ID = o.engine.records.IDs.Event(verdict.AcceptedAt, verdict.Event)
		event.Tenant = o.engine.records.IDs.Tenant(routes.Tenant.CreatedAt, routes.Tenant.Key)
		event.AcceptedAt = verdict.AcceptedAt
		event.Channels, event.Tags, event.DeliverAt = accept.Channels, accept.Tags, accept.DeliverAt
		return nil
	case store.NotRepeated:
		return otherwise
	case store.Mismatched:
		return ErrKeyReused
	case store.UIDTaken:
		return fmt.Errorf("%w: event %q", ErrConflict, event.UID)
	case store.TooLarge:
		return tooLarge(store.MaxEventBytes)
	}
	return fmt.Errorf("neohook: publish: the store's verdict is %d", verdict.Kind)
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
	route(accept, routes)
	operation, on := publishOp, []int64{int64(routes.Tenant.Key)}
	if accept.Only != 0 {
		operation, on = sendExampleOp, append(on, int64(accept.Only))
	}
	if accept.Once, err = o.storeOnce(time.Now(), operation, on...); err != nil {
		return nil, store.Verdict{}, err
	}
	granted, err := o.engine.quota.Take(ctx, accept.Tenant, accept.Opens())
	if err != nil {
		return nil, store.Verdict{}, fmt.Errorf("neohook: publish: %w", err)
	}
	if !granted {
		return nil, store.Verdict{}, &LimitError{ErrBacklogFull, o.engine.opts.MaxTenantBacklog}
	}
	verdict, err := o.engine.intake.Submit(ctx, *accept)
	o.engine.submitted(accept, verdict, err)
	return routes, verdict, submitError(err)
}

// route matches an event against routes. A deferred one is matched when it comes due.
func route(accept *store.Accept, routes *routing.Routes) {
	accept.Tenant, accept.RouteVersion = routes.Tenant.Key, routes.Version
	if accept.DeliverAt.IsZero() {
		accept.Endpoints = match(routes, accept)
	}
}

// submitted notes what became of an event for which the quota was asked.
func (e *Engine) submitted(accept *store.Accept, verdict store.Verdict, err error) {
	// Where nobody knows, what is stored counts.
	stored := verdict.Kind == store.Accepted || errors.Is(err, store.ErrCommitUnknown)
	e.quota.Settle(accept.Tenant, accept.Opens(), stored)
	if stored && !accept.DeliverAt.IsZero() {
		e.deferred.Note(accept.DeliverAt)
	}
}

// match chooses the endpoints that an event is for. One that is for an endpoint only finds
// nobody where that is disabled, or was deleted in the moment.
func match(routes *routing.Routes, accept *store.Accept) []store.EndpointKey {
	if accept.Only == 0 {
		return routes.Match(accept.Type, accept.Channels)
	}
	if _, reason, _ := routes.Endpoint(accept.Only); reason != "" {
		return nil
	}
	return []store.EndpointKey{accept.Only}
}

// submitError tells an error of the intake to a publisher.
func submitError(err error) error {
	var overloaded *intake.OverloadedError
	switch {
	case errors.As(err, &overloaded):
		return &OverloadedError{Cause: QueueFull, RetryAfter: overloaded.RetryAfter}
	case errors.Is(err, intake.ErrStopped):
		return ErrStopped
	case errors.Is(err, store.ErrBuried):
		return errJoining
	case err != nil:
		return fmt.Errorf("neohook: publish: %w", err)
	}
	return nil
}

// checkEvent says why an event can't be accepted, whatever the store has.
func (o *Organisation) checkEvent(event *webhook.Event) error {
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
	if most := o.engine.opts.MaxPayloadBytes; len(event.Payload) > most {
		bad.Fields = append(bad.Fields, tooLarge(most).Fields...)
	}
	return bad.Err()
}

func tooLarge(limit int) *webhook.InvalidError {
	var bad webhook.InvalidError
	bad.Add("payload", fmt.Sprintf("must be at most %d bytes", limit))
	return &bad
}
