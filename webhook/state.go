package webhook

import "fmt"

// State is how far a delivery has come.
type State uint8

// The states of a delivery. It begins Pending and ends as Succeeded, Exhausted or
// Cancelled.
const (
	// Pending is accepted and not tried yet.
	Pending State = iota + 1
	// Sending has an attempt in flight.
	Sending
	// Waiting has failed and is due again at a known time.
	Waiting
	// Parked does not spend attempts for now; a reason is kept.
	Parked
	// Succeeded had an attempt answered with 2xx.
	Succeeded
	// Exhausted had its last attempt, and that failed.
	Exhausted
	// Cancelled was ended for another reason, which is kept.
	Cancelled
)

var stateNames = [...]string{
	Pending: "pending", Sending: "sending", Waiting: "waiting", Parked: "parked",
	Succeeded: "succeeded", Exhausted: "exhausted", Cancelled: "cancelled",
}

// String returns the state's name in lower case.
func (s State) String() string {
	if s < Pending || s > Cancelled {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

// MarshalText returns the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(text []byte) error {
	for state := Pending; state <= Cancelled; state++ {
		if stateNames[state] == string(text) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("unknown state %q", text)
}

// Ended says whether nothing more will happen by itself.
func (s State) Ended() bool { return s == Succeeded || s == Exhausted || s == Cancelled }

// CanBecome says whether next may follow s. What has ended stays so.
func (s State) CanBecome(next State) bool {
	switch s {
	case Pending:
		return next == Sending || next == Parked || next == Cancelled
	case Sending:
		return next == Pending || next == Waiting || next == Parked || next.Ended()
	case Waiting, Parked:
		return next == Sending || next == Waiting || next == Parked || next == Cancelled || next == Succeeded
	}
	return false
}

// Reason says why a delivery was cancelled or is parked; "" for one that is neither.
type Reason string

// The reasons for which a delivery is parked.
const (
	// BreakerOpen: so many attempts at the endpoint failed that one at a time tries it out.
	BreakerOpen Reason = "breaker_open"
	// QuietAsked: the receiver asked with Retry-After, beside 429 or 503, to be left alone.
	QuietAsked Reason = "quiet_asked"
	// Paused: somebody paused the endpoint, its tenant, or everything.
	Paused Reason = "paused"
)

// The reasons for which a delivery is cancelled.
const (
	EndpointDisabled Reason = "endpoint_disabled"
	EndpointDeleted  Reason = "endpoint_deleted"
	TenantDeleted    Reason = "tenant_deleted"
	FilterChanged    Reason = "filter_changed"   // the endpoint no longer hears of such events
	PayloadExpunged  Reason = "payload_expunged" // there is nothing left to send
	ReceiverGone     Reason = "receiver_gone"    // it answered 410
	CancelAsked      Reason = "cancel_asked"     // somebody asked for it
)

// Trigger says what caused an attempt.
type Trigger uint8

// The triggers.
const (
	Scheduled Trigger = iota // the delivery's own schedule
	Manual                   // somebody asked for it
)
