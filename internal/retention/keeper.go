// Package retention sees to it that the store lets go of what has had its time, and of what
// somebody asked to delete.
//
// Both are done in parts of a few milliseconds, with pauses in between, so that publishers
// and outcomes go before. What somebody asked for comes first.
package retention

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/neohook/neohook/internal/outage"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	// budget is how long the store may work at a part, and rest the pause behind it.
	budget = 5 * time.Millisecond
	rest   = 10 * time.Millisecond
	// first is how long after a start it is looked what has had its time: a clock that is set
	// right when the machine starts is not acted on before.
	first = 30 * time.Second
	// often and seldom bound how often it is looked from then on.
	often  = time.Minute
	seldom = 12 * time.Hour
	// afterFailure is the pause after the store has failed.
	afterFailure = time.Second
	// patience is how long attempts may go on whose payload was expunged.
	patience = time.Second
)

// ErrStopped is returned where Run has ended. What was asked for is done by the next Run.
var ErrStopped = errors.New("stopped")

// Writer stores in order with all else that lanes are told of; see commit.Writer.
type Writer interface {
	Do(ctx context.Context, concerned []store.Lane, do func(context.Context) error) error
}

// Lanes hold what is to be sent; see dispatch.Dispatcher.
type Lanes interface {
	Forget(now time.Time, tenant store.TenantKey, gone func(store.EventKey) bool)
	Review(now time.Time, tenant store.TenantKey)
	Cut(ctx context.Context, tenant store.TenantKey, gone func(store.EventKey) bool, patience time.Duration) error
}

// Parts are what a Keeper works with.
type Parts struct {
	Store  store.Retention
	Writer Writer
	Lanes  Lanes
	// Defaults are for tenants without times of their own.
	Defaults webhook.Retention
	// Ended is told what was open of what was expunged.
	Ended func(open []store.Turn)
	// Heard, if set, returns when other nodes act on what was done to a tenant.
	Heard func(ctx context.Context, tenant store.TenantKey)
	Log   *slog.Logger
}

// Keeper lets go. Make one with New and Run it once; its other methods are safe for
// concurrent use.
type Keeper struct {
	Parts
	bell    chan struct{} // rung for expunges
	changed chan struct{} // rung for changed times
	stopped chan struct{}

	mu      sync.Mutex
	waiting map[store.ExpungeKey][]chan struct{}
	stats   Stats
}

// Stats is what a Keeper has done, and how it stands.
type Stats struct {
	// Payloads, Attempts and Events had their time and are deleted. The payloads and
	// attempts of an event that is deleted whole: the attempts are counted.
	Payloads, Attempts, Events uint64
	// Expunges are asked for and not done yet.
	Expunges int
	// Behind is for how long there has been more to delete than was deleted.
	Behind time.Duration
	// Resting says that the clock has jumped, and nothing is deleted for now.
	Resting bool
}

// New returns a Keeper.
func New(parts Parts) *Keeper {
	return &Keeper{
		Parts: parts, bell: make(chan struct{}, 1), changed: make(chan struct{}, 1), stopped: make(chan struct{}),
		waiting: make(map[store.ExpungeKey][]chan struct{}),
	}
}

// Stats returns the present state.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stats
}

func (k *Keeper) note(change func(*Stats)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.stats)
}

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	defer close(k.stopped)
	k.RunShared(ctx)
}

// RunShared is Run for one of several nodes, only one of which runs its Keeper at a time: it
// may be run again.
func (k *Keeper) RunShared(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { k.sweep(ctx) })
	loops.Go(func() { k.expungeAll(ctx) })
	loops.Wait()
}

// pause returns false where ctx has ended.
func pause(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return true
	}
}

// Look says that times have been changed: it is looked soon what has had its time by these.
func (k *Keeper) Look() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// await is pause that Look cuts short.
func (k *Keeper) await(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-k.changed:
		return pause(ctx, min(length, rest))
	case <-timer.C:
		return true
	}
}

// sweep lets go of what has had its time.
func (k *Keeper) sweep(ctx context.Context) {
	begun := time.Now()
	clock := newClock(begun)
	var behind time.Time // since when there was more each time
	var away outage.Watch
	for wait := first; k.await(ctx, wait); {
		now := time.Now()
		if !k.trusts(ctx, clock, now, now.Sub(begun)) {
			wait = often
			continue
		}
		swept, err := k.Store.Sweep(ctx, now, k.Defaults, budget)
		news := away.News(err)
		if err != nil {
			if news && ctx.Err() == nil {
				k.Log.WarnContext(ctx, "what has had its time could not be deleted, trying again", "error", err)
			}
			wait = afterFailure
			continue
		}
		wait = seldom
		if !swept.Next.IsZero() {
			wait = min(seldom, max(often, swept.Next.Sub(now)))
		}
		if swept.More {
			wait = rest
			if behind.IsZero() {
				behind = now
			}
			if now.Sub(behind) > often { // it comes in faster than it goes
				wait = 0
			}
		} else {
			behind = time.Time{}
		}
		k.note(func(s *Stats) {
			s.Payloads += uint64(swept.Payloads) //nolint:gosec // none is negative
			s.Attempts += uint64(swept.Attempts) //nolint:gosec // none is negative
			s.Events += uint64(swept.Events)     //nolint:gosec // none is negative
			s.Behind = 0
			if !behind.IsZero() {
				s.Behind = now.Sub(behind)
			}
		})
	}
}

// trusts says whether the clock may be acted on, and tells when that changes.
func (k *Keeper) trusts(ctx context.Context, c *clock, now time.Time, elapsed time.Duration) bool {
	before := c.resting
	steady := c.judge(now, elapsed)
	switch {
	case !before && c.resting:
		k.Log.ErrorContext(ctx, "the clock has jumped: nothing is deleted by time until it has jumped back, or runs evenly for hours; a restart goes on at once",
			"jump", c.jump(), "hours", int(restAfterJump.Hours()))
	case before && !c.resting:
		k.Log.InfoContext(ctx, "the clock is trusted again: what has had its time is deleted")
	}
	k.note(func(s *Stats) { s.Resting = c.resting })
	return steady
}
