package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	eventColumns  = `event.key, event.tenant, event.uid, type, channels, tags, accepted_at, deliver_at, cancelled_at, payload_ttl, only_for`
	eventSQL      = `SELECT ` + eventColumns + `, body FROM event LEFT JOIN payload ON payload.event = event.key WHERE key = $1 AND tenant = $2`
	eventByUIDSQL = `SELECT ` + eventColumns + `, body FROM event_uid JOIN event ON event.key = event_uid.event
		LEFT JOIN payload ON payload.event = event.key WHERE event_uid.tenant = $1 AND event_uid.uid = $2`

	eventsOfTenant = `SELECT ` + eventColumns + `, NULL::bytea FROM event WHERE (tenant, key) > ($1, $2) AND (tenant, key) < ($1, $3)`
	eventsByKeySQL = `SELECT ` + eventColumns + `, NULL::bytea FROM ` + eachOfKeys + `SELECT * FROM event WHERE key = wanted.event AND key BETWEEN $2 AND $3 LIMIT 1) AS event`
)

var (
	eventsSQL = ways{
		up:   eventsOfTenant + ` ORDER BY tenant, key LIMIT $4`,
		down: eventsOfTenant + ` ORDER BY tenant DESC, key DESC LIMIT $4`,
	}
	acceptance = dates{fromSQL: search(
		datedEvents+` ORDER BY key LIMIT 1`,
		datedEvents+` ORDER BY key DESC LIMIT 1`,
		datedEvents+` WHERE key >= probe.key ORDER BY key LIMIT 1`,
	)}
)

const datedEvents = `SELECT key AS found, accepted_at AS dated FROM event`

func placeOfEvent(ev *store.Event) (int64, time.Time) { return int64(ev.Key), ev.AcceptedAt }

func scanEvent(row pgx.CollectableRow) (ev store.Event, err error) {
	var uid *string
	var ttl, only *int64
	into := []any{&ev.Key, &ev.Tenant, &uid, &ev.Type, &ev.Channels, &ev.Tags, nil, nil, nil, &ttl, &only, &ev.Payload}
	times := scanTimes(into, &ev.AcceptedAt, &ev.DeliverAt, &ev.CancelledAt)
	err = row.Scan(into...)
	times()
	ev.UID, ev.PayloadTTL = orZero(uid), micros(orZero(ttl))
	ev.Only = store.EndpointKey(orZero(only))
	return ev, err
}

// Event returns an event of a tenant, or ErrNotFound.
func (s *Store) Event(ctx context.Context, tenant store.TenantKey, key store.EventKey) (store.Event, error) {
	return readFirst(ctx, s, scanEvent, eventSQL, key, tenant)
}

// EventByUID returns an event of a tenant, or ErrNotFound.
func (s *Store) EventByUID(ctx context.Context, tenant store.TenantKey, uid string) (store.Event, error) {
	return readFirst(ctx, s, scanEvent, eventByUIDSQL, tenant, uid)
}

// Events lists a tenant's events.
func (s *Store) Events(ctx context.Context, tenant store.TenantKey, filter store.EventFilter, page store.Page) (listed store.Listed[store.Event], err error) {
	err = s.read(ctx, func(ctx context.Context, q querier) error {
		keys, err := acceptance.between(ctx, q, filter.From, filter.To)
		if err != nil {
			return err
		}
		listed, err = list(ctx, page, keys.walk(page), listing[store.Event]{
			read:  plain(q, scanEvent, eventsSQL.of(page), placeOfEvent, tenant),
			match: filter.Match,
			place: placeOfEvent,
		})
		if err != nil || !filter.WithPayload {
			return err
		}
		return loadPayloads(ctx, q, &listed, func(ev *store.Event) *store.Event { return ev })
	})
	return listed, err
}

const payloadsSQL = `SELECT wanted.place - 1, event.key, type, channels, accepted_at, only_for, body
	FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (key, place)
	JOIN payload ON payload.event = wanted.key JOIN event ON event.key = wanted.key ORDER BY wanted.place`

type placedPayload struct {
	place int
	store.Payload
}

func scanPayload(row pgx.CollectableRow) (p placedPayload, err error) {
	var only *int64
	err = row.Scan(&p.place, &p.Event, &p.Type, &p.Channels, &p.AcceptedAt, &only, &p.Body)
	p.AcceptedAt, p.Only = p.AcceptedAt.UTC(), store.EndpointKey(orZero(only))
	return p, err
}

// Payloads returns what is sent for each event, in the order of keys.
func (s *Store) Payloads(ctx context.Context, keys []store.EventKey) ([]store.Payload, error) {
	found, err := readAll(ctx, s, scanPayload, payloadsSQL, keys)
	if err != nil {
		return nil, err
	}
	payloads := make([]store.Payload, len(keys))
	for _, p := range found {
		payloads[p.place] = p.Payload
	}
	return payloads, nil
}
