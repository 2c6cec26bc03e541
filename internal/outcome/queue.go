// Package outcome is where finished attempts wait to be recorded, many in a transaction.
//
// It has no bound of its own: nothing is sent before its outcome has a place, which the
// lane's limit of unrecorded deliveries keeps.
package outcome

import (
	"sync"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
)

// Done is a finished delivery and what is to be recorded of it.
type Done struct {
	Delivery lane.Delivery
	Outcome  store.Outcome
	// Doubtful says that it was part of a commit whose result is unknown: whether it is
	// recorded must be looked up before it is stored again.
	Doubtful bool
}

// Queue is finished attempts, oldest first. It is safe for concurrent use.
type Queue struct {
	// Judge, if set before the first Put, is shown each outcome once, in the order of
	// their recording, and may add to it. It must be quick.
	Judge func(*store.Outcome)

	bell chan struct{}

	mu    sync.Mutex
	items []Done
	since time.Time // when the oldest came
}

// New returns an empty Queue.
func New() *Queue { return &Queue{bell: make(chan struct{}, 1)} }

// Put adds a finished attempt.
func (q *Queue) Put(now time.Time, done Done) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.since = now
	}
	if q.Judge != nil {
		q.Judge(&done.Outcome)
	}
	q.items = append(q.items, done)
	select {
	case q.bell <- struct{}{}:
	default:
	}
}

// Return puts back what was taken and could not be stored, before all others: outcomes
// are stored in the order in which they came, as those of ordered endpoints must be.
func (q *Queue) Return(now time.Time, taken []Done) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(taken[:len(taken):len(taken)], q.items...)
	q.since = now
}

// Bell rings, once, when outcomes were added since it last rang.
func (q *Queue) Bell() <-chan struct{} { return q.bell }

// Waiting returns how many there are, and since when the oldest waits.
func (q *Queue) Waiting() (count int, since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.since
}

// Take removes the oldest, at most count.
func (q *Queue) Take(now time.Time, count int) []Done {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(count, len(q.items))
	taken := q.items[:n:n]
	q.items = q.items[n:]
	q.since = now
	if len(q.items) == 0 {
		q.items = nil
	}
	return taken
}
