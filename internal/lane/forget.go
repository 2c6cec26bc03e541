package lane

import (
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
		if l.settings.Ordered && !l.retries.horizon.IsZero() {
			l.spill(WaitingPage, b.now) // it may have been what others wait for
		}
		b.settle(l)
	}
}

// Review is for where nobody knows what of a tenant is open: all that is held, and not in
// flight, is let go of, and what is open is read again. All, as what is read again would
// else come behind what was accepted after it.
func (b *Board) Review(now time.Time, tenant store.TenantKey) {
	b.tick(now)
	for _, endpoint := range b.EndpointsOf(tenant) {
		b.forget(b.lanes[endpoint], func(store.EventKey) bool { return true })
		b.Recover(now, tenant, endpoint)
	}
}

func (b *Board) forget(l *lane, gone func(store.EventKey) bool) {
	if l.page != nil {
		l.page.gone = append(l.page.gone, gone)
	}
	open := func(d *Delivery) bool {
		if l.held[d.ref()] == queuedNoMore {
			l.dropped--
		} else if !gone(d.Event) {
			return true
		}
		b.release(l, *d)
		return false
	}
	l.fresh.filter(open)
	l.retries.filter(open)
	l.sends.filter(open)
}
