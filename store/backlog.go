package store

import (
	"context"
	"time"
)

// Backlog gives the open deliveries back that the engine does not hold in memory. An
// open delivery is fresh until its first attempt is recorded, and waiting from then on; one
// of an Opening is waiting from the beginning.
type Backlog interface {
	// Lanes lists the endpoints that have open deliveries or sends, deleted ones included,
	// ascending by key, from behind after. Its cost depends on how many there are, not
	// on how much is open at each.
	Lanes(ctx context.Context, after EndpointKey, limit int) ([]Lane, error)
	// Fresh examines up to limit open deliveries of an endpoint from number from
	// (inclusive) upwards and returns the fresh ones among them, ascending. A store that
	// keeps fresh ones apart examines no others.
	Fresh(ctx context.Context, endpoint EndpointKey, from EventKey, limit int) (FreshPage, error)
	// Waiting returns up to limit waiting deliveries of an endpoint from a place on
	// (inclusive), soonest due first, by number those due at once. What is before that place
	// is not examined, and neither is what was and has ended.
	Waiting(ctx context.Context, endpoint EndpointKey, from Moment, limit int) ([]Open, error)
	// Payloads returns what is sent for each event, in the order of keys; one that is
	// gone or has no payload any more is a zero Payload.
	Payloads(ctx context.Context, keys []EventKey) ([]Payload, error)
}

// Lane is an endpoint with open deliveries.
type Lane struct {
	Endpoint EndpointKey
	Tenant   TenantKey
}

// Open is a delivery that has not ended.
type Open struct {
	Event EventKey
	// Tried is the number of scheduled attempts recorded.
	Tried int
	// RetryAt is when a waiting delivery is due; zero for a fresh one.
	RetryAt time.Time
}

// Moment is a place among what waits, which is in the order of when it is due, and of what is
// due at once in that of its keys: of events, or of sends. The zero Moment is before all.
type Moment struct {
	At  time.Time // to the microsecond
	Key int64
}

// FreshFrom is an endpoint, and the number from which its fresh deliveries are asked for.
type FreshFrom struct {
	Endpoint EndpointKey
	From     EventKey
}

// FreshPage is a part of an endpoint's fresh deliveries.
type FreshPage struct {
	Deliveries []Open
	// Next is where to go on, if More: the endpoint had further open deliveries, of those
	// that the store examines, at the time of the reading.
	Next EventKey
	More bool
}

// Payload is what is sent for an event.
type Payload struct {
	Event      EventKey // 0 where there is nothing to send
	Type       string
	Channels   []string
	Only       EndpointKey // the one endpoint that it is for; 0 is as they listen
	Body       []byte
	AcceptedAt time.Time
}
