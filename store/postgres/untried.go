package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// untriedSQL says of events which can be sent to an endpoint and never were, and how a
// delivery there ended that was cancelled. A statement looks at all of an event at one
// instant, so that what goes from table to table is not missed.
const untriedSQL = `SELECT wanted.event, ended.*
	FROM unnest($2::bigint[]) AS wanted (event)
	LEFT JOIN LATERAL (
		SELECT state, reason, tried, ended_at FROM history
		WHERE history.event = wanted.event AND history.endpoint = $1 AND history.event BETWEEN $3 AND $4 LIMIT 1) AS ended ON true
	WHERE (state IS NULL OR state = 7)
		AND EXISTS (SELECT FROM payload WHERE payload.event = wanted.event AND payload.event BETWEEN $3 AND $4 LIMIT 1)
		AND NOT EXISTS (SELECT FROM delivery WHERE delivery.endpoint = $1 AND delivery.event = wanted.event AND delivery.event BETWEEN $3 AND $4 LIMIT 1)
		AND NOT EXISTS (SELECT FROM waiting WHERE waiting.endpoint = $1 AND waiting.event = wanted.event LIMIT 1)
		AND NOT EXISTS (SELECT FROM attempt WHERE attempt.event = wanted.event AND attempt.event BETWEEN $3 AND $4
			AND (attempt.event, attempt.endpoint, attempt.key) > (wanted.event, $1, 0)
			AND (attempt.event, attempt.endpoint, attempt.key) < (wanted.event, $1 + 1, 0) LIMIT 1)`

func scanUntried(row pgx.CollectableRow) (found keyed[store.DeliveryRecord], err error) {
	var state, tried *int
	var reason *string
	var ended *time.Time
	err = row.Scan(&found.event, &state, &reason, &tried, &ended)
	found.of = store.DeliveryRecord{
		Event: found.event, State: webhook.State(orZero(state)), Reason: webhook.Reason(orZero(reason)), //nolint:gosec // a State was stored
		Tried: orZero(tried), EndedAt: utcOrZero(ended),
	}
	return found, err
}

// untried is an event, and whether it is one that was never sent to an endpoint.
type untried struct {
	store.EndpointDelivery
	is bool
}

// UntriedAtEndpoint lists the events of a tenant that were never sent to an endpoint.
func (s *Store) UntriedAtEndpoint(ctx context.Context, tenant store.TenantKey, endpoint store.EndpointKey, filter store.EventFilter, page store.Page) (listed store.Listed[store.EndpointDelivery], err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		keys, err := acceptance.between(ctx, q, filter.From, filter.To)
		if err != nil {
			return err
		}
		events := plain(q, scanEvent, eventsSQL.of(page), placeOfEvent, tenant)
		found, err := list(ctx, page, keys.walk(page), listing[untried]{
			read: func(ctx context.Context, keys between, limit int) (got part[untried], _ error) {
				read, err := events(ctx, keys, limit)
				if err != nil {
					return got, err
				}
				got.last, got.more = read.last, read.more
				got.items, err = untriedOf(ctx, q, endpoint, read.items)
				return got, err
			},
			match: func(u *untried) bool { return u.is && filter.Match(&u.Of) },
			place: func(u *untried) (int64, time.Time) { return placeOfEvent(&u.Of) },
		})
		listed = store.Listed[store.EndpointDelivery]{Last: found.Last, LastAt: found.LastAt, Examined: found.Examined, Done: found.Done}
		for i := range found.Items {
			listed.Items = append(listed.Items, found.Items[i].EndpointDelivery)
		}
		return err
	})
	return listed, err
}

func untriedOf(ctx context.Context, q querier, endpoint store.EndpointKey, events []store.Event) ([]untried, error) {
	keys := make([]store.EventKey, len(events))
	for i := range events {
		keys[i] = events[i].Key
	}
	records, err := load(ctx, q, scanUntried, untriedSQL, keys, endpoint)
	if err != nil {
		return nil, err
	}
	found := make([]untried, len(events))
	for i := range events {
		u := &found[i]
		record, is := records[events[i].Key]
		record.Event, record.Endpoint = events[i].Key, endpoint
		u.Of, u.DeliveryRecord = events[i], record
		u.is = is && (u.Of.Only == 0 || u.Of.Only == endpoint)
	}
	return found, nil
}
