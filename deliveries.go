package neohook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// DeliveryFilter narrows deliveries at an endpoint. Zero fields do not narrow.
type DeliveryFilter struct {
	// States are of Pending, Waiting, Succeeded, Exhausted and Cancelled, which are stored:
	// one that is Sending or Parked at present is Pending or Waiting here. One that ended
	// otherwise and was recovered by a manual send is Succeeded, and nothing else.
	States []webhook.State
	// Types, Channel and Tag are of the event.
	Types   []string
	Channel string
	Tag     string
	// From and To bound the acceptance of the event, both inclusive.
	From, To time.Time
	// Attempted asks for those that have an attempt.
	Attempted bool
	// StatusClass is that of the latest attempt: 100, 200, 300, 400 or 500; NoStatus asks
	// for those whose latest attempt had no answer.
	StatusClass int
	NoStatus    bool
	// FailedFrom, inclusive, and FailedTo, exclusive, ask for those with a failed attempt
	// that began then; either alone will do.
	FailedFrom, FailedTo time.Time
	// WithPayload asks for the events' payloads too.
	WithPayload bool
}

// stored checks the filter and returns it as a store knows it.
func (f *DeliveryFilter) stored() (store.DeliveryFilter, error) {
	var bad webhook.InvalidError
	for i, state := range f.States {
		if !slices.Contains(storedStates, state) {
			bad.Add(fmt.Sprintf("states[%d]", i), "must be pending, waiting, succeeded, exhausted or cancelled")
		}
	}
	if f.StatusClass%100 != 0 || f.StatusClass < 0 || f.StatusClass > 500 {
		bad.Add("statusClass", "must be 100, 200, 300, 400 or 500")
	}
	return store.DeliveryFilter(*f), bad.Err()
}

// storedStates are those that a delivery can be stored in.
var storedStates = []webhook.State{webhook.Pending, webhook.Waiting, webhook.Succeeded, webhook.Exhausted, webhook.Cancelled}

// EndpointDelivery is where an event stands at an endpoint, with the event.
type EndpointDelivery struct {
	webhook.Standing
	// Of is the event, with its payload where that was asked for.
	Of webhook.Event
	// Last is the attempt that was recorded last, manual ones included, without the
	// answer's body; nil if there was none, or it is not kept any more.
	Last *webhook.Attempt
}

// DeliveriesAtEndpoint lists where events stand at an endpoint, in the order of their
// acceptance and without the attempts. A Page's After is an event's id. What it costs does
// not grow with how much there is before the page, nor with what the filter rules out by
// States, From and To.
func (o *Organisation) DeliveriesAtEndpoint(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID, filter DeliveryFilter, page Page) (List[EndpointDelivery], error) {
	owner, at, err := o.endpoint(ctx, tenant, endpoint)
	if err != nil {
		return List[EndpointDelivery]{}, err
	}
	narrow, err := filter.stored()
	if err != nil {
		return List[EndpointDelivery]{}, err
	}
	part, err := storePage(page, o.engine.records.IDs.ParseEvent)
	if err != nil {
		return List[EndpointDelivery]{}, err
	}
	got, err := o.engine.store.DeliveriesAtEndpoint(ctx, at.Key, narrow, part)
	if err != nil {
		return List[EndpointDelivery]{}, translate(err, "deliveries at endpoint", string(endpoint))
	}
	last := o.engine.records.IDs.Event(got.LastAt, store.EventKey(got.Last))
	return listed(got, o.showDelivery(&owner, &at), string(last)), nil
}

func (o *Organisation) showDelivery(owner *store.Tenant, at *store.Endpoint) func(*store.EndpointDelivery) EndpointDelivery {
	ids := o.engine.records.IDs
	event, endpoint := o.showEvent(ids.Tenant(owner.CreatedAt, owner.Key)), ids.Endpoint(at.CreatedAt, at.Key)
	return func(d *store.EndpointDelivery) EndpointDelivery {
		shown := EndpointDelivery{Standing: o.showStanding(&d.Of, &d.DeliveryRecord, endpoint), Of: event(&d.Of)}
		if d.Last != nil {
			last := o.showAttempt(&store.LoggedAttempt{
				Attempt: *d.Last, Event: d.Event, Endpoint: d.Endpoint, EventType: d.Of.Type, Channels: d.Of.Channels, Tags: d.Of.Tags,
				EventAcceptedAt: d.Of.AcceptedAt, EndpointCreatedAt: at.CreatedAt,
			})
			shown.Last = &last
		}
		return shown
	}
}
