package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
)

const (
	endpointColumns = `key, tenant, uid, name, description, url, method, protocol, timeout, disabled, paused, event_types, channels,
		rate_limit, concurrency, ordered, schedule, final_statuses, user_version, metadata, created_by, created_at, updated_at, sealed_secrets, sealed_headers, version`
	endpointSQL        = `SELECT ` + endpointColumns + ` FROM endpoint WHERE key = ? AND tenant = ? AND deleted_at IS NULL`
	endpointUIDSQL     = `SELECT ` + endpointColumns + ` FROM endpoint WHERE tenant = ? AND uid = ? AND deleted_at IS NULL`
	tenantEndpointsSQL = `SELECT ` + endpointColumns + ` FROM endpoint WHERE tenant = ? AND deleted_at IS NULL ORDER BY key`
	endpointsUpSQL     = `SELECT ` + endpointColumns + ` FROM endpoint WHERE tenant = ? AND key > ? AND deleted_at IS NULL
		ORDER BY key LIMIT ?`
	endpointsDownSQL = `SELECT ` + endpointColumns + ` FROM endpoint WHERE tenant = ? AND key < ? AND deleted_at IS NULL
		ORDER BY key DESC LIMIT ?`
)

func scanEndpoint(r *row) store.Endpoint {
	return store.Endpoint{
		Key: store.EndpointKey(r.int()), Tenant: store.TenantKey(r.int()), UID: r.text(),
		Name: r.text(), Description: r.text(), URL: r.text(), Method: r.text(), Protocol: r.text(),
		Timeout: r.duration(), Disabled: r.bool(), Paused: r.bool(), EventTypes: r.strings(), Channels: r.strings(),
		RateLimit: int(r.int()), Concurrency: int(r.int()), Ordered: r.bool(),
		Schedule: r.schedule(), FinalStatuses: r.integers(), UserVersion: int(r.int()), Metadata: r.metadata(), CreatedBy: r.text(),
		CreatedAt: r.time(), UpdatedAt: r.time(),
		SealedSecrets: r.blob(), SealedHeaders: r.blob(), Version: r.int(),
	}
}

// Endpoint returns an endpoint of a tenant, or ErrNotFound.
func (s *Store) Endpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey) (store.Endpoint, error) {
	return readFirst(ctx, s, scanEndpoint, endpointSQL, int64(key), int64(tenant))
}

// EndpointByUID returns an endpoint of a tenant, or ErrNotFound.
func (s *Store) EndpointByUID(ctx context.Context, tenant store.TenantKey, uid string) (store.Endpoint, error) {
	return readFirst(ctx, s, scanEndpoint, endpointUIDSQL, int64(tenant), uid)
}

// Endpoints lists a tenant's endpoints.
func (s *Store) Endpoints(ctx context.Context, tenant store.TenantKey, page store.Page) ([]store.Endpoint, error) {
	query, after := walk(page, endpointsUpSQL, endpointsDownSQL)
	return readAll(ctx, s, scanEndpoint, query, int64(tenant), after, int64(page.Limit))
}

const insertEndpointSQL = `INSERT INTO endpoint (key, uid, name, description, url, method, protocol, timeout, disabled, paused,
		event_types, channels, rate_limit, concurrency, ordered, schedule, final_statuses, user_version, metadata,
		created_by, updated_at, sealed_secrets, sealed_headers, version, tenant, created_at)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)`

const updateEndpointSQL = `UPDATE endpoint SET uid = ?2, name = ?3, description = ?4, url = ?5, method = ?6, protocol = ?7, timeout = ?8, disabled = ?9, paused = ?10,
		event_types = ?11, channels = ?12, rate_limit = ?13, concurrency = ?14, ordered = ?15, schedule = ?16,
		final_statuses = ?17, user_version = ?18, metadata = ?19, created_by = ?20, updated_at = ?21,
		sealed_secrets = ?22, sealed_headers = ?23, version = ?24
	WHERE key = ?1`

