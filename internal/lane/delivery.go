package lane

import (
	"time"

	"github.com/neohook/neohook/store"
)

// Delivery is an open delivery that a Board holds.
type Delivery struct {
	Tenant   store.TenantKey
	Endpoint store.EndpointKey
	Event    store.EventKey
	// Tried is the number of scheduled attempts recorded.
	Tried int
	// Due is when a waiting delivery may be sent; zero for a fresh one.
	Due time.Time
	// Ending says that it was given out by a closed lane, beyond all limits: it may be
	// ended and must not be sent.
	Ending bool
	// Payload is nil where it has to be read before sending.
	Payload *store.Payload
}

// bytes is what the delivery's payload counts for. A payload shared by several lanes is
// counted in each: the bound is on the safe side.
func (d *Delivery) bytes() int64 {
	if d.Payload == nil {
		return 0
	}
	return int64(len(d.Payload.Body))
}

// byDue is a heap of waiting deliveries, the soonest on top.
type byDue []Delivery

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].Due.Before(h[j].Due) }
func (h byDue) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byDue) Push(x any)        { *h = append(*h, x.(Delivery)) }
func (h *byDue) Pop() any {
	last := len(*h) - 1
	item := (*h)[last]
	(*h)[last] = Delivery{}
	*h = (*h)[:last]
	return item
}
