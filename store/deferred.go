package store

import (
	"context"
	"time"
)

// Deferred keeps the events that are not due yet. Each is stored whole by Commit, and
// waits here until it is promoted, that is, matched to endpoints, or cancelled. Its payload
// is kept at least until then.
type Deferred interface {
	// Due returns up to limit of the deferred events that are due at now, soonest due
	// first, by key among those due at once; and next, when the soonest of the others is
	// due: zero where there are none, and not looked for where limit is reached.
	Due(ctx context.Context, now time.Time, limit int) (due []DeferredEvent, next time.Time, err error)
	// Promote opens the deliveries of deferred events, as Openings due at the event's
	// DueAt, in one transaction. What became of each is returned in order: Rerouted, where
	// nothing is changed; Gone, for an event that is not deferred, or not any more;
	// TenantGone, where it gets no deliveries; or Accepted. Only after Rerouted may the
	// event still be deferred.
	Promote(ctx context.Context, now time.Time, promotions []Promotion) ([]Promoted, error)
	// CancelEvent ends the deferral of a tenant's event for good: it gets its CancelledAt,
	// and no deliveries. Announcements are put into the outbox, about the event. It returns
	// ErrNotFound for no such event, and ErrNotDeferred for one that is not deferred, or
	// not any more. An event that was cancelled before stays as it is: nothing is stored,
	// and nil is returned.
	CancelEvent(ctx context.Context, tenant TenantKey, event EventKey, now time.Time, announce ...Announcement) error
}

// DeferredEvent is an event that waits for its time.
type DeferredEvent struct {
	Event    EventKey
	Tenant   TenantKey
	DueAt    time.Time
	Type     string
	Channels []string
}

// Promotion is a deferred event matched to endpoints, none of which it has yet.
type Promotion struct {
	Event  EventKey
	Tenant TenantKey
	DueAt  time.Time
	// RouteVersion is the version of the Routes that Endpoints were chosen from.
	RouteVersion int64
	Endpoints    []EndpointKey
}

// Promoted is what became of a Promotion.
type Promoted struct {
	Kind VerdictKind
	// Endpoints are those at which a delivery was opened: with Accepted, all that had none
	// before; but none where the event has no payload any more.
	Endpoints []EndpointKey
}
