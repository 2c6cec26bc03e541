package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

// InsertSends stores sends under keys that it gives, and opens deliveries.
func (s *Store) InsertSends(ctx context.Context, now time.Time, sends []store.Send, openings []store.Opening, once *store.Once) (keys []store.SendKey, opened []bool, err error) {
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) (err error) {
		if err := claim(ctx, tx, once, whose(sends, openings)); err != nil {
			return err
		}
		if keys, err = insertSends(ctx, tx, sends); err != nil {
			return err
		}
		for _, key := range keys {
			if key == 0 {
				return store.ErrNotFound
			}
		}
		var counted counted
		if opened, err = open(ctx, tx, openings, 0, &counted); err != nil {
			return err
		}
		p.made(sends, keys)
		p.opened(openings, opened)
		return counted.save(ctx, tx, now)
	})
	if err != nil {
		return nil, nil, err
	}
	return keys, opened, nil
}

// whose is the tenant that sends and openings are of.
func whose(sends []store.Send, openings []store.Opening) store.TenantKey {
	switch {
	case len(sends) > 0:
		return sends[0].Tenant
	case len(openings) > 0:
		return openings[0].Tenant
	}
	return 0
}

// What can be sent to somebody is an event with its payload, to an endpoint of its tenant
// that is not deleted. Both are locked, so that they stay so, in the order of their keys.
const (
	lockEndpointsSQL = `SELECT key, tenant FROM endpoint WHERE key = ANY ($1) AND deleted_at IS NULL ORDER BY key FOR SHARE`
	lockSendableSQL  = `SELECT key, tenant, type, accepted_at, EXISTS (SELECT FROM payload WHERE payload.event = event.key)
		FROM event WHERE key = ANY ($1) ORDER BY key FOR NO KEY UPDATE`
)

// sendable knows what can be sent to whom.
type sendable struct {
	endpoints map[store.EndpointKey]store.TenantKey
	events    map[store.EventKey]sendableEvent
}

type sendableEvent struct {
	countedEvent
	acceptedAt time.Time
	payload    bool
}

func (s *sendable) has(endpoint store.EndpointKey, event store.EventKey) bool {
	tenant, is := s.endpoints[endpoint]
	ev := s.events[event]
	return is && ev.payload && ev.tenant == tenant
}

// lockSendable locks endpoints and events. Who opens deliveries of an event has it alone
// until the end of the transaction, so that none is opened twice.
func lockSendable(ctx context.Context, tx pgx.Tx, refs []store.DeliveryRef) (*sendable, error) {
	found := &sendable{endpoints: make(map[store.EndpointKey]store.TenantKey), events: make(map[store.EventKey]sendableEvent)}
	endpoints, events := make([]store.EndpointKey, len(refs)), make([]store.EventKey, len(refs))
	for i, ref := range refs {
		endpoints[i], events[i] = ref.Endpoint, ref.Event
	}
	batch := new(pgx.Batch)
	batch.Queue(lockEndpointsSQL, endpoints).Query(eachRow(func(rows pgx.Rows) error {
		var endpoint store.EndpointKey
		var tenant store.TenantKey
		err := rows.Scan(&endpoint, &tenant)
		found.endpoints[endpoint] = tenant
		return err
	}))
	batch.Queue(lockSendableSQL, events).Query(eachRow(func(rows pgx.Rows) error {
		var key store.EventKey
		var ev sendableEvent
		err := rows.Scan(&key, &ev.tenant, &ev.eventType, &ev.acceptedAt, &ev.payload)
		found.events[key] = ev
		return err
	}))
	return found, tx.SendBatch(ctx, batch).Close()
}

const (
	drawSendsSQL   = `SELECT nextval('send_key') FROM generate_series(1, $1::int)`
	insertSendsSQL = `INSERT INTO send (key, endpoint, event, job, retried, tried, due_at)
		SELECT key, endpoint, event, job, retried, 0, due_at
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[], $6::timestamptz[])
			AS new (key, endpoint, event, job, retried, due_at)`
)

// insertSends stores sends, with nothing tried. A key is 0 where there is nothing to send,
// or nobody to send it to.
func insertSends(ctx context.Context, tx pgx.Tx, sends []store.Send) ([]store.SendKey, error) {
	if len(sends) == 0 {
		return nil, nil
	}
	refs := make([]store.DeliveryRef, len(sends))
	for i := range sends {
		refs[i] = store.DeliveryRef{Endpoint: sends[i].Endpoint, Event: sends[i].Event}
	}
	possible, err := lockSendable(ctx, tx, refs)
	if err != nil {
		return nil, err
	}
	drawn, err := all(ctx, tx, scanKey, drawSendsSQL, len(sends))
	if err != nil {
		return nil, err
	}
	keys := make([]store.SendKey, len(sends))
	var given, jobs []int64
	var endpoints []store.EndpointKey
	var events []store.EventKey
	var retried []bool
	var due []time.Time
	for i := range sends {
		send := &sends[i]
		if !possible.has(send.Endpoint, send.Event) {
			continue
		}
		keys[i] = store.SendKey(drawn[i])
		given, endpoints, events = append(given, drawn[i]), append(endpoints, send.Endpoint), append(events, send.Event)
		jobs, retried, due = append(jobs, int64(send.Job)), append(retried, send.Retried), append(due, instant(send.DueAt))
	}
	_, err = tx.Exec(ctx, insertSendsSQL, given, endpoints, events, jobs, retried, due)
	return keys, err
}

