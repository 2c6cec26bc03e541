package httpapi

import (
	"sync"
	"sync/atomic"
	"time"
)

// fullDisk is the time during which the store has no room, as one matter: the log hears of
// its beginning and of its end, and not of every request that is refused meanwhile. The
// zero value is ready.
type fullDisk struct {
	// on spares whoever finds room a lock.
	on atomic.Bool

	mu          sync.Mutex
	since, last time.Time
	refused     int
}

// fullForgotten is how long nothing must have been refused for a new beginning, where
// nobody has found room meanwhile either.
const fullForgotten = 10 * time.Minute

// refuse notes a request that found no room, and says whether it is the first of a time.
func (d *fullDisk) refuse(now time.Time) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if first = !d.on.Load() || now.Sub(d.last) >= fullForgotten; first {
		d.since, d.refused = now, 0
	}
	d.refused++
	d.last = now
	d.on.Store(true)
	return first
}

// end notes that there is room again. It returns how long there was none and how many
// requests were refused; 0 and 0 where there was room all the time.
func (d *fullDisk) end(now time.Time) (lasted time.Duration, refused int) {
	if !d.on.Load() {
		return 0, 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.on.Swap(false) {
		return 0, 0
	}
	return now.Sub(d.since), d.refused
}
