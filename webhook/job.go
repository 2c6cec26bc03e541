package webhook

import (
	"fmt"
	"time"
)

// Job is work over much that is stored. It goes on by itself, at a bounded rate and beside
// what is published. It survives restarts, and can be watched and cancelled.
type Job struct {
	ID JobID
	// Tenant is the one that it is for; "" is several.
	Tenant TenantID
	// Endpoint is the one whose deliveries it visits; "" is all of the tenant.
	Endpoint EndpointID
	Kind     JobKind
	State    JobState
	// Error says, of one that was Cancelled or has Failed, why, and what to do.
	Error string
	// Rate is how many deliveries it sends or cancels a second, at most.
	Rate     int
	Progress JobProgress
	// Usage is what a JobUsage has found that has finished, and Subscriptions a
	// JobSubscriptions, of each tenant in the order of their creation, or in which they were
	// named. Lists of jobs leave it out.
	Usage         []TenantUsage
	Subscriptions []TenantSubscriptions
	// Unknown were named for a JobUsage, and there were no such tenants.
	Unknown   []string
	CreatedAt time.Time
	UpdatedAt time.Time
	EndedAt   time.Time // zero while it is running
}

// JobProgress is how far a job has come.
type JobProgress struct {
	// Examined is how many deliveries it has looked at, or events where it looks for those
	// that have no delivery, or tenants where it counts; Matched is how many of them it is for.
	Examined, Matched int64
	// Made is how many it has sent or cancelled, or whose payload is deleted: where what matched had no payload any
	// more, or was no longer open, nothing is made.
	Made int64
	// Succeeded and Failed are how those ended that were sent. The others are on their
	// way, and are counted here also when the job itself has ended.
	Succeeded, Failed int64
	// Endpoint and AcceptedAt say where it stands: it goes through the endpoints in the
	// order of their creation, and at each through the events as they were accepted.
	Endpoint   EndpointID
	AcceptedAt time.Time
}

// TenantUsage is how much was made for a tenant.
type TenantUsage struct {
	Tenant TenantID
	UID    string
	// Deliveries were made of its events: one for each endpoint, however often it was tried.
	Deliveries int64
}

// TenantSubscriptions is what the endpoints of a tenant listen to, disabled ones too.
type TenantSubscriptions struct {
	Tenant TenantID
	UID    string
	// Types are those that are named, sorted; All says that an endpoint hears of every type.
	Types []string
	All   bool
}

// JobKind is what a job does.
type JobKind uint8

// The kinds of job.
const (
	// JobRecover sends again what failed since a time and has not succeeded.
	JobRecover JobKind = iota + 1
	// JobReplayMissing sends what was accepted since a time and never tried.
	JobReplayMissing
	// JobResend sends what a filter lets through.
	JobResend
	// JobCancel cancels what a filter lets through.
	JobCancel
	// JobExpunge deletes the payloads of a tenant.
	JobExpunge
	// JobUsage counts what was made for tenants.
	JobUsage
	// JobSubscriptions gathers which event types the endpoints of tenants listen to.
	JobSubscriptions
)

var jobKindNames = [...]string{
	JobRecover: "recover", JobReplayMissing: "replay_missing", JobResend: "resend", JobCancel: "cancel",
	JobExpunge: "expunge", JobUsage: "usage", JobSubscriptions: "subscriptions",
}

// String returns the kind's name in lower case.
func (k JobKind) String() string {
	if k < JobRecover || k > JobSubscriptions {
		return fmt.Sprintf("JobKind(%d)", uint8(k))
	}
	return jobKindNames[k]
}

// MarshalText returns the kind's name.
func (k JobKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's name.
func (k *JobKind) UnmarshalText(text []byte) error {
	for kind := JobRecover; kind <= JobSubscriptions; kind++ {
		if jobKindNames[kind] == string(text) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("unknown kind of job %q", text)
}

// JobState is how a job stands.
type JobState uint8

// The states of a job. It begins as JobRunning, and ends as one of the others.
const (
	// JobRunning goes on, or waits for its turn.
	JobRunning JobState = iota + 1
	// JobFinished has visited all that it was for.
	JobFinished
	// JobCancelled was ended before it had, because somebody asked for it, or because its
	// endpoint or tenant was deleted.
	JobCancelled
	// JobFailed could not go on.
	JobFailed
)

var jobStateNames = [...]string{
	JobRunning: "running", JobFinished: "finished", JobCancelled: "cancelled", JobFailed: "failed",
}

// String returns the state's name in lower case.
func (s JobState) String() string {
	if s < JobRunning || s > JobFailed {
		return fmt.Sprintf("JobState(%d)", uint8(s))
	}
	return jobStateNames[s]
}

// MarshalText returns the state's name.
func (s JobState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *JobState) UnmarshalText(text []byte) error {
	for state := JobRunning; state <= JobFailed; state++ {
		if jobStateNames[state] == string(text) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("unknown state of a job %q", text)
}
