// Package intake is where publishers wait for their events to be committed.
//
// It is bounded in bytes and in time, and fair: tenants take turns, and within a tenant
// events go in order of arrival. A tenant may have as much of the queue as it leaves
// free. Beyond that its publishers wait for a place, outside; that too is bounded, and
// shared by the same rule. Whatever one tenant does, there is a place for another's next
// event, and its turn comes with the next batch.
package intake

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/store"
)

// ErrStopped is returned after Close. Nothing is stored.
var ErrStopped = errors.New("stopped")

// OverloadedError is returned where an event's turn did not come in time, or where not
// even its publisher can wait. Nothing is stored.
type OverloadedError struct {
	// RetryAfter is how long events wait at present, at least a second.
	RetryAfter time.Duration
}

// Error says what there is too much of.
func (e *OverloadedError) Error() string {
	return "more events wait to be stored than there is room or time for"
}

// Limits bound a Queue.
type Limits struct {
	// Bytes bounds the events that have a place, those being committed included: payloads,
	// and a fixed share for each event.
	Bytes int64
	// Outside bounds the events of publishers that wait for a place, in the same way;
	// 0 = Bytes.
	Outside int64
	// Wait is how long an event waits for its turn to be committed.
	Wait time.Duration
}

// rowBytes is what an event counts for beside its payload, so that empty ones are
// bounded too.
const rowBytes = 1024

// Queue is events that wait for the committer. It is safe for concurrent use.
type Queue struct {
	limits Limits
	bell   chan struct{}

	mu     sync.Mutex
	stages [places]stage
	lines  map[store.TenantKey]*line
	spare  *line         // an empty one, for the next tenant
	armed  bool          // expire will be called
	delay  time.Duration // how long the latest to end its waiting had waited
	closed bool
}

// Item is an event in the queue and, once Done, what became of it.
type Item struct {
	Accept store.Accept

	verdict store.Verdict
	err     error
	wait    *wait

	// rest are the events that were submitted behind this one, to be taken together with
	// it. Size is that of all; what follows is for the first alone.
	rest  []*Item
	size  int64
	away  error // why it was not taken
	since time.Time
	at    place
	line  *line
	link  link[Item] // in its line, until it is taken
}

// wait is for the publisher of one or several items.
type wait struct {
	left atomic.Int32
	done chan struct{}
}

// New returns an empty Queue.
func New(limits Limits) *Queue {
	if limits.Outside == 0 {
		limits.Outside = limits.Bytes
	}
	q := &Queue{limits: limits, bell: make(chan struct{}, 1), lines: make(map[store.TenantKey]*line)}
	q.stages[inside].limit, q.stages[outside].limit = limits.Bytes, limits.Outside
	return q
}

// Submit is Enter and then Await.
func (q *Queue) Submit(ctx context.Context, accept store.Accept) (store.Verdict, error) {
	item, err := q.Enter(accept)
	if err != nil {
		return store.Verdict{}, err
	}
	return q.Await(ctx, item)
}

// Enter queues an event and does not wait. Events that a tenant enters one after another
// are committed in that order, unless one is turned away. Each Item is given to Await. The
// error is *OverloadedError or ErrStopped.
func (q *Queue) Enter(accept store.Accept) (*Item, error) {
	one := new(struct { // of one piece, as this is done for each event
		Item
		wait wait
	})
	one.Item = Item{Accept: accept, wait: &one.wait}
	if err := q.enter(&one.Item); err != nil {
		return nil, err
	}
	return &one.Item, nil
}

// Await waits until an event is committed, or is not going to be. Where ctx ends while it
// waits for its turn nothing is stored; where it ends later, the event may be. The error is
// *OverloadedError, ErrStopped, that of ctx, or the one that Done was given.
func (q *Queue) Await(ctx context.Context, item *Item) (store.Verdict, error) {
	if err := q.await(ctx, item); err != nil {
		return store.Verdict{}, err
	}
	return item.verdict, item.err
}

// Answer is what became of one event of several.
type Answer struct {
	Verdict store.Verdict
	Err     error
}

