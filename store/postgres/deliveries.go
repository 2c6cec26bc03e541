package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// The deliveries at an endpoint, from each table that the filter may match any in. Those
// that ended otherwise than as succeeded have an index of their own.
const (
	freshAtEndpoint   = `SELECT event, endpoint, ` + freshState + ` FROM delivery WHERE `
	waitingAtEndpoint = `SELECT event, endpoint, ` + waitingState + ` FROM waiting WHERE `
	endedAtEndpoint   = `SELECT event, endpoint, ` + endedState + ` FROM history WHERE `
	failedAtEndpoint  = endedAtEndpoint + `state <> 5 AND `

	atEndpoint     = `(endpoint, event) > ($1, $2) AND (endpoint, event) < ($1, $3) ORDER BY `
	atEndpointUp   = atEndpoint + `endpoint, event LIMIT $4`
	atEndpointDown = atEndpoint + `endpoint DESC, event DESC LIMIT $4`
)

// union joins queries that are each in the order of the event's key.
func union(queries ...string) (all ways) {
	if len(queries) == 1 {
		return ways{queries[0] + atEndpointUp, queries[0] + atEndpointDown}
	}
	for i, query := range queries {
		if i > 0 {
			all.up += ` UNION ALL `
			all.down += ` UNION ALL `
		}
		all.up += `(` + query + atEndpointUp + `)`
		all.down += `(` + query + atEndpointDown + `)`
	}
	all.up += ` ORDER BY event LIMIT $4`
	all.down += ` ORDER BY event DESC LIMIT $4`
	return all
}

var (
	openAtEndpointSQL         = union(freshAtEndpoint, waitingAtEndpoint)
	endedAtEndpointSQL        = union(endedAtEndpoint)
	failedAtEndpointSQL       = union(failedAtEndpoint)
	openAndEndedAtEndpointSQL = union(freshAtEndpoint, waitingAtEndpoint, endedAtEndpoint)
	openAndFailedSQL          = union(freshAtEndpoint, waitingAtEndpoint, failedAtEndpoint)
)

// deliveriesQuery chooses what to read, by what the filter may match. It may be nothing.
func deliveriesQuery(filter *store.DeliveryFilter) (query ways, any bool) {
	open := filter.Examines(webhook.Pending) || filter.Examines(webhook.Waiting)
	ended := filter.Examines(webhook.Succeeded)
	failed := filter.Examines(webhook.Exhausted) || filter.Examines(webhook.Cancelled)
	switch {
	case open && ended:
		return openAndEndedAtEndpointSQL, true
	case open && failed:
		return openAndFailedSQL, true
	case open:
		return openAtEndpointSQL, true
	case ended:
		return endedAtEndpointSQL, true
	}
	return failedAtEndpointSQL, failed
}

const (
	// The latest attempts of deliveries at an endpoint, and all of them.
	latestAttemptsSQL = `SELECT attempt.* FROM unnest($2::bigint[]) AS wanted (event) CROSS JOIN LATERAL (
			SELECT ` + ownColumns + ` FROM attempt WHERE attempt.event = wanted.event AND attempt.event BETWEEN $3 AND $4
				AND (attempt.event, attempt.endpoint, attempt.key) > (wanted.event, $1, 0)
				AND (attempt.event, attempt.endpoint, attempt.key) < (wanted.event, $1 + 1, 0)
			ORDER BY attempt.event DESC, attempt.endpoint DESC, attempt.key DESC LIMIT 1) AS attempt`
	allAttemptsSQL = `SELECT ` + ownColumns + ` FROM attempt
		WHERE event = $1 AND (event, endpoint, key) > ($1, $2, 0) AND (event, endpoint, key) < ($1, $2 + 1, 0)`
)

func scanOwn(row pgx.CollectableRow) (own keyed[store.Attempt], err error) {
	return own, scanOwnAnd(row, &own.event, &own.of)
}

