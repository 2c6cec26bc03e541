package dispatch

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
)

// Share is how a Dispatcher is one of several that share the tenants of a store. It has
// none of them until it is given some by Own.
type Share struct {
	// Holds says whether anything may begin now. It must be quick.
	Holds func() bool
	// LanesIn and FreshOf are those of a store.Cluster.
	FreshOf func(ctx context.Context, from []store.FreshFrom, limit int) ([]store.FreshPage, error)
	LanesIn func(ctx context.Context, buckets []store.Bucket, after store.EndpointKey, limit int) ([]store.Lane, error)
}

// Share makes the Dispatcher one of several, before Run and in place of Recover.
func (d *Dispatcher) Share(share Share) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.share = &share
	d.board.Share()
}

// Own takes over the tenants of buckets, which nobody else sends for any more. It must come
// in the turn of whoever hands over what is stored. Recovered is to follow.
func (d *Dispatcher) Own(now time.Time, buckets []store.Bucket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.Own(now, buckets)
}

// Recovered finds what is open for the tenants of buckets that were taken over.
func (d *Dispatcher) Recovered(ctx context.Context, buckets []store.Bucket) error {
	err := d.recover(ctx, func(ctx context.Context, after store.EndpointKey, limit int) ([]store.Lane, error) {
		return d.share.LanesIn(ctx, buckets, after, limit)
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.Owned(buckets)
	d.start()
	return nil
}

// Disown lets go of the tenants of buckets: no attempt for them begins any more, and what is
// said of them is passed over. What is in flight goes on, until Cut.
func (d *Dispatcher) Disown(now time.Time, buckets []store.Bucket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.Disown(now, buckets)
	d.start() // others may have waited for their places
}

// CutOff cuts off what is in flight for tenants of buckets, uncounted, where it does not end
// within patience, and returns when nothing is; or with the error of ctx.
func (d *Dispatcher) CutOff(ctx context.Context, buckets []store.Bucket, patience time.Duration) error {
	return d.cut(ctx, func(of *lane.Delivery) bool { return slices.Contains(buckets, store.BucketOf(of.Tenant)) }, patience)
}

// Leaving counts what is between its beginning and the recording of its outcome, for the
// tenants of buckets that were let go of.
func (d *Dispatcher) Leaving(buckets []store.Bucket) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.board.Leaving(buckets)
}

// Suspend cuts off everything in flight, uncounted, as nothing may be begun; or has what may
// begin again begin.
func (d *Dispatcher) Suspend(suspended bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !suspended {
		d.start()
		return
	}
	for c := range d.couriers {
		c.abort()
	}
}

// RereadFresh says that an endpoint may have fresh deliveries, from an event upwards, that
// were never handed over.
func (d *Dispatcher) RereadFresh(now time.Time, tenant store.TenantKey, endpoint store.EndpointKey, from store.EventKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.RereadFresh(now, tenant, endpoint, from)
	d.start()
}

// RereadWaiting says that an endpoint may have deliveries that wait, and sends, that were
// never handed over, none of them due before an instant.
func (d *Dispatcher) RereadWaiting(now time.Time, tenant store.TenantKey, endpoint store.EndpointKey, due time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.RereadWaiting(now, tenant, endpoint, due)
	d.start()
}

// DropOf is Drop for a delivery of somebody else's ending, or for a send, if that is not 0.
func (d *Dispatcher) DropOf(now time.Time, endpoint store.EndpointKey, event store.EventKey, send store.SendKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.Drop(now, endpoint, event, send)
	d.start()
}

// InFlight lists the events of a tenant for which an attempt is in flight.
func (d *Dispatcher) InFlight(tenant store.TenantKey) (events []store.EventKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.couriers {
		if c.carries.Tenant == tenant {
			events = append(events, c.carries.Event)
		}
	}
	slices.Sort(events)
	return slices.Compact(events)
}

// begin gives out what may begin now. The mutex is held.
func (d *Dispatcher) begin(now time.Time) (lane.Delivery, bool) {
	if d.sending == nil || d.share != nil && !d.share.Holds() {
		return lane.Delivery{}, false
	}
	return d.board.Begin(now)
}
