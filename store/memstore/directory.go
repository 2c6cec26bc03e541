package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

// NewKey draws a key for a tenant or an endpoint.
func (s *Store) NewKey(ctx context.Context) (int64, error) {
	return get(ctx, s, "NewKey", func(db *state) (int64, error) {
		db.lastDirectory++
		return db.lastDirectory, nil
	})
}

// seen returns what was made under once and is live at now.
func (db *state) seen(once *store.Once, now time.Time) (made, bool) {
	earlier, found := db.once[once.Hash]
	return earlier, found && instant(now).Before(earlier.at.Add(earlier.ttl.Truncate(time.Microsecond)))
}

// replayed returns *ReplayError for a repeat, else nil.
func (db *state) replayed(once *store.Once, now time.Time) error {
	if once == nil {
		return nil
	}
	earlier, found := db.seen(once, now)
	switch {
	case !found:
		return nil
	case earlier.body != once.Body:
		return &store.ReplayError{Mismatch: true}
	}
	return &store.ReplayError{Answer: blob(earlier.answer)}
}

// claimChange keeps the once of a change that was made to what is a tenant's; 0 is none's.
func (db *state) claimChange(once *store.Once, tenant store.TenantKey) {
	if once != nil {
		db.once[once.Hash] = made{body: once.Body, ttl: once.TTL, at: instant(once.Now), answer: blob(once.Answer), tenant: tenant}
	}
}

// Replay returns the stored answer of once as *ReplayError, or nil if it was not seen
// before, as of now.
func (s *Store) Replay(ctx context.Context, once *store.Once, now time.Time) error {
	return s.do(ctx, "Replay", func(db *state) error { return db.replayed(once, now) })
}

func cleanTenant(t store.Tenant) store.Tenant {
	t.Metadata = table(t.Metadata)
	for _, kept := range []*time.Duration{&t.Retention.Payloads, &t.Retention.Attempts, &t.Retention.Events} {
		*kept = kept.Truncate(time.Microsecond)
	}
	t.CreatedAt, t.UpdatedAt = instant(t.CreatedAt), instant(t.UpdatedAt)
	return t
}

func cleanEndpoint(ep store.Endpoint) store.Endpoint {
	ep.EventTypes, ep.Channels, ep.Metadata = list(ep.EventTypes), list(ep.Channels), table(ep.Metadata)
	ep.SealedSecrets, ep.SealedHeaders = blob(ep.SealedSecrets), blob(ep.SealedHeaders)
	ep.CreatedAt, ep.UpdatedAt = instant(ep.CreatedAt), instant(ep.UpdatedAt)
	ep.Timeout = ep.Timeout.Truncate(time.Microsecond)
	ep.Schedule = slices.Clone(ep.Schedule)
	for i, wait := range ep.Schedule {
		ep.Schedule[i] = wait.Truncate(time.Microsecond)
	}
	if ep.FinalStatuses = slices.Clone(ep.FinalStatuses); len(ep.FinalStatuses) == 0 {
		ep.FinalStatuses = nil
	}
	return ep
}

func (db *state) tenant(key store.TenantKey) (*tenant, error) {
	if t := db.tenants[key]; t != nil && !t.deleted {
		return t, nil
	}
	return nil, store.ErrNotFound
}

func (db *state) tenantOf(organisation string, key store.TenantKey) (*tenant, error) {
	if t, err := db.tenant(key); err == nil && t.Organisation == organisation {
		return t, nil
	}
	return nil, store.ErrNotFound
}

func (db *state) tenantByUID(organisation, uid string) (*tenant, error) {
	for _, t := range db.tenants {
		if uid != "" && !t.deleted && t.Organisation == organisation && t.UID == uid {
			return t, nil
		}
	}
	return nil, store.ErrNotFound
}

func (db *state) endpoint(tenant store.TenantKey, key store.EndpointKey) (*endpoint, error) {
	if ep := db.endpoints[key]; ep != nil && !ep.deleted && ep.Tenant == tenant {
		return ep, nil
	}
	return nil, store.ErrNotFound
}

func (db *state) endpointByUID(tenant store.TenantKey, uid string) (*endpoint, error) {
	for _, ep := range db.endpoints {
		if uid != "" && !ep.deleted && ep.Tenant == tenant && ep.UID == uid {
			return ep, nil
		}
	}
	return nil, store.ErrNotFound
}

