package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// A delivery is in one of three tables: delivery and waiting have the open ones, history
// those that have ended. It goes from one to the other in one transaction, and so is seen
// once by a statement that looks into all. Fresh is 1, pending; it may be in waiting too.
const (
	freshState   = `1, NULL::text, 0, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz`
	waitingState = `CASE WHEN retry_at IS NULL THEN 1 ELSE 3 END, NULL, tried, retry_at, NULL, NULL`
	endedState   = `state, reason, tried, NULL, ended_at, recovered_at`

	deliverySQL = `SELECT event, endpoint, ` + freshState + ` FROM delivery WHERE endpoint = $1 AND event = $2
		UNION ALL
		SELECT event, endpoint, ` + waitingState + ` FROM waiting WHERE endpoint = $1 AND event = $2
		UNION ALL
		SELECT event, endpoint, ` + endedState + ` FROM history WHERE event = $2 AND endpoint = $1`
)

// scanDeliveryAnd reads a delivery, and more behind it.
func scanDeliveryAnd(row pgx.CollectableRow, more ...any) (d store.DeliveryRecord, err error) {
	var reason *string
	var retry, ended, recovered *time.Time
	err = row.Scan(append([]any{&d.Event, &d.Endpoint, &d.State, &reason, &d.Tried, &retry, &ended, &recovered}, more...)...)
	d.Reason = webhook.Reason(orZero(reason))
	d.RetryAt, d.EndedAt, d.RecoveredAt = utcOrZero(retry), utcOrZero(ended), utcOrZero(recovered)
	return d, err
}

func scanDelivery(row pgx.CollectableRow) (store.DeliveryRecord, error) { return scanDeliveryAnd(row) }

// Delivery returns where an event stands at an endpoint, or ErrNotFound.
func (s *Store) Delivery(ctx context.Context, endpoint store.EndpointKey, event store.EventKey) (store.DeliveryRecord, error) {
	return readFirst(ctx, s, scanDelivery, deliverySQL, endpoint, event)
}

// Open ones are not indexed by event, and are looked for at each endpoint of the tenant. The
// endpoints come first in the join, whatever is thought of how many there are.
const (
	openOfEvent = `(SELECT $2::bigint AS event, endpoint.key AS endpoint, found.*, created_at FROM endpoint CROSS JOIN LATERAL (
			SELECT ` + freshState + ` FROM delivery WHERE delivery.endpoint = endpoint.key AND delivery.event = $2
			UNION ALL
			SELECT ` + waitingState + ` FROM waiting WHERE waiting.endpoint = endpoint.key AND waiting.event = $2
			LIMIT 1) AS found
		WHERE (tenant, endpoint.key) > ($1, $3) AND (tenant, endpoint.key) < ($1, $4) AND deleted_at IS NULL ORDER BY tenant`
	endedOfEvent = `(SELECT event, endpoint, ` + endedState + `, created_at FROM history JOIN endpoint ON endpoint.key = history.endpoint
		WHERE event = $2 AND endpoint > $3 AND endpoint < $4
			AND EXISTS (SELECT FROM event WHERE event.key = $2 AND event.tenant = $1) ORDER BY endpoint`
)

var deliveriesOfEventSQL = ways{
	up: openOfEvent + `, key LIMIT $5) UNION ALL ` + endedOfEvent + ` LIMIT $5) ORDER BY endpoint LIMIT $5`,
	down: openOfEvent + ` DESC, key DESC LIMIT $5) UNION ALL ` + endedOfEvent + ` DESC LIMIT $5)
		ORDER BY endpoint DESC LIMIT $5`,
}

func scanDated(row pgx.CollectableRow) (d store.DatedDelivery, err error) {
	d.DeliveryRecord, err = scanDeliveryAnd(row, &d.EndpointCreatedAt)
	d.EndpointCreatedAt = d.EndpointCreatedAt.UTC()
	return d, err
}

// DeliveriesOfEvent lists where an event of a tenant stands at its endpoints.
func (s *Store) DeliveriesOfEvent(ctx context.Context, tenant store.TenantKey, event store.EventKey, page store.Page) ([]store.DatedDelivery, error) {
	return readPage(ctx, s, scanDated, deliveriesOfEventSQL, page, tenant, event)
}
