// Package bucket gives a node its share of the buckets, and takes it away in time.
//
// A node says that it lives by a Beat every 3 seconds. Nobody compares clocks: each node
// measures by its own how long it has seen another's counter stand still, and buries it
// after 10 seconds. A node for its part counts from the moment before its last successful
// Beat was sent, and does not begin anything from 7 seconds on. Whoever saw that beat did
// so later, so that 3 seconds lie between the last attempt of the one and the first of the
// other, whatever their clocks say, as long as they run equally fast.
//
// Seat is what a node knows and what it does next, in pure steps, told what happened and
// when. Loop gives it goroutines, a clock, the store and the engine.
package bucket

import "time"

const (
	// interval is between two beats.
	interval = 3 * time.Second
	// answer is how long a beat may take. One may be lost without the lease.
	answer = 2 * time.Second
	// trust is how old the last beat may be for anything to begin.
	trust = 7 * time.Second
	// patience is how long another node's counter may stand still.
	patience = 10 * time.Second
)

const (
	// drain is how long the engine may take to end what it does for buckets that it loses.
	drain = 5 * time.Second
	// retry is between two tries while the store fails.
	retry = 500 * time.Millisecond
	// glance is how often the clocks are looked at, so that one that jumped is noticed.
	glance = time.Second
)
