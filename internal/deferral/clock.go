// Package deferral sees to it that deferred events go out when their time has come.
//
// They wait in the store, however many they are; in memory is only when the first of them
// is due. What is due is matched to endpoints as they are by then, and its deliveries are
// opened, a bounded number in a transaction, between two batches of the writer. What came
// due while nobody was there comes at once.
package deferral

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/store"
)

const (
	// mostEvents and mostDeliveries bound a transaction: publishers wait meanwhile.
	mostEvents     = 128
	mostDeliveries = 256
	// rest is the pause after the store has failed.
	rest = time.Second
	// longest is how long the Clock sleeps. Timers are not on the wall clock, by which
	// events are due: so a clock that was set is noticed.
	longest = 5 * time.Second
)

// Routes knows which endpoints events are for; see routing.Table.
type Routes interface {
	Routes(ctx context.Context, tenant store.TenantKey) (*routing.Routes, error)
	Refresh(tenant store.TenantKey)
}

// Writer stores in order with all else that lanes are told of; see commit.Writer.
type Writer interface {
	Do(ctx context.Context, concerned []store.Lane, do func(context.Context) error) error
}

// Parts are what a Clock works with.
type Parts struct {
	Store  store.Deferred
	Routes Routes
	Writer Writer
	// Opened hands deliveries that were opened to their lanes.
	Opened func(now time.Time, openings []store.Opening)
	// Settled is told that an event of a tenant is not deferred any more, and how many
	// deliveries it got.
	Settled func(tenant store.TenantKey, deliveries int)
	Log     *slog.Logger
}

// Clock promotes deferred events. Make one with New and Run it once; its other methods are
// safe for concurrent use.
type Clock struct {
	Parts
	bell chan struct{}

	mu sync.Mutex
	// soonest is when an event may be due that was not promoted; zero is never.
	soonest time.Time
}

// New returns a Clock.
func New(parts Parts) *Clock { return &Clock{Parts: parts, bell: make(chan struct{}, 1)} }

// Note says that an event was deferred, or may have been.
func (c *Clock) Note(due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.soonest.IsZero() && !due.Before(c.soonest) {
		return
	}
	c.soonest = due
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// Late is for how long an event is due that was not promoted; 0 where there is none.
func (c *Clock) Late(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.soonest.IsZero() {
		return 0
	}
	return max(0, now.Sub(c.soonest))
}

// Run promotes events until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	var away outage.Watch
	for ctx.Err() == nil {
		more, err := c.promote(ctx)
		news := away.News(err)
		switch {
		case err != nil && ctx.Err() == nil:
			if news {
				c.Log.WarnContext(ctx, "deferred events could not be sent on, trying again", "error", err)
			}
			pause(ctx, rest)
		case !more:
			c.await(ctx)
		}
	}
}

func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}

// await returns when an event is due by the wall clock, or ctx has ended.
func (c *Clock) await(ctx context.Context) {
	for {
		c.mu.Lock()
		soonest := c.soonest
		c.mu.Unlock()
		var due <-chan time.Time
		if !soonest.IsZero() {
			left := time.Until(soonest)
			if left <= 0 {
				return
			}
			due = time.After(min(left, longest))
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
		case <-c.bell:
		}
	}
}

// promote promotes the events that have been due longest, and says whether more may be.
func (c *Clock) promote(ctx context.Context) (more bool, _ error) {
	c.mu.Lock()
	before := c.soonest
	c.soonest = time.Time{} // what is noted from here on may not be in what is read
	c.mu.Unlock()
	now := time.Now()
	due, next, err := c.Store.Due(ctx, now, mostEvents)
	if err != nil {
		c.restore(before)
		return false, err
	}
	if len(due) == 0 {
		c.restore(next)
		return false, nil
	}
	c.restore(due[0].DueAt) // until they are promoted
	return true, c.settle(ctx, due)
}

// restore puts back when the next event is due.
func (c *Clock) restore(next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !next.IsZero() && (c.soonest.IsZero() || next.Before(c.soonest)) {
		c.soonest = next
	}
}

// settle promotes as many of the events as go into a transaction.
func (c *Clock) settle(ctx context.Context, due []store.DeferredEvent) error {
	promotions, err := c.match(ctx, due)
	if err != nil {
		return err
	}
	var promoted []store.Promoted
	err = c.Writer.Do(ctx, lanes(promotions), func(ctx context.Context) (err error) {
		now := time.Now()
		if promoted, err = c.Store.Promote(ctx, now, promotions); err != nil {
			return err
		}
		c.Opened(now, openings(promotions, promoted))
		return nil
	})
	if err != nil {
		return err
	}
	for i := range promoted {
		switch promoted[i].Kind {
		case store.Rerouted:
			c.Routes.Refresh(promotions[i].Tenant)
		case store.Gone: // whoever ended it knows
		default:
			c.Settled(promotions[i].Tenant, len(promoted[i].Endpoints))
		}
	}
	return nil
}

// match finds the endpoints of the first events, within the bounds of a transaction.
func (c *Clock) match(ctx context.Context, due []store.DeferredEvent) ([]store.Promotion, error) {
	promotions := make([]store.Promotion, 0, len(due))
	deliveries := 0
	for _, ev := range due {
		p := store.Promotion{Event: ev.Event, Tenant: ev.Tenant, DueAt: ev.DueAt}
		routes, err := c.Routes.Routes(ctx, ev.Tenant)
		switch {
		case errors.Is(err, store.ErrNotFound): // the store will say so
		case err != nil:
			return nil, err
		default:
			p.RouteVersion, p.Endpoints = routes.Version, routes.Match(ev.Type, ev.Channels)
		}
		if deliveries += len(p.Endpoints); deliveries > mostDeliveries && len(promotions) > 0 {
			break
		}
		promotions = append(promotions, p)
	}
	return promotions, nil
}

// lanes are those of all endpoints that promotions name.
func lanes(promotions []store.Promotion) (lanes []store.Lane) {
	for i := range promotions {
		for _, endpoint := range promotions[i].Endpoints {
			lanes = append(lanes, store.Lane{Endpoint: endpoint, Tenant: promotions[i].Tenant})
		}
	}
	return lanes
}

// openings are the deliveries that were opened.
func openings(promotions []store.Promotion, promoted []store.Promoted) (opened []store.Opening) {
	for i := range promoted {
		for _, endpoint := range promoted[i].Endpoints {
			p := &promotions[i]
			opened = append(opened, store.Opening{Tenant: p.Tenant, Endpoint: endpoint, Event: p.Event, DueAt: p.DueAt})
		}
	}
	return opened
}
