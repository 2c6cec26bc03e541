package retention

import "time"

const (
	// largestJump is how far the wall clock may be set at a time, and be acted on at once.
	largestJump = time.Hour
	// restAfterJump is how long it must run evenly after a larger one. A clock that is wrong
	// is mostly set right within minutes; and whoever must do it by hand has some time.
	restAfterJump = 6 * time.Hour
)

// clock judges whether the wall clock may be acted on, by how it runs beside the monotonic
// one, of which each reading is told as the time since the first.
type clock struct {
	first time.Time
	// ahead is how far the wall clock was ahead of the monotonic one when it was last
	// trusted, and jumped how far it is since a jump.
	ahead, jumped time.Duration
	resting       bool
	since         time.Duration // the jump
}

func newClock(now time.Time) *clock { return &clock{first: now.Round(0)} }

// judge says whether an instant of the wall clock may be acted on.
func (c *clock) judge(now time.Time, elapsed time.Duration) bool {
	ahead := now.Round(0).Sub(c.first) - elapsed
	switch {
	case near(ahead, c.ahead): // also where it has jumped back
		c.ahead, c.resting = ahead, false
	case !c.resting || !near(ahead, c.jumped):
		c.jumped, c.resting, c.since = ahead, true, elapsed
	case elapsed-c.since >= restAfterJump:
		c.ahead, c.resting = ahead, false
	default:
		c.jumped = ahead
	}
	return !c.resting
}

// jump is how far the clock has jumped from when it was last trusted.
func (c *clock) jump() time.Duration { return c.jumped - c.ahead }

func near(a, b time.Duration) bool { return (a - b).Abs() <= largestJump }
