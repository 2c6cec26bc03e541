package lane

import "github.com/neohook/neohook/store"

// turns lets lanes that have something to send take turns: round by round over the
// tenants, and within a tenant over its endpoints.
type turns struct {
	order   queue[*tenantTurns]
	tenants map[store.TenantKey]*tenantTurns
}

type tenantTurns struct {
	tenant store.TenantKey
	lanes  queue[*lane]
}

// add gives a lane a place, unless it has one.
func (t *turns) add(l *lane) {
	if l.queued {
		return
	}
	l.queued = true
	of, found := t.tenants[l.tenant]
	if !found {
		of = &tenantTurns{tenant: l.tenant}
		t.tenants[l.tenant] = of
		t.order.push(of)
	}
	of.lanes.push(l)
}

// take removes the lane whose turn it is, or returns nil.
func (t *turns) take() *lane {
	if t.order.len() == 0 {
		return nil
	}
	of := t.order.pop()
	l := of.lanes.pop()
	l.queued = false
	if of.lanes.len() > 0 {
		t.order.push(of)
	} else {
		delete(t.tenants, of.tenant)
	}
	return l
}
