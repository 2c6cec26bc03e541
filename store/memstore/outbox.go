package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
)

func (db *state) announceAll(announcements []store.Announcement) {
	for _, a := range announcements {
		db.announce(a, a.About)
	}
}

// announce puts an announcement into the outbox.
func (db *state) announce(a store.Announcement, about store.About) {
	a.About = about
	db.outbox[db.nextOutbox()] = cleanAnnouncement(a)
}

func (db *state) nextOutbox() store.OutboxKey {
	db.lastOutbox++
	return store.OutboxKey(db.lastOutbox)
}

func cleanAnnouncement(a store.Announcement) store.Announcement {
	a.Channels, a.Tags = list(a.Channels), list(a.Tags)
	a.Payload, a.Details = slices.Clone(a.Payload), blob(a.Details)
	if a.Once != nil {
		a.Once = &store.Once{Hash: a.Once.Hash, Body: a.Once.Body, TTL: a.Once.TTL.Truncate(time.Microsecond)}
	}
	a.DeliverAt, a.PayloadTTL = instantOrZero(a.DeliverAt), a.PayloadTTL.Truncate(time.Microsecond)
	return a
}

// Outbox lists the rows of the outbox.
func (s *Store) Outbox(ctx context.Context, after store.OutboxKey, limit int) ([]store.Announced, error) {
	return get(ctx, s, "Outbox", func(db *state) (found []store.Announced, _ error) {
		for _, key := range sorted(db.outbox) {
			if key > after && len(found) < limit {
				a := cleanAnnouncement(db.outbox[key])
				found = append(found, store.Announced{Key: key, Announcement: a, Subject: db.subject(a.About)})
			}
		}
		return found, nil
	})
}

// subject names and dates the keys of an About.
func (db *state) subject(about store.About) (s store.Subject) {
	if t := db.tenants[about.Tenant]; t != nil {
		s.Organisation, s.TenantUID, s.TenantCreatedAt = t.Organisation, t.UID, t.CreatedAt
	}
	if ep := db.endpoints[about.Endpoint]; ep != nil {
		s.EndpointUID, s.EndpointCreatedAt = ep.UID, ep.CreatedAt
	}
	if ev := db.events[about.Event]; ev != nil {
		s.EventUID, s.EventAcceptedAt = ev.UID, ev.AcceptedAt
	}
	if a := db.attempts[about.Attempt]; a != nil {
		s.StatusCode, s.StartedAt = a.StatusCode, a.StartedAt
	}
	return s
}

// LastOutbox returns the highest key that was given.
func (s *Store) LastOutbox(ctx context.Context) (store.OutboxKey, error) {
	return get(ctx, s, "LastOutbox", func(db *state) (store.OutboxKey, error) { return store.OutboxKey(db.lastOutbox), nil })
}

// DeleteOutbox deletes rows whose events are not to be accepted, and announces that.
func (s *Store) DeleteOutbox(ctx context.Context, keys []store.OutboxKey, announce ...store.Announcement) error {
	return s.write(ctx, "DeleteOutbox", func(db *state) error {
		for _, key := range keys {
			delete(db.outbox, key)
		}
		db.announceAll(announce)
		return nil
	})
}

// CountOutbox counts the rows of the outbox.
func (s *Store) CountOutbox(ctx context.Context, limit int) (int, error) {
	return get(ctx, s, "CountOutbox", func(db *state) (int, error) { return min(len(db.outbox), limit), nil })
}
