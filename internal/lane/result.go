package lane

import "time"

// Verdict is what an attempt says of its endpoint.
type Verdict uint8

// The verdicts.
const (
	// Nothing says nothing: there was no attempt.
	Nothing Verdict = iota
	// Success is an answer of 2xx.
	Success
	// Failure is any other answer, or none.
	Failure
	// Timeout is a failure by time.
	Timeout
	// Throttled is a failure by which the receiver says that it is sent too much: 429
	// or 503.
	Throttled
)

// Result is what came of an attempt, as far as it matters for what is sent next.
type Result struct {
	Verdict Verdict
	// Ends says that the delivery has ended: it does not wait to be sent again.
	Ends bool
	// HoldUntil is until when the receiver asked to be left alone; zero is not.
	HoldUntil time.Time
}
