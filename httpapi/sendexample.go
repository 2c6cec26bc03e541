package httpapi

import (
	"net/http"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
)

func exampleOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.send-example", route: "POST /app/{app_id}/endpoint/{endpoint_id}/send-example",
			scope: application, needs: access.CreateAttempts, once: true, refusals: []int{http.StatusTooManyRequests},
			summary: "Send an example of an event type to an endpoint",
			about:   "A message like any other, but for this endpoint only, and whatever event types and channels that listens to.",
		}, sendExample),
	}
}

// exampleIn says of what an example is to be sent.
type exampleIn struct {
	EventType opt[string] `json:"eventType" is:"required,slug" doc:"The event type. The first of the examples in its schema is sent; neohook.ping and svix.ping need no event type and send {\"success\":true}." eg:"order.created"`
	rest
}

func sendExample(c *call, _ *none, in *exampleIn) (out messageOut, _ error) {
	org, err := c.once()
	if err != nil {
		return out, err
	}
	// The endpoint comes before the event type.
	if _, err := c.findEndpoint(); err != nil {
		return out, err
	}
	name := in.EventType.Value
	if name != neohook.PingType && name != neohook.SvixPingType {
		if _, err := c.findEventType(name); err != nil {
			return out, err
		}
	}
	sent, err := org.SendExample(c.ctx(), c.tenant(), c.endpoint(), name)
	if err != nil {
		return out, c.missing(err, "Endpoint or event type")
	}
	return showMessage(&sent, false), nil
}
