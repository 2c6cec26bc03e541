package outbox

import (
	"context"
	"errors"

	"github.com/neohook/neohook/internal/intake"
	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// entry is a row on its way.
type entry struct {
	row    *store.Announced
	item   *intake.Item
	accept store.Accept
	fate   fate
	err    error
}

// fate is what becomes of a row.
type fate uint8

const (
	stays fate = iota // and is tried again later
	gone              // it has become an event
	drops             // it is deleted
)

// promote accepts the rows of a page, in their order.
func (p *Promoter) promote(ctx context.Context, rows []store.Announced) (left bool, _ error) {
	entries := make([]entry, len(rows))
	for i := range rows {
		entries[i].row = &rows[i]
		p.enter(ctx, &entries[i])
	}
	var dropped []store.OutboxKey
	var failed error
	for i := range entries {
		e := &entries[i]
		if e.item != nil {
			p.await(ctx, e)
		}
		switch e.fate {
		case drops:
			dropped = append(dropped, e.row.Key)
		case gone:
			p.waiting.Add(-1)
		case stays:
			left = true
			if !isOverload(e.err) {
				failed = errors.Join(failed, e.err)
			}
		}
	}
	if len(dropped) > 0 {
		if err := p.Store.DeleteOutbox(ctx, dropped); err != nil {
			return true, err
		}
		p.waiting.Add(-int64(len(dropped)))
	}
	return left, failed
}

// enter queues a row's event.
func (p *Promoter) enter(ctx context.Context, e *entry) {
	if e.err = p.prepare(ctx, e); e.err == nil {
		e.err = p.queue(ctx, e)
	}
	if errors.Is(e.err, store.ErrNotFound) {
		e.fate, e.err = drops, nil
	}
}

// prepare completes an entry. It returns store.ErrNotFound where nobody is told.
func (p *Promoter) prepare(ctx context.Context, e *entry) error {
	row := e.row
	routes, err := p.owner(ctx, row)
	if err != nil {
		return err
	}
	payload := row.Payload
	if row.Payload == nil {
		if payload, err = operational.Payload(p.IDs, row); err != nil {
			p.Log.ErrorContext(ctx, "operational event can't be made", "error", err)
		}
		if payload == nil {
			return store.ErrNotFound
		}
	}
	e.accept = store.Accept{
		From: row.Key, Tenant: routes.Tenant.Key, RouteVersion: routes.Version,
		UID: row.UID, Type: row.Type, Channels: row.Channels, Tags: row.Tags,
		DeliverAt: row.DeliverAt, PayloadTTL: row.PayloadTTL, Payload: payload,
	}
	if row.DeliverAt.IsZero() {
		e.accept.Endpoints = routes.Match(row.Type, row.Channels)
	}
	if row.Payload == nil && e.accept.Opens() == 0 {
		return store.ErrNotFound
	}
	return nil
}

// queue hands an entry over to be stored, where its tenant has room for it.
func (p *Promoter) queue(ctx context.Context, e *entry) error {
	granted, err := p.Quota.Take(ctx, e.accept.Tenant, e.accept.Opens())
	if err != nil {
		return err
	}
	if !granted {
		if e.row.Payload == nil {
			p.refused.Add(1)
			e.fate = drops
		}
		return nil
	}
	if e.item, err = p.Intake.Enter(e.accept); err != nil {
		p.Quota.Settle(e.accept.Tenant, e.accept.Opens(), false)
	}
	return err
}

// owner returns the routes of the tenant whose event it will be, or store.ErrNotFound.
func (p *Promoter) owner(ctx context.Context, row *store.Announced) (*routing.Routes, error) {
	switch {
	case row.Tenant != 0:
		return p.Routes.Routes(ctx, row.Tenant)
	case row.Organisation != "":
		return p.Routes.Tenant(ctx, webhook.OrganisationID(row.Organisation), webhook.TenantID(row.TenantUID))
	case row.Subject.Organisation == "", row.Subject.Organisation == operational.Organisation:
		return nil, store.ErrNotFound
	}
	return p.Routes.Tenant(ctx, operational.Organisation, webhook.TenantID(row.Subject.Organisation))
}

// await waits for the verdict on an entry.
func (p *Promoter) await(ctx context.Context, e *entry) {
	verdict, err := p.Intake.Await(ctx, e.item)
	stored := verdict.Kind == store.Accepted || errors.Is(err, store.ErrCommitUnknown)
	p.Quota.Settle(e.accept.Tenant, e.accept.Opens(), stored)
	if !e.accept.DeliverAt.IsZero() && stored {
		p.Deferred(e.accept.DeliverAt)
	}
	switch {
	case err != nil:
		e.err = err
	case verdict.Kind == store.Accepted:
		p.accepted.Add(1)
		e.fate = gone
	case verdict.Kind == store.Gone:
		e.fate = gone
	case verdict.Kind == store.Rerouted, verdict.Kind == store.TenantGone:
		p.Routes.Refresh(e.accept.Tenant)
	default: // it never can be
		p.refused.Add(1)
		e.fate = drops
	}
}

// isOverload says that nothing is wrong, but that there is no place at present.
func isOverload(err error) bool {
	var overloaded *intake.OverloadedError
	return errors.As(err, &overloaded) || errors.Is(err, intake.ErrStopped)
}
