package store

import (
	"context"
	"time"
)

// Send is an event that is sent to an endpoint because somebody asked for it, beside the
// delivery that was made, or not made, when the event was accepted. It has attempts of
// its own, runs outside the endpoint's order, and neither ends nor revives the delivery;
// except that its success closes one still open.
type Send struct {
	Key      SendKey
	Tenant   TenantKey
	Endpoint EndpointKey
	Event    EventKey
	// Job is the job that asked for it; 0 is none.
	Job JobKey
	// Retried says that it is tried again by the endpoint's schedule; else its first
	// attempt is its last.
	Retried bool
	// Tried is the number of its attempts recorded.
	Tried int
	// DueAt is when it may be sent.
	DueAt time.Time
}

// Opening is a delivery that is opened after its event was accepted: the event had been
// deferred, or it was not for the endpoint then. It is Waiting, due at DueAt, with nothing
// tried, so that a lane finds it among those that wait and not by its number.
type Opening struct {
	Tenant   TenantKey
	Endpoint EndpointKey
	Event    EventKey
	DueAt    time.Time
}

// Sends keeps the open ones. They end, and get their next due time, by Commit.
type Sends interface {
	// InsertSends stores sends, with nothing tried, under keys that it gives and returns in
	// their order, and Openings, in one transaction. An Opening does nothing, and its place
	// in opened is false, where the delivery is open or has ended before, where the event
	// has no payload any more, and where the endpoint is deleted. A Send of such an event,
	// or to such an endpoint, is ErrNotFound, and then nothing is stored. A once that was
	// seen before is *ReplayError, as for directory changes.
	InsertSends(ctx context.Context, now time.Time, sends []Send, openings []Opening, once *Once) (keys []SendKey, opened []bool, err error)
	// Send returns an open send, or ErrNotFound.
	Send(ctx context.Context, key SendKey) (Send, error)
	// SendsOf returns up to limit open sends to an endpoint from a place on (inclusive),
	// soonest due first, by key those due at once. What is before that place is not
	// examined. Backlog.Lanes lists an endpoint that has some.
	SendsOf(ctx context.Context, endpoint EndpointKey, from Moment, limit int) ([]Send, error)
	// Cancel ends the open deliveries among these as Cancelled for CancelAsked, in one
	// transaction, and says of which it did. Sends of the same events go on. Announcements
	// are put into the outbox for each delivery that it ended, about it and the About.Tenant
	// that is given, whose they all must be.
	Cancel(ctx context.Context, now time.Time, deliveries []DeliveryRef, announce ...Announcement) ([]bool, error)
}

// DeliveryRef names a delivery.
type DeliveryRef struct {
	Endpoint EndpointKey
	Event    EventKey
}
