package lane

import (
	"container/heap"
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

	held    map[store.EventKey]struct{} // queued, waiting, in flight or not recorded yet
	bytes   int64
	fresh   queue[Delivery]
	due     queue[Delivery] // retries whose time has come
	waiting byDue
	flying  int
	turn    int // counts, to share turns between fresh and due

	behind  bool
	from    store.EventKey
	horizon time.Time // zero: nothing waits in the store alone

	page      *pageInFlight // nil when none was asked for
	pageAfter time.Time     // a page failed: not again before this

	queued   bool // has a place in the turns
	wanted   bool // has a place among the pages to ask for
	wake     time.Time
	wakeSlot int // in the heap of wakes; -1 is none
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
}

func (l *lane) ready(limits *Limits) bool {
	return l.flying < limits.EndpointConcurrency && (l.fresh.len() > 0 || l.due.len() > 0)
}

// next removes the delivery whose turn it is; the lane must be ready.
func (l *lane) next() Delivery {
	if l.fresh.len() == 0 {
		return l.due.pop()
	}
	if l.due.len() > 0 {
		l.turn++
		if l.turn%retryTurn == 0 {
			return l.due.pop()
		}
	}
	return l.fresh.pop()
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
	for len(l.waiting) > 0 && !l.waiting[0].Due.After(now) {
		l.due.push(heap.Pop(&l.waiting).(Delivery))
	}
}

// nextWake is when something of the lane comes due; zero is never. A horizon that has
// passed is no reason to wake: it makes the lane want a page as soon as one helps.
func (l *lane) nextWake(now time.Time) time.Time {
	wake := l.pageAfter
	if len(l.waiting) > 0 {
		wake = sooner(wake, l.waiting[0].Due)
	}
	if l.horizon.After(now) {
		wake = sooner(wake, l.horizon)
	}
	return wake
}

// idle says that there is nothing to remember.
func (l *lane) idle() bool {
	return len(l.held) == 0 && !l.behind && l.horizon.IsZero() && l.page == nil && !l.wanted
}

// sooner returns the earlier of two instants, where zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
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
