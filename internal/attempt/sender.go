// Package attempt makes one attempt: it looks at what the endpoint is by now, sends, and
// judges what came of it.
package attempt

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Endpoints knows the endpoints as they are now.
type Endpoints interface {
	// Endpoint returns an endpoint, or the reason why nothing is sent to it any more.
	Endpoint(ctx context.Context, tenant store.TenantKey, endpoint store.EndpointKey) (*webhook.Endpoint, webhook.Reason, error)
}

// Payloads reads what is not in memory; see store.Backlog.
type Payloads interface {
	Payloads(ctx context.Context, keys []store.EventKey) ([]store.Payload, error)
}

// IDs makes the identifiers that receivers and logs show.
type IDs interface {
	Event(acceptedAt time.Time, key store.EventKey) webhook.EventID
	Delivery(acceptedAt time.Time, event store.EventKey, endpoint store.EndpointKey) webhook.DeliveryID
}

// errReopened is returned for a delivery that was to be ended, and may be sent again in
// its turn.
var errReopened = errors.New("endpoint was enabled while its deliveries were being ended")

// Sender makes attempts. It is safe for concurrent use.
type Sender struct {
	Endpoints Endpoints
	Payloads  Payloads
	IDs       IDs
	Adapter   webhook.Adapter
	Policy    Policy
	// Gone turns off an endpoint whose receiver says to a scheduled attempt that it is gone
	// for good. Where it can't, the answer to the next delivery tells it again.
	Gone func(ctx context.Context, tenant store.TenantKey, endpoint store.EndpointKey)
}

// Send makes an attempt of a delivery and returns what to record and what its lane learns
// from it. An error says that no attempt was made, or that ctx ended it: it does not
// count.
func (s *Sender) Send(ctx context.Context, d lane.Delivery) (store.Outcome, lane.Result, error) {
	out, result, err := s.send(ctx, d)
	if err != nil {
		return out, lane.Result{}, err
	}
	return out, s.Policy.lesson(&out, &result), nil
}

func (s *Sender) send(ctx context.Context, d lane.Delivery) (out store.Outcome, result webhook.Result, err error) {
	out = store.Outcome{Tenant: d.Tenant, Endpoint: d.Endpoint, Event: d.Event, Send: d.Send, Tried: d.Tried}
	payload, err := s.payload(ctx, d)
	if err != nil {
		return out, result, err
	}
	out.EventType = payload.Type
	endpoint, reason, err := s.Endpoints.Endpoint(ctx, d.Tenant, d.Endpoint)
	if err != nil {
		return out, result, err
	}
	if reason == "" {
		reason = obstacle(&d, endpoint, payload)
	}
	if reason != "" {
		out.State, out.Reason = webhook.Cancelled, reason
		return out, result, nil
	}
	if d.Ending {
		return out, result, errReopened
	}
	began := time.Now()
	result = s.Adapter.Deliver(ctx, &webhook.Delivery{
		ID:       s.IDs.Delivery(payload.AcceptedAt, payload.Event, d.Endpoint),
		Endpoint: endpoint.ID, Event: s.IDs.Event(payload.AcceptedAt, payload.Event), EventType: payload.Type,
		Attempt: d.Tried + 1, Status: webhook.Sending, Payload: payload.Body,
	}, endpoint)
	// Schedules hang on these: an adapter that leaves them out must not strand a delivery.
	if result.StartedAt.IsZero() || result.CompletedAt.IsZero() {
		result.StartedAt, result.CompletedAt = began, time.Now()
	}
	if ctx.Err() != nil && !answered(&result) {
		return out, result, ctx.Err()
	}
	s.Policy.judge(&out, &d, endpoint, &result)
	if out.Reason == webhook.ReceiverGone && d.Send == 0 {
		s.Gone(ctx, d.Tenant, d.Endpoint)
	}
	return out, result, nil
}

func (s *Sender) payload(ctx context.Context, d lane.Delivery) (*store.Payload, error) {
	if d.Payload != nil {
		return d.Payload, nil
	}
	payloads, err := s.Payloads.Payloads(ctx, []store.EventKey{d.Event})
	if err != nil {
		return nil, err
	}
	return &payloads[0], nil
}

// obstacle says why a delivery has no place at its endpoint any more. A send has one, and
// an event that is for this endpoint only, whatever the endpoint hears of.
func obstacle(d *lane.Delivery, endpoint *webhook.Endpoint, payload *store.Payload) webhook.Reason {
	asked := d.Send != 0 || payload.Only != 0 && payload.Only == d.Endpoint
	switch {
	case payload.Event == 0:
		return webhook.PayloadExpunged
	case endpoint.Disabled:
		return webhook.EndpointDisabled
	case !asked && !endpoint.Hears(payload.Type, payload.Channels):
		return webhook.FilterChanged
	}
	return ""
}

// answered says that an attempt came to its own end, by a whole answer or its timeout,
// though its context may have ended in the same moment.
func answered(result *webhook.Result) bool {
	if result.Fault == nil {
		return result.Success || result.StatusCode != 0
	}
	return result.Fault.Kind == webhook.FaultTimeout
}
