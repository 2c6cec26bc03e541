package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// What is known by the key of an event is read for a page at a time. Beside the keys a
// query takes the lowest and the highest: by these the ranges are chosen that are opened. In
// each of them is looked for its own keys.
const eachOfKeys = `unnest($1::bigint[]) AS wanted (event) CROSS JOIN LATERAL (`

// keyed is a row that is of an event.
type keyed[T any] struct {
	event store.EventKey
	of    T
}

// load reads rows of events by their keys, at most one of each. Behind args the query takes
// the keys, the lowest and the highest.
func load[T any](ctx context.Context, q querier, scan pgx.RowToFunc[keyed[T]], query string, keys []store.EventKey, args ...any) (map[store.EventKey]T, error) {
	if len(keys) == 0 {
		return nil, nil //nolint:nilnil // nothing is found in nil
	}
	found, err := all(ctx, q, scan, query, append(args, keys, slices.Min(keys), slices.Max(keys))...)
	if err != nil {
		return nil, err
	}
	byKey := make(map[store.EventKey]T, len(found))
	for _, row := range found {
		byKey[row.event] = row.of
	}
	return byKey, nil
}

func scanKeyedEvent(row pgx.CollectableRow) (keyed[store.Event], error) {
	ev, err := scanEvent(row)
	return keyed[store.Event]{ev.Key, ev}, err
}

// loadEvents reads events without their payloads.
func loadEvents(ctx context.Context, q querier, keys []store.EventKey) (map[store.EventKey]store.Event, error) {
	return load(ctx, q, scanKeyedEvent, eventsByKeySQL, keys)
}

const (
	payloadByKey    = eachOfKeys + `SELECT event, body FROM payload WHERE payload.event = wanted.event AND payload.event BETWEEN $2 AND $3 LIMIT 1) AS payload`
	payloadSizesSQL = `SELECT payload.event, octet_length(body) FROM ` + payloadByKey
	bodiesSQL       = `SELECT payload.event, body FROM ` + payloadByKey
)

func scanKeyed[T any](row pgx.CollectableRow) (found keyed[T], err error) {
	return found, row.Scan(&found.event, &found.of)
}

// loadPayloads reads the payloads of what is on a page: what its filter passes over is not
// read whole. It cuts the page short where they become too much, before it reads them.
func loadPayloads[T any](ctx context.Context, q querier, listed *store.Listed[T], event func(*T) *store.Event) error {
	keys := make([]store.EventKey, len(listed.Items))
	for i := range keys {
		keys[i] = event(&listed.Items[i]).Key
	}
	sizes, err := load(ctx, q, scanKeyed[int], payloadSizesSQL, keys)
	if err != nil {
		return err
	}
	size := 0
	for i, key := range keys {
		if size += sizes[key]; i > 0 && size > store.MostPagePayload {
			last := event(&listed.Items[i-1])
			listed.Items, listed.Done = listed.Items[:i], false
			listed.Last, listed.LastAt = int64(last.Key), last.AcceptedAt
			break
		}
	}
	bodies, err := load(ctx, q, scanKeyed[[]byte], bodiesSQL, keys[:len(listed.Items)])
	for i := range listed.Items {
		ev := event(&listed.Items[i])
		ev.Payload = bodies[ev.Key]
	}
	return err
}
