package neohook

import (
	"context"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Condition is how an endpoint is doing. An endpoint that nothing was sent to for a while
// is forgotten, unless something is amiss: then it is a closed breaker and no failures.
type Condition struct {
	Breaker BreakerState
	// NextProbe is when an open breaker lets the next attempt through.
	NextProbe time.Time
	// Failures are those in a row. Of the latest Attempts, 64 at most, Failed did not succeed.
	Failures, Attempts, Failed int
	// QuietUntil is until when the receiver asked to be left alone; zero is not.
	QuietUntil time.Time
	// InFlight attempts there are, and so many, of the endpoint's Concurrency, are made at
	// once since it last timed out or asked for less.
	InFlight, Room int
	// FailingSince is when the first failure since the last success ended; zero where
	// there was none. An endpoint is disabled Options.DisableAfter later.
	FailingSince time.Time
}

// BreakerState is what a breaker lets through.
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed  BreakerState = "closed"  // everything
	BreakerOpened  BreakerState = "open"    // nothing until Condition.NextProbe
	BreakerProbing BreakerState = "probing" // one attempt, which is in flight
)

// Condition returns how an endpoint is doing at this instant.
func (o *Organisation) Condition(ctx context.Context, tenant webhook.TenantID, endpoint webhook.EndpointID) (Condition, error) {
	_, found, err := o.endpoint(ctx, tenant, endpoint)
	if err != nil {
		return Condition{}, err
	}
	in := o.engine.lanes.Inspect(time.Now(), found.Key)
	c := Condition{
		Breaker: BreakerClosed, NextProbe: stored(in.Opens), Failures: in.Failures, Attempts: in.Recent, Failed: in.RecentFailed,
		QuietUntil: stored(in.QuietUntil), InFlight: in.InFlight, Room: in.Room,
		FailingSince: stored(o.engine.failing.Since(found.Key)),
	}
	if in.Room == 0 { // no lane: nothing holds it back
		if c.Room = found.Concurrency; c.Room == 0 {
			c.Room = o.engine.opts.EndpointConcurrency
		}
	}
	switch {
	case in.Probing:
		c.Breaker = BreakerProbing
	case in.BreakerOpen:
		c.Breaker = BreakerOpened
	}
	return c, nil
}

// stored is an instant as stores keep it.
func stored(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }
