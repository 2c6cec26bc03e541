package lane

import (
	"time"

	"github.com/neohook/neohook/store"
)

// Delivery is an open delivery, or a manual send, that a Board holds.
type Delivery struct {
	Tenant   store.TenantKey
	Endpoint store.EndpointKey
	Event    store.EventKey
	// Send, if not 0, says that this is a store.Send of the event, and not its delivery.
	Send store.SendKey
	// Retried says of a send that it is tried again by the endpoint's schedule.
	Retried bool
	// Tried is the number of its attempts recorded: of a delivery, the scheduled ones.
	Tried int
	// Due is when one that waits may be sent; zero for a fresh delivery.
	Due time.Time
	// Ending says that it was given out by a closed lane, beyond all limits: it may be
	// ended and must not be sent.
	Ending bool
	// Payload is nil where it has to be read before sending.
	Payload *store.Payload
}

// ref tells apart what is for an endpoint: it is the key of an event, whose delivery it
// is, or the negative of a send's.
type ref int64

func (d *Delivery) ref() ref {
	if d.Send != 0 {
		return ref(-d.Send)
	}
	return ref(d.Event)
}

// bytes is what the delivery's payload counts for. A payload shared by several lanes is
// counted in each: the bound is on the safe side.
func (d *Delivery) bytes() int64 {
	if d.Payload == nil {
		return 0
	}
	return int64(len(d.Payload.Body))
}
