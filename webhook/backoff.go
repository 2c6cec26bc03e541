package webhook

import (
	"cmp"
	"math"
	"time"
)

// Defaults of a Backoff.
const (
	DefaultMaxAttempts       = 3
	DefaultBackoffBase       = 5 * time.Second
	DefaultBackoffMultiplier = 2.0
	DefaultBackoffCap        = 300 * time.Second
)

// Backoff is growing waits between attempts: Base, Base×Multiplier, Base×Multiplier² and
// so on, at most Cap each. The zero value is three attempts with waits of 5 s and 10 s.
type Backoff struct {
	// MaxAttempts counts all attempts, the first too; 0 is 3, negative is 1.
	MaxAttempts int
	// Base is the first wait; 0 is 5 s, negative is no waiting at all.
	Base time.Duration
	// Multiplier is what a wait grows by; 0 is 2.
	Multiplier float64
	// Cap is the longest wait; 0 is 300 s, negative is no cap.
	Cap time.Duration
}

// WithDefaults returns the backoff with its zero fields filled in.
func (b Backoff) WithDefaults() Backoff {
	return Backoff{
		MaxAttempts: cmp.Or(b.MaxAttempts, DefaultMaxAttempts),
		Base:        cmp.Or(b.Base, DefaultBackoffBase),
		Multiplier:  cmp.Or(b.Multiplier, DefaultBackoffMultiplier),
		Cap:         cmp.Or(b.Cap, DefaultBackoffCap),
	}
}

// Wait returns the wait after attempt number n (from 1) has failed, and false when that
// was the last.
func (b Backoff) Wait(n int) (time.Duration, bool) {
	b = b.WithDefaults()
	if n < 1 || n >= b.MaxAttempts {
		return 0, false
	}
	if b.Base < 0 {
		return 0, true
	}
	longest := b.Cap
	if longest < 0 {
		longest = math.MaxInt64
	}
	wait := math.Round(float64(b.Base) * math.Pow(b.Multiplier, float64(n-1)))
	// Written so that what is not a number, and what a Duration can't hold, is the longest.
	if !(wait < float64(longest)) {
		return longest, true
	}
	return max(0, time.Duration(wait)), true
}

// Schedule returns all the waits, one fewer than there are attempts.
func (b Backoff) Schedule() Schedule {
	waits := make(Schedule, 0, max(0, b.WithDefaults().MaxAttempts-1))
	for n := 1; ; n++ {
		wait, again := b.Wait(n)
		if !again {
			return waits
		}
		waits = append(waits, wait)
	}
}

// check notes what is wrong with the backoff.
func (b Backoff) check(bad *InvalidError) {
	if b.MaxAttempts < 0 {
		bad.Add("backoff.maxAttempts", "must be 1 or more, or 0 for 3")
	}
	if b.Multiplier != 0 && !(b.Multiplier >= 1 && b.Multiplier <= math.MaxFloat64) {
		bad.Add("backoff.multiplier", "must be 1 or more, or 0 for 2")
	}
}
