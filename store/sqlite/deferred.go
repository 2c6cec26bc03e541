package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
)

const (
	insertDeferredSQL = `INSERT INTO deferred (due_at, event, tenant) VALUES (?, ?, ?)`
	deferredSQL       = `SELECT 1 FROM deferred WHERE due_at = ? AND event = ?`
	deleteDeferredSQL = `DELETE FROM deferred WHERE due_at = ? AND event = ?`
	// The order of the join is ours: the events are looked up one by one. One that is gone
	// is promoted all the same, which deletes its row.
	dueSQL = `SELECT deferred.event, deferred.tenant, due_at, type, channels
		FROM deferred LEFT JOIN event ON event.key = deferred.event
		WHERE due_at <= ?1 ORDER BY due_at, deferred.event LIMIT ?2`
	nextDueSQL = `SELECT due_at FROM deferred WHERE due_at > ? ORDER BY due_at LIMIT 1`
)

func (w *writer) deferEvent(ctx context.Context, due time.Time, event store.EventKey, tenant store.TenantKey) error {
	_, err := w.exec(ctx, insertDeferredSQL, micros(due), int64(event), int64(tenant))
	return err
}

// Due returns the deferred events that are due, and when the next one will be.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) (due []store.DeferredEvent, next time.Time, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		due, err = all(ctx, c, scanDeferred, dueSQL, micros(now), int64(limit))
		if err != nil || len(due) == limit {
			return err
		}
		next, err = first(ctx, c, (*row).time, nextDueSQL, micros(now))
		if errors.Is(err, store.ErrNotFound) {
			next, err = time.Time{}, nil
		}
		return err
	})
	return due, next, err
}

func scanDeferred(r *row) store.DeferredEvent {
	return store.DeferredEvent{
		Event: store.EventKey(r.int()), Tenant: store.TenantKey(r.int()), DueAt: r.time(),
		Type: r.text(), Channels: r.strings(),
	}
}

// Promote opens the deliveries of deferred events.
func (s *Store) Promote(ctx context.Context, _ time.Time, promotions []store.Promotion) ([]store.Promoted, error) {
	promoted := make([]store.Promoted, len(promotions))
	err := s.write(ctx, func(ctx context.Context, w *writer) (err error) {
		for i := range promotions {
			if promoted[i], err = w.promote(ctx, &promotions[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return promoted, nil
}

func (w *writer) promote(ctx context.Context, p *store.Promotion) (promoted store.Promoted, _ error) {
	promoted.Kind = store.Accepted
	version, err := w.routesVersion(ctx, p.Tenant)
	switch {
	case errors.Is(err, store.ErrNotFound):
		promoted.Kind = store.TenantGone
	case err != nil:
		return promoted, err
	case version != p.RouteVersion:
		return store.Promoted{Kind: store.Rerouted}, nil
	}
	deleted, err := w.exec(ctx, deleteDeferredSQL, micros(p.DueAt), int64(p.Event))
	if err != nil || deleted == 0 {
		return store.Promoted{Kind: store.Gone}, err
	}
	if err := w.revisit(ctx, p.Event); err != nil || promoted.Kind != store.Accepted {
		return promoted, err
	}
	for _, endpoint := range p.Endpoints {
		opened, err := w.openLater(ctx, &store.Opening{Tenant: p.Tenant, Endpoint: endpoint, Event: p.Event, DueAt: p.DueAt})
		if err != nil {
			return promoted, err
		}
		if opened {
			promoted.Endpoints = append(promoted.Endpoints, endpoint)
		}
	}
	return promoted, nil
}

// has says whether a query finds a row.
func (w *writer) has(ctx context.Context, query string, args ...any) (bool, error) {
	_, err := first(ctx, w.conn, (*row).int, query, args...)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

const (
	deferralSQL    = `SELECT deliver_at, cancelled_at FROM event WHERE key = ? AND tenant = ?`
	cancelEventSQL = `UPDATE event SET cancelled_at = ?2 WHERE key = ?1`
)

// CancelEvent ends the deferral of an event for good.
func (s *Store) CancelEvent(ctx context.Context, tenant store.TenantKey, event store.EventKey, now time.Time, announce ...store.Announcement) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		type deferral struct{ due, cancelled time.Time }
		of, err := first(ctx, w.conn, func(r *row) deferral { return deferral{r.timeOrZero(), r.timeOrZero()} },
			deferralSQL, int64(event), int64(tenant))
		switch {
		case err != nil:
			return err
		case !of.cancelled.IsZero():
			return nil
		case of.due.IsZero():
			return store.ErrNotDeferred
		}
		deleted, err := w.exec(ctx, deleteDeferredSQL, micros(of.due), int64(event))
		if err != nil {
			return err
		}
		if deleted == 0 {
			return store.ErrNotDeferred
		}
		if _, err := w.exec(ctx, cancelEventSQL, int64(event), micros(now)); err != nil {
			return err
		}
		if err := w.revisit(ctx, event); err != nil {
			return err
		}
		return w.announce(ctx, announce)
	})
}
