package lane

import (
	"container/heap"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// Board is the lanes of a node and the order in which they send.
//
// A delivery's way through it: Offer, Await, or a page, brings it in; Begin gives it out
// for sending; Finish says what came of the attempt; Record says that the outcome is
// stored. A send goes the same way.
type Board struct {
	limits Limits
	// now is the latest instant that a step was told; it never goes back. born is the first.
	now, born time.Time

	lanes   map[store.EndpointKey]*lane
	spare   []*lane
	turns   turns
	crowd   crowd
	wakes   byWake
	wanting queue[*lane]
	paused  bool

	// holdings is how it stands to the tenants of each bucket; nil is that all are its own.
	holdings []holding
	left     map[store.EndpointKey]*lane // those of lanes
	lastPage uint64

	rows       int
	bytes      int64
	flying     int
	unrecorded int
}

// New returns an empty Board.
func New(limits Limits) *Board {
	return &Board{
		limits: limits,
		lanes:  make(map[store.EndpointKey]*lane),
		turns:  turns{tenants: make(map[store.TenantKey]*tenantTurns)},
		crowd:  newCrowd(limits.Attempts),
		left:   make(map[store.EndpointKey]*lane),
	}
}

// Offer brings in a fresh delivery that was just stored. For one endpoint the numbers
// must ascend from call to call. Settings that are not known yet come with a page.
func (b *Board) Offer(now time.Time, d Delivery, settings Settings) {
	if b.seeks(now, &d) {
		return
	}
	l := b.lane(d.Tenant, d.Endpoint)
	b.configure(l, settings)
	if _, held := l.held[d.ref()]; held {
		return // a page that was read between the commit and now has brought it
	}
	if l.behind || !l.takesIn() || !b.hasRoom(l, d.bytes()) {
		l.skip(d.Event)
	} else {
		b.hold(l, d)
		l.fresh.push(d)
	}
	b.settle(l)
}

// Await brings in what was just stored and is not fresh: a delivery that waits, or a send.
func (b *Board) Await(now time.Time, d Delivery, settings Settings) {
	if b.seeks(now, &d) {
		return
	}
	l := b.lane(d.Tenant, d.Endpoint)
	b.configure(l, settings)
	if _, held := l.held[d.ref()]; held {
		return
	}
	b.await(l, d)
	b.settle(l)
}

// seeks says that what was just stored need not be taken in: its tenant is somebody else's,
// or its lane is read from the store.
func (b *Board) seeks(now time.Time, d *Delivery) bool {
	b.tick(now)
	if b.holdings == nil || b.owns(d.Tenant) && !b.recovering(d.Tenant) {
		return false
	}
	b.Recover(now, d.Tenant, d.Endpoint)
	return true
}

// await holds something that waits, if it may be held.
func (b *Board) await(l *lane, d Delivery) {
	if !l.takesIn() || !l.waits(d.kind()).reaches(d.Due) || !b.hasRoom(l, 0) {
		l.spill(d.kind(), d.stands())
		return
	}
	b.hold(l, d)
	b.wait(l, d)
	l.ripen(b.now)
}

// Has says whether there is a lane of an endpoint, which Configure would change.
func (b *Board) Has(endpoint store.EndpointKey) bool {
	l, found := b.lanes[endpoint]
	return found && !l.left
}

// EndpointsOf lists the endpoints of a tenant that have a lane. It looks at all lanes.
func (b *Board) EndpointsOf(tenant store.TenantKey) (endpoints []store.EndpointKey) {
	for endpoint, l := range b.lanes {
		if l.tenant == tenant && !l.left {
			endpoints = append(endpoints, endpoint)
		}
	}
	slices.Sort(endpoints)
	return endpoints
}

// Configure changes how an endpoint is sent to, from the next attempt on.
func (b *Board) Configure(now time.Time, endpoint store.EndpointKey, settings Settings) {
	b.tick(now)
	if l, found := b.lanes[endpoint]; found && !l.left {
		if l.page != nil {
			l.page.configured = true
		}
		b.configure(l, settings)
		b.settle(l)
	}
}

// Doubt says that an endpoint has changed, and nobody could read how: nothing is sent to
// it until a page has brought its settings.
func (b *Board) Doubt(now time.Time, endpoint store.EndpointKey) {
	b.tick(now)
	if l, found := b.lanes[endpoint]; found && !l.left {
		l.doubtful = true
		if l.page != nil {
			l.page.configured = true
		}
		b.settle(l)
	}
}

// Pause lets nothing begin at any endpoint, or lets all go on.
func (b *Board) Pause(now time.Time, paused bool) {
	b.tick(now)
	b.paused = paused
}

// Begin gives out the delivery whose turn it is, for one attempt, or false if there is
// nothing to send now or a limit is reached. Each one ends with Finish and Record, or
// with Postpone.
func (b *Board) Begin(now time.Time) (Delivery, bool) {
	b.tick(now)
	if b.paused { // who has a place in the turns keeps it
		return Delivery{}, false
	}
	for b.flying < b.limits.Attempts && b.unrecorded < b.limits.Unrecorded {
		l := b.turns.take(b.now)
		switch {
		case l == nil:
			return Delivery{}, false
		case !l.ready(b.now):
			b.settle(l)
		case !b.crowd.admits(l):
			b.crowd.wait(l)
		default:
			return b.begin(l), true
		}
	}
	return Delivery{}, false
}

func (b *Board) begin(l *lane) Delivery {
	d := l.next()
	d.Ending = l.settings.Closed
	l.held[d.ref()] = out
	if d.Send != 0 {
		l.sendOut(&d)
	}
	f := flight{of: d.ref(), began: b.now}
	if !l.settings.Closed { // else nothing is sent
		f.probe = l.breaker.open
		l.breaker.begin()
		l.pace.take(b.now, l.settings.Rate)
		b.turns.spend(l, b.now)
	}
	l.flights = append(l.flights, f)
	b.crowd.begin(l, f)
	b.flying++
	b.unrecorded++
	b.settle(l)
	return d
}

// Finish says what came of an attempt. Its place is free; the delivery is held until it
// is recorded.
func (b *Board) Finish(now time.Time, d Delivery, result Result) {
	b.tick(now)
	l := b.lanes[d.Endpoint]
	if d.Send == 0 && (!result.Ends || l.held[d.ref()] == outBefore) {
		l.unsettled++
	}
	b.land(l, d, result)
	b.settle(l)
}

// Record says that the outcome of a finished delivery is stored: it has ended, or, with
// a retryAt, waits, as the Result of its attempt said.
func (b *Board) Record(now time.Time, d Delivery, retryAt time.Time) {
	b.tick(now)
	l := b.lanes[d.Endpoint]
	b.unrecorded--
	if l.page != nil {
		l.page.recorded[d.ref()] = struct{}{}
	}
	at := l.held[d.ref()]
	if d.Send == 0 && (!retryAt.IsZero() || at == outBefore) {
		l.unsettled--
	}
	b.release(l, d)
	switch {
	case at == outBefore && !l.left:
		l.spillFrom(beginning) // something else may have become of it
	case at == out && !retryAt.IsZero():
		d.Tried++
		d.Due, d.Payload = retryAt, nil
		b.await(l, d)
	}
	b.settle(l)
}

// Postpone takes back a delivery that was given out and could not be sent for a reason
// of our own. Nothing is counted; it is due again at the instant given.
func (b *Board) Postpone(now time.Time, d Delivery, until time.Time) {
	b.tick(now)
	l := b.lanes[d.Endpoint]
	b.unrecorded--
	at := l.held[d.ref()]
	b.release(l, d)
	switch at {
	case outBefore:
		b.comeBack(l, &d)
	case out:
		d.Due, d.Payload, d.Ending = later(d.Due, until), nil, false
		b.hold(l, d)
		b.wait(l, d)
	}
	b.land(l, d, Result{})
	b.settle(l)
}

// land ends the flight of a delivery and lets its lane learn from it.
func (b *Board) land(l *lane, d Delivery, result Result) {
	b.flying--
	b.crowd.end(l)
	landed := l.land(d.ref())
	if !l.left {
		l.learn(b.now, result, landed)
	}
	if result.Verdict != Nothing {
		b.crowd.judge(l, result.Verdict != Timeout && b.now.Sub(landed.began) <= slowAfter)
	}
	b.letIn()
}

// letIn gives lanes that waited for a place among the slow their turn.
func (b *Board) letIn() {
	for range b.crowd.limit - b.crowd.flying {
		l := b.crowd.takeIn()
		if l == nil {
			return
		}
		b.settle(l)
	}
}

// Advance tells the time, so that what is due by now can be sent.
func (b *Board) Advance(now time.Time) {
	b.tick(now)
	b.turns.rouse(b.now)
	for len(b.wakes) > 0 && !b.wakes[0].wake.After(b.now) {
		l := b.wakes[0]
		if !l.pageAfter.After(b.now) {
			l.pageAfter = time.Time{}
		}
		l.ripen(b.now)
		b.settle(l)
	}
}

// NextWake returns when Advance has something to do; zero is not before another step.
func (b *Board) NextWake() time.Time {
	wake := b.turns.nextWake()
	if len(b.wakes) > 0 {
		wake = sooner(wake, b.wakes[0].wake)
	}
	return wake
}

// tick takes note of the time. A clock that was set back stands still here.
func (b *Board) tick(now time.Time) {
	if b.born.IsZero() {
		b.born = now
	}
	if now.After(b.now) {
		b.now = now
	}
	for b.crowd.aging.len() > 0 && b.now.Sub(b.crowd.aging.peek().began) > slowAfter {
		old := b.crowd.aging.pop()
		if l, found := b.lanes[old.endpoint]; found && l.isFlying(old.of, old.began) {
			b.crowd.judge(l, false)
		}
	}
}

func (b *Board) lane(tenant store.TenantKey, endpoint store.EndpointKey) *lane {
	l, found := b.lanes[endpoint]
	if found {
		return l
	}
	if last := len(b.spare) - 1; last >= 0 {
		l, b.spare = b.spare[last], b.spare[:last]
	} else {
		l = &lane{held: make(map[ref]place), wakeSlot: -1}
	}
	l.tenant, l.endpoint = tenant, endpoint
	_, l.steady = b.crowd.steady[endpoint]
	b.lanes[endpoint] = l
	return l
}

func (b *Board) configure(l *lane, settings Settings) {
	switch {
	case !settings.known():
		return
	case !l.settings.known():
		l.room = settings.Concurrency
		if settings.Rate > 0 { // a new owner begins without a token
			l.pace.next = b.since(l.tenant).Add(interval(settings.Rate))
		}
	case l.room >= l.settings.Concurrency:
		l.room = settings.Concurrency
	}
	l.doubtful = false
	if l.settings.Closed && !settings.Closed { // what would have been ended waits again
		l.retries.unripen(b.now)
		l.sends.unripen(b.now)
	}
	if settings.Ordered && !l.settings.Ordered && !l.retries.horizon.none() {
		l.spill(WaitingPage, horizon{due: b.now}) // is there still something that others must wait for?
	}
	l.settings = settings
	l.ripen(b.now)
}

// settle gives a lane that has changed its place in the turns, the pages and the wakes,
// or lets it go.
func (b *Board) settle(l *lane) {
	if l.left {
		b.bid(l)
		return
	}
	b.bury(l)
	if !l.crowded && l.ready(b.now) {
		b.turns.add(l, b.since)
	}
	b.want(l)
	if l.idle() {
		b.retire(l)
	} else {
		l.forget = time.Time{}
	}
	b.rewake(l)
}

// retire lets go of an idle lane: at once, or, while there is something to remember of
// its endpoint, after some time, and not before its receiver wants to be sent to again.
func (b *Board) retire(l *lane) {
	const remembered = 10 * time.Minute
	switch {
	case l.calm(b.now), !l.forget.IsZero() && !l.forget.After(b.now):
		if l.wakeSlot >= 0 {
			heap.Remove(&b.wakes, l.wakeSlot)
		}
		b.crowd.remember(l)
		delete(b.lanes, l.endpoint)
		b.keepSpare(l)
	case l.forget.IsZero():
		l.forget = later(b.now.Add(remembered), l.hold)
	}
}

func (b *Board) want(l *lane) {
	if !l.wanted && l.wants(b.now, &b.limits) != 0 {
		l.wanted = true
		b.wanting.push(l)
	}
}

func (b *Board) rewake(l *lane) {
	if b.lanes[l.endpoint] != l {
		return // let go
	}
	wake := l.nextWake(b.now)
	switch {
	case wake.IsZero() && l.wakeSlot >= 0:
		heap.Remove(&b.wakes, l.wakeSlot)
	case wake.IsZero():
	case l.wakeSlot < 0:
		l.wake = wake
		heap.Push(&b.wakes, l)
	case !wake.Equal(l.wake):
		l.wake = wake
		heap.Fix(&b.wakes, l.wakeSlot)
	}
}

// keepSpare keeps the memory of a lane for the next one: most endpoints have one
// delivery at a time.
func (b *Board) keepSpare(l *lane) {
	const most, largest = 1024, 64
	if len(b.spare) < most && max(len(l.fresh.ring), l.retries.capacity(), l.sends.capacity()) <= largest {
		*l = lane{held: l.held, fresh: l.fresh, retries: l.retries.emptied(), sends: l.sends.emptied(), flights: l.flights[:0], wakeSlot: -1}
		b.spare = append(b.spare, l)
	}
}

func (b *Board) hasRoom(l *lane, bytes int64) bool {
	return len(l.held) < max(1, (b.limits.Rows-b.rows)/shareOfFree) && b.rows < b.limits.Rows &&
		(bytes == 0 || l.bytes+bytes <= (b.limits.Bytes-b.bytes)/shareOfFree)
}

func (b *Board) hold(l *lane, d Delivery) {
	l.held[d.ref()] = queued
	if kind := d.kind(); kind != FreshPage {
		l.waits(kind).held++
	}
	l.bytes += d.bytes()
	b.bytes += d.bytes()
	b.rows++
}

func (b *Board) release(l *lane, d Delivery) {
	delete(l.held, d.ref())
	delete(l.outSends, d.ref())
	if kind := d.kind(); kind != FreshPage {
		l.waits(kind).held--
	}
	l.bytes -= d.bytes()
	b.bytes -= d.bytes()
	b.rows--
}

func (b *Board) wait(l *lane, d Delivery) { heap.Push(&l.waits(d.kind()).waiting, d) }
