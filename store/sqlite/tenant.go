package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	tenantColumns = `key, organisation, uid, name, rate_limit, paused, payloads_kept, attempts_kept, events_kept, metadata, created_at, updated_at, version`
	tenantSQL     = `SELECT ` + tenantColumns + ` FROM tenant WHERE key = ? AND organisation = ? AND deleted_at IS NULL`
	tenantUIDSQL  = `SELECT ` + tenantColumns + ` FROM tenant WHERE organisation = ? AND uid = ? AND deleted_at IS NULL`
	tenantsUpSQL  = `SELECT ` + tenantColumns + ` FROM tenant WHERE organisation = ? AND key > ? AND deleted_at IS NULL
		ORDER BY key LIMIT ?`
	tenantsDownSQL = `SELECT ` + tenantColumns + ` FROM tenant WHERE organisation = ? AND key < ? AND deleted_at IS NULL
		ORDER BY key DESC LIMIT ?`
)

func scanTenant(r *row) store.Tenant {
	return store.Tenant{
		Key: store.TenantKey(r.int()), Organisation: r.text(), UID: r.text(), Name: r.text(),
		RateLimit: int(r.int()), Paused: r.bool(),
		Retention: webhook.Retention{Payloads: r.duration(), Attempts: r.duration(), Events: r.duration()},
		Metadata:  r.metadata(),
		CreatedAt: r.time(), UpdatedAt: r.time(), Version: r.int(),
	}
}

// Tenant returns a tenant of an organisation, or ErrNotFound.
func (s *Store) Tenant(ctx context.Context, organisation string, key store.TenantKey) (store.Tenant, error) {
	return readFirst(ctx, s, scanTenant, tenantSQL, int64(key), organisation)
}

// TenantByUID returns a tenant of an organisation, or ErrNotFound.
func (s *Store) TenantByUID(ctx context.Context, organisation, uid string) (store.Tenant, error) {
	return readFirst(ctx, s, scanTenant, tenantUIDSQL, organisation, uid)
}

// Tenants lists an organisation's tenants.
func (s *Store) Tenants(ctx context.Context, organisation string, page store.Page) ([]store.Tenant, error) {
	query, after := walk(page, tenantsUpSQL, tenantsDownSQL)
	return readAll(ctx, s, scanTenant, query, organisation, after, int64(page.Limit))
}

const insertTenantSQL = `INSERT INTO tenant (key, organisation, uid, name, rate_limit, paused, payloads_kept, attempts_kept, events_kept,
		metadata, created_at, updated_at, version, routes_version)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)`

// InsertTenant stores a tenant under its own key, as version 1.
func (s *Store) InsertTenant(ctx context.Context, t store.Tenant, once *store.Once) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.claim(ctx, once, t.Key); err != nil {
			return err
		}
		if err := w.checkTenantUID(ctx, &t); err != nil {
			return err
		}
		if err := w.sweepApart(ctx, t.Key, webhook.Retention{}, t.Retention); err != nil {
			return err
		}
		_, err := w.exec(ctx, insertTenantSQL, int64(t.Key), t.Organisation, textOrNull(t.UID), t.Name,
			int64(t.RateLimit), integer(t.Paused),
			t.Retention.Payloads.Microseconds(), t.Retention.Attempts.Microseconds(), t.Retention.Events.Microseconds(),
			mapOrNull(t.Metadata), micros(t.CreatedAt), micros(t.UpdatedAt))
		return err
	})
}

// checkTenantUID returns ErrConflict if another tenant has the UID of t.
func (w *writer) checkTenantUID(ctx context.Context, t *store.Tenant) error {
	if t.UID == "" {
		return nil
	}
	holder, err := first(ctx, w.conn, scanTenant, tenantUIDSQL, t.Organisation, t.UID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil && holder.Key != t.Key:
		return store.ErrConflict
	}
	return err
}

const updateTenantSQL = `UPDATE tenant SET uid = ?2, name = ?3, rate_limit = ?4, paused = ?5, payloads_kept = ?6, attempts_kept = ?7, events_kept = ?8,
		metadata = ?9, updated_at = ?10, version = ?11, routes_version = routes_version + 1
	WHERE key = ?1`

