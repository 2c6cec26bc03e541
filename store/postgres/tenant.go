package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	tenantColumns = `key, organisation, uid, name, rate_limit, paused, payloads_kept, attempts_kept, events_kept,
		metadata, created_at, updated_at, version`
	tenantSQL    = `SELECT ` + tenantColumns + ` FROM tenant WHERE key = $1 AND organisation = $2 AND deleted_at IS NULL`
	tenantUIDSQL = `SELECT ` + tenantColumns + ` FROM tenant WHERE organisation = $1 AND uid = $2 AND deleted_at IS NULL`
	tenantsOfAll = `SELECT ` + tenantColumns + ` FROM tenant WHERE (organisation, key) > ($1, $2) AND (organisation, key) < ($1, $3) AND deleted_at IS NULL`
)

var tenantsSQL = ways{
	up:   tenantsOfAll + ` ORDER BY organisation, key LIMIT $4`,
	down: tenantsOfAll + ` ORDER BY organisation DESC, key DESC LIMIT $4`,
}

func scanTenant(row pgx.CollectableRow) (store.Tenant, error) {
	t, _, err := scanTenantAnd[struct{}](row, nil)
	return t, err
}

// scanTenantAnd also scans one column behind the tenant's.
func scanTenantAnd[T any](row pgx.CollectableRow, more *T) (t store.Tenant, _ *T, err error) {
	var uid *string
	var payloads, attempts, events int64
	into := []any{
		&t.Key, &t.Organisation, &uid, &t.Name, &t.RateLimit, &t.Paused, &payloads, &attempts, &events,
		&t.Metadata, &t.CreatedAt, &t.UpdatedAt, &t.Version,
	}
	if more != nil {
		into = append(into, more)
	}
	err = row.Scan(into...)
	t.UID, t.CreatedAt, t.UpdatedAt = orZero(uid), t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	t.Retention.Payloads, t.Retention.Attempts, t.Retention.Events = micros(payloads), micros(attempts), micros(events)
	return t, more, err
}

func scanKey(row pgx.CollectableRow) (key int64, err error) { return key, row.Scan(&key) }

// Tenant returns a tenant of an organisation, or ErrNotFound.
func (s *Store) Tenant(ctx context.Context, organisation string, key store.TenantKey) (store.Tenant, error) {
	return readFirst(ctx, s, scanTenant, tenantSQL, key, organisation)
}

// TenantByUID returns a tenant of an organisation, or ErrNotFound.
func (s *Store) TenantByUID(ctx context.Context, organisation, uid string) (store.Tenant, error) {
	return readFirst(ctx, s, scanTenant, tenantUIDSQL, organisation, uid)
}

// Tenants lists an organisation's tenants.
func (s *Store) Tenants(ctx context.Context, organisation string, page store.Page) ([]store.Tenant, error) {
	return readPage(ctx, s, scanTenant, tenantsSQL, page, organisation)
}

const insertTenantSQL = `INSERT INTO tenant (key, uid, name, rate_limit, paused, payloads_kept, attempts_kept, events_kept,
		metadata, updated_at, version, organisation, created_at, routes_version)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, 1)`

const updateTenantSQL = `UPDATE tenant SET uid = $2, name = $3, rate_limit = $4, paused = $5,
		payloads_kept = $6, attempts_kept = $7, events_kept = $8, metadata = $9, updated_at = $10, version = $11,
		routes_version = routes_version + 1
	WHERE key = $1`

// changeableTenant gives the key of a tenant and what an update can change, in the order
// of both statements above.
func changeableTenant(t *store.Tenant) []any {
	return []any{
		t.Key, orNull(t.UID), t.Name, t.RateLimit, t.Paused,
		t.Retention.Payloads.Microseconds(), t.Retention.Attempts.Microseconds(), t.Retention.Events.Microseconds(),
		mapOrNull(t.Metadata), instant(t.UpdatedAt),
	}
}