// openSQL passes over deliveries that are open or have ended.
const openSQL = `INSERT INTO waiting (endpoint, event, tried, retry_at, job)
	SELECT endpoint, event, 0, due_at, $1 FROM unnest($2::bigint[], $3::bigint[], $4::timestamptz[]) AS new (endpoint, event, due_at)
	WHERE NOT EXISTS (SELECT FROM delivery WHERE delivery.endpoint = new.endpoint AND delivery.event = new.event)
		AND NOT EXISTS (SELECT FROM history WHERE history.event = new.event AND history.endpoint = new.endpoint)
	ORDER BY endpoint, event
	ON CONFLICT (endpoint, event) DO NOTHING
	RETURNING endpoint, event`

// open opens deliveries after their events were accepted, for a job or none, and says which
// it did. It counts them.
func open(ctx context.Context, tx pgx.Tx, openings []store.Opening, job store.JobKey, counted *counted) ([]bool, error) {
	if len(openings) == 0 {
		return nil, nil
	}
	refs := make([]store.DeliveryRef, len(openings))
	for i := range openings {
		refs[i] = store.DeliveryRef{Endpoint: openings[i].Endpoint, Event: openings[i].Event}
	}
	possible, err := lockSendable(ctx, tx, refs)
	if err != nil {
		return nil, err
	}
	var endpoints []store.EndpointKey
	var events []store.EventKey
	var due []time.Time
	for i, ref := range refs {
		if possible.has(ref.Endpoint, ref.Event) {
			endpoints, events, due = append(endpoints, ref.Endpoint), append(events, ref.Event), append(due, instant(openings[i].DueAt))
		}
	}
	made, err := all(ctx, tx, scanRef, openSQL, job, endpoints, events, due)
	if err != nil {
		return nil, err
	}
	left := make(map[store.DeliveryRef]bool, len(made))
	for _, ref := range made {
		left[ref] = true
		of := possible.events[ref.Event]
		counted.counts(of.acceptedAt, of.tenant, ref.Endpoint, of.eventType)[store.DeliveriesMade]++
	}
	opened := make([]bool, len(openings))
	for i, ref := range refs {
		opened[i] = left[ref]
		delete(left, ref) // the same one again is not opened again
	}
	return opened, nil
}

func scanRef(row pgx.CollectableRow) (ref store.DeliveryRef, err error) {
	return ref, row.Scan(&ref.Endpoint, &ref.Event)
}

const (
	sendColumns = `SELECT send.key, endpoint.tenant, send.endpoint, event, job, retried, tried, due_at
		FROM send JOIN endpoint ON endpoint.key = send.endpoint `
	sendSQL       = sendColumns + `WHERE send.key = $1`
	sendsOfSQL    = sendColumns + `WHERE send.endpoint = $1 AND (due_at, send.key) >= ($2, $3) ORDER BY due_at, send.key LIMIT $4`
	countSendsSQL = `SELECT count(*) FROM (SELECT 1 FROM send WHERE endpoint = $1 AND job = 0 LIMIT $2) AS open`
)

func scanSend(row pgx.CollectableRow) (send store.Send, err error) {
	err = row.Scan(&send.Key, &send.Tenant, &send.Endpoint, &send.Event, &send.Job, &send.Retried, &send.Tried, &send.DueAt)
	send.DueAt = send.DueAt.UTC()
	return send, err
}

// Send returns an open send, or ErrNotFound.
func (s *Store) Send(ctx context.Context, key store.SendKey) (store.Send, error) {
	return readFirst(ctx, s, scanSend, sendSQL, key)
}

// SendsOf returns an endpoint's open sends, soonest due first.
func (s *Store) SendsOf(ctx context.Context, endpoint store.EndpointKey, from store.Moment, limit int) ([]store.Send, error) {
	return readAll(ctx, s, scanSend, sendsOfSQL, endpoint, instant(from.At), from.Key, limit)
}

// CountSends counts an endpoint's open sends that are of no job.
func (s *Store) CountSends(ctx context.Context, endpoint store.EndpointKey, limit int) (int, error) {
	n, err := readFirst(ctx, s, scanKey, countSendsSQL, endpoint, limit)
	return int(n), err
}
