package store

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Event is an event as stored.
type Event struct {
	Key      EventKey
	Tenant   TenantKey
	UID      string
	Type     string
	Channels []string
	Tags     []string
	// DeliverAt is when a deferred event comes due, zero for any other; CancelledAt is
	// when it was cancelled before that.
	DeliverAt   time.Time
	CancelledAt time.Time
	PayloadTTL  time.Duration
	Only        EndpointKey // the one endpoint that it is for; 0 is as they listen
	Payload     []byte      // nil where it was not asked for or is gone
	AcceptedAt  time.Time
}

// LoggedAttempt is an attempt with what it was made for.
type LoggedAttempt struct {
	Attempt
	Event     EventKey
	Endpoint  EndpointKey
	EventType string
	Channels  []string
	Tags      []string
	// EventAcceptedAt and EndpointCreatedAt date the keys beside them.
	EventAcceptedAt   time.Time
	EndpointCreatedAt time.Time
}

// EventFilter narrows a list of events. Zero fields do not narrow.
type EventFilter struct {
	Types   []string
	Channel string
	Tag     string
	// From and To bound the time of acceptance, both inclusive.
	From, To time.Time
	// WithPayload asks for the payloads too.
	WithPayload bool
}

// Match says whether the filter lets an event through.
func (f *EventFilter) Match(ev *Event) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, ev.Type)) &&
		(f.Channel == "" || slices.Contains(ev.Channels, f.Channel)) &&
		(f.Tag == "" || slices.Contains(ev.Tags, f.Tag)) &&
		within(ev.AcceptedAt, f.From, f.To)
}

// AttemptFilter narrows a list of attempts. Zero fields do not narrow.
type AttemptFilter struct {
	Types   []string
	Channel string
	Tag     string
	// Endpoint narrows the attempts of an event.
	Endpoint EndpointKey
	// Succeeded, if not nil, asks for those that did, or did not.
	Succeeded *bool
	// StatusClass is 100, 200, 300, 400 or 500; NoStatus asks for those without an answer.
	StatusClass int
	NoStatus    bool
	// From and To bound the start of the attempt, both inclusive.
	From, To     time.Time
	WithResponse bool
}

// Match says whether the filter lets an attempt through.
func (f *AttemptFilter) Match(a *LoggedAttempt) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, a.EventType)) &&
		(f.Channel == "" || slices.Contains(a.Channels, f.Channel)) &&
		(f.Tag == "" || slices.Contains(a.Tags, f.Tag)) &&
		(f.Endpoint == 0 || f.Endpoint == a.Endpoint) &&
		(f.Succeeded == nil || *f.Succeeded == a.Succeeded) &&
		(f.StatusClass == 0 || f.StatusClass == a.StatusCode/100*100) &&
		(!f.NoStatus || a.StatusCode == 0) &&
		within(a.StartedAt, f.From, f.To)
}

func within(at, from, to time.Time) bool {
	return (from.IsZero() || !at.Before(from)) && (to.IsZero() || !at.After(to))
}

// DeliveryRecord is where one event stands at one endpoint.
type DeliveryRecord struct {
	Endpoint EndpointKey
	Event    EventKey
	// State is Pending, Waiting, or how it ended.
	State   webhook.State
	Reason  webhook.Reason
	Tried   int
	RetryAt time.Time // of a Waiting one
	EndedAt time.Time // of an ended one
	// RecoveredAt is when a Send succeeded for one that had ended otherwise before; zero is
	// never. State stays as it was.
	RecoveredAt time.Time
}

// Came is State, and Succeeded where a Send succeeded for it: what it came to in the end.
func (d *DeliveryRecord) Came() webhook.State {
	if !d.RecoveredAt.IsZero() {
		return webhook.Succeeded
	}
	return d.State
}

// DatedDelivery is a DeliveryRecord with what dates the key in it.
type DatedDelivery struct {
	DeliveryRecord
	EndpointCreatedAt time.Time
}

// Listed is a part of a list that is examined in bounded steps: it may be short, or
// empty, with Done false. The walk goes on behind the key Last.
type Listed[T any] struct {
	Items []T
	// Last is the last key examined, and LastAt its time (acceptance or start); 0 where
	// none was.
	Last   int64
	LastAt time.Time
	// Examined is how many items were looked at.
	Examined int
	// Done says that nothing further was there to examine.
	Done bool
}

// MostPagePayload bounds the payloads, in bytes, on a page of events.
const MostPagePayload = 8 << 20

// History reads what has happened. A call examines a bounded number of rows, whatever
// the filter.
type History interface {
	// Event and EventByUID return ErrNotFound also for an event of another tenant.
	Event(ctx context.Context, tenant TenantKey, key EventKey) (Event, error)
	EventByUID(ctx context.Context, tenant TenantKey, uid string) (Event, error)
	// ReplayEvent returns the verdict on a repeat under once, as of now: Replayed, with the
	// earlier event, or Mismatched; NotRepeated where none is known. It waits for no writer,
	// so that a caller who has a transaction open on the store's database may ask.
	ReplayEvent(ctx context.Context, once *Once, now time.Time) (Verdict, error)
	// Events lists a tenant's events. It examines what lies in From and To, give or take
	// ClockStep: what else there is costs nothing. With payloads the page ends before the event that
	// would bring them over MostPagePayload, but never before its first.
	Events(ctx context.Context, tenant TenantKey, filter EventFilter, page Page) (Listed[Event], error)

	// Attempt returns an attempt of an event, or ErrNotFound.
	Attempt(ctx context.Context, event EventKey, key AttemptKey) (LoggedAttempt, error)
	// AttemptsOfEvent lists the attempts of an event, at all endpoints or one.
	AttemptsOfEvent(ctx context.Context, event EventKey, filter AttemptFilter, page Page) (Listed[LoggedAttempt], error)
	// AttemptsAtEndpoint lists the attempts made at an endpoint; filter.Endpoint is not
	// looked at. It examines what lies in From and To, give or take ClockStep: what else
	// there is costs nothing.
	AttemptsAtEndpoint(ctx context.Context, endpoint EndpointKey, filter AttemptFilter, page Page) (Listed[LoggedAttempt], error)

	// Delivery returns where an event stands at an endpoint, or ErrNotFound if it was
	// never for that endpoint.
	Delivery(ctx context.Context, endpoint EndpointKey, event EventKey) (DeliveryRecord, error)
	// DeliveriesOfEvent lists where an event of a tenant stands at its endpoints, by the
	// endpoints' keys. One of a deleted endpoint is among them once it has ended.
	DeliveriesOfEvent(ctx context.Context, tenant TenantKey, event EventKey, page Page) ([]DatedDelivery, error)
}
