package store

import (
	"context"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Job is work over much that is stored of a tenant, or of an organisation, done in steps.
type Job struct {
	Key          JobKey
	Organisation string
	// Tenant is whose things it is for; 0 is the organisation's as a whole, for a job that
	// only counts.
	Tenant   TenantKey
	Endpoint EndpointKey // 0 is all of the tenant's
	Kind     webhook.JobKind
	// Spec is what it is to do, for the engine to read.
	Spec []byte
	// Through is the highest event that it is for.
	Through   EventKey
	CreatedAt time.Time
	JobProgress

	// What the store counts: sends, openings and cancellations that were made by its steps,
	// and how those of them ended that are sent; payloads that were deleted by its Expunge.
	Made, Succeeded, Failed int64

	// Version counts the steps, from 1.
	Version int64
}

// JobProgress is what a step leaves for the next one.
type JobProgress struct {
	State webhook.JobState
	Error string // "" is none
	// At is where the walk goes on behind. AtTime is when the last event was accepted that
	// it has examined; zero is none. Later are endpoints that it has left for now, each with
	// where the walk goes on there.
	At                DeliveryRef
	AtTime            time.Time
	Later             []DeliveryRef
	Examined, Matched int64
	UpdatedAt         time.Time
	EndedAt           time.Time // zero while it is running
	// Result is what a job has found that only counts, for the engine to read. Lists of
	// jobs leave it out.
	Result []byte
}

// JobStep is what one transaction stores of a job.
type JobStep struct {
	Job JobKey
	// Version is that of the job that the step follows from.
	Version  int64
	Progress JobProgress
	// Sends and Openings are made for the job; their Job and Key are not looked at.
	Sends    []Send
	Openings []Opening
	// Cancels are ended, and Announce put into the outbox for each, as by Sends.Cancel.
	Cancels  []DeliveryRef
	Announce []Announcement
}

// JobMade is what came of a JobStep, in its order.
type JobMade struct {
	Sends     []SendKey // 0 where there was nothing to send, or nobody to send it to
	Opened    []bool
	Cancelled []bool
}

// JobFilter narrows a list of jobs. Zero fields do not narrow.
type JobFilter struct {
	Tenant TenantKey
	States []webhook.JobState
	Kinds  []webhook.JobKind
}

// MostEndedJobs is how many ended jobs of a tenant are kept: of more, the oldest go when
// another one is inserted.
const MostEndedJobs = 250

// MostEndedCounts is the same for the jobs of an organisation that have no tenant.
const MostEndedCounts = 25

// Jobs keeps the jobs and what becomes of what they have made.
type Jobs interface {
	// InsertJob stores a running job under its own key, as version 1, and returns it with
	// its Through: every event that was acknowledged before the call has a key up to it, and
	// of the keys up to it none appears later. So a store that has commits under way whose
	// keys are lower than others' waits for them. It returns *ReplayError if once is not
	// nil and was seen before, else ErrNotFound if the tenant or the endpoint that is
	// named is deleted.
	InsertJob(ctx context.Context, job Job, once *Once) (Job, error)
	// StepJob stores a step, all that it makes with it, in one transaction. Where the job
	// is not running any more or has had another step since, it returns ErrStale and
	// changes nothing; or ErrNotFound.
	StepJob(ctx context.Context, now time.Time, step JobStep) (JobMade, error)
	// CancelJob ends a running job as webhook.JobCancelled, which counts as a step, and
	// returns the job; one that has ended stays as it is. ErrNotFound for a job of another
	// organisation too.
	CancelJob(ctx context.Context, organisation string, key JobKey, reason string, now time.Time) (Job, error)
	// Job returns a job of an organisation, or ErrNotFound.
	Job(ctx context.Context, organisation string, key JobKey) (Job, error)
	// Jobs lists an organisation's jobs, by key.
	Jobs(ctx context.Context, organisation string, filter JobFilter, page Page) (Listed[Job], error)
	// RunningJobs lists the running jobs of all organisations, ascending by key, from
	// behind after.
	RunningJobs(ctx context.Context, after JobKey, limit int) ([]Job, error)
	// JobOpen counts what a job has made and is open still; and what of that is to an
	// endpoint and was not tried yet. It stops counting at limit.
	JobOpen(ctx context.Context, key JobKey, endpoint EndpointKey, limit int) (open, untried int, err error)
	// SweepJobs deletes up to limit jobs that ended before an instant, and says how many.
	SweepJobs(ctx context.Context, before time.Time, limit int) (int, error)
}