func placeOfDelivery(d *store.EndpointDelivery) (int64, time.Time) {
	return int64(d.Event), d.Of.AcceptedAt
}

// DeliveriesAtEndpoint lists where events stand at an endpoint.
func (s *Store) DeliveriesAtEndpoint(ctx context.Context, endpoint store.EndpointKey, filter store.DeliveryFilter, page store.Page) (listed store.Listed[store.EndpointDelivery], err error) {
	query, any := deliveriesQuery(&filter)
	if !any {
		return store.Listed[store.EndpointDelivery]{Done: true}, nil
	}
	// One instant for all: attempts are read behind the deliveries that they are of.
	err = s.snapshot(ctx, func(ctx context.Context, q querier) error {
		keys, err := acceptance.between(ctx, q, filter.From, filter.To)
		if err != nil {
			return err
		}
		walk := deliveryWalk{q: q, endpoint: endpoint, query: query.of(page), filter: &filter}
		listed, err = list(ctx, page, keys.walk(page), listing[store.EndpointDelivery]{
			read: walk.read, match: func(d *store.EndpointDelivery) bool { return !walk.out[d.Event] }, place: placeOfDelivery,
		})
		if err != nil || !filter.WithPayload {
			return err
		}
		return loadPayloads(ctx, q, &listed, func(d *store.EndpointDelivery) *store.Event { return &d.Of })
	})
	return listed, err
}

// deliveryWalk reads deliveries at an endpoint, with their events and latest attempts.
type deliveryWalk struct {
	q        querier
	endpoint store.EndpointKey
	query    string
	filter   *store.DeliveryFilter
	out      map[store.EventKey]bool // of what was read last, what does not match
}

func (w *deliveryWalk) read(ctx context.Context, keys between, limit int) (got part[store.EndpointDelivery], _ error) {
	records, err := all(ctx, w.q, scanDelivery, w.query, w.endpoint, keys.above, keys.below, limit)
	if err != nil || len(records) == 0 {
		return got, err
	}
	got.last, got.more = int64(records[len(records)-1].Event), len(records) == limit
	events := make([]store.EventKey, len(records))
	for i := range records {
		events[i] = records[i].Event
	}
	of, err := loadEvents(ctx, w.q, events)
	if err != nil {
		return got, err
	}
	latest, err := load(ctx, w.q, scanOwn, latestAttemptsSQL, events, w.endpoint)
	if err != nil {
		return got, err
	}
	for _, record := range records {
		event, there := of[record.Event]
		if !there { // its time is over
			continue
		}
		d := store.EndpointDelivery{DeliveryRecord: record, Of: event}
		if last, tried := latest[record.Event]; tried {
			d.Last = &last
		}
		got.items = append(got.items, d)
	}
	return got, w.judge(ctx, got.items)
}

// judge finds out which deliveries the filter does not let through.
func (w *deliveryWalk) judge(ctx context.Context, read []store.EndpointDelivery) error {
	w.out = make(map[store.EventKey]bool)
	for i := range read {
		d := &read[i]
		match := w.filter.Match(d)
		if match && w.filter.ByFailure() {
			var err error
			if match, err = w.failedThen(ctx, d); err != nil {
				return err
			}
		}
		if !match {
			w.out[d.Event] = true
		}
	}
	return nil
}

// failedThen says whether a delivery has a failed attempt that the filter asks for. Mostly
// the latest one tells.
func (w *deliveryWalk) failedThen(ctx context.Context, d *store.EndpointDelivery) (bool, error) {
	if d.Last == nil || w.filter.MatchFailure(d.Last) {
		return d.Last != nil, nil
	}
	made, err := all(ctx, w.q, scanOwn, allAttemptsSQL, d.Event, d.Endpoint)
	return slices.ContainsFunc(made, func(a keyed[store.Attempt]) bool { return w.filter.MatchFailure(&a.of) }), err
}
