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

// How far ahead of its acceptance an event's DeliverAt may be.
const (
	MinDeferral = time.Minute
	MaxDeferral = 366 * 24 * time.Hour
)

func errDeliverAt() *webhook.InvalidError {
	var bad webhook.InvalidError
	bad.Add("deliverAt", fmt.Sprintf("must be %v to %d days ahead", MinDeferral, MaxDeferral/(24*time.Hour)))
	return &bad
}

// CancelEvent ends an event before its DeliverAt: it goes to nobody, and has a CancelledAt.
// To cancel it again is no error. ErrNotDeferred: the event was not deferred, or is due.
// One that was due while nothing ran can still be cancelled until Run has come to it.
func (o *Organisation) CancelEvent(ctx context.Context, tenant webhook.TenantID, ref webhook.EventID) error {
	owner, of, err := o.event(ctx, tenant, ref)
	if err != nil {
		return err
	}
	if !of.CancelledAt.IsZero() {
		return nil
	}
	announce := o.announce(store.About{Tenant: owner.Key, Event: of.Key}, operational.MessageCancelled)
	err = o.engine.store.CancelEvent(ctx, owner.Key, of.Key, now(), announce...)
	o.engine.outbox.Added(len(announce))
	switch {
	case err == nil:
		o.engine.quota.End(owner.Key, 1)
	case errors.Is(err, store.ErrNotDeferred):
		return fmt.Errorf("%w: event %q", ErrNotDeferred, ref)
	}
	return translate(err, "event", string(ref))
}
