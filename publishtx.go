package neohook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/internal/outbox"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// ErrTxRefused is returned by PublishTx for a transaction that the store can't be part of,
// with what to do about it.
var ErrTxRefused = store.ErrTxRefused

// Receipt says that an event is part of a transaction. The zero value is none's.
type Receipt struct {
	// Event is what was handed over. Its Tenant is the tenant's id. It has no ID and no
	// AcceptedAt: these are given when it is accepted, after the transaction, in the order
	// of acceptance. A UID of the caller's own, which is unique in the tenant, is the way to
	// find it again: Event and all else that takes an event's id takes its UID as well.
	//
	// It has both where the event was accepted before, under the same Once: then it is that
	// one, and nothing was added to the transaction.
	Event webhook.Event

	committed func()
}

// Committed says that the transaction was committed, so that the event is accepted at once,
// by whichever node sees to that. Where nobody says so that happens within a second. It may
// be called several times, and returns at once.
func (r Receipt) Committed() {
	if r.committed != nil {
		r.committed()
	}
}

// PublishTx hands an event over as part of a transaction of the caller's own, in the
// database that the engine's store is in: once the transaction is committed the event will
// be accepted as by Publish, a single time, whatever crashes in between; where it is rolled
// back, nothing was published. The store makes the store.Tx of a transaction: SQLTx of
// sqlite.Store, or PgxTx and SQLTx of postgres.Store.
//
//	tx, err := db.BeginTx(ctx, nil)
//	_, err = tx.ExecContext(ctx, "INSERT INTO app_order …")
//	receipt, err := eng.PublishTx(ctx, store.SQLTx(tx), webhook.Event{…})
//	err = tx.Commit()
//	receipt.Committed()
//
// The transaction stays the caller's, and can carry any number of events. Run need not be
// running, here or anywhere, until they are to be accepted.
//
// What Publish refuses of an event PublishTx refuses, before it writes anything, and the
// transaction can go on without it: *webhook.InvalidError; ErrPayload; ErrNotFound for the
// tenant; ErrConflict where the UID is taken; ErrBacklogFull; ErrOverloaded, also where too
// many events wait in the outbox already; ErrKeyReused. After ErrTxRefused, for a
// transaction that the store can't be part of, and after any other error, roll back.
//
// A Once is the one of Publish: under a Key of either, an event is accepted a single time. A
// repeat of what was accepted adds nothing to the transaction, and its Receipt has the
// earlier event. What is not accepted yet has not used its key, and nobody waits for
// anybody who has: so under a key that is used in another open transaction, or twice in one,
// each is handed over, the first to be accepted is the event, and the others are dropped as
// its repeats. A transaction that is rolled back has used nothing. KeepFor runs from the
// acceptance.
//
// What happens between then and the acceptance is judged as it is by then. The event goes to
// the endpoints that hear of it when it is accepted. Where its tenant has too many
// open deliveries it waits in the outbox until there is room, and so do the tenant's later
// ones. It can't be accepted any more where its UID was taken, the Key of its Once used for
// another Request, or its tenant deleted meanwhile: then it is dropped, logged as a warning, counted in Stats among what Publish
// refused, and told as the operational event "message.refused". A DeliverAt that has
// passed is at once.
//
// Events handed over in one transaction are accepted in that order, and where one
// transaction is committed before another calls PublishTx, its events come first. Between
// Publish and PublishTx there is no such order. A transaction that stays open holds up
// no other's events, except on SQLite, which knows but one writer at a time.
func (o *Organisation) PublishTx(ctx context.Context, tx store.Tx, event webhook.Event) (Receipt, error) {
	receipt, err := o.publishTx(ctx, tx, event)
	if err != nil {
		o.engine.tally.refuse(err)
	}
	return receipt, err
}

