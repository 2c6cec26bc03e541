package store

import (
	"context"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Committer writes what the engine has gathered. It is the hot path: one call is one
// transaction for many publishers and many attempts.
type Committer interface {
	// Commit stores a batch, on disk when it returns. One verdict is returned for each
	// Accept, in order; an event that cannot be accepted is a verdict and harms no other
	// in the batch. With an error nothing of the batch is stored, except under
	// ErrCommitUnknown.
	//
	// Event keys ascend in the order of batch.Accepts.
	//
	// On a Cluster it also ends batch.Acted, and sets batch.Heard: all that Cluster.Signals
	// would return at some instant after the call began, so also what was posted by any
	// transaction that was acknowledged before. Whoever acts on that before it hands on what
	// the batch accepted keeps the order between nodes. Heard is of no use with an error.
	Commit(ctx context.Context, batch *Batch) ([]Verdict, error)
}

// Batch is what one transaction writes.
type Batch struct {
	Now      time.Time
	Accepts  []Accept
	Outcomes []Outcome

	// Acted are signals to end, and Heard those that Commit has found; see Cluster. A store
	// that is none passes over them.
	Acted []SignalKey
	Heard Heard
}

// Accept is an event to store together with a delivery for each endpoint it is for.
type Accept struct {
	Tenant TenantKey
	// RouteVersion is the version of the Routes that Endpoints were chosen from.
	RouteVersion int64
	Endpoints    []EndpointKey
	UID          string // "" is none
	Type         string
	Channels     []string
	Tags         []string
	// DeliverAt defers the event: it has no Endpoints yet, and is matched when it comes
	// due. Zero is at once.
	DeliverAt time.Time
	// PayloadTTL is how long the payload is kept; 0 is as the tenant's Retention says.
	PayloadTTL time.Duration
	// Only is the one endpoint that the event is for, whatever that listens to; 0 is as the
	// endpoints listen. It decides nothing here: Endpoints are those of the deliveries.
	Only    EndpointKey
	Payload []byte
	// From is the row of the outbox that the event comes from, which goes with the
	// acceptance; 0 is none.
	From OutboxKey
	// RepeatOnly says that the event can't be accepted any more: it is Replayed or
	// Mismatched by its Once, or NotRepeated.
	RepeatOnly bool
	// Once is nil for an event that may be published repeatedly. Its Answer is not used:
	// a repeat is told which event was stored. Its Now is not used either: the batch's is.
	Once *Once
}

// MaxEventBytes is the most that an event's payload and texts may come to together.
const MaxEventBytes = 256 << 20

// Bytes is what MaxEventBytes bounds.
func (a *Accept) Bytes() int {
	size := len(a.Payload) + len(a.Type) + len(a.UID)
	for _, texts := range [...][]string{a.Channels, a.Tags} {
		for _, text := range texts {
			size += len(text)
		}
	}
	return size
}

// Opens is how many deliveries the event opens: a deferred one counts as one, until it is
// matched to endpoints.
func (a *Accept) Opens() int {
	if !a.DeliverAt.IsZero() {
		return 1
	}
	return len(a.Endpoints)
}

// Verdict is what became of an Accept.
type Verdict struct {
	Kind VerdictKind
	// Event and AcceptedAt are those of the event stored now, or of the earlier one when
	// Replayed.
	Event      EventKey
	AcceptedAt time.Time
}

// VerdictKind is the kind of a Verdict.
type VerdictKind uint8

// The kinds of verdict. Where several of the refusals hold, it is the first in this order.
const (
	// Accepted is stored, event and deliveries.
	Accepted VerdictKind = iota + 1
	// TooLarge has more than MaxEventBytes.
	TooLarge
	// Gone is From a row of the outbox that is there no more: it was accepted before, or
	// is not to be. Of a Promotion, see Deferred.
	Gone
	// Replayed was stored before under the same Once: nothing is written now.
	Replayed
	// Mismatched has a Once that was used for another body.
	Mismatched
	// NotRepeated is RepeatOnly, and no repeat.
	NotRepeated
	// UIDTaken has the UID of an event of the tenant that is kept.
	UIDTaken
	// TenantGone is for a tenant that does not exist any more.
	TenantGone
	// Rerouted was matched against Routes that have changed: match again, and commit anew. So
	// it is of one that would have to wait for another node, which has its Once or UID and has
	// not ended its transaction.
	Rerouted
)

// Outcome is what came of a delivery's turn.
type Outcome struct {
	Tenant   TenantKey
	Endpoint EndpointKey
	Event    EventKey
	// EventType is the event's; "" is unknown: the store looks it up.
	EventType string
	// Send, if not 0, says that this is of a Send, and not of the delivery. Tried is then
	// the Send's, and State is Waiting or one that ends the Send. The delivery changes by a
	// success only: an open one is closed, one that ended otherwise has its RecoveredAt set,
	// the first time.
	Send SendKey
	// Tried is the number of attempts stored for the delivery, or the Send, before this
	// outcome. Where the store has another number, only the Attempt is logged; except
	// that a success closes the delivery if it is still open, and ends the Send. Where
	// Send is 0, the same goes for every Manual attempt, which does not count as tried.
	Tried int
	// Attempt is what was sent; nil where the delivery ended without sending.
	Attempt *Attempt
	// State is Waiting, with RetryAt, or one of those that end.
	State   webhook.State
	RetryAt time.Time
	Reason  webhook.Reason // for Cancelled
	// Failing, if not nil, is what is kept of the endpoint from now on, whatever becomes
	// of the delivery; see Failures.
	Failing *Failing
	// Announce, if not nil, is put into the outbox, about the outcome and its attempt, where
	// the outcome moves or ends the delivery, or sets its RecoveredAt.
	Announce *Announcement
	// AnnounceFailing, if not nil, is put into the outbox, about the endpoint, where Failing
	// is kept.
	AnnounceFailing *Announcement
}

// Attempt is a request as stored.
type Attempt struct {
	Key        AttemptKey // given by the store
	Number     int        // from 1
	Trigger    webhook.Trigger
	URL        string
	Succeeded  bool
	StatusCode int
	Code       webhook.FaultCode
	TimedOut   bool // it failed by a limit of time
	// Response is nil where there was none, it was not asked for, or it is Expunged.
	Response  []byte
	Expunged  bool // by ExpungeResponse; not written by Commit
	StartedAt time.Time
	Duration  time.Duration
}
