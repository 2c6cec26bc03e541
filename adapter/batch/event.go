package batch

import (
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
	named := *event
	if named.ID == "" {
		named.ID = webhook.NewEventID()
	}
	all := make([]Sent, len(endpoints))
	o.run(len(endpoints), DefaultDeliverLimit, func(index int) webhook.Result {
		endpoint := &endpoints[index]
		result := adapter.Deliver(ctx, webhook.NewDelivery(&named, endpoint), endpoint)
		all[index] = Sent{EndpointID: endpoint.ID, Success: result.Success, Info: result}
		return result
	})
	return all
}
