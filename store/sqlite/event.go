package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
)

const (
	insertEventSQL = `INSERT INTO event (key, tenant, accepted_at, type, channels, payload) VALUES (?, ?, ?, ?, ?, ?)`
	// insertFullEventSQL is for the events that have more than most. A value that is bound
	// costs something also where it is NULL.
	insertFullEventSQL = `INSERT INTO event (key, tenant, accepted_at, type, channels, payload, uid, uid_hash, tags, deliver_at, payload_ttl, only_for)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertEventSpanSQL = `INSERT OR IGNORE INTO event_span (tenant, span) VALUES (?, ?)`
)

func (w *writer) insertEvent(ctx context.Context, key store.EventKey, a *store.Accept, now time.Time) error {
	payload := a.Payload
	if payload == nil {
		payload = []byte{} // empty, not gone
	}
	if err := w.eventSpans.note(ctx, w.conn, int64(a.Tenant), int64(key)); err != nil {
		return err
	}
	if a.PayloadTTL != 0 {
		if err := w.revisitAt(ctx, micros(now)+a.PayloadTTL.Microseconds(), int64(key)); err != nil {
			return err
		}
	}
	query, values := insertEventSQL, []any{
		int64(key), int64(a.Tenant), micros(now), a.Type, listOrNull(a.Channels), payload,
	}
	if a.UID != "" || len(a.Tags) > 0 || !a.DeliverAt.IsZero() || a.PayloadTTL != 0 || a.Only != 0 {
		query = insertFullEventSQL
		values = append(values, textOrNull(a.UID), uidHash(a.UID), listOrNull(a.Tags), microsOrNull(a.DeliverAt),
			numberOrNull(a.PayloadTTL.Microseconds()), numberOrNull(int64(a.Only)))
	}
	_, err := w.exec(ctx, query, values...)
	return err
}

// uidHash is what is indexed of a UID. The UID itself would leave copies behind in the
// pages of the index, when they are divided, that stay when the event is expunged.
func uidHash(uid string) any {
	if uid == "" {
		return nil
	}
	hash := sha256.Sum256([]byte(uid))
	return int64(binary.BigEndian.Uint64(hash[:])) //nolint:gosec // any number does
}

const eventUIDSQL = `SELECT key FROM event WHERE tenant = ?1 AND uid_hash = ?2 AND uid = ?3`

func (w *writer) eventUIDTaken(ctx context.Context, tenant store.TenantKey, uid string) (bool, error) {
	_, err := first(ctx, w.conn, (*row).int, eventUIDSQL, int64(tenant), uidHash(uid), uid)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

const (
	eventColumns   = `event.key, event.tenant, uid, type, channels, tags, accepted_at, deliver_at, cancelled_at, payload_ttl, only_for`
	eventSQL       = `SELECT ` + eventColumns + `, payload FROM event WHERE key = ? AND tenant = ?`
	eventByUIDSQL  = `SELECT ` + eventColumns + `, payload FROM event WHERE tenant = ?1 AND uid_hash = ?2 AND uid = ?3`
	eventsOfTenant = `SELECT ` + eventColumns + ` FROM event_span CROSS JOIN strip
		CROSS JOIN event ON event.strip = (event_span.span << 6) + strip.nth AND event.tenant = event_span.tenant`
	eventsUpWhere = `
		WHERE event_span.tenant = ?1 AND event_span.span BETWEEN ?2 >> 13 AND ?3 >> 13 AND event.key > ?2 AND event.key <= ?3
		ORDER BY event_span.span, strip.nth, event.key`
	eventsDownWhere = `
		WHERE event_span.tenant = ?1 AND event_span.span BETWEEN ?3 >> 13 AND ?2 >> 13 AND event.key < ?2 AND event.key >= ?3
		ORDER BY event_span.span DESC, strip.nth DESC, event.key DESC`
	eventsUpSQL   = eventsOfTenant + eventsUpWhere
	eventsDownSQL = eventsOfTenant + eventsDownWhere
)

func scanEvent(r *row) store.Event {
	return store.Event{
		Key: store.EventKey(r.int()), Tenant: store.TenantKey(r.int()),
		UID: r.text(), Type: r.text(), Channels: r.strings(), Tags: r.strings(),
		AcceptedAt: r.time(), DeliverAt: r.timeOrZero(), CancelledAt: r.timeOrZero(),
		PayloadTTL: r.duration(), Only: store.EndpointKey(r.int()),
	}
}

func scanEventWithPayload(r *row) store.Event {
	event := scanEvent(r)
	event.Payload = r.blob()
	return event
}

// Event returns an event of a tenant, or ErrNotFound.
func (s *Store) Event(ctx context.Context, tenant store.TenantKey, key store.EventKey) (store.Event, error) {
	return readFirst(ctx, s, scanEventWithPayload, eventSQL, int64(key), int64(tenant))
}

// EventByUID returns an event of a tenant, or ErrNotFound.
func (s *Store) EventByUID(ctx context.Context, tenant store.TenantKey, uid string) (store.Event, error) {
	if uid == "" {
		return store.Event{}, store.ErrNotFound
	}
	return readFirst(ctx, s, scanEventWithPayload, eventByUIDSQL, int64(tenant), uidHash(uid), uid)
}

// Events lists a tenant's events.
func (s *Store) Events(ctx context.Context, tenant store.TenantKey, filter store.EventFilter, page store.Page) (listed store.Listed[store.Event], err error) {
	query, _ := walk(page, eventsUpSQL, eventsDownSQL)
	err = s.read(ctx, func(ctx context.Context, c *conn) (err error) {
		after, until, err := bounds(ctx, c, acceptance, page, filter.From, filter.To)
		if err != nil {
			return err
		}
		listed, err = list(ctx, c, page.Limit, listing[store.Event]{
			scan:  scanEvent,
			match: filter.Match,
			place: func(ev *store.Event) (int64, time.Time) { return int64(ev.Key), ev.AcceptedAt },
		}, query, int64(tenant), after, until)
		if err != nil || !filter.WithPayload {
			return err
		}
		return loadPayloads(ctx, c, &listed, func(ev *store.Event) *store.Event { return ev })
	})
	return listed, err
}

// payloadsSQL reads the events whose keys a JSON array lists; key is the place in it.
const payloadsSQL = `SELECT wanted.key, event.key, event.type, channels, accepted_at, only_for, payload
	FROM json_each(?1) AS wanted CROSS JOIN event ON event.key = wanted.value
	WHERE payload IS NOT NULL`

func scanPayload(r *row) store.Payload {
	return store.Payload{
		Event: store.EventKey(r.int()), Type: r.text(), Channels: r.strings(), AcceptedAt: r.time(),
		Only: store.EndpointKey(r.int()), Body: r.blob(),
	}
}

func payloads(ctx context.Context, c *conn, keys []store.EventKey) ([]store.Payload, error) {
	found := make([]store.Payload, len(keys))
	for r, err := range c.rows(ctx, payloadsSQL, encode(keys)) {
		if err != nil {
			return nil, err
		}
		found[r.int()] = scanPayload(r)
		if r.err != nil {
			return nil, r.err
		}
	}
	return found, nil
}

// Payloads returns what is sent for each event, in the order of keys.
func (s *Store) Payloads(ctx context.Context, keys []store.EventKey) (found []store.Payload, err error) {
	err = s.read(ctx, func(ctx context.Context, c *conn) error {
		found, err = payloads(ctx, c, keys)
		return err
	})
	return found, err
}

// loadPayloads is for a list: the rows that its filter passes over are not loaded whole.
// It cuts the list short where the payloads become too much for one page.
func loadPayloads[T any](ctx context.Context, c *conn, listed *store.Listed[T], event func(*T) *store.Event) error {
	keys := make([]store.EventKey, len(listed.Items))
	for i := range keys {
		keys[i] = event(&listed.Items[i]).Key
	}
	size := 0
	for r, err := range c.rows(ctx, payloadsSQL, encode(keys)) {
		if err != nil {
			return err
		}
		i, found := int(r.int()), scanPayload(r)
		if r.err != nil {
			return r.err
		}
		size += len(found.Body)
		if i > 0 && size > store.MostPagePayload {
			last := event(&listed.Items[i-1])
			listed.Items, listed.Done = listed.Items[:i], false
			listed.Last, listed.LastAt = int64(last.Key), last.AcceptedAt
			return nil
		}
		event(&listed.Items[i]).Payload = found.Body
	}
	return nil
}
