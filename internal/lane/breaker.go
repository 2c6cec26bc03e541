package lane

import (
	"math/bits"
	"time"
)

// When a breaker opens, and how long it stays so. A handful of failures must not open it:
// they are retried on their schedules, to the second.
const (
	// openAfter is how many failures in a row open it.
	openAfter = 20
	// of the last rateOver attempts, rateFailed failures open it too.
	rateOver   = 64
	rateFailed = 52

	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
)

// breaker keeps attempts from an endpoint that does not work. While it is open one probe
// at a time goes out, after pauses that double; the first success closes it.
type breaker struct {
	failures int    // in a row
	recent   uint64 // the last 64 attempts, a bit for each failure
	seen     int    // of them, up to 64

	open    bool
	probing bool
	pause   time.Duration
	until   time.Time // no probe before
}

// allows says whether an attempt may begin.
func (b *breaker) allows(now time.Time) bool {
	return !b.open || (!b.probing && !now.Before(b.until))
}

// begin notes that one does.
func (b *breaker) begin() { b.probing = b.open }

// end notes what came of one. Those that began before the breaker opened are no probes,
// and their failures do not prolong the pause.
func (b *breaker) end(now time.Time, verdict Verdict, probe bool) {
	if probe {
		b.probing = false
	}
	switch {
	case verdict == Nothing:
	case verdict == Success:
		b.succeed()
	default:
		b.fail(now, probe)
	}
}

func (b *breaker) succeed() {
	if b.open {
		*b = breaker{}
	}
	b.failures = 0
	b.note(0)
}

func (b *breaker) fail(now time.Time, probe bool) {
	b.failures++
	b.note(1)
	switch {
	case b.open && probe:
		b.pause = min(2*b.pause, maxPause)
		b.until = now.Add(b.pause)
	case b.open:
	case b.failures >= openAfter, b.seen == rateOver && bits.OnesCount64(b.recent) >= rateFailed:
		b.open, b.pause = true, firstPause
		b.until = now.Add(b.pause)
	}
}

func (b *breaker) note(failed uint64) {
	b.recent = b.recent<<1 | failed
	b.seen = min(b.seen+1, rateOver)
}

// calm says that there is nothing to remember.
func (b *breaker) calm() bool { return b.failures == 0 && b.recent == 0 }
