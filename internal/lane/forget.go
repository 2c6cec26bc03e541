package lane

import (
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// Forget lets go of all that is for events of a tenant and is not open in the store any
// more, deliveries and sends, now and when a page brings it that is being read. gone must
// stay true of an event for good. What is in flight goes on, and does not come back. It
// looks at all that the tenant's lanes hold.
func (b *Board) Forget(now time.Time, tenant store.TenantKey, gone func(store.EventKey) bool) {
	b.tick(now)
	for _, endpoint := range b.EndpointsOf(tenant) {
		l := b.lanes[endpoint]
		b.forget(l, gone)
		for of, at := range l.held {
			event := store.EventKey(of)
			if of < 0 {
				event = l.outSends[of]
			}
			if at == out && gone(event) {
				l.held[of] = outNoMore
			}
		}
		if l.settings.Ordered && !l.retries.horizon.none() {
			l.spill(WaitingPage, horizon{due: b.now}) // it may have been what others wait for
		}
		b.settle(l)
	}
}

func (b *Board) forget(l *lane, gone func(store.EventKey) bool) {
	if l.page != nil {
		l.page.gone = append(l.page.gone, gone)
	}
	open := b.open(l, gone)
	l.fresh.filter(open)
	l.retries.filter(open)
	l.sends.filter(open)
}

// forgetAll lets go of all that is not out. What is out does not come back but from the store.
func (b *Board) forgetAll(l *lane) {
	b.forget(l, func(store.EventKey) bool { return true })
	l.unsettled = 0
	for of := range l.held {
		l.held[of] = outBefore
		if of > 0 && !slices.ContainsFunc(l.flights, func(f flight) bool { return f.of == of }) {
			l.unsettled++ // whatever came of it: its outcome may not be what is stored
		}
	}
}

// open is for the filter of a queue: it lets go of what is gone, and of what was dropped.
func (b *Board) open(l *lane, gone func(store.EventKey) bool) func(*Delivery) bool {
	return func(d *Delivery) bool {
		if l.held[d.ref()] == queuedNoMore {
			l.dropped--
		} else if !gone(d.Event) {
			return true
		}
		b.release(l, *d)
		return false
	}
}