func (o *Organisation) publishTx(ctx context.Context, tx store.Tx, event webhook.Event) (Receipt, error) {
	if err := o.checkEvent(&event); err != nil {
		return Receipt{}, err
	}
	accept, otherwise, err := o.acceptOf(ctx, &event)
	if err != nil {
		return Receipt{}, err
	}
	if accept.Bytes() > store.MaxEventBytes {
		return Receipt{}, tooLarge(store.MaxEventBytes)
	}
	routes, err := o.routesFor(ctx, event.Tenant, &accept)
	if err != nil {
		return Receipt{}, err
	}
	switch repeat, err := o.repeated(ctx, &event, &accept, routes); {
	case err != nil:
		return Receipt{}, err
	case repeat:
		return Receipt{Event: event}, nil
	case otherwise != nil:
		return Receipt{}, otherwise
	}
	tenant := &routes.Tenant
	if err := o.checkRoom(ctx, &accept); err != nil {
		return Receipt{}, err
	}
	o.engine.outbox.Expect() // whether or not there is an error: who knows what it was
	err = tx.Announce(ctx, o.engine.made, store.Announcement{
		Tenant: tenant.Key, UID: accept.UID, Type: accept.Type, Channels: accept.Channels, Tags: accept.Tags,
		DeliverAt: accept.DeliverAt, PayloadTTL: accept.PayloadTTL, Payload: accept.Payload,
		Once: accept.Once, About: store.About{Tenant: tenant.Key},
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("neohook: publish in a transaction: %w", err)
	}
	event.Tenant = o.engine.records.IDs.Tenant(tenant.CreatedAt, tenant.Key)
	event.Channels, event.Tags, event.DeliverAt = accept.Channels, accept.Tags, accept.DeliverAt
	return Receipt{Event: event, committed: func() { o.engine.outbox.Added(1) }}, nil
}

// routesFor finds the tenant, and matches the event as it would be now.
func (o *Organisation) routesFor(ctx context.Context, ref webhook.TenantID, accept *store.Accept) (*routing.Routes, error) {
	if err := checkOrganisation(o.id); err != nil {
		return nil, err
	}
	if _, low := o.engine.space.check(); low {
		return nil, &OverloadedError{Cause: DiskFull, RetryAfter: diskRetryAfter}
	}
	routes, err := o.engine.routes.Tenant(ctx, o.id, ref)
	if err != nil {
		return nil, translate(err, "tenant", string(ref))
	}
	route(accept, routes)
	accept.Once, err = o.storeOnce(time.Now(), publishOp, int64(routes.Tenant.Key))
	return routes, err
}

// repeated completes an event that was accepted before under the same once.
func (o *Organisation) repeated(ctx context.Context, event *webhook.Event, accept *store.Accept, routes *routing.Routes) (bool, error) {
	if accept.Once == nil {
		return false, nil
	}
	verdict, err := o.engine.store.ReplayEvent(ctx, accept.Once, accept.Once.Now)
	switch {
	case err != nil:
		return false, fmt.Errorf("neohook: publish: %w", err)
	case verdict.Kind == store.NotRepeated:
		return false, nil
	}
	return true, o.judged(event, accept, nil, routes, verdict)
}

// checkRoom says why the event can't be had at present.
func (o *Organisation) checkRoom(ctx context.Context, accept *store.Accept) error {
	e := o.engine
	granted, err := e.quota.Take(ctx, accept.Tenant, accept.Opens())
	if err != nil {
		return fmt.Errorf("neohook: publish: %w", err)
	}
	if !granted {
		return &LimitError{ErrBacklogFull, e.opts.MaxTenantBacklog}
	}
	e.quota.Settle(accept.Tenant, accept.Opens(), false) // it is asked for again when it is accepted
	if has, err := e.outbox.HasRoom(ctx); err != nil {
		return fmt.Errorf("neohook: publish: %w", err)
	} else if !has {
		return &OverloadedError{Cause: QueueFull, RetryAfter: outboxRetryAfter}
	}
	if accept.UID == "" {
		return nil
	}
	switch _, err := e.store.EventByUID(ctx, accept.Tenant, accept.UID); {
	case err == nil:
		return fmt.Errorf("%w: event %q", ErrConflict, accept.UID)
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("neohook: publish: %w", err)
	}
	return nil
}

// announceRefused returns what is told of an event of a transaction that can't be accepted.
func (e *Engine) announceRefused(row *store.Announced, why outbox.Refusal) []store.Announcement {
	details := operational.Details{EventType: row.Type, EventUID: row.UID, Reason: string(why)}
	return e.herald.Announce(row.Subject.Organisation, store.About{Tenant: row.Tenant}, details, operational.MessageRefused)
}

// refused counts and logs such an event.
func (e *Engine) refused(ctx context.Context, row *store.Announced, why outbox.Refusal) {
	refusal := map[outbox.Refusal]Refusal{outbox.TenantGone: UnknownTenant, outbox.UIDTaken: Conflicting, outbox.KeyReused: Conflicting, outbox.TooLarge: Invalid}[why]
	e.tally.mu.Lock()
	e.tally.refused[refusal]++
	e.tally.mu.Unlock()
	e.opts.Logger.WarnContext(ctx, "event of a transaction that was committed can't be accepted, and is dropped",
		"reason", why, "tenant_id", e.records.IDs.Tenant(row.Subject.TenantCreatedAt, row.Tenant), "event_type", row.Type, "event_uid", row.UID)
}