// changeable gives the key of an endpoint and what an update can change, in the order of
// both statements above.
func changeable(ep *store.Endpoint) []any {
	return []any{
		int64(ep.Key), textOrNull(ep.UID), ep.Name, ep.Description, ep.URL, ep.Method, ep.Protocol,
		ep.Timeout.Microseconds(), integer(ep.Disabled), integer(ep.Paused),
		listOrNull(ep.EventTypes), listOrNull(ep.Channels), int64(ep.RateLimit),
		int64(ep.Concurrency), integer(ep.Ordered), scheduleOrNull(ep.Schedule), listOrNull(ep.FinalStatuses), int64(ep.UserVersion),
		mapOrNull(ep.Metadata), ep.CreatedBy, micros(ep.UpdatedAt),
		blobOrNull(ep.SealedSecrets), blobOrNull(ep.SealedHeaders),
	}
}

// InsertEndpoint stores an endpoint under its own key, as version 1.
func (s *Store) InsertEndpoint(ctx context.Context, ep store.Endpoint, once *store.Once, announce ...store.Announcement) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.claim(ctx, once, ep.Tenant); err != nil {
			return err
		}
		if err := w.raiseRoutes(ctx, ep.Tenant); err != nil {
			return err
		}
		if err := w.checkEndpointUID(ctx, &ep); err != nil {
			return err
		}
		if _, err := w.exec(ctx, insertEndpointSQL, append(changeable(&ep), int64(ep.Tenant), micros(ep.CreatedAt))...); err != nil {
			return err
		}
		return w.announce(ctx, announce)
	})
}

// checkEndpointUID returns ErrConflict if another endpoint of the tenant has the UID of ep.
func (w *writer) checkEndpointUID(ctx context.Context, ep *store.Endpoint) error {
	if ep.UID == "" {
		return nil
	}
	holder, err := first(ctx, w.conn, scanEndpoint, endpointUIDSQL, int64(ep.Tenant), ep.UID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil && holder.Key != ep.Key:
		return store.ErrConflict
	}
	return err
}

// UpdateEndpoint replaces the endpoint whose version is one lower than the record's.
func (s *Store) UpdateEndpoint(ctx context.Context, ep store.Endpoint, once *store.Once, announce ...store.Announcement) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.claim(ctx, once, ep.Tenant); err != nil {
			return err
		}
		stored, err := first(ctx, w.conn, scanEndpoint, endpointSQL, int64(ep.Key), int64(ep.Tenant))
		if err != nil {
			return err
		}
		if stored.Version != ep.Version-1 {
			return store.ErrStale
		}
		if err := w.checkEndpointUID(ctx, &ep); err != nil {
			return err
		}
		if stored.Disabled != ep.Disabled || stored.Paused != ep.Paused {
			if err := w.unmark(ctx, ep.Key); err != nil {
				return err
			}
		}
		if _, err := w.exec(ctx, updateEndpointSQL, append(changeable(&ep), ep.Version)...); err != nil {
			return err
		}
		if err := w.announce(ctx, announce); err != nil {
			return err
		}
		return w.raiseRoutes(ctx, ep.Tenant)
	})
}

const deleteEndpointSQL = `UPDATE endpoint SET deleted_at = ?3 WHERE key = ?1 AND tenant = ?2 AND deleted_at IS NULL`

// DeleteEndpoint ends an endpoint.
func (s *Store) DeleteEndpoint(ctx context.Context, tenant store.TenantKey, key store.EndpointKey, now time.Time, announce ...store.Announcement) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		deleted, err := w.exec(ctx, deleteEndpointSQL, int64(key), int64(tenant), micros(now))
		if err != nil {
			return err
		}
		if deleted == 0 {
			return store.ErrNotFound
		}
		if err := w.unmark(ctx, key); err != nil {
			return err
		}
		if err := w.announce(ctx, announce); err != nil {
			return err
		}
		return w.raiseRoutes(ctx, tenant)
	})
}
