package sqlite

import (
	"context"

	"github.com/neohook/neohook/store"
)

const (
	outboxColumns = `tenant, organisation, tenant_uid, uid, type, channels, tags, deliver_at, payload_ttl,
		payload, details, about_tenant, about_endpoint, about_event, about_attempt, once_hash, once_body, once_ttl`
	insertOutboxSQL = `INSERT INTO outbox (` + outboxColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// announce puts announcements into the outbox.
func (w *writer) announce(ctx context.Context, announcements []store.Announcement) error {
	for i := range announcements {
		if err := w.insertOutbox(ctx, &announcements[i], announcements[i].About); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) insertOutbox(ctx context.Context, a *store.Announcement, about store.About) error {
	_, err := w.exec(ctx, insertOutboxSQL, outboxRow(a, about)...)
	return err
}

// outboxRow is outboxColumns.
func outboxRow(a *store.Announcement, about store.About) []any {
	var payload any // empty is not NULL
	if a.Payload != nil {
		payload = a.Payload
	}
	var onceHash, onceBody, onceTTL any
	if a.Once != nil {
		onceHash, onceBody, onceTTL = a.Once.Hash[:], a.Once.Body[:], a.Once.TTL.Microseconds()
	}
	return []any{
		numberOrNull(a.Tenant), textOrNull(a.Organisation), textOrNull(a.TenantUID), textOrNull(a.UID), a.Type,
		listOrNull(a.Channels), listOrNull(a.Tags), microsOrNull(a.DeliverAt), numberOrNull(a.PayloadTTL.Microseconds()),
		payload, blobOrNull(a.Details),
		numberOrNull(about.Tenant), numberOrNull(about.Endpoint), numberOrNull(about.Event), numberOrNull(about.Attempt),
		onceHash, onceBody, onceTTL,
	}
}

const (
	inOutboxSQL     = `SELECT 1 FROM outbox WHERE key = ?`
	deleteOutboxSQL = `DELETE FROM outbox WHERE key = ?`
	countOutboxSQL  = `SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ?)`
	lastOutboxSQL   = `SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'`
	outboxSQL       = `SELECT outbox.key, outbox.tenant, outbox.organisation, tenant_uid, outbox.uid, outbox.type, outbox.channels, outbox.tags,
			outbox.deliver_at, outbox.payload_ttl, outbox.payload, details, about_tenant, about_endpoint, about_event, about_attempt,
			once_hash, once_body, once_ttl,
			tenant.organisation, tenant.uid, tenant.created_at, endpoint.uid, endpoint.created_at, event.uid, event.accepted_at,
			attempt.status_code, attempt.started_at
		FROM outbox
		LEFT JOIN tenant ON tenant.key = about_tenant LEFT JOIN endpoint ON endpoint.key = about_endpoint
		LEFT JOIN event ON event.key = about_event LEFT JOIN attempt ON attempt.key = about_attempt
		WHERE outbox.key > ? ORDER BY outbox.key LIMIT ?`
)

func (w *writer) inOutbox(ctx context.Context, key store.OutboxKey) (bool, error) {
	return w.has(ctx, inOutboxSQL, int64(key))
}

func (w *writer) deleteOutbox(ctx context.Context, key store.OutboxKey) error {
	_, err := w.exec(ctx, deleteOutboxSQL, int64(key))
	return err
}

func scanAnnounced(r *row) store.Announced {
	return store.Announced{
		Key: store.OutboxKey(r.int()),
		Announcement: store.Announcement{
			Tenant: store.TenantKey(r.int()), Organisation: r.text(), TenantUID: r.text(),
			UID: r.text(), Type: r.text(), Channels: r.strings(), Tags: r.strings(),
			DeliverAt: r.timeOrZero(), PayloadTTL: r.duration(), Payload: r.blob(), Details: r.blob(),
			About: store.About{
				Tenant: store.TenantKey(r.int()), Endpoint: store.EndpointKey(r.int()),
				Event: store.EventKey(r.int()), Attempt: store.AttemptKey(r.int()),
			},
			Once: scanOutboxOnce(r),
		},
		Subject: store.Subject{
			Organisation: r.text(), TenantUID: r.text(), TenantCreatedAt: r.timeOrZero(),
			EndpointUID: r.text(), EndpointCreatedAt: r.timeOrZero(),
			EventUID: r.text(), EventAcceptedAt: r.timeOrZero(),
			StatusCode: int(r.int()), StartedAt: r.timeOrZero(),
		},
	}
}

func scanOutboxOnce(r *row) *store.Once {
	hash, body, ttl := r.blob(), r.blob(), r.duration()
	if hash == nil {
		return nil
	}
	return &store.Once{Hash: [16]byte(hash), Body: [16]byte(body), TTL: ttl}
}

// Outbox lists the rows of the outbox.
func (s *Store) Outbox(ctx context.Context, after store.OutboxKey, limit int) ([]store.Announced, error) {
	return readAll(ctx, s, scanAnnounced, outboxSQL, int64(after), int64(limit))
}

// LastOutbox returns the highest key that was given.
func (s *Store) LastOutbox(ctx context.Context) (store.OutboxKey, error) {
	key, err := readFirst(ctx, s, (*row).int, lastOutboxSQL)
	return store.OutboxKey(key), err
}

// DeleteOutbox deletes rows whose events are not to be accepted, and announces that.
func (s *Store) DeleteOutbox(ctx context.Context, keys []store.OutboxKey, announce ...store.Announcement) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		for _, key := range keys {
			if err := w.deleteOutbox(ctx, key); err != nil {
				return err
			}
		}
		return w.announce(ctx, announce)
	})
}

// CountOutbox counts the rows of the outbox.
func (s *Store) CountOutbox(ctx context.Context, limit int) (int, error) {
	n, err := readFirst(ctx, s, (*row).int, countOutboxSQL, int64(limit))
	return int(n), err
}
