package store

import (
	"context"
	"net/http"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Unit is the length of time that a rollup counts.
type Unit uint8

// The units. Days are UTC's.
const (
	Minute Unit = iota + 1
	Hour
	Day
)

// Length is how long one unit is.
func (u Unit) Length() time.Duration {
	return [...]time.Duration{Minute: time.Minute, Hour: time.Hour, Day: 24 * time.Hour}[u]
}

// String returns the unit's name.
func (u Unit) String() string {
	return [...]string{Minute: "minute", Hour: "hour", Day: "day"}[u]
}

// Kept is for how long the rollups of a unit are there, at least: two days of minutes,
// ninety days of hours, three years of days. The longer units hold all that the shorter
// ones do.
func (u Unit) Kept() time.Duration {
	const day = 24 * time.Hour
	return [...]time.Duration{Minute: 2 * day, Hour: 90 * day, Day: 3 * 366 * day}[u]
}

// Start is the beginning of the unit that an instant is in.
func (u Unit) Start(at time.Time) time.Time { return at.UTC().Truncate(u.Length()) }

// Count is one of the things that are counted.
type Count uint8

// What is counted. An event and its deliveries count when the event was accepted, an
// attempt when it began, an ending when it was recorded.
const (
	EventsAccepted Count = iota
	DeliveriesMade

	AttemptsSucceeded
	// Each attempt that failed is one of these, by the class of its status.
	AttemptsWithoutStatus
	AttemptsFailed1xx
	AttemptsFailed2xx // answered so, and the answer could not be read
	AttemptsFailed3xx
	AttemptsFailed4xx
	AttemptsFailed5xx
	AttemptsFailedOther // with a status of no class
	// Of those that failed:
	AttemptsTimedOut
	AttemptsThrottled // answered 429 or 503
	// Of all attempts:
	AttemptsManual
	AttemptMicroseconds // what they took together

	EndedSucceeded
	EndedExhausted
	EndedCancelled
	// Recovered had ended otherwise before a Send succeeded.
	Recovered

	// LatencyFirst is the first of as many as there are Latencies, and one more for what
	// took longer than all of them: each attempt is in the first whose bound is not less
	// than what it took.
	LatencyFirst
)

var countNames = [...]string{
	EventsAccepted: "events accepted", DeliveriesMade: "deliveries made",
	AttemptsSucceeded: "attempts succeeded", AttemptsWithoutStatus: "attempts without status",
	AttemptsFailed1xx: "attempts failed with 1xx", AttemptsFailed2xx: "attempts failed with 2xx", AttemptsFailed3xx: "attempts failed with 3xx",
	AttemptsFailed4xx: "attempts failed with 4xx", AttemptsFailed5xx: "attempts failed with 5xx", AttemptsFailedOther: "attempts failed with another status",
	AttemptsTimedOut: "attempts timed out", AttemptsThrottled: "attempts throttled",
	AttemptsManual: "manual attempts", AttemptMicroseconds: "microseconds of attempts",
	EndedSucceeded: "deliveries succeeded", EndedExhausted: "deliveries exhausted", EndedCancelled: "deliveries cancelled",
	Recovered: "deliveries recovered",
}

// String says what is counted.
func (c Count) String() string {
	switch {
	case c < LatencyFirst:
		return countNames[c]
	case int(c) < NumCounts-1:
		return "attempts up to " + Latencies[c-LatencyFirst].String()
	}
	return "attempts longer than " + Latencies[len(Latencies)-1].String()
}

// OfAttempts says that it is of attempts: the others are of events and their deliveries.
func (c Count) OfAttempts() bool {
	return c >= LatencyFirst || c >= AttemptsSucceeded && c <= AttemptMicroseconds
}

// Latencies are the bounds of the histogram of attempts, inclusive. They are the same for
// ever: what is stored does not say them again.
var Latencies = [...]time.Duration{
	1 * ms, 1500 * us, 2 * ms, 3 * ms, 5 * ms, 7 * ms,
	10 * ms, 15 * ms, 20 * ms, 30 * ms, 50 * ms, 70 * ms,
	100 * ms, 150 * ms, 200 * ms, 300 * ms, 500 * ms, 700 * ms,
	1 * s, 1500 * ms, 2 * s, 3 * s, 5 * s, 7 * s,
	10 * s, 15 * s, 20 * s, 30 * s, 50 * s, 70 * s,
	100 * s, 150 * s, 200 * s, 300 * s,
}

const (
	us = time.Microsecond
	ms = time.Millisecond
	s  = time.Second
)

// NumCounts is how many things are counted.
const NumCounts = int(LatencyFirst) + len(Latencies) + 1

// Counts holds one number for each Count.
type Counts [NumCounts]int64

// Add adds o.
func (c *Counts) Add(o *Counts) {
	for i, n := range o {
		c[i] += n
	}
}

// AddAttempt counts an attempt, n times.
func (c *Counts) AddAttempt(a *Attempt, n int64) {
	if a.Succeeded {
		c[AttemptsSucceeded] += n
	} else {
		c[failedAs(a.StatusCode)] += n
		if a.TimedOut {
			c[AttemptsTimedOut] += n
		}
		if a.StatusCode == http.StatusTooManyRequests || a.StatusCode == http.StatusServiceUnavailable {
			c[AttemptsThrottled] += n
		}
	}
	if a.Trigger == webhook.Manual {
		c[AttemptsManual] += n
	}
	took := a.Duration.Truncate(us) // as it is kept
	c[AttemptMicroseconds] += n * took.Microseconds()
	c[int(LatencyFirst)+latency(took)] += n
}

func failedAs(status int) Count {
	switch class := status / 100; {
	case status == 0:
		return AttemptsWithoutStatus
	case class >= 1 && class <= 5:
		return AttemptsFailed1xx + Count(class-1)
	}
	return AttemptsFailedOther
}

// latency is the place of a duration among the bounds. They are few, and most attempts
// are quick.
func latency(took time.Duration) int {
	for i, bound := range Latencies {
		if took <= bound {
			return i
		}
	}
	return len(Latencies)
}

// AddEnding counts how a delivery ended, n times.
func (c *Counts) AddEnding(state webhook.State, n int64) {
	switch state {
	case webhook.Succeeded:
		c[EndedSucceeded] += n
	case webhook.Exhausted:
		c[EndedExhausted] += n
	case webhook.Cancelled:
		c[EndedCancelled] += n
	}
}

// MaxTypes is how many types of a tenant's events are counted apart: the first ones.
// Whatever comes later is counted together, as of type "".
const MaxTypes = 1000

// SumQuery asks for what was counted.
type SumQuery struct {
	Tenant TenantKey
	// Endpoint narrows to one endpoint, where no event is counted as accepted; 0 is the
	// whole tenant.
	Endpoint EndpointKey
	// Type narrows to one type; "" is all.
	Type string
	// Unit is the one to read. From and To are beginnings of it, within what is Kept; From
	// is inclusive, To exclusive.
	Unit     Unit
	From, To time.Time
	// Each asks for a Sum for each unit, ByType for one for each type.
	Each, ByType bool
}

// Sum is what was counted. There is none where nothing was.
type Sum struct {
	Start  time.Time // of the unit; zero without Each
	Type   string    // "" without ByType
	Counts Counts
}

// Rollups count what is stored, by minute, hour and day, tenant, endpoint and type. They
// are written in the transaction that stores what they count, whatever brings it: Commit,
// a Send, a job, a cancellation. What is expunged is not counted any more; what is swept
// still is, until its tenant is gone too.
type Rollups interface {
	// Sums returns what was counted, by start, then type. It sees all that was stored
	// before the call.
	Sums(ctx context.Context, query SumQuery) ([]Sum, error)
	// CompactRollups does a part of the upkeep that is due at now, in a few milliseconds:
	// it makes hours of minutes, days of hours, and deletes what is beyond its time. More
	// says that there is more to do. No sum over what is Kept changes by it.
	CompactRollups(ctx context.Context, now time.Time) (more bool, err error)
	// Recount counts all anew from the history that is there, in place of what is stored,
	// and says what was wrong. What a sweep may have taken from, whole days of a tenant,
	// stays as it is. Others may have to wait until it is done; ended halfway, by ctx or a
	// crash, it has changed nothing.
	Recount(ctx context.Context, now time.Time) (Recounted, error)
}

// Recounted is what a Recount found.
type Recounted struct {
	// Events and Attempts is how many were counted.
	Events, Attempts int64
	// Rollups is how many there are of what was counted, of all units, and Wrong how many
	// of them were not as they should be, or not there, or should not have been there.
	Rollups, Wrong int64
	// Off is the sum of what was added to the wrong ones, by unit.
	Off map[Unit]Counts
}
