package webhook

import "time"

// Event is something that happened, to be told to the endpoints of a tenant.
type Event struct {
	// ID is given by the engine on acceptance; it must be empty before.
	ID EventID
	// Tenant is whose event it is; a tenant's UID serves where an event is published.
	Tenant TenantID
	// UID is the caller's own name for the event, unique in its tenant for as long as
	// the event is kept; "" is none.
	UID string
	// Type says what happened, as in "invoice.paid": 1 to 256 characters of
	// a-z A-Z 0-9 - _ and dot.
	Type string
	// Channels narrows the endpoints to those that share one of these, at most five;
	// empty is no narrowing, and then endpoints that have channels do not hear of it.
	Channels []string
	// Tags are for finding events again, at most ten, each like a Type; they decide nothing.
	Tags []string
	// DeliverAt is when the event is matched to endpoints and sent, a minute to a year
	// ahead of its acceptance; zero is at once.
	DeliverAt time.Time
	// CancelledAt is when the event was cancelled before its DeliverAt; zero if it was not.
	CancelledAt time.Time
	// PayloadTTL is how long the payload is kept, MinPayloadTTL to MaxPayloadTTL; 0 is the
	// tenant's Retention. It goes with the event in any case.
	PayloadTTL time.Duration
	// Payload is sent byte for byte. It is nil where it was not asked for or is gone.
	Payload []byte
	// AcceptedAt is when the event was committed to.
	AcceptedAt time.Time
}
