package neohook

import (
	"context"
	"maps"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outbox"
	"github.com/neohook/neohook/webhook"
)

// Stats is what an Engine has counted since it was made, and what it holds at one
// instant, beside each of its bounds. It names no tenant and no endpoint. Package metrics
// makes Prometheus metrics of it, and says what each part means.
type Stats struct {
	Publish PublishStats
	Store   StoreStats
	Lanes   LaneStats
	// Paused says that everything is.
	Paused   bool
	Attempts AttemptStats
	// Retention is of what had its time, or was expunged.
	Retention RetentionStats
	Deferred  DeferredStats
	Outbox    OutboxStats
	Jobs      JobStats
	Node      NodeStats
	// Adapter is what the engine's own adapter says of itself; nil where Options.Adapter
	// was given.
	Adapter *httpadapter.HealthReport
}

// PublishStats are of events on their way to the store.
type PublishStats struct {
	Accepted   uint64
	Replayed   uint64 // repeats under a Once, which store nothing
	Deliveries uint64 // stored for accepted events
	Refused    map[Refusal]uint64

	// Queued events have a place and wait to be stored; the bytes are those of the ones
	// that are being stored too.
	Queued         int
	QueuedBytes    int64
	MaxQueuedBytes int64
	// Waiting are the events whose publishers wait for a place.
	Waiting         int
	WaitingBytes    int64
	MaxWaitingBytes int64
	// Tenants have events among those.
	Tenants int
	// Delay is how long the latest event to be stored, or turned away, had waited.
	Delay time.Duration
}

// Refusal is why an event was not accepted: one of these, or an Overload.
type Refusal string

// The refusals beside those of overload.
const (
	Invalid       Refusal = "invalid"
	BacklogFull   Refusal = "backlog_full"
	UnknownTenant Refusal = "unknown_tenant"
	Conflicting   Refusal = "conflict" // UID or key of a Once
	Stopped       Refusal = "stopped"
	GivenUp       Refusal = "given_up" // by the caller's context
	StoreFailed   Refusal = "store_failed"
)

// DeferredStats are of events that were published with a DeliverAt.
type DeferredStats struct {
	// Promoted were matched to endpoints, or found nobody, when they were due.
	Promoted uint64
	// Late is for how long an event is due that was not promoted yet; 0 where there is none.
	Late time.Duration
}

// JobStats are of what jobs have done.
type JobStats struct {
	Running int
	// Examined is how many deliveries were looked at, and Made how many of them were sent
	// or cancelled.
	Examined, Made uint64
}

// OutboxStats are of events that are stored with what they tell of, and accepted a moment
// later: operational ones. Those of PublishTx are among them only while they wait; then
// they are among what was published.
type OutboxStats struct {
	// Waiting is how many there are at present, as far as is known. Where they reach
	// MaxWaiting nothing more is told of; what is on its way then comes on top.
	Waiting    int
	MaxWaiting int
	Accepted   uint64
	// Dropped were not told of for that reason, or could not be accepted, as whoever is told
	// has as many open deliveries as a tenant may.
	Dropped uint64
}

// StoreStats are of the writing of batches.
type StoreStats struct {
	CommitFailures uint64
	CommitTime     Histogram // seconds
	Events         Histogram // in a batch
	Outcomes       Histogram // in a batch
	// Unstored outcomes wait to be recorded. What bounds them is LaneStats.MaxUnrecorded.
	Unstored int
	// FreeBytes may still be written where the store is, MinFreeBytes must be; -1 is not
	// known, or not watched.
	FreeBytes    int64
	MinFreeBytes int64

	// Bytes is what the store's data take, of which UnusedBytes are filled again before it
	// grows, and LogBytes its write-ahead log. TableBytes is what each table takes. They
	// are 0 where the store can't tell; else they are measured in the background, within a
	// moment from when Stats is asked for, and are at most a minute older than the Stats
	// before.
	Bytes, UnusedBytes, LogBytes int64
	TableBytes                   map[string]int64
}

// LaneStats are of deliveries in memory.
type LaneStats struct {
	Endpoints int // with something to send, or to remember
	Behind    int // of them, with more due in the store than in memory
	Rows      int
	MaxRows   int
	Bytes     int64 // of payloads
	MaxBytes  int64
	InFlight  int
	// MaxInFlight bounds the attempts over all endpoints, MaxSlow those at endpoints that
	// are slow or not known to answer soon.
	MaxInFlight int
	Slow        int
	MaxSlow     int
	// Unrecorded deliveries are between the start of their attempt and its recording.
	Unrecorded    int
	MaxUnrecorded int
	// Retries wait in memory for their time, manual sends among them.
	Retries int
	// Due is deliveries whose time has come, by what they wait for; each kind is there.
	Due map[Wait]DueStats
}

// DueStats are of deliveries that wait for the same.
type DueStats struct {
	Endpoints  int
	Deliveries int
	// Oldest is for how long the longest due of them is due; 0 where there is none.
	Oldest time.Duration
}

// Wait is what the next due delivery of an endpoint waits for.
type Wait string

