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
	// Obstacle keeps its endpoint from being sent to.
	Obstacle Obstacle
	// Opens is when the Obstacle ends as far as that is a matter of time; a breaker that
	// is probing opens as soon as the probe succeeds.
	Opens time.Time
}

// Obstacle is what keeps an endpoint from being sent to for now.
type Obstacle uint8

// The obstacles. Rates, slots and order are none: by them a delivery waits for its turn.
const (
	NoObstacle Obstacle = iota
	// BreakerOpen: too many attempts failed.
	BreakerOpen
	// QuietAsked: the receiver asked to be left alone.
	QuietAsked
)

// Look returns what there is of a delivery, whether it is in memory or only in the store.
// It changes nothing.
func (b *Board) Look(now time.Time, endpoint store.EndpointKey, event store.EventKey) Sight {
	l, found := b.lanes[endpoint]
	if !found {
		return Sight{}
	}
	var sight Sight
	if i := slices.IndexFunc(l.flights, func(f flight) bool { return f.event == event }); i >= 0 {
		sight.SendingSince = l.flights[i].began
	}
	switch {
	case l.settings.Closed: // nothing keeps it from being ended
	case l.breaker.open:
		sight.Obstacle, sight.Opens = BreakerOpen, later(l.breaker.until, l.hold)
	case l.hold.After(now):
		sight.Obstacle, sight.Opens = QuietAsked, l.hold
	}
	return sight
}
