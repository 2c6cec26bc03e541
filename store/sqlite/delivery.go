package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const insertDeliverySQL = `INSERT OR IGNORE INTO delivery (endpoint, event, tried) VALUES (?, ?, 0)`

// insertDelivery opens a delivery, and says whether there was none.
func (w *writer) insertDelivery(ctx context.Context, endpoint store.EndpointKey, event store.EventKey) (bool, error) {
	inserted, err := w.exec(ctx, insertDeliverySQL, int64(endpoint), int64(event))
	return inserted == 1, err
}

const (
	retryDeliverySQL = `UPDATE delivery SET tried = ?4, retry_at = ?5 WHERE endpoint = ?1 AND event = ?2 AND tried = ?3`
	endDeliverySQL   = `DELETE FROM delivery WHERE endpoint = ?1 AND event = ?2 AND tried = ?3`
	triedSQL         = `SELECT tried FROM delivery WHERE endpoint = ?1 AND event = ?2`
)

// moveDelivery carries an outcome out on the delivery that it is of, which has been tried
// so often then. It says whether the delivery was as the outcome expects.
func (w *writer) moveDelivery(ctx context.Context, o *store.Outcome, tried int, now time.Time) (bool, error) {
	endpoint, event, expected := int64(o.Endpoint), int64(o.Event), int64(o.Tried)
	if !o.State.Ended() {
		moved, err := w.exec(ctx, retryDeliverySQL, endpoint, event, expected, int64(tried), micros(o.RetryAt))
		return moved == 1, err
	}
	moved, err := w.exec(ctx, endDeliverySQL, endpoint, event, expected)
	if err != nil || moved == 0 {
		return false, err
	}
	return true, w.insertHistory(ctx, o, o.State, tried, now)
}

// closeOpen ends a delivery by a success if it is open, however often it was tried, and
// says whether it was.
func (w *writer) closeOpen(ctx context.Context, o *store.Outcome, scheduled bool, now time.Time) (bool, error) {
	tried, err := first(ctx, w.conn, (*row).int, triedSQL, int64(o.Endpoint), int64(o.Event))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := w.exec(ctx, endDeliverySQL, int64(o.Endpoint), int64(o.Event), tried); err != nil {
		return false, err
	}
	return true, w.insertHistory(ctx, o, webhook.Succeeded, int(tried+integer(scheduled)), now)
}

const (
	insertHistorySQL     = `INSERT INTO history (event, endpoint, state, reason, tried, ended_at) VALUES (?, ?, ?, ?, ?, ?)`
	insertHistorySpanSQL = `INSERT OR IGNORE INTO history_span (endpoint, span) VALUES (?, ?)`
)

func (w *writer) insertHistory(ctx context.Context, o *store.Outcome, state webhook.State, tried int, now time.Time) error {
	if err := w.revisit(ctx, o.Event); err != nil {
		return err
	}
	var reason any
	if state == webhook.Cancelled {
		reason = textOrNull(string(o.Reason))
	}
	if err := w.historySpans.note(ctx, w.conn, int64(o.Endpoint), int64(o.Event)); err != nil {
		return err
	}
	_, err := w.exec(ctx, insertHistorySQL,
		int64(o.Event), int64(o.Endpoint), int64(state), reason, int64(tried), micros(now))
	if err != nil {
		return err
	}
	if err := w.countEnding(ctx, o, state, now); err != nil {
		return err
	}
	return w.endOpening(ctx, o, state)
}

// lanesSQL steps from one endpoint to the next above it, past all its rows.
const lanesSQL = `WITH RECURSIVE lane (endpoint) AS (
		SELECT ?1
		UNION ALL
		SELECT (SELECT min(endpoint) FROM (
				SELECT min(endpoint) AS endpoint FROM delivery WHERE endpoint > lane.endpoint
				UNION ALL
				SELECT min(endpoint) FROM send WHERE endpoint > lane.endpoint))
		FROM lane WHERE lane.endpoint IS NOT NULL
		LIMIT ?2 + 1
	)
	SELECT lane.endpoint, endpoint.tenant FROM lane CROSS JOIN endpoint ON endpoint.key = lane.endpoint
	WHERE lane.endpoint > ?1`

// Lanes lists the endpoints that have open deliveries or sends.
func (s *Store) Lanes(ctx context.Context, after store.EndpointKey, limit int) ([]store.Lane, error) {
	return readAll(ctx, s, func(r *row) store.Lane {
		return store.Lane{Endpoint: store.EndpointKey(r.int()), Tenant: store.TenantKey(r.int())}
	}, lanesSQL, int64(after), int64(limit))
}

// The order of the join is ours: a tenant's endpoints are few, and each one's rows are
// together.
const countOpenSQL = `SELECT count(*) FROM (
		SELECT 1 FROM endpoint CROSS JOIN delivery ON delivery.endpoint = endpoint.key
		WHERE endpoint.tenant = ?1 AND endpoint.deleted_at IS NULL
		UNION ALL
		SELECT 1 FROM deferred WHERE deferred.tenant = ?1 LIMIT ?2
	)`

// CountOpen counts a tenant's open deliveries and deferred events.
func (s *Store) CountOpen(ctx context.Context, tenant store.TenantKey, limit int) (int, error) {
	n, err := readFirst(ctx, s, (*row).int, countOpenSQL, int64(tenant), int64(limit))
	return int(n), err
}