// SubmitAll is EnterAll and then AwaitAll. With an error nothing is stored.
func (q *Queue) SubmitAll(ctx context.Context, accepts []store.Accept) ([]Answer, error) {
	first, err := q.EnterAll(accepts)
	if err != nil {
		return nil, err
	}
	return q.AwaitAll(ctx, first)
}

// EnterAll is Enter for events of one tenant, of which there must be some. They have one
// turn, and are taken in one batch, in their order; it is stored in parts only where it
// can't be stored whole. The Item is for AwaitAll.
func (q *Queue) EnterAll(accepts []store.Accept) (*Item, error) {
	items := make([]Item, len(accepts))
	var all wait
	first := &items[0]
	for i := range items {
		items[i] = Item{Accept: accepts[i], wait: &all}
		if i > 0 {
			first.rest = append(first.rest, &items[i])
		}
	}
	if err := q.enter(first); err != nil {
		return nil, err
	}
	return first, nil
}

// AwaitAll is Await for what EnterAll has queued. With an error nothing is stored.
func (q *Queue) AwaitAll(ctx context.Context, first *Item) ([]Answer, error) {
	if err := q.await(ctx, first); err != nil {
		return nil, err
	}
	answers := make([]Answer, 0, first.count())
	answers = append(answers, Answer{first.verdict, first.err})
	for _, item := range first.rest {
		answers = append(answers, Answer{item.verdict, item.err})
	}
	return answers, nil
}

// enter queues an item and those behind it.
func (q *Queue) enter(item *Item) error {
	item.since, item.link.of = time.Now(), item
	item.wait.left.Store(int32(item.count())) //nolint:gosec // no more than fit into memory
	item.wait.done = make(chan struct{})
	item.size = min(int64(item.count())*rowBytes+item.payload(), q.limits.Bytes, q.limits.Outside)
	return q.add(item)
}

// await waits until an item and those behind it have their answers. The error says why
// they were not taken.
func (q *Queue) await(ctx context.Context, item *Item) error {
	defer q.leave(item)
	select {
	case <-item.wait.done:
		return item.away
	case <-ctx.Done():
		if q.withdraw(item) {
			return ctx.Err()
		}
	}
	<-item.wait.done // it is being committed: a moment, and the answer is known
	return item.away
}

// count is the number of events that are taken with an item, payload their bytes.
func (i *Item) count() int { return 1 + len(i.rest) }

func (i *Item) payload() int64 {
	sum := int64(len(i.Accept.Payload))
	for _, other := range i.rest {
		sum += int64(len(other.Accept.Payload))
	}
	return sum
}

// add gives an item a place, or lets its publisher wait for one.
func (q *Queue) add(item *Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrStopped
	}
	item.line = q.line(item.Accept.Tenant)
	q.arm(q.limits.Wait)
	if q.stages[outside].count == 0 && q.fits(inside, item) {
		q.put(inside, item)
		return nil
	}
	if !q.fits(outside, item) {
		q.drop(item.line)
		return q.overloaded()
	}
	q.put(outside, item)
	q.admit()
	return nil
}

func (q *Queue) line(tenant store.TenantKey) *line {
	l, found := q.lines[tenant]
	switch {
	case found:
		return l
	case q.spare != nil:
		l, q.spare = q.spare, nil
		l.tenant = tenant
	default:
		l = newLine(tenant)
	}
	q.lines[tenant] = l
	return l
}

// drop forgets a line that has nothing left.
func (q *Queue) drop(l *line) {
	if l.empty() {
		delete(q.lines, l.tenant)
		q.spare = l
	}
}

func (q *Queue) fits(at place, item *Item) bool {
	return q.stages[at].holds(item.size) && q.stages[at].grants(&item.line.parts[at], item.size)
}

func (q *Queue) put(at place, item *Item) {
	item.at = at
	q.stages[at].put(&item.line.parts[at], item)
	if at == inside {
		select {
		case q.bell <- struct{}{}:
		default:
		}
	}
}

