package lane

import (
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// Sight is what a Board has of a delivery and its lane at one instant. The zero value is
// that there is no lane: nothing is known that the store would not tell.
type Sight struct {
	// SendingSince is when its attempt in flight began; zero is none.
	SendingSince time.Time
	// Wait is what keeps its endpoint from being sent to: ForNothing, ForResume, ForBreaker
	// or ForReceiver. By the other kinds a delivery waits for its turn.
	Wait Wait
	// Until is when the Wait ends as far as that is a matter of time; a breaker that is
	// probing opens as soon as the probe succeeds.
	Until time.Time
}

// Look returns what there is of a delivery, whether it is in memory or only in the store.
// It changes nothing.
func (b *Board) Look(now time.Time, endpoint store.EndpointKey, event store.EventKey) Sight {
	l, found := b.lanes[endpoint]
	if !found {
		return Sight{}
	}
	var sight Sight
	if i := slices.IndexFunc(l.flights, func(f flight) bool { return f.of == ref(event) }); i >= 0 {
		sight.SendingSince = l.flights[i].began
	}
	sight.Wait, sight.Until = b.shut(l, now)
	return sight
}

// shut says what keeps a lane from sending anything, and until when.
func (b *Board) shut(l *lane, now time.Time) (Wait, time.Time) {
	switch {
	case b.paused, l.settings.Paused && !l.settings.Closed:
		return ForResume, time.Time{}
	case l.settings.Closed: // nothing is sent: what is open is ended
	case l.breaker.open:
		return ForBreaker, later(l.breaker.until, l.hold)
	case l.hold.After(now):
		return ForReceiver, l.hold
	}
	return ForNothing, time.Time{}
}
