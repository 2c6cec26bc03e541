// Package routing knows which endpoints an event is for, and what an endpoint is by now.
//
// A Table holds the routes of the tenants that were lately asked for, within a bound of
// memory, and reads those of others from the store. It is exact on one node, as whoever
// changes a tenant says so before the change is reported to its caller. It is exact
// with several nodes on a database because a commit checks the version that its events
// were matched against: the answer to another version is Refresh, and to match again.
package routing

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Store is what a Table reads; see store.Directory.
type Store interface {
	Routes(ctx context.Context, tenant store.TenantKey) (store.Routes, error)
	TenantByUID(ctx context.Context, organisation, uid string) (store.Tenant, error)
}

// Limits bound a Table. The zero value is the defaults.
type Limits struct {
	// Bytes is how much the held routes may come to; 0 = 64 MiB. One tenant's are held
	// even if they alone are more.
	Bytes int64
}

// Table is the tenants' routes. It is safe for concurrent use.
type Table struct {
	store   Store
	records *record.Translator
	limits  Limits

	mu     sync.Mutex
	slots  map[store.TenantKey]*slot
	byUID  map[uid]*slot // loaded ones whose tenant has a UID
	recent list.List     // of *slot, the latest used first; loaded ones only
	bytes  int64
}

type uid struct{ organisation, uid string }

// slot is a tenant's place in the table, from the moment that its routes are being read.
// What comes of the reading is for those who wait; whether the slot is still in the
// table by then decides if it is for others.
type slot struct {
	tenant store.TenantKey
	loaded chan struct{} // closed when routes or err is set
	routes *Routes
	err    error
	place  *list.Element // in recent; nil while loading
}

// New returns an empty Table.
func New(st Store, records *record.Translator, limits Limits) *Table {
	limits.Bytes = cmp.Or(limits.Bytes, 64<<20)
	return &Table{
		store: st, records: records, limits: limits,
		slots: make(map[store.TenantKey]*slot), byUID: make(map[uid]*slot),
	}
}

// Routes returns a tenant's routes as they are at some instant after the call began, or
// before it if they have not changed since through this node. It returns
// store.ErrNotFound for a tenant that is none.
func (t *Table) Routes(ctx context.Context, tenant store.TenantKey) (*Routes, error) {
	for {
		t.mu.Lock()
		s, held := t.slots[tenant]
		if held && s.place != nil {
			t.recent.MoveToFront(s.place)
			t.mu.Unlock()
			return s.routes, nil
		}
		if !held {
			s = &slot{tenant: tenant, loaded: make(chan struct{})}
			t.slots[tenant] = s
		}
		t.mu.Unlock()
		if !held {
			t.load(ctx, s)
			return s.routes, s.err
		}
		select {
		case <-s.loaded:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// Whoever read may have been called off, and that is nobody else's affair.
		if s.err == nil || !isCancelled(s.err) {
			return s.routes, s.err
		}
	}
}

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// load reads a slot's routes and keeps them if the slot is still wanted.
func (t *Table) load(ctx context.Context, s *slot) {
	defer close(s.loaded)
	stored, err := t.store.Routes(ctx, s.tenant)
	if err == nil {
		s.routes = open(t.records, &stored)
	}
	s.err = err

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[s.tenant] != s {
		return // it has changed since the reading began
	}
	if err != nil {
		delete(t.slots, s.tenant)
		return
	}
	s.place = t.recent.PushFront(s)
	t.bytes += s.routes.size
	if s.routes.Tenant.UID != "" {
		t.byUID[s.routes.uid()] = s
	}
	for t.bytes > t.limits.Bytes && t.recent.Len() > 1 {
		t.drop(t.recent.Back().Value.(*slot))
	}
}

func (r *Routes) uid() uid { return uid{r.Tenant.Organisation, r.Tenant.UID} }

// Refresh forgets a tenant's routes. Whoever asks for them from now on gets what the
// store then has.
func (t *Table) Refresh(tenant store.TenantKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, held := t.slots[tenant]; held {
		t.drop(s)
	}
}

// RefreshAll forgets the routes of all tenants that which says yes to.
func (t *Table) RefreshAll(which func(store.TenantKey) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tenant, s := range t.slots {
		if which(tenant) {
			t.drop(s)
		}
	}
}

// drop takes a slot out of the table. The mutex is held.
func (t *Table) drop(s *slot) {
	delete(t.slots, s.tenant)
	if s.place == nil {
		return
	}
	t.recent.Remove(s.place)
	t.bytes -= s.routes.size
	if t.byUID[s.routes.uid()] == s {
		delete(t.byUID, s.routes.uid())
	}
}

// Tenant returns the routes of the tenant that ref names by its id or UID in an
// organisation, or store.ErrNotFound. The routes say which UID the tenant has, and a
// commit checks that they still count: so nothing goes to a tenant that has given its
// UID away.
func (t *Table) Tenant(ctx context.Context, organisation webhook.OrganisationID, ref webhook.TenantID) (*Routes, error) {
	if strings.HasPrefix(string(ref), webhook.TenantPrefix) {
		key, _, err := t.records.IDs.ParseTenant(ref)
		if err != nil {
			return nil, store.ErrNotFound
		}
		return t.of(ctx, organisation, key)
	}
	if !webhook.IsName(string(ref)) {
		return nil, store.ErrNotFound
	}
	named := uid{string(organisation), string(ref)}
	t.mu.Lock()
	if s, held := t.byUID[named]; held {
		t.recent.MoveToFront(s.place)
		t.mu.Unlock()
		return s.routes, nil
	}
	t.mu.Unlock()
	return t.named(ctx, named)
}

// of returns the routes of an organisation's tenant.
func (t *Table) of(ctx context.Context, organisation webhook.OrganisationID, key store.TenantKey) (*Routes, error) {
	routes, err := t.Routes(ctx, key)
	if err == nil && routes.Tenant.Organisation != string(organisation) {
		return nil, store.ErrNotFound
	}
	return routes, err
}

// named looks a UID up in the store.
func (t *Table) named(ctx context.Context, named uid) (*Routes, error) {
	// The UID may pass to another tenant between the two readings, or have passed while
	// old routes were held here: look again, but not for ever.
	const tries = 3
	for range tries {
		tenant, err := t.store.TenantByUID(ctx, named.organisation, named.uid)
		if err != nil {
			return nil, err
		}
		routes, err := t.Routes(ctx, tenant.Key)
		if err == nil && routes.uid() == named {
			return routes, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		t.Refresh(tenant.Key)
	}
	return nil, store.ErrNotFound
}

// Held returns a tenant's routes if they are held, else nil. It reads nothing.
func (t *Table) Held(tenant store.TenantKey) *Routes {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, held := t.slots[tenant]; held && s.place != nil {
		return s.routes
	}
	return nil
}

// Endpoint returns an endpoint as it is now, or the reason why nothing is sent to it.
// The endpoint is shared: nobody may change it.
func (t *Table) Endpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey) (*webhook.Endpoint, webhook.Reason, error) {
	routes, err := t.Routes(ctx, tenant)
	if errors.Is(err, store.ErrNotFound) {
		return nil, webhook.TenantDeleted, nil
	}
	if err != nil {
		return nil, "", err
	}
	return routes.Endpoint(key)
}