// reroute gives a tenant's Routes another version.
func (db *state) reroute(t *tenant) {
	t.routes++
	db.post(store.Signal{Kind: store.SignalRoutes, Tenant: t.Key})
	db.postToWatching(t)
}

// InsertTenant stores a tenant under its own key, as version 1.
func (s *Store) InsertTenant(ctx context.Context, t store.Tenant, once *store.Once) error {
	return s.write(ctx, "InsertTenant", func(db *state) error {
		if err := db.replayed(once, onceNow(once)); err != nil {
			return err
		}
		if _, err := db.tenantByUID(t.Organisation, t.UID); err == nil {
			return store.ErrConflict
		}
		t = cleanTenant(t)
		t.Version = 1
		db.tenants[t.Key] = &tenant{Tenant: t, routes: 1}
		db.claimChange(once, t.Key)
		return nil
	})
}

func onceNow(once *store.Once) (now time.Time) {
	if once != nil {
		now = once.Now
	}
	return now
}

// UpdateTenant replaces the tenant whose version is one lower than the record's.
func (s *Store) UpdateTenant(ctx context.Context, t store.Tenant) error {
	return s.write(ctx, "UpdateTenant", func(db *state) error {
		stored, err := db.tenantOf(t.Organisation, t.Key)
		if err != nil {
			return err
		}
		if stored.Version != t.Version-1 {
			return store.ErrStale
		}
		if holder, err := db.tenantByUID(t.Organisation, t.UID); err == nil && holder != stored {
			return store.ErrConflict
		}
		if stored.Paused != t.Paused {
			for _, key := range db.endpointsOf(t.Key) {
				delete(db.failing, store.EndpointKey(key))
			}
		}
		created := stored.CreatedAt
		stored.Tenant = cleanTenant(t)
		db.reroute(stored)
		stored.CreatedAt = created
		return nil
	})
}

// DeleteTenant ends a tenant and all its endpoints.
func (s *Store) DeleteTenant(ctx context.Context, key store.TenantKey, _ time.Time) error {
	return s.write(ctx, "DeleteTenant", func(db *state) error {
		return db.deleteTenant(key)
	})
}

func (db *state) deleteTenant(key store.TenantKey) error {
	t, err := db.tenant(key)
	if err != nil {
		return err
	}
	t.deleted = true
	db.reroute(t)
	db.deleteTokensOf(key)
	for _, ep := range db.endpoints {
		if ep.Tenant == key {
			ep.deleted = true
			delete(db.failing, ep.Key)
		}
	}
	return nil
}

// Tenant returns a tenant of an organisation, or ErrNotFound.
func (s *Store) Tenant(ctx context.Context, organisation string, key store.TenantKey) (store.Tenant, error) {
	return get(ctx, s, "Tenant", func(db *state) (store.Tenant, error) {
		t, err := db.tenantOf(organisation, key)
		if err != nil {
			return store.Tenant{}, err
		}
		return cleanTenant(t.Tenant), nil
	})
}

// TenantByUID returns a tenant of an organisation, or ErrNotFound.
func (s *Store) TenantByUID(ctx context.Context, organisation, uid string) (store.Tenant, error) {
	return get(ctx, s, "TenantByUID", func(db *state) (store.Tenant, error) {
		t, err := db.tenantByUID(organisation, uid)
		if err != nil {
			return store.Tenant{}, err
		}
		return cleanTenant(t.Tenant), nil
	})
}

// Tenants lists an organisation's tenants.
func (s *Store) Tenants(ctx context.Context, organisation string, page store.Page) ([]store.Tenant, error) {
	return get(ctx, s, "Tenants", func(db *state) ([]store.Tenant, error) {
		var keys []int64
		for _, key := range sorted(db.tenants) {
			if _, err := db.tenantOf(organisation, key); err == nil {
				keys = append(keys, int64(key))
			}
		}
		var found []store.Tenant
		for _, key := range within(keys, page) {
			if len(found) < page.Limit {
				found = append(found, cleanTenant(db.tenants[store.TenantKey(key)].Tenant))
			}
		}
		return found, nil
	})
}

// InsertEndpoint stores an endpoint under its own key, as version 1.
func (s *Store) InsertEndpoint(ctx context.Context, ep store.Endpoint, once *store.Once, announce ...store.Announcement) error {
	return s.write(ctx, "InsertEndpoint", func(db *state) error {
		if err := db.replayed(once, onceNow(once)); err != nil {
			return err
		}
		t, err := db.tenant(ep.Tenant)
		if err != nil {
			return err
		}
		if _, err := db.endpointByUID(ep.Tenant, ep.UID); err == nil {
			return store.ErrConflict
		}
		ep = cleanEndpoint(ep)
		ep.Version = 1
		db.endpoints[ep.Key] = &endpoint{Endpoint: ep}
		db.reroute(t)
		db.claimChange(once, ep.Tenant)
		db.announceAll(announce)
		return nil
	})
}

