package batch

import (
	"cmp"
	"context"

	"github.com/neohook/neohook/webhook"
)

// Sent is what came of an event at one endpoint.
type Sent struct {
	EndpointID webhook.EndpointID `json:"endpoint_id"`
	Success    bool               `json:"success"`
	Info       webhook.Result     `json:"info"`
}

// Event makes a delivery of the event for each endpoint and one attempt of it. It goes to
// all of them: whether an endpoint wants to hear of it is asked with Endpoint.Hears. An
// event without an ID gets one, the same at each endpoint; the event itself is not
// changed.
func Event(ctx context.Context, adapter webhook.Adapter, event *webhook.Event, endpoints []webhook.Endpoint, o Options) []Sent {
	var named *webhook.Event // nil is what the adapter says is wrong
	if event != nil {
		copied := *event
		copied.ID = cmp.Or(event.ID, webhook.NewEventID())
		named = &copied
	}
	all := make([]Sent, len(endpoints))
	o.run(len(endpoints), DefaultDeliverLimit, func(index int) webhook.Result {
		endpoint := &endpoints[index]
		var delivery *webhook.Delivery
		if named != nil {
			delivery = webhook.NewDelivery(named, endpoint)
		}
		result := adapter.Deliver(ctx, delivery, endpoint)
		all[index] = Sent{EndpointID: endpoint.ID, Success: result.Success, Info: result}
		return result
	})
	return all
}