// The kinds of wait. In all but the last two it is for the endpoint's sake.
const (
	WaitResume      Wait = "resume"      // the endpoint, its tenant or everything is paused
	WaitBreaker     Wait = "breaker"     // the endpoint's breaker is open
	WaitReceiver    Wait = "receiver"    // the receiver asked to be left alone
	WaitRate        Wait = "rate"        // of the endpoint or its tenant
	WaitPredecessor Wait = "predecessor" // ordered: one before has not ended
	WaitEndpoint    Wait = "endpoint"    // all the attempts the endpoint bears are in flight
	WaitSlow        Wait = "slow"        // for a place among the attempts that may be slow
	WaitTurn        Wait = "turn"        // nothing else holds it
)

var waits = map[lane.Wait]Wait{
	lane.ForResume: WaitResume, lane.ForBreaker: WaitBreaker, lane.ForReceiver: WaitReceiver, lane.ForRate: WaitRate,
	lane.ForPredecessor: WaitPredecessor, lane.ForEndpoint: WaitEndpoint, lane.ForSlow: WaitSlow, lane.ForTurn: WaitTurn,
}

// AttemptStats are of attempts and deliveries whose outcome is recorded.
type AttemptStats struct {
	Made  map[AttemptKind]uint64
	Ended map[Ending]uint64
	// Duration of attempts, in seconds.
	Duration Histogram
	// FirstDelay is from acceptance to the start of the first attempt, in seconds, of
	// those that were handed over in memory.
	FirstDelay Histogram
}

// AttemptKind is what came of an attempt.
type AttemptKind struct {
	Outcome AttemptOutcome
	Code    webhook.FaultCode // "" where there was an answer
}

// AttemptOutcome is the coarse class of an AttemptKind.
type AttemptOutcome string

// The outcomes.
const (
	AttemptSucceeded AttemptOutcome = "success"
	AttemptThrottled AttemptOutcome = "throttled" // 429 or 503
	AttemptTimedOut  AttemptOutcome = "timeout"
	AttemptFailed    AttemptOutcome = "failure" // any other answer, or none
)

// Ending is how a delivery ended.
type Ending struct {
	State  webhook.State
	Reason webhook.Reason // of a cancelled one
}

// Histogram counts values by size.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, inclusive, ascending.
	Bounds []float64
	// Counts are of each bucket alone; one more is for values above all bounds.
	Counts []uint64
	Sum    float64
}

// Stats returns the counts and the present sizes, each right for its own instant. It
// looks at every endpoint that has something to send, some 0.2 µs each: ask now and then,
// as a scrape does. ctx is for the adapter's part.
func (e *Engine) Stats(ctx context.Context) Stats {
	var s Stats
	e.tally.add(&s)
	in := e.intake.Stats()
	s.Publish.Queued, s.Publish.QueuedBytes, s.Publish.MaxQueuedBytes = in.Events, in.Bytes, in.Limits.Bytes
	s.Publish.Waiting, s.Publish.WaitingBytes, s.Publish.MaxWaitingBytes = in.Outside.Events, in.Outside.Bytes, in.Limits.Outside
	s.Publish.Tenants, s.Publish.Delay = in.Tenants, in.Delay
	s.Store.Unstored, _ = e.outcomes.Waiting()
	s.Store.FreeBytes, _ = e.space.check()
	s.Store.MinFreeBytes = max(-1, e.opts.MinFreeBytes)
	s.Lanes, s.Paused = e.laneStats(), e.Paused()
	s.Retention = e.retentionStats()
	s.Node = e.nodeStats()
	size := e.footprint.latest()
	s.Store.Bytes, s.Store.UnusedBytes, s.Store.LogBytes = size.Total, size.Unused, size.Log
	s.Store.TableBytes = maps.Clone(size.Tables)
	s.Deferred.Late = e.deferred.Late(time.Now())
	box := e.outbox.Stats()
	s.Outbox = OutboxStats{Waiting: box.Waiting, MaxWaiting: outbox.Most, Accepted: box.Accepted, Dropped: box.Refused + e.herald.Shed()}
	s.Jobs = JobStats(e.jobs.Stats())
	if e.adapter != nil {
		report := e.adapter.HealthCheck(ctx)
		s.Adapter = &report
	}
	return s
}

func (e *Engine) laneStats() LaneStats {
	sizes, survey, limits := e.lanes.Stats(), e.lanes.Survey(), e.laneLimits()
	s := LaneStats{
		Endpoints: sizes.Lanes, Behind: survey.Behind,
		Rows: sizes.Rows, MaxRows: limits.Rows, Bytes: sizes.Bytes, MaxBytes: limits.Bytes,
		InFlight: sizes.InFlight, MaxInFlight: limits.Attempts, Slow: sizes.Unsteady, MaxSlow: survey.MostUnsteady,
		Unrecorded: sizes.Unrecorded, MaxUnrecorded: limits.Unrecorded,
		Retries: survey.Retries, Due: make(map[Wait]DueStats, len(waits)),
	}
	for wait, name := range waits {
		s.Due[name] = DueStats(survey.Due[wait])
	}
	return s
}
