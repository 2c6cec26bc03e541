package operational

import (
	"sync"

	"github.com/neohook/neohook/store"
)

// audience knows which organisations have somebody who is told of what, so that nothing
// is announced to nobody.
type audience struct {
	mu      sync.RWMutex
	tenants map[store.TenantKey]listener // operational ones, deleted ones included
	owners  map[string]store.TenantKey   // by organisation, of those that hear of anything
}

// listener is what the endpoints of an operational tenant hear of.
type listener struct {
	organisation string
	all          bool
	types        map[string]bool
}

func (l *listener) hears(eventType string) bool { return l.all || l.types[eventType] }

// put notes what a tenant hears of: nothing, where it was deleted.
func (a *audience) put(tenant store.TenantKey, l listener) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tenants == nil {
		a.tenants, a.owners = make(map[store.TenantKey]listener), make(map[string]store.TenantKey)
	}
	// Its organisation may have passed to another tenant by now.
	if before := a.tenants[tenant].organisation; a.owners[before] == tenant {
		delete(a.owners, before)
	}
	a.tenants[tenant] = l
	if l.organisation != "" && (l.all || len(l.types) > 0) {
		a.owners[l.organisation] = tenant
	}
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
