package dispatch

import (
	"context"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
)

// courier makes attempts, one after another. The Dispatcher's mutex guards it.
type courier struct {
	ctx     context.Context //nolint:containedctx // of one attempt after another, until one is cut
	cancel  context.CancelFunc
	carries lane.Delivery
	// landed, if somebody waits for it, is closed when the attempt under way has ended.
	landed chan struct{}
	cut    bool
}

// take gives a courier its next delivery. parent is the context of all attempts.
func (c *courier) take(parent context.Context, delivery lane.Delivery) {
	if c.ctx == nil || c.cut {
		c.ctx, c.cancel = context.WithCancel(parent)
		c.cut = false
	}
	c.carries = delivery
}

// abort cuts the attempt under way off.
func (c *courier) abort() {
	c.cut = true
	c.cancel()
}

// land ends the attempt under way.
func (c *courier) land() {
	if c.landed != nil {
		close(c.landed)
		c.landed = nil
	}
	c.carries = lane.Delivery{} // let go of the payload
}

// Forget lets go of all that is for events of a tenant and is not open in the store any
// more; gone must stay true of an event for good. When it returns, no attempt for them
// begins.
func (d *Dispatcher) Forget(now time.Time, tenant store.TenantKey, gone func(store.EventKey) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.Forget(now, tenant, gone)
	d.start() // others may have waited for them
}

// Review is for where nobody knows what of a tenant is open: it is read again.
func (d *Dispatcher) Review(now time.Time, tenant store.TenantKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board.Review(now, tenant)
	d.start()
}

// Cut returns when no attempt is in flight any more that was made for such events of a
// tenant. Those that do not end within patience are cut off, uncounted. It returns the
// error of ctx where that ends before an adapter has let go.
func (d *Dispatcher) Cut(ctx context.Context, tenant store.TenantKey, gone func(store.EventKey) bool, patience time.Duration) error {
	return d.cut(ctx, func(of *lane.Delivery) bool { return of.Tenant == tenant && gone(of.Event) }, patience)
}

func (d *Dispatcher) cut(ctx context.Context, which func(*lane.Delivery) bool, patience time.Duration) error {
	waits := make(map[*courier]chan struct{})
	d.mu.Lock()
	for c := range d.couriers {
		if which(&c.carries) {
			if c.landed == nil {
				c.landed = make(chan struct{})
			}
			waits[c] = c.landed
		}
	}
	d.mu.Unlock()
	if len(waits) == 0 {
		return nil
	}
	late := time.AfterFunc(patience, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for c, landed := range waits {
			if c.landed == landed {
				c.abort()
			}
		}
	})
	defer late.Stop()
	for _, landed := range waits {
		select {
		case <-landed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
