package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	endpointColumns = `key, tenant, uid, name, description, url, method, protocol, timeout, disabled, paused, event_types, channels,
		rate_limit, concurrency, ordered, schedule, final_statuses, user_version, metadata, created_by, created_at, updated_at,
		sealed_secrets, sealed_headers, version`
	endpointSQL        = `SELECT ` + endpointColumns + ` FROM endpoint WHERE key = $1 AND tenant = $2 AND deleted_at IS NULL`
	endpointUIDSQL     = `SELECT ` + endpointColumns + ` FROM endpoint WHERE tenant = $1 AND uid = $2 AND deleted_at IS NULL`
	tenantEndpointsSQL = `SELECT ` + endpointColumns + ` FROM endpoint WHERE tenant = $1 AND deleted_at IS NULL ORDER BY key`
	endpointsOfTenant  = `SELECT ` + endpointColumns + ` FROM endpoint WHERE (tenant, key) > ($1, $2) AND (tenant, key) < ($1, $3) AND deleted_at IS NULL`
)

var endpointsSQL = ways{
	up:   endpointsOfTenant + ` ORDER BY tenant, key LIMIT $4`,
	down: endpointsOfTenant + ` ORDER BY tenant DESC, key DESC LIMIT $4`,
}

func scanEndpoint(row pgx.CollectableRow) (ep store.Endpoint, err error) {
	var uid *string
	var timeout int64
	var schedule []int64
	err = row.Scan(&ep.Key, &ep.Tenant, &uid, &ep.Name, &ep.Description, &ep.URL, &ep.Method, &ep.Protocol, &timeout,
		&ep.Disabled, &ep.Paused, &ep.EventTypes, &ep.Channels, &ep.RateLimit, &ep.Concurrency, &ep.Ordered, &schedule,
		&ep.FinalStatuses, &ep.UserVersion, &ep.Metadata, &ep.CreatedBy, &ep.CreatedAt, &ep.UpdatedAt,
		&ep.SealedSecrets, &ep.SealedHeaders, &ep.Version)
	ep.UID, ep.Timeout, ep.Schedule = orZero(uid), micros(timeout), scheduleOf(schedule)
	ep.CreatedAt, ep.UpdatedAt = ep.CreatedAt.UTC(), ep.UpdatedAt.UTC()
	return ep, err
}

// Endpoint returns an endpoint of a tenant, or ErrNotFound.
func (s *Store) Endpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey) (store.Endpoint, error) {
	return readFirst(ctx, s, scanEndpoint, endpointSQL, key, tenant)
}

// EndpointByUID returns an endpoint of a tenant, or ErrNotFound.
func (s *Store) EndpointByUID(ctx context.Context, tenant store.TenantKey, uid string) (store.Endpoint, error) {
	return readFirst(ctx, s, scanEndpoint, endpointUIDSQL, tenant, uid)
}

// Endpoints lists a tenant's endpoints.
func (s *Store) Endpoints(ctx context.Context, tenant store.TenantKey, page store.Page) ([]store.Endpoint, error) {
	return readPage(ctx, s, scanEndpoint, endpointsSQL, page, tenant)
}

const insertEndpointSQL = `INSERT INTO endpoint (key, uid, name, description, url, method, protocol, timeout, disabled, paused,
		event_types, channels, rate_limit, concurrency, ordered, schedule, final_statuses, user_version, metadata,
		created_by, updated_at, sealed_secrets, sealed_headers, version, tenant, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, 1, $24, $25)`

const updateEndpointSQL = `UPDATE endpoint SET uid = $2, name = $3, description = $4, url = $5, method = $6, protocol = $7,
		timeout = $8, disabled = $9, paused = $10, event_types = $11, channels = $12, rate_limit = $13, concurrency = $14,
		ordered = $15, schedule = $16, final_statuses = $17, user_version = $18, metadata = $19, created_by = $20,
		updated_at = $21, sealed_secrets = $22, sealed_headers = $23, version = $24
	WHERE key = $1`

// changeableEndpoint gives the key of an endpoint and what an update can change, in the
// order of both statements above.
func changeableEndpoint(ep *store.Endpoint) []any {
	return []any{
		ep.Key, orNull(ep.UID), ep.Name, ep.Description, ep.URL, ep.Method, ep.Protocol,
		ep.Timeout.Microseconds(), ep.Disabled, ep.Paused, listOrNull(ep.EventTypes), listOrNull(ep.Channels),
		ep.RateLimit, ep.Concurrency, ep.Ordered, waits(ep.Schedule), listOrNull(ep.FinalStatuses), ep.UserVersion,
		mapOrNull(ep.Metadata), ep.CreatedBy, instant(ep.UpdatedAt), listOrNull(ep.SealedSecrets), listOrNull(ep.SealedHeaders),
	}
}

// InsertEndpoint stores an endpoint under its own key, as version 1.
func (s *Store) InsertEndpoint(ctx context.Context, ep store.Endpoint, once *store.Once, announce ...store.Announcement) error {
	return s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		if err := claim(ctx, tx, once, ep.Tenant); err != nil {
			return err
		}
		if err := raiseRoutes(ctx, tx, p, ep.Tenant); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertEndpointSQL, append(changeableEndpoint(&ep), ep.Tenant, instant(ep.CreatedAt))...); err != nil {
			return err
		}
		return insertOutbox(ctx, tx, announce)
	})
}

const lockEndpointSQL = `SELECT version, disabled, paused FROM endpoint WHERE key = $1 AND tenant = $2 AND deleted_at IS NULL FOR UPDATE`

// UpdateEndpoint replaces the endpoint whose version is one lower than the record's.
func (s *Store) UpdateEndpoint(ctx context.Context, ep store.Endpoint, once *store.Once, announce ...store.Announcement) error {
	return s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		if err := claim(ctx, tx, once, ep.Tenant); err != nil {
			return err
		}
		// The tenant's row is locked before its endpoints', here as everywhere.
		if err := raiseRoutes(ctx, tx, p, ep.Tenant); err != nil {
			return err
		}
		stored, err := first(ctx, tx, func(row pgx.CollectableRow) (stored store.Endpoint, err error) {
			return stored, row.Scan(&stored.Version, &stored.Disabled, &stored.Paused)
		}, lockEndpointSQL, ep.Key, ep.Tenant)
		switch {
		case err != nil:
			return err
		case stored.Version != ep.Version-1:
			return store.ErrStale
		}
		if stored.Disabled != ep.Disabled || stored.Paused != ep.Paused {
			if _, err := tx.Exec(ctx, deleteFailingSQL, ep.Key); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, updateEndpointSQL, append(changeableEndpoint(&ep), ep.Version)...); err != nil {
			return err
		}
		return insertOutbox(ctx, tx, announce)
	})
}

const deleteEndpointSQL = `UPDATE endpoint SET deleted_at = $3 WHERE key = $1 AND tenant = $2 AND deleted_at IS NULL`

// DeleteEndpoint ends an endpoint.
func (s *Store) DeleteEndpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey, now time.Time, announce ...store.Announcement) error {
	return s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		if err := raiseRoutes(ctx, tx, p, tenant); err != nil {
			return err
		}
		deleted, err := tx.Exec(ctx, deleteEndpointSQL, key, tenant, instant(now))
		if err != nil {
			return err
		}
		if deleted.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		if _, err := tx.Exec(ctx, deleteFailingSQL, key); err != nil {
			return err
		}
		return insertOutbox(ctx, tx, announce)
	})
}
