package store

import (
	"context"
	"slices"
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
	// that began then; either alone will do.
	FailedFrom, FailedTo time.Time
	// WithPayload asks for the payloads too; see MostPagePayload.
	WithPayload bool
}

// Examines says whether a delivery may match that is stored in a state, or in one that is
// kept together with it: the open ones are, and those that ended otherwise than as
// Succeeded. Of the others none is examined, so that to list the few that failed costs
// nothing for the many that did not.
func (f *DeliveryFilter) Examines(stored webhook.State) bool {
	together := []webhook.State{webhook.Succeeded}
	switch stored {
	case webhook.Pending, webhook.Waiting:
		together = []webhook.State{webhook.Pending, webhook.Waiting}
	case webhook.Exhausted, webhook.Cancelled: // and those of them that were recovered
		together = []webhook.State{webhook.Exhausted, webhook.Cancelled, webhook.Succeeded}
	}
	return len(f.States) == 0 || slices.ContainsFunc(together, func(state webhook.State) bool { return slices.Contains(f.States, state) })
}

// Match says whether the filter lets a delivery through, but for FailedFrom and FailedTo,
// for which all its attempts must be looked at.
func (f *DeliveryFilter) Match(d *EndpointDelivery) bool {
	of := EventFilter{Types: f.Types, Channel: f.Channel, Tag: f.Tag, From: f.From, To: f.To}
	return (len(f.States) == 0 || slices.Contains(f.States, d.Came())) && of.Match(&d.Of) &&
		(!f.Attempted || d.Last != nil) &&
		(f.StatusClass == 0 || d.Last != nil && d.Last.StatusCode/100*100 == f.StatusClass) &&
		(!f.NoStatus || d.Last != nil && d.Last.StatusCode == 0)
}

// ByFailure says that FailedFrom or FailedTo narrows.
func (f *DeliveryFilter) ByFailure() bool { return !f.FailedFrom.IsZero() || !f.FailedTo.IsZero() }

// MatchFailure says whether an attempt is one that FailedFrom and FailedTo ask for.
func (f *DeliveryFilter) MatchFailure(a *Attempt) bool {
	return !a.Succeeded && (f.FailedFrom.IsZero() || !a.StartedAt.Before(f.FailedFrom)) &&
		(f.FailedTo.IsZero() || a.StartedAt.Before(f.FailedTo))
}

// EndpointDelivery is a delivery with its event and its latest attempt.
type EndpointDelivery struct {
	DeliveryRecord
	Of Event
	// Last is the attempt that was recorded last, manual ones included, without its
	// response; nil if there was none, or it is gone.
	Last *Attempt
}

// ClockStep is how far clocks may have been set back, or an attempt have been recorded
// late, without an item being missed by a list that is bounded by time: what lies further
// outside is not examined.
const ClockStep = time.Hour

// Deliveries lists deliveries by endpoint, by the keys of their events. It examines what
// the filter may match by state, and by From and To, give or take ClockStep: what else
// there is costs nothing. The endpoint may be deleted.
type Deliveries interface {
	// DeliveriesAtEndpoint lists where events stand at an endpoint, open and ended. Each
	// delivery is on one page of a walk that follows Last, also where it ends or waits
	// anew meanwhile.
	DeliveriesAtEndpoint(ctx context.Context, endpoint EndpointKey, filter DeliveryFilter, page Page) (Listed[EndpointDelivery], error)
	// UntriedAtEndpoint lists the events of a tenant that were never sent to an endpoint
	// and could be: for no other endpoint only, without any attempt there, with a payload,
	// and with no delivery there, when the State is 0, or one that was cancelled.
	UntriedAtEndpoint(ctx context.Context, tenant TenantKey, endpoint EndpointKey, filter EventFilter, page Page) (Listed[EndpointDelivery], error)
}