func scanOpen(r *row) store.Open {
	return store.Open{Event: store.EventKey(r.int()), Tried: int(r.int()), RetryAt: r.timeOrZero()}
}

const (
	openSQL    = `SELECT event, tried, retry_at FROM delivery WHERE endpoint = ? AND event >= ? ORDER BY event`
	waitingSQL = `SELECT event, tried, retry_at FROM delivery WHERE endpoint = ? AND retry_at IS NOT NULL
		AND (retry_at, event) >= (?, ?) ORDER BY retry_at, event LIMIT ?`
)

// Fresh examines up to limit open deliveries of an endpoint, and returns the fresh ones.
func (s *Store) Fresh(ctx context.Context, endpoint store.EndpointKey, from store.EventKey, limit int) (page store.FreshPage, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		examined := 0
		for r, err := range c.rows(ctx, openSQL, int64(endpoint), int64(from)) {
			if err != nil {
				return err
			}
			event, tried, retry := store.EventKey(r.int()), int(r.int()), r.next()
			if examined == limit {
				page.Next, page.More = event, true
				return nil
			}
			examined++
			if retry == nil {
				page.Deliveries = append(page.Deliveries, store.Open{Event: event, Tried: tried})
			}
		}
		return nil
	})
	return page, err
}

// Waiting returns an endpoint's waiting deliveries, soonest due first.
func (s *Store) Waiting(ctx context.Context, endpoint store.EndpointKey, from store.Moment, limit int) ([]store.Open, error) {
	return readAll(ctx, s, scanOpen, waitingSQL, int64(endpoint), micros(from.At), from.Key, int64(limit))
}

// These look for an open one at each endpoint of the tenant, as open ones
// are not indexed by event.
const (
	deliveriesOfEventUpSQL = `SELECT endpoint.key AS endpoint, iif(retry_at IS NULL, 1, 3), NULL, tried, retry_at, NULL, NULL, created_at
		FROM endpoint CROSS JOIN delivery ON delivery.endpoint = endpoint.key AND delivery.event = ?2
		WHERE tenant = ?1 AND deleted_at IS NULL AND endpoint.key > ?3
		UNION ALL
		SELECT endpoint, state, reason, tried, NULL, ended_at, recovered_at, created_at
		FROM history CROSS JOIN endpoint ON endpoint.key = history.endpoint
		WHERE event = ?2 AND endpoint > ?3 AND (SELECT event.tenant FROM event WHERE event.key = ?2) = ?1
		ORDER BY endpoint LIMIT ?4`
	deliveriesOfEventDownSQL = `SELECT endpoint.key AS endpoint, iif(retry_at IS NULL, 1, 3), NULL, tried, retry_at, NULL, NULL, created_at
		FROM endpoint CROSS JOIN delivery ON delivery.endpoint = endpoint.key AND delivery.event = ?2
		WHERE tenant = ?1 AND deleted_at IS NULL AND endpoint.key < ?3
		UNION ALL
		SELECT endpoint, state, reason, tried, NULL, ended_at, recovered_at, created_at
		FROM history CROSS JOIN endpoint ON endpoint.key = history.endpoint
		WHERE event = ?2 AND endpoint < ?3 AND (SELECT event.tenant FROM event WHERE event.key = ?2) = ?1
		ORDER BY endpoint DESC LIMIT ?4`
)

// DeliveriesOfEvent lists where an event of a tenant stands at its endpoints.
func (s *Store) DeliveriesOfEvent(ctx context.Context, tenant store.TenantKey, event store.EventKey, page store.Page) ([]store.DatedDelivery, error) {
	query, after := walk(page, deliveriesOfEventUpSQL, deliveriesOfEventDownSQL)
	scan := scanDelivery(event)
	return readAll(ctx, s, func(r *row) store.DatedDelivery {
		return store.DatedDelivery{DeliveryRecord: scan(r), EndpointCreatedAt: r.time()}
	}, query, int64(tenant), int64(event), after, int64(page.Limit))
}

// deliverySQL looks in both tables in one statement, as a delivery may go from one to the
// other between two. An open one is 1, pending, or 3, waiting.
const deliverySQL = `SELECT endpoint, iif(retry_at IS NULL, 1, 3), NULL, tried, retry_at, NULL, NULL FROM delivery WHERE endpoint = ?1 AND event = ?2
	UNION ALL
	SELECT endpoint, state, reason, tried, NULL, ended_at, recovered_at FROM history WHERE endpoint = ?1 AND event = ?2`

// Delivery returns where an event stands at an endpoint, or ErrNotFound.
func (s *Store) Delivery(ctx context.Context, endpoint store.EndpointKey, event store.EventKey) (store.DeliveryRecord, error) {
	return readFirst(ctx, s, scanDelivery(event), deliverySQL, int64(endpoint), int64(event))
}

func scanDelivery(event store.EventKey) func(*row) store.DeliveryRecord {
	return func(r *row) store.DeliveryRecord {
		return store.DeliveryRecord{
			Event: event, Endpoint: store.EndpointKey(r.int()),
			State: webhook.State(r.int()), Reason: webhook.Reason(r.text()), Tried: int(r.int()), //nolint:gosec // a State was stored
			RetryAt: r.timeOrZero(), EndedAt: r.timeOrZero(), RecoveredAt: r.timeOrZero(),
		}
	}
}
