package postgres

import (
	"sync"
	"time"
)

// floor remembers before which instant nothing is left of what goes in the order of its time,
// so that what is gone is not walked over again while it can't be cleared away. Something may
// come to be below it, by a clock that is behind or a commit that took long: so it is a
// little lower than what was found, and forgotten now and then. It is for what may be late.
// So it may be raised by a transaction that is undone. The zero value is below all.
type floor struct {
	mu    sync.Mutex
	at    time.Time
	since time.Time
}

const (
	floorSlack = time.Minute
	floorLasts = time.Hour
)

// from is where to look from.
func (f *floor) from() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.since) > floorLasts {
		f.at, f.since = time.Time{}, time.Now()
	}
	return f.at
}

// raise says that nothing is left before an instant, which is above the floor or is none.
func (f *floor) raise(to time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if to = to.Add(-floorSlack); to.After(f.at) {
		f.at = to
	}
}
