package lane

import (
	"container/heap"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// holding is how a Board stands to the tenants of a bucket.
type holding struct {
	// since is when they were taken over; zero is that they are somebody else's.
	since time.Time
	// recovering says that what is open for them in the store is being looked for.
	recovering bool
}

// Share makes an empty Board one of several that share the tenants: it has none of them
// until they are taken over.
func (b *Board) Share() { b.holdings = make([]holding, store.BucketCount) }

// Own takes over the tenants of buckets. Their rates begin without a token, since whoever
// had them before may have sent a moment ago. From then on, all their lanes that have
// something in the store are looked for and given to Recover, until Owned; what is offered
// meanwhile is looked for with what came before it.
func (b *Board) Own(now time.Time, buckets []store.Bucket) {
	b.tick(now)
	for _, bucket := range buckets {
		b.holdings[bucket] = holding{since: b.now, recovering: true}
	}
	for endpoint, l := range b.left {
		if b.owns(l.tenant) {
			l.left = false
			delete(b.left, endpoint)
		}
	}
}

// Owned says that all lanes of buckets that had something in the store were given to
// Recover.
func (b *Board) Owned(buckets []store.Bucket) {
	for _, bucket := range buckets {
		b.holdings[bucket].recovering = false
	}
}

// Disown lets go of the tenants of buckets: nothing begins for them any more, and what is
// said of them is ignored. Of their lanes is kept what is between its Begin and its
// Record, or Postpone, which does not come back. It looks at all lanes.
func (b *Board) Disown(now time.Time, buckets []store.Bucket) {
	b.tick(now)
	for _, bucket := range buckets {
		b.holdings[bucket] = holding{}
	}
	b.turns.disown(b.owns)
	for _, l := range b.lanes {
		if !l.left && !b.owns(l.tenant) {
			b.leave(l)
		}
	}
	stays := func(l **lane) bool { return !(*l).left }
	b.wanting.filter(stays)
	b.crowd.waiting.filter(stays)
	b.wakes = slices.DeleteFunc(b.wakes, func(l *lane) bool { return l.left })
	for slot, l := range b.wakes {
		l.wakeSlot = slot
	}
	heap.Init(&b.wakes)
	for _, l := range b.left {
		b.bid(l)
	}
}

// Leaving counts what is between its Begin and its Record, or Postpone, for tenants of
// buckets that were let go of.
func (b *Board) Leaving(buckets []store.Bucket) (count int) {
	for _, l := range b.left {
		if slices.Contains(buckets, store.BucketOf(l.tenant)) {
			count += len(l.held)
		}
	}
	return count
}

// owns says whether a tenant is the Board's.
func (b *Board) owns(tenant store.TenantKey) bool { return !b.since(tenant).IsZero() }

// since is when a tenant was taken over; zero is that it is somebody else's.
func (b *Board) since(tenant store.TenantKey) time.Time {
	if b.holdings == nil {
		return b.born
	}
	return b.holdings[store.BucketOf(tenant)].since
}

// recovering says that a tenant's lanes may not know yet of what is in the store.
func (b *Board) recovering(tenant store.TenantKey) bool {
	return b.holdings != nil && b.holdings[store.BucketOf(tenant)].recovering
}

// leave lets go of a lane but for what is out.
func (b *Board) leave(l *lane) {
	b.forgetAll(l)
	left := lane{
		tenant: l.tenant, endpoint: l.endpoint, left: true,
		held: l.held, outSends: l.outSends, bytes: l.bytes, flights: l.flights, unsettled: l.unsettled,
		fresh: l.fresh, retries: l.retries.emptied(), sends: l.sends.emptied(),
		steady: l.steady, wakeSlot: -1,
	}
	left.retries.held, left.sends.held = l.retries.held, l.sends.held
	*l = left
	b.left[l.endpoint] = l
}

// bid forgets a lane that was left, as soon as nothing of it is out.
func (b *Board) bid(l *lane) {
	if len(l.held) == 0 {
		delete(b.left, l.endpoint)
		delete(b.lanes, l.endpoint)
		delete(b.crowd.steady, l.endpoint)
	}
}
