package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const insertOutboxSQL = `INSERT INTO outbox (key, tenant, organisation, tenant_uid, uid, type, channels, tags, deliver_at, payload_ttl,
		payload, details, about_tenant, about_endpoint, about_event, about_attempt, once_hash, once_body, once_ttl)
	VALUES (nextval('outbox_key'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`

// queueAnnouncements puts announcements into the outbox, about what they say themselves.
func queueAnnouncements(batch *pgx.Batch, announcements []store.Announcement) {
	for i := range announcements {
		batch.Queue(insertOutboxSQL, announced(&announcements[i], announcements[i].About)...)
	}
}

// insertOutbox is queueAnnouncements at once.
func insertOutbox(ctx context.Context, tx pgx.Tx, announcements []store.Announcement) error {
	if len(announcements) == 0 {
		return nil
	}
	batch := new(pgx.Batch)
	queueAnnouncements(batch, announcements)
	return tx.SendBatch(ctx, batch).Close()
}

func announced(a *store.Announcement, about store.About) []any {
	var onceHash, onceBody []byte
	var onceTTL *int64
	if a.Once != nil {
		ttl := a.Once.TTL.Microseconds()
		onceHash, onceBody, onceTTL = a.Once.Hash[:], a.Once.Body[:], &ttl
	}
	return []any{
		orNull(a.Tenant), orNull(a.Organisation), orNull(a.TenantUID), orNull(a.UID), a.Type,
		listOrNull(a.Channels), listOrNull(a.Tags), instantOrNull(a.DeliverAt), orNull(a.PayloadTTL.Microseconds()),
		a.Payload, listOrNull(a.Details),
		orNull(about.Tenant), orNull(about.Endpoint), orNull(about.Event), orNull(about.Attempt),
		onceHash, onceBody, onceTTL,
	}
}

const (
	deleteOutboxSQL = `DELETE FROM outbox WHERE key = ANY ($1)`
	outboxSQL       = `SELECT outbox.key, outbox.tenant, outbox.organisation, tenant_uid, outbox.uid, outbox.type, outbox.channels, outbox.tags,
			outbox.deliver_at, outbox.payload_ttl, outbox.payload, details, about_tenant, about_endpoint, about_event, about_attempt,
			once_hash, once_body, once_ttl,
			tenant.organisation, tenant.uid, tenant.created_at, endpoint.uid, endpoint.created_at, event.uid, event.accepted_at,
			attempt.status_code, attempt.started_at
		FROM outbox
		LEFT JOIN tenant ON tenant.key = about_tenant LEFT JOIN endpoint ON endpoint.key = about_endpoint
		LEFT JOIN event ON event.key = about_event LEFT JOIN attempt ON attempt.event = about_event AND attempt.key = about_attempt
		WHERE outbox.key = ANY ($1) ORDER BY outbox.key`
)

func scanAnnounced(row pgx.CollectableRow) (a store.Announced, err error) {
	var tenant, endpoint, event, attempt, owner, ttl, onceTTL *int64
	var onceHash, onceBody []byte
	var organisation, tenantUID, uid, ofOrganisation, ofTenant, ofEndpoint, ofEvent *string
	var status *int
	into := []any{
		&a.Key, &owner, &organisation, &tenantUID, &uid, &a.Type, &a.Channels, &a.Tags, nil, &ttl, &a.Payload, &a.Details,
		&tenant, &endpoint, &event, &attempt, &onceHash, &onceBody, &onceTTL, &ofOrganisation, &ofTenant, nil, &ofEndpoint, nil, &ofEvent, nil, &status, nil,
	}
	times := scanTimes(into, &a.DeliverAt, &a.Subject.TenantCreatedAt, &a.Subject.EndpointCreatedAt, &a.Subject.EventAcceptedAt, &a.Subject.StartedAt)
	if err := row.Scan(into...); err != nil {
		return a, err
	}
	times()
	a.Tenant, a.Organisation, a.TenantUID, a.UID = store.TenantKey(orZero(owner)), orZero(organisation), orZero(tenantUID), orZero(uid)
	a.PayloadTTL = micros(orZero(ttl))
	if onceHash != nil {
		a.Once = &store.Once{Hash: [16]byte(onceHash), Body: [16]byte(onceBody), TTL: micros(orZero(onceTTL))}
	}
	a.About = store.About{
		Tenant: store.TenantKey(orZero(tenant)), Endpoint: store.EndpointKey(orZero(endpoint)),
		Event: store.EventKey(orZero(event)), Attempt: store.AttemptKey(orZero(attempt)),
	}
	a.Subject.Organisation, a.Subject.TenantUID = orZero(ofOrganisation), orZero(ofTenant)
	a.Subject.EndpointUID, a.Subject.EventUID, a.Subject.StatusCode = orZero(ofEndpoint), orZero(ofEvent), orZero(status)
	return a, nil
}

// DeleteOutbox deletes rows whose events are not to be accepted.
func (s *Store) DeleteOutbox(ctx context.Context, keys []store.OutboxKey, announce ...store.Announcement) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, deleteOutboxSQL, keys); err != nil {
			return err
		}
		return insertOutbox(ctx, tx, announce)
	})
}

const lastOutboxSQL = `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_key`

// LastOutbox returns the highest key that was given so far.
func (s *Store) LastOutbox(ctx context.Context) (store.OutboxKey, error) {
	return readFirst(ctx, s, pgx.RowTo[store.OutboxKey], lastOutboxSQL)
}

// CountOutbox counts the rows of the outbox.
func (s *Store) CountOutbox(ctx context.Context, limit int) (int, error) {
	return s.walk.count(ctx, s, limit)
}
