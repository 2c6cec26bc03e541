package httpapi

import "github.com/neohook/neohook"

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

// precheckIn is a message that is not sent.
type precheckIn struct {
	EventType opt[string]   `json:"eventType" is:"required,slug" doc:"What the message would be of." eg:"order.created"`
	Channels  opt[[]string] `json:"channels" is:"min=1,max=5,slug" doc:"Its channels."`
	rest
}

type precheckOut struct {
	Active bool `json:"active" doc:"Whether any endpoint would get such a message."`
}

func precheckMessage(c *call, _ *none, in *precheckIn) (out precheckOut, err error) {
	out.Active, err = c.org.WouldReach(c.ctx(), c.tenant(), in.EventType.Value, in.Channels.Value)
	return out, c.missing(err, "")
}
