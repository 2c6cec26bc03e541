package operational

import (
	"sync"

	"github.com/neohook/neohook/store"
)

// audience knows which organisations have somebody who is told of what, so that nothing
// is announced to nobody.
type audience struct {
	mu      sync.RWMutex
	tenants map[store.TenantKey]listener // operational ones that have, or had, an endpoint
	owners  map[string]store.TenantKey   // by organisation, of those that hear of anything
}

// listener is what the endpoints of an operational tenant hear of.
type listener struct {
	organisation string
	all          bool
	types        map[string]bool
}

func (l *listener) hears(eventType string) bool { return l.all || l.types[eventType] }

// put notes what a tenant hears of.
func (a *audience) put(tenant store.TenantKey, l listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(tenant)
	if a.tenants == nil {
		a.tenants, a.owners = make(map[store.TenantKey]listener), make(map[string]store.TenantKey)
	}
	a.tenants[tenant] = l
	if l.organisation != "" && (l.all || len(l.types) > 0) {
		a.owners[l.organisation] = tenant
	}
}

// drop forgets a tenant that was deleted.
func (a *audience) drop(tenant store.TenantKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(tenant)
}

// remove takes a tenant out. The mutex is held.
func (a *audience) remove(tenant store.TenantKey) {
	// Its organisation may have passed to another tenant by now.
	if organisation := a.tenants[tenant].organisation; a.owners[organisation] == tenant {
		delete(a.owners, organisation)
	}
	delete(a.tenants, tenant)
}

func (a *audience) knows(tenant store.TenantKey) (listener, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	l, known := a.tenants[tenant]
	return l, known
}

func (a *audience) hears(organisation, eventType string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	owner, listens := a.owners[organisation]
	l := a.tenants[owner]
	return listens && l.hears(eventType)
}

// listens says whether anybody does.
func (a *audience) listens() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.owners) > 0
}
