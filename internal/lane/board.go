package lane

import (
	"container/heap"
	"time"

	"github.com/neohook/neohook/store"
)

// Board is the lanes of a node and the order in which they send.
//
// A delivery's way through it: Offer, or a page, brings it in; Begin gives it out for
// sending; Finish says that the attempt is over; Record says that its outcome is stored.
type Board struct {
	limits Limits
	// now is the latest instant that a step was told; it never goes back.
	now time.Time

	lanes   map[store.EndpointKey]*lane
	spare   []*lane
	turns   turns
	wakes   byWake
	wanting queue[*lane]

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
	}
}

// Recover says that an endpoint may have open deliveries of any kind in the store.
func (b *Board) Recover(now time.Time, tenant store.TenantKey, endpoint store.EndpointKey) {
	b.tick(now)
	l := b.lane(tenant, endpoint)
	const lowest = 1 // no key is lower
	l.skip(lowest)
	l.from = lowest
	l.spill(now)
	b.settle(l)
}

// Offer brings in a fresh delivery that was just stored. For one endpoint the numbers
// must ascend from call to call.
func (b *Board) Offer(now time.Time, d Delivery) {
	b.tick(now)
	l := b.lane(d.Tenant, d.Endpoint)
	if l.behind || !b.hasRoom(l, d.bytes()) {
		l.skip(d.Event)
	} else {
		b.hold(l, d)
		l.fresh.push(d)
	}
	b.settle(l)
}

// Begin gives out the delivery whose turn it is, for one attempt, or false if there is
// nothing to send or a limit is reached. Each one ends with Finish and Record, or with
// Postpone.
func (b *Board) Begin() (Delivery, bool) {
	for b.flying < b.limits.Attempts && b.unrecorded < b.limits.Unrecorded {
		l := b.turns.take()
		if l == nil {
			break
		}
		d := l.next()
		l.flying++
		b.flying++
		b.unrecorded++
		b.settle(l)
		return d, true
	}
	return Delivery{}, false
}

// Finish says that the attempt of a delivery is over. Its place is free; the delivery is
// held until it is recorded.
func (b *Board) Finish(now time.Time, d Delivery) {
	b.tick(now)
	l := b.lanes[d.Endpoint]
	l.flying--
	b.flying--
	b.settle(l)
}

// Record says that the outcome of a finished delivery is stored: it has ended, or, with
// a retryAt, waits.
func (b *Board) Record(now time.Time, d Delivery, retryAt time.Time) {
	b.tick(now)
	l := b.lanes[d.Endpoint]
	b.unrecorded--
	if l.page != nil {
		l.page.recorded[d.Event] = struct{}{}
	}
	b.release(l, d)
	if !retryAt.IsZero() {
		d.Tried++
		d.Due, d.Payload = retryAt, nil
		if (l.horizon.IsZero() || retryAt.Before(l.horizon)) && b.hasRoom(l, 0) {
			b.hold(l, d)
			b.wait(l, d)
		} else {
			l.spill(retryAt)
		}
	}
	b.settle(l)
}

// Postpone takes back a delivery that was given out and could not be sent for a reason
// of our own. Nothing is counted; it is due again at the instant given.
func (b *Board) Postpone(now time.Time, d Delivery, until time.Time) {
	b.tick(now)
	l := b.lanes[d.Endpoint]
	l.flying--
	b.flying--
	b.unrecorded--
	b.release(l, d)
	d.Due, d.Payload = until, nil
	b.hold(l, d)
	b.wait(l, d)
	b.settle(l)
}

// Advance tells the time, so that what is due by now can be sent.
func (b *Board) Advance(now time.Time) {
	b.tick(now)
	for len(b.wakes) > 0 && !b.wakes[0].wake.After(b.now) {
		l := b.wakes[0]
		if !l.pageAfter.After(b.now) {
			l.pageAfter = time.Time{}
		}
		l.ripen(b.now)
		b.want(l)
		b.settle(l)
	}
}

// NextWake returns when Advance has something to do; zero is not before another step.
func (b *Board) NextWake() time.Time {
	if len(b.wakes) == 0 {
		return time.Time{}
	}
	return b.wakes[0].wake
}

// Stats are the present sizes of a Board.
type Stats struct {
	Lanes      int
	Rows       int
	Bytes      int64
	InFlight   int
	Unrecorded int
}

// Stats returns the present sizes.
func (b *Board) Stats() Stats {
	return Stats{
		Lanes: len(b.lanes), Rows: b.rows, Bytes: b.bytes,
		InFlight: b.flying, Unrecorded: b.unrecorded,
	}
}

// tick takes note of the time. A clock that was set back stands still here.
func (b *Board) tick(now time.Time) {
	if now.After(b.now) {
		b.now = now
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
		l = &lane{held: make(map[store.EventKey]struct{}), wakeSlot: -1}
	}
	l.tenant, l.endpoint = tenant, endpoint
	b.lanes[endpoint] = l
	return l
}

// settle gives a lane that has changed its place in the turns, the pages and the wakes,
// or lets it go.
func (b *Board) settle(l *lane) {
	if l.ready(&b.limits) {
		b.turns.add(l)
	}
	b.want(l)
	b.rewake(l)
	if l.idle() && !l.queued && l.wakeSlot < 0 {
		delete(b.lanes, l.endpoint)
		b.keepSpare(l)
	}
}

func (b *Board) want(l *lane) {
	if !l.wanted && l.wants(b.now, &b.limits) != 0 {
		l.wanted = true
		b.wanting.push(l)
	}
}

func (b *Board) rewake(l *lane) {
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

// keepSpare keeps the memory of an idle lane for the next one: most endpoints have one
// delivery at a time.
func (b *Board) keepSpare(l *lane) {
	const most, largest = 1024, 64
	if len(b.spare) < most && max(len(l.fresh.ring), len(l.due.ring), cap(l.waiting)) <= largest {
		*l = lane{held: l.held, fresh: l.fresh, due: l.due, waiting: l.waiting[:0], wakeSlot: -1}
		b.spare = append(b.spare, l)
	}
}

func (b *Board) hasRoom(l *lane, bytes int64) bool {
	return len(l.held) < max(1, (b.limits.Rows-b.rows)/shareOfFree) && b.rows < b.limits.Rows &&
		(bytes == 0 || l.bytes+bytes <= (b.limits.Bytes-b.bytes)/shareOfFree)
}

func (b *Board) hold(l *lane, d Delivery) {
	l.held[d.Event] = struct{}{}
	l.bytes += d.bytes()
	b.bytes += d.bytes()
	b.rows++
}

func (b *Board) release(l *lane, d Delivery) {
	delete(l.held, d.Event)
	l.bytes -= d.bytes()
	b.bytes -= d.bytes()
	b.rows--
}

func (b *Board) wait(l *lane, d Delivery) { heap.Push(&l.waiting, d) }