// UpdateEndpoint replaces the endpoint whose version is one lower than the record's.
func (s *Store) UpdateEndpoint(ctx context.Context, ep store.Endpoint, once *store.Once, announce ...store.Announcement) error {
	return s.write(ctx, "UpdateEndpoint", func(db *state) error {
		if err := db.replayed(once, onceNow(once)); err != nil {
			return err
		}
		stored, err := db.endpoint(ep.Tenant, ep.Key)
		if err != nil {
			return err
		}
		if stored.Version != ep.Version-1 {
			return store.ErrStale
		}
		if holder, err := db.endpointByUID(ep.Tenant, ep.UID); err == nil && holder != stored {
			return store.ErrConflict
		}
		if stored.Disabled != ep.Disabled || stored.Paused != ep.Paused {
			delete(db.failing, ep.Key)
		}
		created := stored.CreatedAt
		stored.Endpoint = cleanEndpoint(ep)
		stored.CreatedAt = created
		db.reroute(db.tenants[ep.Tenant])
		db.claimChange(once, ep.Tenant)
		db.announceAll(announce)
		return nil
	})
}

// DeleteEndpoint ends an endpoint.
func (s *Store) DeleteEndpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey, _ time.Time, announce ...store.Announcement) error {
	return s.write(ctx, "DeleteEndpoint", func(db *state) error {
		ep, err := db.endpoint(tenant, key)
		if err != nil {
			return err
		}
		ep.deleted = true
		delete(db.failing, key)
		db.reroute(db.tenants[tenant])
		db.announceAll(announce)
		return nil
	})
}

// Endpoint returns an endpoint of a tenant, or ErrNotFound.
func (s *Store) Endpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey) (store.Endpoint, error) {
	return get(ctx, s, "Endpoint", func(db *state) (store.Endpoint, error) {
		ep, err := db.endpoint(tenant, key)
		if err != nil {
			return store.Endpoint{}, err
		}
		return cleanEndpoint(ep.Endpoint), nil
	})
}

// EndpointByUID returns an endpoint of a tenant, or ErrNotFound.
func (s *Store) EndpointByUID(ctx context.Context, tenant store.TenantKey, uid string) (store.Endpoint, error) {
	return get(ctx, s, "EndpointByUID", func(db *state) (store.Endpoint, error) {
		ep, err := db.endpointByUID(tenant, uid)
		if err != nil {
			return store.Endpoint{}, err
		}
		return cleanEndpoint(ep.Endpoint), nil
	})
}

// endpointsOf returns a tenant's endpoints, ascending.
func (db *state) endpointsOf(tenant store.TenantKey) (keys []int64) {
	for _, key := range sorted(db.endpoints) {
		if _, err := db.endpoint(tenant, key); err == nil {
			keys = append(keys, int64(key))
		}
	}
	return keys
}

// Endpoints lists a tenant's endpoints.
func (s *Store) Endpoints(ctx context.Context, tenant store.TenantKey, page store.Page) ([]store.Endpoint, error) {
	return get(ctx, s, "Endpoints", func(db *state) ([]store.Endpoint, error) {
		var found []store.Endpoint
		for _, key := range within(db.endpointsOf(tenant), page) {
			if len(found) < page.Limit {
				found = append(found, cleanEndpoint(db.endpoints[store.EndpointKey(key)].Endpoint))
			}
		}
		return found, nil
	})
}

// Routes returns the tenant and all its endpoints with their version, or ErrNotFound.
func (s *Store) Routes(ctx context.Context, tenant store.TenantKey) (store.Routes, error) {
	return get(ctx, s, "Routes", func(db *state) (store.Routes, error) {
		t, err := db.tenant(tenant)
		if err != nil {
			return store.Routes{}, err
		}
		routes := store.Routes{Version: t.routes, Tenant: cleanTenant(t.Tenant)}
		for _, key := range db.endpointsOf(tenant) {
			routes.Endpoints = append(routes.Endpoints, cleanEndpoint(db.endpoints[store.EndpointKey(key)].Endpoint))
		}
		return routes, nil
	})
}
