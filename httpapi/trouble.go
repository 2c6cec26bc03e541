package httpapi

import (
	"sync"
	"sync/atomic"
	"time"
)

// trouble is a time during which the store has no room, or its database is away, as one
// matter: the log hears of its beginning and of its end, and not of every request that is refused meanwhile. The
// zero value is ready.
type trouble struct {
	// on spares whoever meets none a lock.
	on atomic.Bool

	mu          sync.Mutex
	since, last time.Time
	refused     int
}

// troubleForgotten is how long nothing must have been refused for a new beginning, where
// nobody has met with success meanwhile either.
const troubleForgotten = 10 * time.Minute

// refuse notes a request that met it, and says whether it is the first of a time.
func (t *trouble) refuse(now time.Time) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first = !t.on.Load() || now.Sub(t.last) >= troubleForgotten; first {
		t.since, t.refused = now, 0
	}
	t.refused++
	t.last = now
	t.on.Store(true)
	return first
}

// end notes that it is over. It returns how long it lasted and how many requests were
// refused; 0 and 0 where there was none.
func (t *trouble) end(now time.Time) (lasted time.Duration, refused int) {
	if !t.on.Load() {
		return 0, 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on.Swap(false) {
		return 0, 0
	}
	return now.Sub(t.since), t.refused
}
