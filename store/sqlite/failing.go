package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
)

const (
	putFailingSQL = `INSERT OR REPLACE INTO failing (endpoint, since, told)
		SELECT key, ?2, ?3 FROM endpoint WHERE key = ?1 AND disabled = 0 AND deleted_at IS NULL`
	deleteFailingSQL         = `DELETE FROM failing WHERE endpoint = ?1`
	deleteFailingOfTenantSQL = `DELETE FROM failing WHERE endpoint IN (SELECT key FROM endpoint WHERE tenant = ?1 AND deleted_at IS NULL)`
	deleteAllFailingSQL      = `DELETE FROM failing`
	failingSQL               = `SELECT endpoint, since, told FROM failing WHERE endpoint > ? ORDER BY endpoint LIMIT ?`
)

// mark keeps what an outcome says of its endpoint.
func (w *writer) mark(ctx context.Context, o *store.Outcome) error {
	if o.Failing == nil {
		return nil
	}
	if o.Failing.Since.IsZero() {
		return w.unmark(ctx, o.Endpoint)
	}
	kept, err := w.exec(ctx, putFailingSQL, int64(o.Endpoint), micros(o.Failing.Since), int64(o.Failing.Told))
	if err != nil || kept == 0 || o.AnnounceFailing == nil {
		return err
	}
	return w.insertOutbox(ctx, o.AnnounceFailing, store.About{Tenant: o.Tenant, Endpoint: o.Endpoint})
}

func (w *writer) unmark(ctx context.Context, endpoint store.EndpointKey) error {
	_, err := w.exec(ctx, deleteFailingSQL, int64(endpoint))
	return err
}

// FailingEndpoints lists the endpoints that fail.
func (s *Store) FailingEndpoints(ctx context.Context, after store.EndpointKey, limit int) ([]store.FailingEndpoint, error) {
	return readAll(ctx, s, func(r *row) store.FailingEndpoint {
		return store.FailingEndpoint{
			Endpoint: store.EndpointKey(r.int()), Failing: store.Failing{Since: r.time(), Told: int(r.int())},
		}
	}, failingSQL, int64(after), int64(limit))
}
