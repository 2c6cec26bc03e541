package lane

import (
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// lane is an endpoint's open deliveries and sends.
//
// Each of them is either in held, or only in the store; and then it is fresh with a number
// of at least from, while behind, or waits and is not before the horizon of its kind.
type lane struct {
	tenant   store.TenantKey
	endpoint store.EndpointKey
	settings Settings
	doubtful bool // the settings may be old

	held    map[ref]place // queued, waiting, in flight or not recorded yet
	dropped int           // of them, those that are dropped and have not left their queues
	// outSends is the events of those sends that are given out and not recorded yet.
	outSends map[ref]store.EventKey
	bytes    int64
	fresh    queue[Delivery]
	retries  waits
	sends    waits
	// These count, to share turns between fresh and retried, and between them and sends.
	turn, turnBesideSends int
	// passed counts the turns that were left to others in a row.
	passed int

	behind bool
	from   store.EventKey

	flights []flight
	// unsettled counts attempts of deliveries that are over and whose delivery is to wait,
	// as soon as that is recorded, or may be to wait.
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
	lastPage  PageKind
	pageAfter time.Time // a page failed: not again before this

	// left says that the tenant was let go of: there is only what is out.
	left bool

	queued   bool // has a place in the turns
	crowded  bool // waits for a place among the attempts that may be slow
	wanted   bool // has a place among the pages to ask for
	forget   time.Time
	wake     time.Time
	wakeSlot int // in the heap of wakes; -1 is none
}

// place is where something is that a lane holds.
type place uint8

const (
	queued       place = iota // in fresh, or in one of the waits
	out                       // given out, and not recorded yet
	queuedNoMore              // dropped, and to be left out when its turn comes
	outNoMore                 // dropped while it was out
	outBefore                 // out since before the lane, or all that it held, was let go of
)

// flight is an attempt that has begun and not finished.
type flight struct {
	of    ref
	began time.Time
	probe bool
}

// pageInFlight notes what happened while a page was being read, since the reading may
// have seen the time before or after.
type pageInFlight struct {
	number uint64 // tells it apart from those that were asked for before
	kind   PageKind
	// recorded holds what was recorded or dropped meanwhile: what the page says of it may
	// be out of date.
	recorded map[ref]struct{}
	// skipped is the lowest number that went to the store alone meanwhile; 0 is none.
	skipped store.EventKey
	// spilled is the first of its kind that went to the store alone meanwhile.
	spilled horizon
	// gone says of which events nothing is open any more since meanwhile, or is to be read
	// again.
	gone []func(store.EventKey) bool
	// configured says that the settings changed meanwhile: those of the page may be old.
	configured bool
}

// inOrder says that the lane keeps to one thing at a time.
func (l *lane) inOrder() bool { return l.settings.Ordered && !l.settings.Closed }

// hasDelivery says whether a delivery may be next by the order of the lane.
func (l *lane) hasDelivery() bool {
	if !l.inOrder() {
		return l.retries.due.len()+l.fresh.len() > 0
	}
	if l.unsettled > 0 {
		return false
	}
	// What waits came first.
	return l.retries.due.len() > 0 || (l.fresh.len() > 0 && len(l.retries.waiting) == 0 && l.retries.horizon.none())
}

// hasNext says whether there is something to send next. Sends are outside the order, but
// nothing is sent beside anything else where there is one.
func (l *lane) hasNext() bool {
	if l.inOrder() && len(l.flights) > 0 {
		return false
	}
	return l.sends.due.len() > 0 || l.hasDelivery()
}

// takesIn says that what is stored for the endpoint is held, as far as there is room. What
// can't be sent for now takes no room from others.
func (l *lane) takesIn() bool { return l.settings.known() && !l.settings.Paused }

// due is how many may be sent as far as their own time is concerned.
func (l *lane) due() int { return l.fresh.len() + l.retries.due.len() + l.sends.due.len() }

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
	if l.doubtful {
		return false
	}
	if l.settings.Closed {
		return len(l.flights) < l.settings.Concurrency && l.hasNext()
	}
	return !l.settings.Paused && len(l.flights) < min(l.room, l.settings.Concurrency) && l.hasNext() &&
		!l.opens().After(now) && l.breaker.allows(now)
}

// next removes what is next; there must be something.
func (l *lane) next() Delivery {
	delivery := l.hasDelivery()
	if l.sends.due.len() > 0 {
		if l.turnBesideSends++; !delivery || l.turnBesideSends%sendTurn == 0 {
			return l.sends.due.pop()
		}
	}
	switch {
	case l.fresh.len() == 0:
		return l.retries.due.pop()
	case l.retries.due.len() == 0:
		return l.fresh.pop()
	}
	if l.turn++; l.settings.Ordered || l.turn%retryTurn == 0 {
		return l.retries.due.pop()
	}
	return l.fresh.pop()
}

// passes says that the lane leaves its turn to others, as it has nothing but sends, and
// has not yet left them enough.
func (l *lane) passes() bool {
	if l.settings.Closed || l.hasDelivery() {
		return false
	}
	l.passed = (l.passed + 1) % (sendTurn - 1) // behind its own turn comes one of the others anyway
	return l.passed != 0
}

// land ends a flight and returns it.
func (l *lane) land(of ref) flight {
	i := slices.IndexFunc(l.flights, func(f flight) bool { return f.of == of })
	landed := l.flights[i]
	l.flights = slices.Delete(l.flights, i, i+1)
	return landed
}

// isFlying says whether an attempt is still in flight.
func (l *lane) isFlying(of ref, began time.Time) bool {
	return slices.ContainsFunc(l.flights, func(f flight) bool { return f.of == of && f.began.Equal(began) })
}

// sendOut notes that a send is given out.
func (l *lane) sendOut(d *Delivery) {
	if l.outSends == nil {
		l.outSends = make(map[ref]store.EventKey)
	}
	l.outSends[d.ref()] = d.Event
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
	if !l.behind || event < l.from {
		l.behind, l.from = true, event
	}
	if l.page != nil && (l.page.skipped == 0 || event < l.page.skipped) {
		l.page.skipped = event
	}
}

// waits is those that a kind of page brings.
func (l *lane) waits(kind PageKind) *waits {
	if kind == SendPage {
		return &l.sends
	}
	return &l.retries
}

// spill notes that something that waits is in the store alone, and not before a place.
func (l *lane) spill(kind PageKind, at horizon) {
	w := l.waits(kind)
	w.horizon = w.horizon.sooner(at)
	if l.page != nil && l.page.kind == kind {
		l.page.spilled = l.page.spilled.sooner(at)
	}
}

// ripen moves what waits and whose time has come; where the lane is closed, everything.
func (l *lane) ripen(now time.Time) {
	l.retries.ripen(now, l.settings.Closed)
	l.sends.ripen(now, l.settings.Closed)
}

// nextWake is when something of the lane comes due; zero is never.
func (l *lane) nextWake(now time.Time) time.Time {
	wake := sooner(l.pageAfter, l.forget)
	wake = sooner(wake, l.retries.nextWake(now, l.settings.Closed))
	wake = sooner(wake, l.sends.nextWake(now, l.settings.Closed))
	if opens := l.opens(); opens.After(now) && l.hasNext() && !l.settings.Paused && !l.settings.Closed {
		wake = sooner(wake, opens)
	}
	return wake
}

// idle says that there is nothing to send and nothing under way.
func (l *lane) idle() bool {
	return len(l.held) == 0 && !l.behind && l.retries.horizon.none() && l.sends.horizon.none() &&
		l.page == nil && !l.wanted && !l.crowded && !l.queued
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
