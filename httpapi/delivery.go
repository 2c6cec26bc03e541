package httpapi

import (
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

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
