package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// lanesSQL steps from one endpoint to the next above it, past all its rows. The tenants are
// looked up one by one: as a join, all endpoints were held against all lanes.
const lanesSQL = `WITH RECURSIVE lane (endpoint) AS (
		SELECT $1::bigint
		UNION ALL
		SELECT (SELECT least(
				(SELECT endpoint FROM delivery WHERE delivery.endpoint > lane.endpoint ORDER BY endpoint LIMIT 1),
				(SELECT endpoint FROM waiting WHERE waiting.endpoint > lane.endpoint ORDER BY endpoint LIMIT 1),
				(SELECT endpoint FROM send WHERE send.endpoint > lane.endpoint ORDER BY endpoint LIMIT 1)))
		FROM lane WHERE lane.endpoint IS NOT NULL
	), page AS (SELECT endpoint FROM lane WHERE endpoint > $1 LIMIT $2)
	SELECT page.endpoint, found.tenant FROM page
		CROSS JOIN LATERAL (SELECT tenant FROM endpoint WHERE endpoint.key = page.endpoint LIMIT 1) AS found
		ORDER BY page.endpoint`

func scanLane(row pgx.CollectableRow) (lane store.Lane, err error) {
	return lane, row.Scan(&lane.Endpoint, &lane.Tenant)
}

// Lanes lists the endpoints that have open deliveries or sends.
func (s *Store) Lanes(ctx context.Context, after store.EndpointKey, limit int) ([]store.Lane, error) {
	return readAll(ctx, s, scanLane, lanesSQL, after, limit)
}

const (
	// freshSQL reads one more of each than is asked for, which says that there are more.
	// Ranges are read one after the other, and none when there are enough.
	freshSQL = `SELECT place - 1, fresh.event FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS wanted (endpoint, low, place)
		CROSS JOIN LATERAL (SELECT event FROM (
				(SELECT event FROM delivery WHERE endpoint = wanted.endpoint AND event >= wanted.low ORDER BY event LIMIT $3 + 1)
				UNION ALL
				(SELECT event FROM waiting WHERE endpoint = wanted.endpoint AND event >= wanted.low AND retry_at IS NULL ORDER BY event LIMIT $3 + 1)
			) AS either ORDER BY event LIMIT $3 + 1) AS fresh`
	waitingSQL = `SELECT event, tried, retry_at FROM waiting WHERE endpoint = $1 AND retry_at IS NOT NULL
		AND (retry_at, event) >= ($2, $3) ORDER BY retry_at, event LIMIT $4`
)

// Fresh returns up to limit fresh deliveries of an endpoint. Those that wait are kept
// apart, and none is examined.
func (s *Store) Fresh(ctx context.Context, endpoint store.EndpointKey, from store.EventKey, limit int) (store.FreshPage, error) {
	pages, err := s.FreshOf(ctx, []store.FreshFrom{{Endpoint: endpoint, From: from}}, limit)
	if err != nil {
		return store.FreshPage{}, err
	}
	return pages[0], nil
}

// FreshOf is Fresh for several endpoints, in one statement.
func (s *Store) FreshOf(ctx context.Context, from []store.FreshFrom, limit int) ([]store.FreshPage, error) {
	endpoints, lowest := make([]store.EndpointKey, len(from)), make([]store.EventKey, len(from))
	for i := range from {
		endpoints[i], lowest[i] = from[i].Endpoint, from[i].From
	}
	pages := make([]store.FreshPage, len(from))
	err := s.read(ctx, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, freshSQL, endpoints, lowest, limit)
		if err != nil {
			return err
		}
		var place int
		var event store.EventKey
		_, err = pgx.ForEachRow(rows, []any{&place, &event}, func() error {
			if page := &pages[place]; len(page.Deliveries) == limit {
				page.Next, page.More = event, true
			} else {
				page.Deliveries = append(page.Deliveries, store.Open{Event: event})
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return pages, nil
}

func scanWaiting(row pgx.CollectableRow) (open store.Open, err error) {
	err = row.Scan(&open.Event, &open.Tried, &open.RetryAt)
	open.RetryAt = open.RetryAt.UTC()
	return open, err
}

// Waiting returns an endpoint's waiting deliveries, soonest due first.
func (s *Store) Waiting(ctx context.Context, endpoint store.EndpointKey, from store.Moment, limit int) ([]store.Open, error) {
	return readAll(ctx, s, scanWaiting, waitingSQL, endpoint, instant(from.At), from.Key, limit)
}

const countOpenSQL = `SELECT count(*) FROM (
		SELECT 1 FROM endpoint JOIN delivery ON delivery.endpoint = endpoint.key WHERE endpoint.tenant = $1 AND endpoint.deleted_at IS NULL
		UNION ALL
		SELECT 1 FROM endpoint JOIN waiting ON waiting.endpoint = endpoint.key WHERE endpoint.tenant = $1 AND endpoint.deleted_at IS NULL
		UNION ALL
		SELECT 1 FROM deferred WHERE deferred.tenant = $1
		LIMIT $2
	) AS open`

// CountOpen counts a tenant's open deliveries and deferred events.
func (s *Store) CountOpen(ctx context.Context, tenant store.TenantKey, limit int) (int, error) {
	n, err := readFirst(ctx, s, scanKey, countOpenSQL, tenant, limit)
	return int(n), err
}