// UpdateTenant replaces the tenant whose version is one lower than the record's.
func (s *Store) UpdateTenant(ctx context.Context, t store.Tenant) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		stored, err := first(ctx, w.conn, scanTenant, tenantSQL, int64(t.Key), t.Organisation)
		if err != nil {
			return err
		}
		if stored.Version != t.Version-1 {
			return store.ErrStale
		}
		if err := w.checkTenantUID(ctx, &t); err != nil {
			return err
		}
		if stored.Paused != t.Paused {
			if _, err := w.exec(ctx, deleteFailingOfTenantSQL, int64(t.Key)); err != nil {
				return err
			}
		}
		if err := w.sweepApart(ctx, t.Key, stored.Retention, t.Retention); err != nil {
			return err
		}
		delete(w.routes, t.Key)
		_, err = w.exec(ctx, updateTenantSQL, int64(t.Key), textOrNull(t.UID), t.Name,
			int64(t.RateLimit), integer(t.Paused),
			t.Retention.Payloads.Microseconds(), t.Retention.Attempts.Microseconds(), t.Retention.Events.Microseconds(),
			mapOrNull(t.Metadata), micros(t.UpdatedAt), t.Version)
		return err
	})
}

const (
	deleteTenantSQL    = `UPDATE tenant SET deleted_at = ?2, routes_version = routes_version + 1 WHERE key = ?1 AND deleted_at IS NULL`
	deleteEndpointsSQL = `UPDATE endpoint SET deleted_at = ?2 WHERE tenant = ?1 AND deleted_at IS NULL`
)

// DeleteTenant ends a tenant, all its endpoints and tokens.
func (s *Store) DeleteTenant(ctx context.Context, key store.TenantKey, now time.Time) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error { return w.deleteTenant(ctx, key, now) })
}

func (w *writer) deleteTenant(ctx context.Context, key store.TenantKey, now time.Time) error {
	deleted, err := w.exec(ctx, deleteTenantSQL, int64(key), micros(now))
	if err != nil {
		return err
	}
	if deleted == 0 {
		return store.ErrNotFound
	}
	delete(w.routes, key)
	if _, err := w.exec(ctx, deleteFailingOfTenantSQL, int64(key)); err != nil {
		return err
	}
	if err := w.deleteTokensOf(ctx, key); err != nil {
		return err
	}
	_, err = w.exec(ctx, deleteEndpointsSQL, int64(key), micros(now))
	return err
}

const (
	routesVersionSQL = `SELECT routes_version FROM tenant WHERE key = ? AND deleted_at IS NULL`
	raiseRoutesSQL   = `UPDATE tenant SET routes_version = routes_version + 1 WHERE key = ? AND deleted_at IS NULL`
	routesSQL        = `SELECT ` + tenantColumns + `, routes_version FROM tenant WHERE key = ? AND deleted_at IS NULL`
)

// mostRoutes bounds what the writer remembers of routes.
const mostRoutes = 1 << 16

// routesVersion returns the version of a tenant's routes, or ErrNotFound.
func (w *writer) routesVersion(ctx context.Context, tenant store.TenantKey) (int64, error) {
	if version, known := w.routes[tenant]; known {
		return version, nil
	}
	version, err := first(ctx, w.conn, (*row).int, routesVersionSQL, int64(tenant))
	if err != nil {
		return 0, err
	}
	if w.routes == nil || len(w.routes) >= mostRoutes {
		w.routes = make(map[store.TenantKey]int64)
	}
	w.routes[tenant] = version
	return version, nil
}

// raiseRoutes marks a tenant's routes as changed. It returns ErrNotFound if there is no
// such tenant.
func (w *writer) raiseRoutes(ctx context.Context, tenant store.TenantKey) error {
	delete(w.routes, tenant)
	raised, err := w.exec(ctx, raiseRoutesSQL, int64(tenant))
	if err == nil && raised == 0 {
		return store.ErrNotFound
	}
	return err
}

// Routes returns the tenant and all its endpoints with their version, or ErrNotFound.
func (s *Store) Routes(ctx context.Context, tenant store.TenantKey) (routes store.Routes, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, c *conn) error {
		routes, err = first(ctx, c, func(r *row) store.Routes {
			return store.Routes{Tenant: scanTenant(r), Version: r.int()}
		}, routesSQL, int64(tenant))
		if err != nil {
			return err
		}
		routes.Endpoints, err = all(ctx, c, scanEndpoint, tenantEndpointsSQL, int64(tenant))
		return err
	})
	return routes, err
}
