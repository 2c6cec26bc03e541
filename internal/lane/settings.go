package lane

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
	// Paused endpoints get nothing until they are resumed. What is in flight ends.
	Paused bool
	// Closed endpoints get nothing any more: what is open for them is given out at once,
	// also what waits, to be ended without an attempt.
	Closed bool
}

// known says that there are settings.
func (s *Settings) known() bool { return s.Concurrency > 0 }
