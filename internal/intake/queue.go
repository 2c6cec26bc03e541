// Package intake is where publishers wait for their events to be committed.
//
// It holds a bounded amount. A publisher for whom there is no place waits for one, in
// turn, for a limited time.
package intake

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/neohook/neohook/store"
)

var (
	// ErrOverloaded is returned where no place came free in time. Nothing is stored.
	ErrOverloaded = errors.New("overloaded: more events wait to be stored than there is room for")
	// ErrStopped is returned after Close. Nothing is stored.
	ErrStopped = errors.New("stopped")
)

// Limits bound a Queue.
type Limits struct {
	// Bytes bounds what waits: payloads, and a fixed share for each event.
	Bytes int64
	// Wait is how long a publisher waits for a place.
	Wait time.Duration
}

// rowBytes is what an event counts for beside its payload, so that empty ones are
// bounded too.
const rowBytes = 1024

// Queue is events that wait for the committer, in order of arrival. It is safe for
// concurrent use.
type Queue struct {
	limits Limits
	room   *semaphore.Weighted
	bell   chan struct{}

	mu     sync.Mutex
	items  []*Item
	closed bool
}

// Item is an event in the queue and, once Done, what became of it.
type Item struct {
	Accept store.Accept

	verdict store.Verdict
	err     error
	done    chan struct{}
	size    int64
}

// New returns an empty Queue.
func New(limits Limits) *Queue {
	return &Queue{limits: limits, room: semaphore.NewWeighted(limits.Bytes), bell: make(chan struct{}, 1)}
}

// Submit waits until the event is committed, or is not going to be. Where ctx ends while
// it waits for its place nothing is stored; where it ends later, the event may be.
func (q *Queue) Submit(ctx context.Context, accept store.Accept) (store.Verdict, error) {
	item := &Item{Accept: accept, done: make(chan struct{})}
	item.size = min(rowBytes+int64(len(accept.Payload)), q.limits.Bytes)
	if err := q.enter(ctx, item.size); err != nil {
		return store.Verdict{}, err
	}
	defer q.room.Release(item.size)
	if !q.push(item) {
		return store.Verdict{}, ErrStopped
	}
	select {
	case <-item.done:
		return item.verdict, item.err
	case <-ctx.Done():
		if q.withdraw(item) {
			return store.Verdict{}, ctx.Err()
		}
		<-item.done // it is being committed: a moment, and the answer is known
		return item.verdict, item.err
	}
}

// enter waits for a place.
func (q *Queue) enter(ctx context.Context, size int64) error {
	if q.room.TryAcquire(size) {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, q.limits.Wait)
	defer cancel()
	if q.room.Acquire(waiting, size) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return ErrOverloaded
}

func (q *Queue) push(item *Item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.items = append(q.items, item)
	select {
	case q.bell <- struct{}{}:
	default:
	}
	return true
}

// withdraw takes an item out that nobody waits for any more. It returns false if the
// committer has it.
func (q *Queue) withdraw(item *Item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.items {
		if other == item {
			q.items = append(q.items[:i], q.items[i+1:]...)
			return true
		}
	}
	return false
}

// Bell rings, once, when items were added since it last rang.
func (q *Queue) Bell() <-chan struct{} { return q.bell }

// Len returns the number of items that wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Take removes the oldest items, at most count of them, and no more payload than bytes
// unless the first alone exceeds it. Each one taken must be given to Done.
func (q *Queue) Take(count int, bytes int64) []*Item {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, int64(0)
	for n < min(count, len(q.items)) {
		size += int64(len(q.items[n].Accept.Payload))
		if n > 0 && size > bytes {
			break
		}
		n++
	}
	taken := q.items[:n:n]
	q.items = q.items[n:]
	if len(q.items) == 0 {
		q.items = nil
	}
	return taken
}

// Done answers the publisher that waits for an item.
func (i *Item) Done(verdict store.Verdict, err error) {
	i.verdict, i.err = verdict, err
	close(i.done)
}

// Close turns new events away with ErrStopped. Those in the queue stay, to be taken.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}
