package neohook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/neohook/neohook/internal/commit"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// maxSends is how many manual sends may wait at an endpoint.
const maxSends = 1000

// Resend sends an event to an endpoint once more, whatever became of its delivery, and
// though it may never have been for the endpoint: filters are not looked at. It returns
// when that is stored; what comes of it is a Manual attempt of the event. That attempt is
// made in its turn, which comes after that of events that were just published; within the
// endpoint's limits, but outside its order; and a single time. Its success ends a delivery
// that is still open, and is the RecoveredAt of one that ended otherwise; a failure
// changes nothing, and never counts towards disabling the endpoint. Under a Once, a repeat
// sends nothing more.
//
// Errors: ErrNotFound; ErrEndpointDisabled; ErrPayloadGone; ErrTooManySends;
// ErrKeyReused; ErrOverloaded; ErrStopped.
func (o *Organisation) Resend(ctx context.Context, tenant webhook.TenantID, event webhook.EventID, endpoint webhook.EndpointID) error {
	owner, of, err := o.event(ctx, tenant, event)
	if err != nil {
		return err
	}
	_, to, err := o.endpoint(ctx, tenant, endpoint)
	if err != nil {
		return err
	}
	at := now()
	once, err := o.storeOnce(at, resendOp, int64(owner.Key), int64(of.Key), int64(to.Key))
	if err != nil {
		return err
	}
	if _, repeat, err := o.replay(ctx, once, at); repeat || err != nil {
		return err
	}
	switch {
	case of.Payload == nil:
		return fmt.Errorf("%w: event %q", ErrPayloadGone, event)
	case to.Disabled:
		return fmt.Errorf("%w: %q", ErrEndpointDisabled, endpoint)
	}
	waiting, err := o.engine.store.CountSends(ctx, to.Key, maxSends)
	switch {
	case err != nil:
		return fmt.Errorf("neohook: resend: %w", err)
	case waiting >= maxSends:
		return &LimitError{ErrTooManySends, maxSends}
	}
	send := store.Send{Tenant: owner.Key, Endpoint: to.Key, Event: of.Key, DueAt: at}
	if _, _, err = replayed(o.engine.insertSend(ctx, send, once)); errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: endpoint %q, or the payload of event %q", ErrNotFound, endpoint, event) // gone meanwhile
	}
	return err
}

// insertSend stores a send and gives it to its lane.
func (e *Engine) insertSend(ctx context.Context, send store.Send, once *store.Once) error {
	return e.change(ctx, []store.Lane{{Tenant: send.Tenant, Endpoint: send.Endpoint}}, func(ctx context.Context) error {
		keys, _, err := e.store.InsertSends(ctx, send.DueAt, []store.Send{send}, nil, once)
		if err != nil {
			return fmt.Errorf("neohook: resend: %w", err)
		}
		e.lanes.Await(time.Now(), []lane.Delivery{{
			Tenant: send.Tenant, Endpoint: send.Endpoint, Event: send.Event, Send: keys[0], Retried: send.Retried, Due: send.DueAt,
		}})
		return nil
	})
}

// change has the writer do something between two batches, and waits as long as Publish
// does for its turn. See commit.Writer.Do.
func (e *Engine) change(ctx context.Context, concerned []store.Lane, do func(context.Context) error) error {
	patient, cancel := context.WithTimeout(ctx, e.opts.PublishWait)
	defer cancel()
	err := e.writer.Do(patient, concerned, do)
	switch {
	case errors.Is(err, commit.ErrStopped):
		return ErrStopped
	case ctx.Err() == nil && patient.Err() != nil && errors.Is(err, patient.Err()):
		return &OverloadedError{Cause: QueueFull, RetryAfter: time.Second}
	case errors.Is(err, store.ErrBuried):
		return errJoining
	}
	return err
}
