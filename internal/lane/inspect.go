package lane

import (
	"math/bits"
	"time"

	"github.com/neohook/neohook/store"
)

// Inspection is how an endpoint is doing, as its lane knows it. The zero value is that
// there is no lane: nothing is known against it.
type Inspection struct {
	// BreakerOpen says that too many attempts failed. Then a probe goes out at Opens, or
	// is in flight.
	BreakerOpen, Probing bool
	Opens                time.Time
	// Failures are those in a row. Of the last Recent attempts, 64 at most, RecentFailed did.
	Failures             int
	Recent, RecentFailed int
	// QuietUntil is until when the receiver asked to be left alone.
	QuietUntil time.Time
	// Room is how many attempts the endpoint bears at present; 0 where there is no lane.
	Room     int
	InFlight int
}

// Inspect returns how an endpoint is doing. It changes nothing.
func (b *Board) Inspect(now time.Time, endpoint store.EndpointKey) Inspection {
	l, found := b.lanes[endpoint]
	if !found {
		return Inspection{}
	}
	in := Inspection{
		BreakerOpen: l.breaker.open, Probing: l.breaker.probing, Failures: l.breaker.failures,
		Recent: l.breaker.seen, RecentFailed: bits.OnesCount64(l.breaker.recent),
		Room: min(l.room, l.settings.Concurrency), InFlight: len(l.flights),
	}
	if in.BreakerOpen && !in.Probing {
		in.Opens = l.breaker.until
	}
	if l.hold.After(now) {
		in.QuietUntil = l.hold
	}
	return in
}
