package httpapi

import (
	"errors"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func attemptedOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "message-attempt.list-attempted-messages", route: "GET /app/{app_id}/endpoint/{endpoint_id}/msg",
			scope: application, needs: access.View,
			summary: "List the messages that an endpoint was sent, and how that went",
		}, listAttemptedMessages),
		serves(operation{
			name: "message-attempt.list-attempted-destinations", route: "GET /app/{app_id}/msg/{msg_id}/endpoint",
			scope: application, needs: access.View,
			summary: "List the endpoints that a message was sent to, deleted ones too, and how that went",
		}, listAttemptedEndpoints),
		serves(operation{
			name: "message-attempt.list-by-delivery-deprecated", route: "GET /app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/attempt",
			scope: application, needs: access.View, deprecated: true,
			summary: "List the attempts made for a message at an endpoint",
		}, listAttemptsOfDelivery),
	}
}

// attemptedMessageOut is a message that an endpoint was sent.
type attemptedMessageOut struct {
	messageOut
	Status      int      `json:"status" is:"enum=0|2|3|4" doc:"0 succeeded, 2 failed, 3 will be tried again, 4 was cancelled."`
	StatusText  string   `json:"statusText" is:"enum=success|fail|sending|canceled" doc:"The status in words."`
	NextAttempt *instant `json:"nextAttempt,omitzero" doc:"When it is tried again."`
}

type attemptedMessagesQuery struct {
	limited
	span
	content
	expanded
	Iterator   opt[string]   `query:"iterator" is:"iterator=msg_" doc:"The iterator or prevIterator of another page; without one, the first page."`
	Status     opt[int64]    `query:"status" is:"enum=0|1|2|3|4" doc:"Only messages with this status. There are none with 1, and none with 4 unless expanded_statuses is true."`
	Channel    opt[string]   `query:"channel" is:"slug" doc:"Only messages of this channel."`
	EventTypes opt[[]string] `query:"event_types" is:"max=250,slug" doc:"Only messages of these types."`
	Tag        opt[string]   `query:"tag" is:"slug" doc:"Only messages with this tag."`
}

func listAttemptedMessages(c *call, q *attemptedMessagesQuery, _ *none) (out listOut[attemptedMessageOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, true).over(q.span, webhook.EventPrefix, time.Now())
	filter := neohook.DeliveryFilter{
		Attempted: true, Types: q.EventTypes.Value, Channel: q.Channel.Value, Tag: q.Tag.Value, From: w.from, To: w.to,
		WithPayload: q.wanted() && !w.peek,
	}
	var none bool
	if q.Status.Given {
		filter.States = statesOf(q.Status.Value, q.Expanded.Value)
		none = len(filter.States) == 0
	}
	got, err := c.org.DeliveriesAtEndpoint(c.ctx(), c.tenant(), c.endpoint(), filter, w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "Endpoint")
	}
	if none {
		got = neohook.List[neohook.EndpointDelivery]{Done: true}
	}
	return listed(w, got, deliveryIterator, func(d *neohook.EndpointDelivery) attemptedMessageOut {
		status := statusOf(&d.Standing, q.Expanded.Value)
		shown := attemptedMessageOut{messageOut: showMessage(&d.Of, q.wanted()), Status: status, StatusText: statusTexts[status]}
		if status == statusSending {
			shown.NextAttempt = unlessNever(d.DueAt)
		}
		return shown
	}), nil
}

// attemptedEndpointOut is an endpoint that a message was sent to, as it is by now.
type attemptedEndpointOut struct {
	endpointOut
	Status      int      `json:"status" is:"enum=0|2" doc:"Of the latest attempt: 0 succeeded, 2 failed."`
	StatusText  string   `json:"statusText" is:"enum=success|fail" doc:"The status in words."`
	NextAttempt *instant `json:"nextAttempt" doc:"When it is tried again."`
}

func listAttemptedEndpoints(c *call, q *messageDeliveriesQuery, _ *none) (out listOut[attemptedEndpointOut], _ error) {
	w := walkOf(q.Limit, q.Iterator, false)
	got, err := c.org.DeliveriesOfEvent(c.ctx(), c.tenant(), c.event(), w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "Message")
	}
	attempted := neohook.List[attemptedEndpointOut]{Last: got.Last, Done: got.Done}
	for i := range got.Items {
		shown, tried, err := c.attemptedEndpoint(&got.Items[i])
		if err != nil {
			return out, err
		}
		if tried {
			attempted.Items = append(attempted.Items, shown)
		}
	}
	return listed(w, attempted, func(e *attemptedEndpointOut) string { return string(e.ID) },
		func(e *attemptedEndpointOut) attemptedEndpointOut { return *e }), nil
}

// attemptedEndpoint shows where a delivery went, unless it was not tried yet. Of an
// endpoint that is deleted, its latest attempt tells what there is to tell.
func (c *call) attemptedEndpoint(s *webhook.Standing) (out attemptedEndpointOut, tried bool, _ error) {
	found, err := c.org.Delivery(c.ctx(), c.tenant(), s.Event, s.Endpoint)
	if err != nil || len(found.Attempts) == 0 {
		return out, false, err
	}
	latest := &found.Attempts[len(found.Attempts)-1]
	ep, err := c.org.Endpoint(c.ctx(), c.tenant(), s.Endpoint)
	if errors.Is(err, neohook.ErrNotFound) {
		raw, _ := webhook.ParseRawID(webhook.EndpointPrefix, string(s.Endpoint))
		ep = webhook.Endpoint{ID: s.Endpoint, URL: latest.URL, Disabled: true, CreatedAt: raw.Time(), UpdatedAt: raw.Time()}
	} else if err != nil {
		return out, false, err
	}
	out.endpointOut = showEndpoint(&ep)
	out.Status, out.StatusText = statusFail, statusTexts[statusFail]
	if latest.Succeeded {
		out.Status, out.StatusText = statusSuccess, statusTexts[statusSuccess]
	}
	if s.State == webhook.Waiting || s.State == webhook.Parked {
		out.NextAttempt = unlessNever(s.DueAt)
	}
	return out, true, nil
}

// attemptsOfDeliveryQuery is attemptsQuery for attempts at the endpoint in the path.
type attemptsOfDeliveryQuery struct{ attemptsQuery }

func listAttemptsOfDelivery(c *call, q *attemptsOfDeliveryQuery, _ *none) (out listOut[attemptOut], _ error) {
	w, filter := q.walk()
	filter.Endpoint = c.endpoint()
	got, err := c.org.AttemptsOfEvent(c.ctx(), c.tenant(), c.event(), filter, w.Page)
	if err != nil {
		return out, c.missing(badIterator(err), "Message or endpoint")
	}
	return q.list(w, got), nil
}
