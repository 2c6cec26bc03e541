package sqlite

import (
	"context"
	"time"

	"github.com/neohook/neohook/store"
)

// wholeSince says from which instants on, in microseconds, a tenant's history is whole:
// its attempts, and its events with how their deliveries ended.
type wholeSince struct{ attempts, events int64 }

const (
	wholeSinceSQL    = `SELECT tenant, attempts, events FROM whole_since`
	putWholeSinceSQL = `INSERT INTO whole_since (tenant, attempts, events) VALUES (?1, ?2, ?3)
		ON CONFLICT (tenant) DO UPDATE SET attempts = max(attempts, ?2), events = max(events, ?3)`
	deleteWholeSinceSQL = `DELETE FROM whole_since WHERE tenant = ?`
)

// sweptAttempt and sweptEvent are told of what a sweep deletes: an attempt that began at
// an instant, or an event, or the end of one of its deliveries, that was then. Deleted so,
// it stays counted; and no recount touches the day.
func (w *writer) sweptAttempt(ctx context.Context, tenant store.TenantKey, at int64) error {
	return w.swept(ctx, tenant, wholeSince{attempts: dayAfter(at)})
}

func (w *writer) sweptEvent(ctx context.Context, tenant store.TenantKey, at int64) error {
	return w.swept(ctx, tenant, wholeSince{events: dayAfter(at)})
}

func dayAfter(at int64) int64 {
	day := (24 * time.Hour).Microseconds()
	return (floorDiv(at, day) + 1) * day
}

// swept is written when a mark moves, which is once a day for each tenant.
func (w *writer) swept(ctx context.Context, tenant store.TenantKey, since wholeSince) error {
	if err := w.loadWhole(ctx); err != nil {
		return err
	}
	before := w.whole[tenant]
	if since.attempts <= before.attempts && since.events <= before.events {
		return nil
	}
	w.whole[tenant] = wholeSince{max(before.attempts, since.attempts), max(before.events, since.events)}
	_, err := w.exec(ctx, putWholeSinceSQL, int64(tenant), since.attempts, since.events)
	return err
}

func (w *writer) loadWhole(ctx context.Context) error {
	if w.whole != nil {
		return nil
	}
	marks := make(map[store.TenantKey]wholeSince)
	for r, err := range w.rows(ctx, wholeSinceSQL) {
		if err != nil {
			return err
		}
		marks[store.TenantKey(r.int())] = wholeSince{attempts: r.int(), events: r.int()}
	}
	w.whole = marks
	return nil
}
