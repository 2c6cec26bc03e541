package lane

import (
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// turns lets lanes that have something to send take turns: round by round over the
// tenants, and within a tenant over its endpoints. It keeps the rates of tenants.
type turns struct {
	order   queue[*tenantTurns]
	resting byPace // tenants whose rate makes them wait
	tenants map[store.TenantKey]*tenantTurns
}

type tenantTurns struct {
	tenant store.TenantKey
	lanes  queue[*lane]
	pace   pace
}

// add gives a lane a place, unless it has one.
func (t *turns) add(l *lane, since func(store.TenantKey) time.Time) {
	if l.queued {
		return
	}
	l.queued = true
	of, found := t.tenants[l.tenant]
	if !found {
		of = &tenantTurns{tenant: l.tenant}
		if l.settings.TenantRate > 0 { // a new owner begins without a token
			of.pace.next = since(l.tenant).Add(interval(l.settings.TenantRate))
		}
		t.tenants[l.tenant] = of
		t.order.push(of)
	}
	of.lanes.push(l)
}

// take removes the lane whose turn it is, or returns nil.
func (t *turns) take(now time.Time) *lane {
	for t.order.len() > 0 {
		of := t.order.pop()
		if of.pace.next.After(now) {
			heap.Push(&t.resting, of)
			continue
		}
		l := t.pick(of)
		t.rejoin(of, now)
		if l != nil {
			l.queued = false
			return l
		}
	}
	return nil
}

// pick removes the lane whose turn it is among a tenant's, or returns nil where all of
// them pass.
func (t *turns) pick(of *tenantTurns) *lane {
	for range of.lanes.len() {
		l := of.lanes.pop()
		alone := of.lanes.len()+t.order.len() == 0
		if alone || !l.passes() {
			return l
		}
		of.lanes.push(l)
	}
	return nil
}

// rejoin gives a tenant its next place, or forgets it.
func (t *turns) rejoin(of *tenantTurns, now time.Time) {
	switch {
	case of.lanes.len() > 0:
		t.order.push(of)
	case of.pace.next.After(now): // its rate must be remembered
		heap.Push(&t.resting, of)
	default:
		delete(t.tenants, of.tenant)
	}
}

// spend notes that an attempt of a lane begins.
func (t *turns) spend(l *lane, now time.Time) {
	if l.settings.TenantRate <= 0 {
		return
	}
	of, found := t.tenants[l.tenant]
	if !found {
		of = &tenantTurns{tenant: l.tenant}
		t.tenants[l.tenant] = of
		of.pace.take(now, l.settings.TenantRate)
		heap.Push(&t.resting, of)
		return
	}
	of.pace.take(now, l.settings.TenantRate)
}

// disown forgets the tenants that are owned no more.
func (t *turns) disown(owned func(store.TenantKey) bool) {
	t.order.filter(func(of **tenantTurns) bool { return owned((*of).tenant) })
	t.resting = slices.DeleteFunc(t.resting, func(of *tenantTurns) bool { return !owned(of.tenant) })
	heap.Init(&t.resting)
	maps.DeleteFunc(t.tenants, func(tenant store.TenantKey, _ *tenantTurns) bool { return !owned(tenant) })
}

// rouse lets tenants take turns again that have rested.
func (t *turns) rouse(now time.Time) {
	for len(t.resting) > 0 && !t.resting[0].pace.next.After(now) {
		t.rejoin(heap.Pop(&t.resting).(*tenantTurns), now)
	}
}

// nextWake is when rouse has something to do; zero is never.
func (t *turns) nextWake() time.Time {
	if len(t.resting) == 0 {
		return time.Time{}
	}
	return t.resting[0].pace.next
}
