package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// wholeSince says from which instants on a tenant's history is whole: its attempts, and its
// events with how their deliveries ended. Zero is all of it.
type wholeSince struct{ attempts, events time.Time }

const (
	wholeSinceSQL    = `SELECT tenant, attempts, events FROM whole_since`
	putWholeSinceSQL = `INSERT INTO whole_since (tenant, attempts, events) SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[])
		ON CONFLICT (tenant) DO UPDATE SET attempts = greatest(whole_since.attempts, excluded.attempts), events = greatest(whole_since.events, excluded.events)
			WHERE whole_since.attempts < excluded.attempts OR whole_since.events < excluded.events`
)

// latest holds, by tenant, the latest instants of what a sweep deletes: of attempts, by when
// they began, and of events and the ends of their deliveries. Deleted so, all stays counted,
// and no recount touches these days.
type latest map[store.TenantKey]wholeSince

func (l latest) note(tenant store.TenantKey, attempt, event time.Time) {
	whole := l[tenant]
	whole.attempts, whole.events = later(whole.attempts, attempt), later(whole.events, event)
	l[tenant] = whole
}

// later is the day behind an instant, if that is later than since. Zero is no instant.
func later(since, at time.Time) time.Time {
	if at.IsZero() {
		return since
	}
	if day := store.Day.Start(at).Add(store.Day.Length()); day.After(since) {
		return day
	}
	return since
}

func (l latest) save(ctx context.Context, tx pgx.Tx) error {
	if len(l) == 0 {
		return nil
	}
	var tenants []int64
	var attempts, events []time.Time
	for tenant, whole := range l {
		tenants = append(tenants, int64(tenant))
		attempts, events = append(attempts, whole.attempts), append(events, whole.events)
	}
	_, err := tx.Exec(ctx, putWholeSinceSQL, tenants, attempts, events)
	return err
}

func loadWhole(ctx context.Context, q querier) (latest, error) {
	rows, err := q.Query(ctx, wholeSinceSQL)
	if err != nil {
		return nil, err
	}
	marks := make(latest)
	var tenant store.TenantKey
	var since wholeSince
	_, err = pgx.ForEachRow(rows, []any{&tenant, &since.attempts, &since.events}, func() error {
		marks[tenant] = since
		return nil
	})
	return marks, err
}
