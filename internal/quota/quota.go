// Package quota keeps how many open deliveries each tenant has, and says when there are
// as many as there may be.
//
// The number is kept in memory and read from the store when a tenant is met for the first
// time. What changes while the store counts may be counted twice or not at all, so before
// a tenant is turned away it is counted again, once a minute at most: nobody is refused
// for long because of a number that is off.
package quota

import (
	"context"
	"sync"
	"time"

	"github.com/neohook/neohook/store"
)

// recountAfter is how long a tenant may be refused by the same count.
const recountAfter = time.Minute

// maxTenants bounds the tenants that are remembered; the others are counted anew.
const maxTenants = 1 << 17

// Counter counts in the store; see store.Sizes.
type Counter interface {
	CountOpen(ctx context.Context, tenant store.TenantKey, limit int) (int, error)
}

// Quota is safe for concurrent use.
type Quota struct {
	max     int
	counter Counter

	mu      sync.Mutex
	tenants map[store.TenantKey]*account
}

// account is one tenant's.
type account struct {
	open    int // as far as it is known; less than nothing while it is not
	pending int // taken, and not settled yet
	counted time.Time
	// counting is closed when the count that is under way has ended; nil is none.
	counting chan struct{}
}

// New returns a Quota of max open deliveries for each tenant; 0 is no limit.
func New(limit int, counter Counter) *Quota {
	return &Quota{max: limit, counter: counter, tenants: make(map[store.TenantKey]*account)}
}

// Take asks for n more deliveries of a tenant, and says whether it may have them. What
// was granted ends with Settle. An error is the store's, or that of ctx.
func (q *Quota) Take(ctx context.Context, tenant store.TenantKey, n int) (bool, error) {
	if q.max == 0 || n == 0 {
		return true, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		a := q.account(tenant)
		switch {
		case a.counting != nil:
			if err := q.await(ctx, a.counting); err != nil {
				return false, err
			}
		case a.counted.IsZero():
			if err := q.count(ctx, tenant, a); err != nil {
				return false, err
			}
		case max(0, a.open)+a.pending+n <= q.max:
			a.pending += n
			return true, nil
		case time.Since(a.counted) < recountAfter:
			return false, nil
		default:
			if err := q.count(ctx, tenant, a); err != nil {
				return false, err
			}
		}
	}
}

// Settle says whether what was granted is stored.
func (q *Quota) Settle(tenant store.TenantKey, n int, stored bool) {
	if q.max == 0 || n == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if a, found := q.tenants[tenant]; found {
		a.pending -= n
		if stored {
			a.open += n
		}
	}
}

// Open says that n deliveries of a tenant were opened for which nobody asked.
func (q *Quota) Open(tenant store.TenantKey, n int) { q.End(tenant, -n) }

// End says that n deliveries of a tenant have ended.
func (q *Quota) End(tenant store.TenantKey, n int) {
	if q.max == 0 || n == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if a, found := q.tenants[tenant]; found {
		a.open -= n
	}
}

// account finds a tenant's account or makes one. The mutex is held.
func (q *Quota) account(tenant store.TenantKey) *account {
	a, found := q.tenants[tenant]
	if found {
		return a
	}
	if len(q.tenants) >= maxTenants {
		for other, old := range q.tenants {
			if old.pending == 0 && old.counting == nil {
				delete(q.tenants, other)
			}
		}
	}
	a = &account{}
	q.tenants[tenant] = a
	return a
}

// await waits without the mutex.
func (q *Quota) await(ctx context.Context, counted <-chan struct{}) error {
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-counted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count asks the store, without the mutex. What was opened and ended meanwhile is added
// to what the store has found.
func (q *Quota) count(ctx context.Context, tenant store.TenantKey, a *account) error {
	before := a.open
	counting := make(chan struct{})
	a.counting = counting
	q.mu.Unlock()
	found, err := q.counter.CountOpen(ctx, tenant, q.max)
	q.mu.Lock()
	a.counting = nil
	close(counting)
	if err != nil {
		return err
	}
	a.open += found - before
	a.counted = time.Now()
	return nil
}