// InsertTenant stores a tenant under its own key, as version 1. That a UID is taken is
// told by its index.
func (s *Store) InsertTenant(ctx context.Context, t store.Tenant, once *store.Once) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := claim(ctx, tx, once, t.Key); err != nil {
			return err
		}
		if err := sweepApart(ctx, tx, t.Key, t.Retention); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertTenantSQL, append(changeableTenant(&t), t.Organisation, instant(t.CreatedAt))...)
		return err
	})
}

const lockTenantSQL = `SELECT version, paused FROM tenant WHERE key = $1 AND organisation = $2 AND deleted_at IS NULL FOR UPDATE`

// UpdateTenant replaces the tenant whose version is one lower than the record's.
func (s *Store) UpdateTenant(ctx context.Context, t store.Tenant) error {
	return s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		stored, err := first(ctx, tx, func(row pgx.CollectableRow) (stored store.Tenant, err error) {
			return stored, row.Scan(&stored.Version, &stored.Paused)
		}, lockTenantSQL, t.Key, t.Organisation)
		switch {
		case err != nil:
			return err
		case stored.Version != t.Version-1:
			return store.ErrStale
		}
		if stored.Paused != t.Paused {
			if _, err := tx.Exec(ctx, deleteFailingOfTenantSQL, t.Key); err != nil {
				return err
			}
		}
		if err := sweepApart(ctx, tx, t.Key, t.Retention); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, updateTenantSQL, append(changeableTenant(&t), t.Version)...); err != nil {
			return err
		}
		return p.routes(ctx, tx, t.Key)
	})
}

const (
	deleteTenantSQL    = `UPDATE tenant SET deleted_at = $2, routes_version = routes_version + 1 WHERE key = $1 AND deleted_at IS NULL`
	deleteEndpointsSQL = `UPDATE endpoint SET deleted_at = $2 WHERE tenant = $1 AND deleted_at IS NULL`
)

// DeleteTenant ends a tenant, all its endpoints and tokens.
func (s *Store) DeleteTenant(ctx context.Context, key store.TenantKey, now time.Time) error {
	return s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error { return deleteTenant(ctx, tx, p, key, now) })
}

func deleteTenant(ctx context.Context, tx pgx.Tx, p *post, key store.TenantKey, now time.Time) error {
	deleted, err := tx.Exec(ctx, deleteTenantSQL, key, instant(now))
	if err != nil {
		return err
	}
	if deleted.RowsAffected() == 0 {
		return store.ErrNotFound
	}
	if _, err := tx.Exec(ctx, deleteFailingOfTenantSQL, key); err != nil {
		return err
	}
	if err := deleteTokensOf(ctx, tx, key); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, deleteEndpointsSQL, key, instant(now)); err != nil {
		return err
	}
	return p.routes(ctx, tx, key)
}

const (
	raiseRoutesSQL = `UPDATE tenant SET routes_version = routes_version + 1 WHERE key = $1 AND deleted_at IS NULL`
	routesSQL      = `SELECT ` + tenantColumns + `, routes_version FROM tenant WHERE key = $1 AND deleted_at IS NULL`
)

// raiseRoutes marks a tenant's routes as changed, which it posts, and keeps others who change
// them waiting. It returns ErrNotFound if there is no such tenant.
func raiseRoutes(ctx context.Context, tx pgx.Tx, p *post, tenant store.TenantKey) error {
	raised, err := tx.Exec(ctx, raiseRoutesSQL, tenant)
	if err != nil {
		return err
	}
	if raised.RowsAffected() == 0 {
		return store.ErrNotFound
	}
	return p.routes(ctx, tx, tenant)
}

// Routes returns the tenant and all its endpoints with their version, or ErrNotFound.
func (s *Store) Routes(ctx context.Context, tenant store.TenantKey) (routes store.Routes, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, q querier) error {
		routes, err = first(ctx, q, func(row pgx.CollectableRow) (r store.Routes, err error) {
			r.Tenant, _, err = scanTenantAnd(row, &r.Version)
			return r, err
		}, routesSQL, tenant)
		if err != nil {
			return err
		}
		routes.Endpoints, err = all(ctx, q, scanEndpoint, tenantEndpointsSQL, tenant)
		return err
	})
	return routes, err
}
