package lane

import (
	"time"

	"github.com/neohook/neohook/store"
)

// lowest is a number that no event's key is below.
const lowest = 1

// Recover says that an endpoint may have open deliveries and sends of any kind in the store.
func (b *Board) Recover(now time.Time, tenant store.TenantKey, endpoint store.EndpointKey) {
	b.reread(now, tenant, endpoint, b.recoverAll)
}

// RereadFresh says that an endpoint may have fresh deliveries in the store, from a number
// upwards, that were never offered. Of those, and of what was offered with higher numbers,
// the order is kept.
func (b *Board) RereadFresh(now time.Time, tenant store.TenantKey, endpoint store.EndpointKey, from store.EventKey) {
	b.reread(now, tenant, endpoint, func(l *lane) { b.skipFrom(l, from) })
}

// RereadWaiting says that an endpoint may have deliveries that wait, and sends, in the store
// that were never handed over, none of them due before an instant.
func (b *Board) RereadWaiting(now time.Time, tenant store.TenantKey, endpoint store.EndpointKey, due time.Time) {
	at := beginning
	if !due.IsZero() {
		at.due = sooner(due, now).Truncate(time.Microsecond) // what is due later may keep others waiting until then
	}
	b.reread(now, tenant, endpoint, func(l *lane) { l.spillFrom(at) })
}

// Review is for where nobody knows what of a tenant is open: all that is held is let go of,
// and what is open is read again. All, as what is read again would else come behind what was
// accepted after it. What is out goes on, and is read again once it is recorded, or postponed.
func (b *Board) Review(now time.Time, tenant store.TenantKey) {
	b.tick(now)
	for _, endpoint := range b.EndpointsOf(tenant) {
		b.forgetAll(b.lanes[endpoint])
		b.Recover(now, tenant, endpoint)
	}
}

func (b *Board) reread(now time.Time, tenant store.TenantKey, endpoint store.EndpointKey, note func(*lane)) {
	b.tick(now)
	if !b.owns(tenant) {
		return
	}
	l := b.lane(tenant, endpoint)
	note(l)
	if b.recovering(tenant) {
		b.recoverAll(l) // there may be more
	}
	b.settle(l)
}

func (b *Board) recoverAll(l *lane) {
	l.skip(lowest)
	l.spillFrom(beginning)
}

// spillFrom notes that what waits is to be read from a place on, sends too.
func (l *lane) spillFrom(at horizon) {
	l.spill(WaitingPage, at)
	l.spill(SendPage, at)
}

// skipFrom notes that fresh deliveries, from a number upwards, are to be read, and lets go
// of those that are held or being read, as the others would else come behind them.
func (b *Board) skipFrom(l *lane, from store.EventKey) {
	above := func(event store.EventKey) bool { return event >= from }
	if l.page != nil && l.page.kind == FreshPage {
		l.page.gone = append(l.page.gone, above)
	}
	if l.fresh.len() > 0 && above(l.fresh.last().Event) {
		l.fresh.filter(b.open(l, above))
	}
	l.skip(from)
}

// comeBack is for what was out when its lane was let go of, and is out no more: where the
// tenant was taken over again since, what others have made of it is to be read.
func (b *Board) comeBack(l *lane, d *Delivery) {
	if l.left {
		return
	}
	switch {
	case d.kind() == FreshPage:
		b.skipFrom(l, d.Event)
	case d.Send == 0 && d.Tried == 0: // fresh in the store, and waits here since it was postponed
		b.skipFrom(l, lowest)
	}
	l.spillFrom(beginning)
}
