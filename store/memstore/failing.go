package memstore

import (
	"context"

	"github.com/neohook/neohook/store"
)

// mark keeps what an outcome says of its endpoint.
func (db *state) mark(o *store.Outcome) {
	ep := db.endpoints[o.Endpoint]
	switch {
	case o.Failing == nil || ep == nil || ep.deleted || ep.Disabled || !db.keepsFailing(o.Tenant):
	case o.Failing.Since.IsZero():
		delete(db.failing, o.Endpoint)
	default:
		db.failing[o.Endpoint] = store.Failing{Since: instant(o.Failing.Since), Told: o.Failing.Told}
		if o.AnnounceFailing != nil {
			db.announce(*o.AnnounceFailing, store.About{Tenant: o.Tenant, Endpoint: o.Endpoint})
		}
	}
}

// FailingEndpoints lists the endpoints that fail.
func (s *Store) FailingEndpoints(ctx context.Context, after store.EndpointKey, limit int) ([]store.FailingEndpoint, error) {
	return get(ctx, s, "FailingEndpoints", func(db *state) ([]store.FailingEndpoint, error) {
		return db.failingEndpoints(after, limit, anywhere), nil
	})
}

func (db *state) failingEndpoints(after store.EndpointKey, limit int, of func(store.TenantKey) bool) (found []store.FailingEndpoint) {
	for _, key := range sorted(db.failing) {
		if key > after && len(found) < limit && of(db.endpoints[key].Tenant) {
			found = append(found, store.FailingEndpoint{Endpoint: key, Failing: db.failing[key]})
		}
	}
	return found
}
