package webhook

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Limits of an endpoint's own Schedule.
const (
	MaxScheduleWaits = 20
	MaxScheduleWait  = 7 * 24 * time.Hour
)

// Schedule is the waits between the attempts of a delivery: after the first failure
// the first, and so on. With n waits there are n+1 attempts; an empty schedule is a
// single attempt.
type Schedule []time.Duration

// DefaultSchedule returns the waits that the engine uses unless told otherwise: 5 s,
// 5 min, 30 min, 2 h, 5 h, 10 h, 10 h. That is eight attempts over 27.6 hours.
func DefaultSchedule() Schedule {
	return Schedule{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
	}
}

// Wait returns the wait after a delivery's attempt number n (from 1) has failed, and
// false when that was the last.
func (s Schedule) Wait(n int) (time.Duration, bool) {
	if n < 1 || n > len(s) {
		return 0, false
	}
	return s[n-1], true
}

// check notes what is wrong with an endpoint's own schedule.
func (s Schedule) check(bad *InvalidError) {
	if len(s) > MaxScheduleWaits {
		bad.Add("schedule", fmt.Sprintf("must have at most %d waits, not %d", MaxScheduleWaits, len(s)))
		return
	}
	for i, wait := range s {
		if wait < 0 || wait > MaxScheduleWait {
			bad.Add(fmt.Sprintf("schedule[%d]", i), fmt.Sprintf("must be between 0 and %d seconds", int(MaxScheduleWait.Seconds())))
		}
	}
}

// Jitter varies wait by up to a share of it either way, evenly: 0.2 gives 0.8 to 1.2
// times the wait. It keeps deliveries that failed together from coming back together.
func Jitter(wait time.Duration, share float64) time.Duration {
	return wait + time.Duration((2*rand.Float64()-1)*share*float64(wait)) //nolint:gosec // not a secret
}
