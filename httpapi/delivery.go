package httpapi

import (
	"net/http"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func deliveryOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "delivery.list", route: "GET /app/{app_id}/endpoint/{endpoint_id}/delivery",
			scope: application, needs: access.View,
			summary: "List the deliveries to an endpoint",
			about:   "A delivery is a message for an endpoint, tried or not. By state, event type, channel, tag, time and the class of the latest answer.",
		}, listDeliveries),
		serves(operation{
			name: "delivery.list-by-msg", route: "GET /app/{app_id}/msg/{msg_id}/delivery",
			scope: application, needs: access.View,
			summary: "List where a message stands at each endpoint",
		}, listDeliveriesOfMessage),
		serves(operation{
			name: "delivery.get", route: "GET /app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/delivery",
			scope: application, needs: access.View,
			summary: "Get where a message stands at an endpoint, with all that was tried",
		}, getDelivery),
		serves(operation{
			name: "delivery.cancel", route: "POST /app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/cancel",
			scope: application, needs: access.CreateAttempts, refusals: []int{http.StatusConflict},
			summary: "Cancel the delivery of a message to an endpoint",
			about:   "No further attempt begins. One that is in flight goes on and is logged. To cancel it again is no error.",
		}, cancelDelivery),
	}
}

func deliveryIterator(d *neohook.EndpointDelivery) string { return string(d.Event) }

func listDeliveries(c *call, q *deliveriesQuery, _ *none) (out listOut[deliveryOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, true).over(q.span, webhook.EventPrefix, time.Now())
	got, err := c.org.DeliveriesAtEndpoint(c.ctx(), c.tenant(), c.endpoint(), q.filter(w), w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "Endpoint")
	}
	return listed(w, got, deliveryIterator, func(d *neohook.EndpointDelivery) deliveryOut {
		shown := deliveryOut{standingOut: showStanding(&d.Standing), EventType: d.Of.Type}
		if d.Last != nil {
			last := showAttempt(d.Last, false)
			shown.Last = &last
		}
		if q.WithMsg.Value {
			msg := showMessage(&d.Of, true)
			shown.Msg = &msg
		}
		return shown
	}), nil
}

func listDeliveriesOfMessage(c *call, q *messageDeliveriesQuery, _ *none) (out listOut[standingOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, false)
	got, err := c.org.DeliveriesOfEvent(c.ctx(), c.tenant(), c.event(), w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "Message")
	}
	return listed(w, got, func(s *webhook.Standing) string { return string(s.Endpoint) }, showStanding), nil
}

func getDelivery(c *call, _, _ *none) (out timelineOut, _ error) {
	found, err := c.org.Delivery(c.ctx(), c.tenant(), c.event(), c.endpoint())
	if err != nil {
		return out, c.missing(err, "Delivery")
	}
	out.standingOut = showStanding(&found)
	out.Attempts = make([]attemptOut, len(found.Attempts))
	for i := range found.Attempts {
		out.Attempts[i] = showAttempt(&found.Attempts[i], false)
	}
	return out, nil
}

func cancelDelivery(c *call, _, _ *none) (none, error) {
	return none{}, c.missing(c.org.CancelDelivery(c.ctx(), c.tenant(), c.event(), c.endpoint()), "Delivery")
}
