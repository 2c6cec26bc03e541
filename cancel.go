package neohook

import (
	"context"
	"fmt"
	"time"

	"github.com/neohook/neohook/internal/operational"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// CancelDelivery ends an open delivery as Cancelled, for CancelAsked. When it returns, no
// further attempt of it begins. One that is in flight goes on and is logged, and does not
// change the delivery any more. A delivery that was cancelled before stays as it is, and
// is no error; the endpoint may be deleted by now if its id is given.
//
// Errors: ErrNotFound, where the event was never for that endpoint; ErrDeliveryEnded,
// where it was exhausted or has succeeded; ErrOverloaded; ErrStopped.
func (o *Organisation) CancelDelivery(ctx context.Context, tenant webhook.TenantID, event webhook.EventID, endpoint webhook.EndpointID) error {
	owner, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return err
	}
	at, _, err := o.endpointKey(ctx, owner.Key, endpoint)
	if err != nil {
		return err
	}
	ref := store.DeliveryRef{Endpoint: at, Event: of.Key}
	if ended, err := o.hasEnded(ctx, ref, endpoint); ended || err != nil {
		return err
	}
	cancelled := false
	announce := o.announce(store.About{Tenant: owner.Key}, operational.MessageCancelled)
	err = o.engine.change(ctx, nil, func(ctx context.Context) error {
		did, err := o.engine.store.Cancel(ctx, now(), []store.DeliveryRef{ref}, announce...)
		o.engine.outbox.Added(len(announce))
		if err != nil {
			return fmt.Errorf("neohook: cancel delivery: %w", err)
		}
		cancelled = did[0]
		o.engine.lanes.Drop(time.Now(), []store.DeliveryRef{ref})
		return nil
	})
	switch {
	case err != nil:
		return err
	case cancelled:
		o.engine.tally.end(webhook.Cancelled, webhook.CancelAsked)
		o.engine.quota.End(owner.Key, 1)
		return nil
	}
	_, err = o.hasEnded(ctx, ref, endpoint) // meanwhile
	return err
}

// hasEnded says whether a delivery was cancelled before, with an error where it ended
// otherwise, or never was.
func (o *Organisation) hasEnded(ctx context.Context, of store.DeliveryRef, endpoint webhook.EndpointID) (bool, error) {
	record, err := o.engine.store.Delivery(ctx, of.Endpoint, of.Event)
	switch {
	case err != nil:
		return false, translate(err, "delivery to endpoint", string(endpoint))
	case record.State == webhook.Cancelled:
		return true, nil
	case record.State.Ended():
		return false, fmt.Errorf("%w: it is %v", ErrDeliveryEnded, record.State)
	}
	return false, nil
}
