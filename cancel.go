package neohook

import (
	"context"
	"errors"
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
	if err := o.isCancellable(ctx, ref, endpoint); err != nil {
		return err
	}
	// One that is cancelled by now is dropped all the same: whoever cancelled it may have
	// been another node.
	cancelled := false
	announce := o.announce(store.About{Tenant: owner.Key}, operational.MessageCancelled)
	err = o.engine.change(ctx, nil, func(ctx context.Context) error {
		did, err := o.engine.store.Cancel(ctx, now(), []store.DeliveryRef{ref}, announce...)
		o.engine.outbox.Added(len(announce))
		if errors.Is(err, store.ErrCommitUnknown) {
			o.engine.lanes.Review(time.Now(), owner.Key)
		}
		if err != nil {
			return fmt.Errorf("neohook: cancel delivery: %w", err)
		}
		cancelled = did[0]
		o.engine.lanes.Drop(time.Now(), []store.DeliveryRef{ref})
		return nil
	})
	if err == nil {
		o.engine.heard(ctx, owner.Key)
	}
	switch {
	case err != nil:
		return err
	case cancelled:
		o.engine.tally.end(webhook.Cancelled, webhook.CancelAsked)
		o.engine.quota.End(owner.Key, 1)
		return nil
	}
	return o.isCancellable(ctx, ref, endpoint) // or it ended meanwhile
}

// isCancellable returns an error where a delivery has ended otherwise, or never was.
func (o *Organisation) isCancellable(ctx context.Context, of store.DeliveryRef, endpoint webhook.EndpointID) error {
	record, err := o.engine.store.Delivery(ctx, of.Endpoint, of.Event)
	if err != nil {
		return translate(err, "delivery to endpoint", string(endpoint))
	}
	if record.State.Ended() && record.State != webhook.Cancelled {
		return fmt.Errorf("%w: it is %v", ErrDeliveryEnded, record.State)
	}
	return nil
}
