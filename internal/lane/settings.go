package lane

import "time"

// Settings are how an endpoint wants to be sent to. The zero value is not known yet.
type Settings struct {
	// Concurrency is the most attempts in flight, at least 1.
	Concurrency int
	// Rate is the most attempts begun in a second, evenly spaced; 0 is no limit.
	Rate int
	// TenantRate is the same over all endpoints of the tenant.
	TenantRate int
	// Ordered endpoints get one delivery at a time, in the order of acceptance: the next
	// one waits until the one before has succeeded or ended.
	Ordered bool
	// Closed endpoints get nothing any more: what is open for them is given out at once,
	// also what waits, to be ended without an attempt.
	Closed bool
}

// known says that there are settings.
func (s *Settings) known() bool { return s.Concurrency > 0 }

// pace spaces attempts evenly. There is no burst: time that was not used is gone.
type pace struct {
	next time.Time // not before
}

// interval between attempts at a rate; 0 for none.
func interval(rate int) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Second / time.Duration(rate)
}

// take notes that an attempt begins.
func (p *pace) take(now time.Time, rate int) {
	if rate > 0 {
		p.next = now.Add(interval(rate))
	}
}
