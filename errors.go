package neohook

import (
	"errors"
	"fmt"
	"time"
)

// Errors to compare with errors.Is. Others come from the store, or say what an Options
// lacks. *webhook.InvalidError names what is wrong with an argument;
// webhook.ErrMalformedID is returned for a Page's After that is no id of the list.
var (
	// ErrNotFound is returned for an id or UID that names nothing in its organisation,
	// or something deleted.
	ErrNotFound = errors.New("neohook: not found")
	// ErrConflict is returned where a UID, or the name of an event type, is taken.
	ErrConflict = errors.New("neohook: uid or name is taken")
	// ErrKeyReused is returned where the Key of a Once was used for another Request.
	ErrKeyReused = errors.New("neohook: idempotency key was used for another request")
	// ErrTooManySecrets is returned by RotateSecret where ten replaced secrets still sign.
	ErrTooManySecrets = errors.New("neohook: too many replaced secrets still sign")
	// ErrOverloaded is returned by Publish where an event can't be taken at present, as an
	// *OverloadedError. Nothing is stored: publish again later.
	ErrOverloaded = errors.New("neohook: overloaded")
	// ErrBacklogFull is returned by Publish where the tenant would have more open deliveries
	// than it may, as a *LimitError. Nothing is stored.
	ErrBacklogFull = errors.New("neohook: tenant has too many open deliveries")
	// ErrTooManyEndpoints is returned by CreateEndpoint where the tenant has as many as it
	// may, as a *LimitError.
	ErrTooManyEndpoints = errors.New("neohook: tenant has too many endpoints")
	// ErrPayload is returned by Publish for a payload that does not fit the schema of its
	// type, as a *PayloadError.
	ErrPayload = errors.New("neohook: payload does not fit its event type")
	// ErrNoExample is returned by SendExample for an event type whose schemas give no example.
	ErrNoExample = errors.New("neohook: event type has no example")
	// ErrEndpointDisabled is returned by Resend, and where a job is started, where nothing is sent to the endpoint.
	ErrEndpointDisabled = errors.New("neohook: endpoint is disabled")
	// ErrPayloadGone is returned by Resend where the event's payload is not kept any more.
	ErrPayloadGone = errors.New("neohook: payload is gone")
	// ErrTooManySends is returned by Resend where as many manual sends wait at the endpoint
	// as there may, as a *LimitError.
	ErrTooManySends = errors.New("neohook: too many manual sends wait at the endpoint")
	// ErrTooManyJobs is returned where as many jobs of the tenant run as may, as a *LimitError.
	ErrTooManyJobs = errors.New("neohook: too many jobs run for the tenant")
	// ErrDeliveryEnded is returned by CancelDelivery for one that ended otherwise.
	ErrDeliveryEnded = errors.New("neohook: delivery has ended")
	// ErrNotDeferred is returned by CancelEvent for an event that was not deferred, or is due.
	ErrNotDeferred = errors.New("neohook: event does not wait for its time")
	// ErrStopped is returned by Publish once Run has ended.
	ErrStopped = errors.New("neohook: stopped")
)

// OverloadedError is an ErrOverloaded that says why and for how long.
type OverloadedError struct {
	Cause Overload
	// RetryAfter is when it may be better, at least a second.
	RetryAfter time.Duration
}

// Overload is why events are not taken.
type Overload string

// The kinds of overload.
const (
	// QueueFull: the event's turn to be stored did not come within Options.PublishWait, or
	// more wait already than Options.MaxWaitingBytes.
	QueueFull Overload = "queue_full"
	// DiskFull: where the store writes, less is free than Options.MinFreeBytes.
	DiskFull Overload = "disk_full"
	// RoutesChanging: the tenant's endpoints were changed again and again meanwhile.
	RoutesChanging Overload = "routes_changing"
	// Joining: the node was given up by the others, as it could not tell them that it lives,
	// and is about to join them again; or it is ending.
	Joining Overload = "joining"
	// ProbesFull: as many endpoints are being verified or tested as may be.
	ProbesFull Overload = "probes_full"
)

func (o Overload) text() string {
	switch o {
	case QueueFull:
		return "more events wait to be stored than there is room or time for"
	case DiskFull:
		return "the disk of the store is nearly full"
	case RoutesChanging:
		return "the tenant's endpoints keep changing"
	case Joining:
		return "the node is not among the others at present"
	case ProbesFull:
		return "as many endpoints are being probed as may be"
	}
	return string(o)
}

// errJoining is what becomes of store.ErrBuried.
var errJoining = &OverloadedError{Cause: Joining, RetryAfter: time.Second}

// Error says why, and when to try again.
func (e *OverloadedError) Error() string {
	return fmt.Sprintf("%v: %s: try again in %v", ErrOverloaded, e.Cause.text(), e.RetryAfter)
}

// Unwrap returns ErrOverloaded.
func (e *OverloadedError) Unwrap() error { return ErrOverloaded }

// LimitError says that there is as much of something as there may be: ErrBacklogFull,
// ErrTooManyEndpoints or ErrTooManySends.
type LimitError struct {
	Err   error
	Limit int
}

// Error names the limit.
func (e *LimitError) Error() string { return fmt.Sprintf("%v: at most %d", e.Err, e.Limit) }

// Unwrap returns what there is too much of.
func (e *LimitError) Unwrap() error { return e.Err }
