package neohook

import (
	"context"
	"errors"
	"fmt"

	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/internal/outbox"
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
	Event webhook.Event

	committed func()
}

// Committed says that the transaction was committed, so that the event is accepted at once.
// Where nobody says so, or by another process, that happens within a second. It may be
// called several times, and returns at once.
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
// many events wait in the outbox already. A Once is refused, too: that something is done a
// single time is for the transaction to see to. After ErrTxRefused, for a transaction that
// the store can't be part of, and after any other error, roll back.
//
// What happens between then and the acceptance is judged as it is by then. The event goes to
// the endpoints that hear of it when it is accepted. Where its tenant has too many
// open deliveries it waits in the outbox until there is room, and so do the tenant's later
// ones. It can't be accepted any more where its UID was taken or its tenant deleted
// meanwhile: then it is dropped, logged as a warning, counted in Stats among what Publish
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
	if o.once != nil {
		var bad webhook.InvalidError
		bad.Add("idempotencyKey", "is not for PublishTx: its transaction sees to it that a change is made once")
		return Receipt{}, &bad
	}
	if err := o.checkEvent(&event); err != nil {
		return Receipt{}, err
	}
	accept, _, err := o.acceptOf(ctx, &event)
	if err != nil {
		return Receipt{}, err
	}
	if accept.Bytes() > store.MaxEventBytes {
		return Receipt{}, tooLarge(store.MaxEventBytes)
	}
	tenant, err := o.checkRoom(ctx, event.Tenant, &accept)
	if err != nil {
		return Receipt{}, err
	}
	o.engine.outbox.Expect() // whether or not there is an error: who knows what it was
	err = tx.Announce(ctx, o.engine.made, store.Announcement{
		Tenant: tenant.Key, UID: accept.UID, Type: accept.Type, Channels: accept.Channels, Tags: accept.Tags,
		DeliverAt: accept.DeliverAt, PayloadTTL: accept.PayloadTTL, Payload: accept.Payload,
		About: store.About{Tenant: tenant.Key},
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("neohook: publish in a transaction: %w", err)
	}
	event.Tenant = o.engine.records.IDs.Tenant(tenant.CreatedAt, tenant.Key)
	event.Channels, event.Tags, event.DeliverAt = accept.Channels, accept.Tags, accept.DeliverAt
	return Receipt{Event: event, committed: func() { o.engine.outbox.Added(1) }}, nil
}

// checkRoom finds the tenant, and says why it can't have the event at present.
func (o *Organisation) checkRoom(ctx context.Context, ref webhook.TenantID, accept *store.Accept) (store.Tenant, error) {
	e := o.engine
	if err := checkOrganisation(o.id); err != nil {
		return store.Tenant{}, err
	}
	if _, low := e.space.check(); low {
		return store.Tenant{}, &OverloadedError{Cause: DiskFull, RetryAfter: diskRetryAfter}
	}
	routes, err := e.routes.Tenant(ctx, o.id, ref)
	if err != nil {
		return store.Tenant{}, translate(err, "tenant", string(ref))
	}
	tenant := routes.Tenant
	route(accept, routes)
	granted, err := e.quota.Take(ctx, tenant.Key, accept.Opens())
	if err != nil {
		return tenant, fmt.Errorf("neohook: publish: %w", err)
	}
	if !granted {
		return tenant, &LimitError{ErrBacklogFull, e.opts.MaxTenantBacklog}
	}
	e.quota.Settle(tenant.Key, accept.Opens(), false) // it is asked for again when it is accepted
	if has, err := e.outbox.HasRoom(ctx); err != nil {
		return tenant, fmt.Errorf("neohook: publish: %w", err)
	} else if !has {
		return tenant, &OverloadedError{Cause: QueueFull, RetryAfter: outboxRetryAfter}
	}
	if accept.UID == "" {
		return tenant, nil
	}
	switch _, err := e.store.EventByUID(ctx, tenant.Key, accept.UID); {
	case err == nil:
		return tenant, fmt.Errorf("%w: event %q", ErrConflict, accept.UID)
	case !errors.Is(err, store.ErrNotFound):
		return tenant, fmt.Errorf("neohook: publish: %w", err)
	}
	return tenant, nil
}

// announceRefused returns what is told of an event of a transaction that can't be accepted.
func (e *Engine) announceRefused(row *store.Announced, why outbox.Refusal) []store.Announcement {
	details := operational.Details{EventType: row.Type, EventUID: row.UID, Reason: string(why)}
	return e.herald.Announce(row.Subject.Organisation, store.About{Tenant: row.Tenant}, details, operational.MessageRefused)
}

// refused counts and logs such an event.
func (e *Engine) refused(ctx context.Context, row *store.Announced, why outbox.Refusal) {
	refusal := map[outbox.Refusal]Refusal{outbox.TenantGone: UnknownTenant, outbox.UIDTaken: Conflicting, outbox.TooLarge: Invalid}[why]
	e.tally.mu.Lock()
	e.tally.refused[refusal]++
	e.tally.mu.Unlock()
	e.opts.Logger.WarnContext(ctx, "event of a transaction that was committed can't be accepted, and is dropped",
		"reason", why, "tenant_id", e.records.IDs.Tenant(row.Subject.TenantCreatedAt, row.Tenant), "event_type", row.Type, "event_uid", row.UID)
}
