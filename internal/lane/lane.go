package lane

import (
	"container/heap"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// lane is an endpoint's open deliveries.
//
// Every open delivery is either in held, or only in the store; and then it is fresh with
// a number of at least from, while behind, or waiting and not due before horizon.
type lane struct {
	tenant   store.TenantKey
	endpoint store.EndpointKey
	settings Settings

	held    map[store.EventKey]struct{} // queued, waiting, in flight or not recorded yet
	bytes   int64
	fresh   queue[Delivery]
	due     queue[Delivery] // retries whose time has come
	waiting byDue
	turn    int // counts, to share turns between fresh and due

	behind  bool
	from    store.EventKey
	horizon time.Time // zero: nothing waits in the store alone

	flights []flight
	// unsettled counts attempts that are over and whose delivery is to wait, as soon as
	// that is recorded.
	unsettled int
	// room is how many attempts the endpoint bears: fewer than its Concurrency after it
	// timed out or asked for less.
	room    int
	hold    time.Time // the receiver asked for quiet until then
	pace    pace
	breaker breaker
	// steady endpoints have answered their last attempt soon.
	steady bool

	page      *pageInFlight // nil when none was asked for
	pageAfter time.Time     // a page failed: not again before this

	queued   bool // has a place in the turns
	crowded  bool // waits for a place among the attempts that may be slow
	wanted   bool // has a place among the pages to ask for
	forget   time.Time
	wake     time.Time
	wakeSlot int // in the heap of wakes; -1 is none
}

// flight is an attempt that has begun and not finished.
type flight struct {
	event store.EventKey
	began time.Time
	probe bool
}

// pageInFlight notes what happened while a page was being read, since the reading may
// have seen the time before or after.
type pageInFlight struct {
	kind PageKind
	// recorded holds the deliveries that were recorded meanwhile: what the page says of
	// them may be out of date.
	recorded map[store.EventKey]struct{}
	// skipped is the lowest number that went to the store alone meanwhile; 0 is none.
	skipped store.EventKey
	// spilled is the soonest due time that went to the store alone meanwhile.
	spilled time.Time
	// configured says that the settings changed meanwhile: those of the page may be old.
	configured bool
}

// hasNext says whether a delivery may be next by the order of the lane.
func (l *lane) hasNext() bool {
	if !l.settings.Ordered || l.settings.Closed {
		return l.due.len()+l.fresh.len() > 0
	}
	if len(l.flights)+l.unsettled > 0 {
		return false
	}
	// What waits came first.
	return l.due.len() > 0 || (l.fresh.len() > 0 && len(l.waiting) == 0 && l.horizon.IsZero())
}

// opens is when the endpoint may be sent to, as far as that is a matter of time; an
// instant that has passed, or zero, is now.
func (l *lane) opens() time.Time {
	opens := later(l.hold, l.pace.next)
	if l.breaker.open {
		opens = later(opens, l.breaker.until)
	}
	return opens
}

// ready says whether an attempt may begin.
func (l *lane) ready(now time.Time) bool {
	if l.settings.Closed {
		return len(l.flights) < l.settings.Concurrency && l.hasNext()
	}
	return len(l.flights) < min(l.room, l.settings.Concurrency) && l.hasNext() &&
		!l.opens().After(now) && l.breaker.allows(now)
}

// next removes the delivery whose turn it is; there must be one.
func (l *lane) next() Delivery {
	switch {
	case l.fresh.len() == 0:
		return l.due.pop()
	case l.due.len() == 0:
		return l.fresh.pop()
	}
	if l.turn++; l.settings.Ordered || l.turn%retryTurn == 0 {
		return l.due.pop()
	}
	return l.fresh.pop()
}

// land ends a flight and returns it.
func (l *lane) land(event store.EventKey) flight {
	i := slices.IndexFunc(l.flights, func(f flight) bool { return f.event == event })
	landed := l.flights[i]
	l.flights = slices.Delete(l.flights, i, i+1)
	return landed
}

// isFlying says whether an attempt is still in flight.
func (l *lane) isFlying(event store.EventKey, began time.Time) bool {
	return slices.ContainsFunc(l.flights, func(f flight) bool { return f.event == event && f.began.Equal(began) })
}

// learn changes how the endpoint is sent to after an attempt.
func (l *lane) learn(now time.Time, result Result, landed flight) {
	l.breaker.end(now, result.Verdict, landed.probe)
	l.hold = later(l.hold, result.HoldUntil)
	switch result.Verdict {
	case Success:
		l.room = min(l.room+1, l.settings.Concurrency)
	case Timeout:
		l.room = 1
	case Throttled:
		l.room = max(1, l.room/2)
	}
}

// skip notes that a fresh delivery is in the store alone.
func (l *lane) skip(event store.EventKey) {
	if !l.behind {
		l.behind, l.from = true, event
	}
	if l.page != nil && (l.page.skipped == 0 || event < l.page.skipped) {
		l.page.skipped = event
	}
}

// spill notes that a waiting delivery is in the store alone.
func (l *lane) spill(due time.Time) {
	l.horizon = sooner(l.horizon, due)
	if l.page != nil {
		l.page.spilled = sooner(l.page.spilled, due)
	}
}

// ripen moves the waiting deliveries whose time has come.
func (l *lane) ripen(now time.Time) {
	for len(l.waiting) > 0 && (l.settings.Closed || !l.waiting[0].Due.After(now)) {
		l.due.push(heap.Pop(&l.waiting).(Delivery))
	}
}

// reopen lets those wait again that a closed lane would have ended.
func (l *lane) reopen(now time.Time) {
	for range l.due.len() {
		if d := l.due.pop(); d.Due.After(now) {
			heap.Push(&l.waiting, d)
		} else {
			l.due.push(d)
		}
	}
}

// nextWake is when something of the lane comes due; zero is never. A horizon that has
// passed is no reason to wake: it makes the lane want a page as soon as one helps.
func (l *lane) nextWake(now time.Time) time.Time {
	wake := sooner(l.pageAfter, l.forget)
	if len(l.waiting) > 0 {
		wake = sooner(wake, l.waiting[0].Due)
	}
	if l.horizon.After(now) && !l.settings.Closed {
		wake = sooner(wake, l.horizon)
	}
	if opens := l.opens(); opens.After(now) && l.hasNext() && !l.settings.Closed {
		wake = sooner(wake, opens)
	}
	return wake
}

// idle says that there is nothing to send and nothing under way.
func (l *lane) idle() bool {
	return len(l.held) == 0 && !l.behind && l.horizon.IsZero() && l.page == nil && !l.wanted && !l.crowded && !l.queued
}

// calm says that there is nothing to remember of how the endpoint took what it got.
func (l *lane) calm(now time.Time) bool {
	return l.breaker.calm() && l.room >= l.settings.Concurrency && !l.opens().After(now)
}

// sooner returns the earlier of two instants, where zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// later returns the later of two instants; zero is before all.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// byWake is a heap of lanes, the soonest to wake on top.
type byWake []*lane

func (h byWake) Len() int           { return len(h) }
func (h byWake) Less(i, j int) bool { return h[i].wake.Before(h[j].wake) }
func (h byWake) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].wakeSlot, h[j].wakeSlot = i, j
}
func (h *byWake) Push(x any) {
	l := x.(*lane)
	l.wakeSlot = len(*h)
	*h = append(*h, l)
}
func (h *byWake) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.wakeSlot = -1
	return l
}
