package store

import (
	"context"
	"time"

	"github.com/neohook/neohook/webhook"
)

// DeliveryFilter narrows a list of deliveries at an endpoint. Zero fields do not narrow.
type DeliveryFilter struct {
	// States are of Pending, Waiting, Succeeded, Exhausted and Cancelled. One that was
	// recovered is Succeeded here, and nothing else.
	States []webhook.State
	Types  []string
	// Channel and Tag are of the event.
	Channel, Tag string
	// From and To bound the acceptance of the event, both inclusive.
	From, To time.Time
	// Attempted asks for those that have an attempt.
	Attempted bool
	// StatusClass, 100 to 500, or NoStatus is of the latest attempt.
	StatusClass int
	NoStatus    bool
	// FailedFrom, inclusive, and FailedTo, exclusive, ask for those with a failed attempt
	// that began then.
	FailedFrom, FailedTo time.Time
	// WithPayload asks for the payloads too; see MostPagePayload.
	WithPayload bool
}

// EndpointDelivery is a delivery with its event and its latest attempt.
type EndpointDelivery struct {
	DeliveryRecord
	Of Event
	// Last is the attempt that began last, manual ones included, without its response; nil
	// if there was none.
	Last *Attempt
}

// Deliveries lists deliveries by endpoint.
type Deliveries interface {
	// DeliveriesAtEndpoint lists where events stand at an endpoint, open and ended, by the
	// events' keys. Each delivery is on one page of a walk that follows Last, also where
	// it ends or waits anew meanwhile.
	DeliveriesAtEndpoint(ctx context.Context, endpoint EndpointKey, filter DeliveryFilter, page Page) (Listed[EndpointDelivery], error)
}
