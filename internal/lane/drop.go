package lane

import (
	"time"

	"github.com/neohook/neohook/store"
)

// Drop lets go of an event's delivery, or of a send, if that is not 0, which is not open in
// the store any more, though it was not the outcome of an attempt that ended it. What is in
// flight goes on, and does not come back.
func (b *Board) Drop(now time.Time, endpoint store.EndpointKey, event store.EventKey, send store.SendKey) {
	b.tick(now)
	l, found := b.lanes[endpoint]
	if !found || l.left {
		return
	}
	of := (&Delivery{Event: event, Send: send}).ref()
	if l.page != nil {
		l.page.recorded[of] = struct{}{}
	}
	switch at, held := l.held[of]; {
	case !held:
		if l.settings.Ordered && !l.retries.horizon.none() {
			l.spill(WaitingPage, horizon{due: b.now}) // it may have been the one that others wait for
		}
	case at == queued:
		l.held[of] = queuedNoMore
		l.dropped++
	case at == out:
		l.held[of] = outNoMore
	}
	b.settle(l)
}

// bury forgets what was dropped and is first in its queue, so that whatever is first is
// open. The others follow when they are first, or when they are half of what is held.
func (b *Board) bury(l *lane) {
	const few = 32
	if l.dropped == 0 {
		return
	}
	open := func(d *Delivery) bool {
		if l.held[d.ref()] != queuedNoMore {
			return true
		}
		b.release(l, *d)
		l.dropped--
		return false
	}
	if l.dropped > max(few, len(l.held)/2) {
		l.fresh.filter(open)
		l.retries.filter(open)
		l.sends.filter(open)
		return
	}
	l.fresh.trim(open)
	l.retries.trim(open)
	l.sends.trim(open)
}