// admit gives places to those who wait for one, in turn. A tenant that has its share is
// passed over; an event too large for what is free at present is not, or smaller ones
// would keep it out for ever.
func (q *Queue) admit() {
	waiting := &q.stages[outside]
	var passed *line // the first of those passed over in a row
	for waiting.turns.first != nil && waiting.turns.first.of != passed {
		l := waiting.turns.first.of
		own := &l.parts[outside]
		item := own.items.first.of
		switch {
		case !q.stages[inside].holds(item.size):
			return
		case !q.fits(inside, item):
			if passed == nil {
				passed = l
			}
		default:
			passed = nil
			waiting.pull(own, item)
			waiting.free(own, item)
			q.put(inside, item)
		}
		waiting.pass(own)
	}
}

// leave gives back what an item has taken up.
func (q *Queue) leave(item *Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stages[item.at].free(&item.line.parts[item.at], item)
	q.drop(item.line)
	if !q.closed {
		q.admit()
	}
}

// withdraw takes an item out that nobody waits for any more. It returns false if the
// committer has it.
func (q *Queue) withdraw(item *Item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !item.link.listed {
		return false
	}
	q.stages[item.at].pull(&item.line.parts[item.at], item)
	return true
}

// arm sees to it that expire is called. There is one timer for all: one for each event
// would cost as much as all the rest.
func (q *Queue) arm(in time.Duration) {
	if !q.armed {
		q.armed = true
		time.AfterFunc(in, q.expire)
	}
}

// expire turns those away whose turn did not come in time.
func (q *Queue) expire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.armed = false
	now := time.Now()
	var oldest time.Time // of those that may still wait
	for _, l := range q.lines {
		for at := range l.parts {
			own := &l.parts[at]
			for own.items.first != nil {
				item := own.items.first.of
				if now.Sub(item.since) < q.limits.Wait {
					if oldest.IsZero() || item.since.Before(oldest) {
						oldest = item.since
					}
					break
				}
				q.delay = q.limits.Wait
				q.stages[at].pull(own, item)
				item.turnAway(q.overloaded())
			}
		}
	}
	if !oldest.IsZero() {
		q.arm(q.limits.Wait - now.Sub(oldest))
	}
}

func (q *Queue) overloaded() error {
	const least = time.Second
	return &OverloadedError{RetryAfter: max(least, q.delay)}
}

// Bell rings, once, when items were added since it last rang.
func (q *Queue) Bell() <-chan struct{} { return q.bell }

// Len returns the number of items to take.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stages[inside].count
}

// Take removes items, at most count of them, and no more payload than bytes unless what
// was submitted first alone exceeds one of these: of each tenant in turn what it submitted
// at once, the oldest first. Each one taken must be given to Done.
func (q *Queue) Take(count int, bytes int64) []*Item {
	q.mu.Lock()
	defer q.mu.Unlock()
	ready := &q.stages[inside]
	var taken []*Item
	for size := int64(0); len(taken) < count && ready.turns.first != nil; {
		own := &ready.turns.first.of.parts[inside]
		item := own.items.first.of
		size += item.payload()
		if len(taken) > 0 && (size > bytes || len(taken)+item.count() > count) {
			break
		}
		if taken == nil {
			taken = make([]*Item, 0, min(count, ready.count))
		}
		ready.pull(own, item)
		ready.pass(own)
		taken = append(append(taken, item), item.rest...)
		q.delay = time.Since(item.since)
	}
	return taken
}

// Done answers the publisher that waits for an item.
func (i *Item) Done(verdict store.Verdict, err error) {
	i.verdict, i.err = verdict, err
	if i.wait.left.Add(-1) == 0 {
		close(i.wait.done)
	}
}

// turnAway answers the publisher of an item that is not going to be committed.
func (i *Item) turnAway(err error) {
	i.away = err
	i.wait.left.Store(0)
	close(i.wait.done)
}

// Close turns new events away with ErrStopped, and publishers that wait for a place too.
// The events that have one stay, to be taken.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for waiting := &q.stages[outside]; waiting.turns.first != nil; {
		own := &waiting.turns.first.of.parts[outside]
		item := own.items.first.of
		waiting.pull(own, item)
		item.turnAway(ErrStopped)
	}
}
