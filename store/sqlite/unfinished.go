package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
)

// openLane is an endpoint with open deliveries, and the lowest event among them.
type openLane struct {
	endpoint store.EndpointKey
	lowest   int64
}

const (
	openLanesSQL = `SELECT key, (SELECT min(event) FROM delivery WHERE endpoint = endpoint.key) FROM endpoint WHERE tenant = ?1 AND deleted_at IS NULL
		UNION ALL
		SELECT key, (SELECT min(event) FROM delivery WHERE endpoint = endpoint.key) FROM endpoint WHERE tenant = ?1 AND deleted_at IS NOT NULL`
	openSendsSQL = `SELECT DISTINCT event FROM send WHERE event BETWEEN ? AND ?`
)

// openOf returns those events in a range that have open sends.
func (s *sweep) openOf(ctx context.Context, low, high int64) (map[int64]struct{}, error) {
	var open map[int64]struct{}
	for r, err := range s.rows(ctx, openSendsSQL, low, high) {
		if err != nil {
			return nil, err
		}
		if open == nil {
			open = make(map[int64]struct{})
		}
		open[r.int()] = struct{}{}
	}
	return open, nil
}

// unfinished says that there is still something to do for an event: that it has an open
// send, is deferred, or has an open delivery. Those are not indexed by event; but a
// tenant's endpoints are few, and one look at each tells of all events below the lowest.
func (s *sweep) unfinished(ctx context.Context, ev *swept, open map[int64]struct{}) (bool, error) {
	if _, is := open[ev.key]; is {
		return true, nil
	}
	if ev.deliverAt != 0 {
		if deferred, err := s.has(ctx, deferredSQL, ev.deliverAt, ev.key); err != nil || deferred {
			return deferred, err
		}
	}
	lanes, err := s.lanesOf(ctx, ev.tenant)
	if err != nil {
		return false, err
	}
	for _, lane := range lanes {
		if lane.lowest > ev.key {
			continue
		}
		if is, err := s.has(ctx, triedSQL, int64(lane.endpoint), ev.key); err != nil || is {
			return is, err
		}
	}
	return false, nil
}

// lanesOf returns the endpoints of a tenant that have open deliveries, deleted ones
// included.
func (s *sweep) lanesOf(ctx context.Context, tenant store.TenantKey) ([]openLane, error) {
	if lanes, known := s.lanes[tenant]; known {
		return lanes, nil
	}
	lanes, err := s.openLanes(ctx, tenant)
	s.lanes[tenant] = lanes
	return lanes, err
}

func (w *writer) openLanes(ctx context.Context, tenant store.TenantKey) (lanes []openLane, err error) {
	for r, err := range w.rows(ctx, openLanesSQL, int64(tenant)) {
		if err != nil {
			return nil, err
		}
		if lane := (openLane{store.EndpointKey(r.int()), r.int()}); lane.lowest != 0 {
			lanes = append(lanes, lane)
		}
	}
	return lanes, nil
}
