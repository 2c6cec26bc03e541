package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Both take what can still be sent to somebody: an event with its payload, and an endpoint
// of its tenant that is not deleted.
const (
	sendable = ` FROM event CROSS JOIN endpoint ON endpoint.key = ?1 AND endpoint.tenant = event.tenant
		WHERE event.key = ?2 AND event.payload IS NOT NULL AND endpoint.deleted_at IS NULL`

	insertSendSQL = `INSERT INTO send (key, endpoint, event, job, retried, tried, due_at)
		SELECT ?3, endpoint.key, event.key, ?4, ?5, 0, ?6` + sendable
	openDeliverySQL = `INSERT OR IGNORE INTO delivery (endpoint, event, tried, retry_at)
		SELECT endpoint.key, event.key, 0, ?3` + sendable + `
			AND NOT EXISTS (SELECT 1 FROM history WHERE history.event = ?2 AND history.endpoint = ?1)`
)

// InsertSends stores sends under keys that it gives, and opens deliveries.
func (s *Store) InsertSends(ctx context.Context, _ time.Time, sends []store.Send, openings []store.Opening, once *store.Once) (keys []store.SendKey, opened []bool, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		if err := w.claim(ctx, once, whose(sends, openings)); err != nil {
			return err
		}
		if err := w.sends.reserve(ctx, w.conn, len(sends)); err != nil {
			return err
		}
		for i := range sends {
			key, err := w.insertSend(ctx, &sends[i])
			if err != nil {
				return err
			}
			keys = append(keys, key)
		}
		for i := range openings {
			is, err := w.openLater(ctx, &openings[i])
			if err != nil {
				return err
			}
			opened = append(opened, is)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return keys, opened, nil
}

// insertSend stores a send, whose key must be reserved. It returns ErrNotFound where there
// is nothing to send, or nobody to send it to.
func (w *writer) insertSend(ctx context.Context, send *store.Send) (store.SendKey, error) {
	key := w.sends.draw()
	inserted, err := w.exec(ctx, insertSendSQL, int64(send.Endpoint), int64(send.Event),
		key, int64(send.Job), integer(send.Retried), micros(send.DueAt))
	if err == nil && inserted == 0 {
		err = store.ErrNotFound
	}
	return store.SendKey(key), err
}

// openLater opens a delivery after its event was accepted, and says whether it did.
func (w *writer) openLater(ctx context.Context, o *store.Opening) (bool, error) {
	inserted, err := w.exec(ctx, openDeliverySQL, int64(o.Endpoint), int64(o.Event), micros(o.DueAt))
	if err != nil || inserted == 0 {
		return false, err
	}
	return true, w.countOpening(ctx, o.Endpoint, o.Event)
}

const (
	sendColumns = `SELECT send.key, endpoint.tenant, send.endpoint, event, job, retried, tried, due_at
	FROM send CROSS JOIN endpoint ON endpoint.key = send.endpoint `
	sendSQL    = sendColumns + `WHERE send.key = ?`
	sendsOfSQL = sendColumns + `WHERE send.endpoint = ? AND (due_at, send.key) >= (?, ?) ORDER BY due_at, send.key LIMIT ?`
)

func scanSend(r *row) store.Send {
	return store.Send{
		Key: store.SendKey(r.int()), Tenant: store.TenantKey(r.int()), Endpoint: store.EndpointKey(r.int()),
		Event: store.EventKey(r.int()), Job: store.JobKey(r.int()),
		Retried: r.bool(), Tried: int(r.int()), DueAt: r.time(),
	}
}

// Send returns an open send, or ErrNotFound.
func (s *Store) Send(ctx context.Context, key store.SendKey) (store.Send, error) {
	return readFirst(ctx, s, scanSend, sendSQL, int64(key))
}

// SendsOf returns an endpoint's open sends, soonest due first.
func (s *Store) SendsOf(ctx context.Context, endpoint store.EndpointKey, from store.Moment, limit int) ([]store.Send, error) {
	return readAll(ctx, s, scanSend, sendsOfSQL, int64(endpoint), micros(from.At), from.Key, int64(limit))
}

const countSendsSQL = `SELECT count(*) FROM (SELECT 1 FROM send INDEXED BY send_alone WHERE endpoint = ? AND job = 0 LIMIT ?)`

// CountSends counts an endpoint's open sends that are of no job.
func (s *Store) CountSends(ctx context.Context, endpoint store.EndpointKey, limit int) (int, error) {
	n, err := readFirst(ctx, s, (*row).int, countSendsSQL, int64(endpoint), int64(limit))
	return int(n), err
}

const (
	retrySendSQL       = `UPDATE send SET tried = ?3, due_at = ?4 WHERE key = ?1 AND tried = ?2`
	sendJobSQL         = `SELECT job FROM send WHERE key = ?`
	endSendSQL         = `DELETE FROM send WHERE key = ?1 AND (tried = ?2 OR ?3)`
	recoverDeliverySQL = `UPDATE history SET recovered_at = ?3
		WHERE event = ?1 AND endpoint = ?2 AND state <> 5 AND recovered_at IS NULL`
)

// recordSend takes a send on, and by its success the delivery of its event: it says
// whether that changed.
func (w *writer) recordSend(ctx context.Context, o *store.Outcome, now time.Time) (bool, error) {
	tried, succeeded := int64(o.Tried), o.Attempt != nil && o.Attempt.Succeeded
	var err error
	if o.State.Ended() {
		if err = w.endSend(ctx, o, succeeded); err == nil {
			err = w.revisit(ctx, o.Event)
		}
	} else {
		_, err = w.exec(ctx, retrySendSQL, int64(o.Send), tried, tried+1, micros(o.RetryAt))
	}
	if err != nil || !succeeded {
		return false, err
	}
	closed, err := w.closeOpen(ctx, o, false, now)
	if err != nil || closed {
		return closed, err
	}
	recovered, err := w.exec(ctx, recoverDeliverySQL, int64(o.Event), int64(o.Endpoint), micros(now))
	if err != nil || recovered == 0 {
		return false, err
	}
	return true, w.countRecovery(ctx, o, now)
}

// endSend deletes a send, and counts it for its job.
func (w *writer) endSend(ctx context.Context, o *store.Outcome, succeeded bool) error {
	job, err := first(ctx, w.conn, (*row).int, sendJobSQL, int64(o.Send))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ended, err := w.exec(ctx, endSendSQL, int64(o.Send), int64(o.Tried), integer(succeeded))
	if err != nil || ended == 0 || job == 0 {
		return err
	}
	return w.countJob(ctx, job, succeeded)
}

// Cancel ends the open deliveries among these, and says which those were.
func (s *Store) Cancel(ctx context.Context, now time.Time, deliveries []store.DeliveryRef, announce ...store.Announcement) (cancelled []bool, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		cancelled, err = w.cancelAll(ctx, now, deliveries, announce)
		return err
	})
	if err != nil {
		return nil, err
	}
	return cancelled, nil
}

func (w *writer) cancelAll(ctx context.Context, now time.Time, deliveries []store.DeliveryRef, announce []store.Announcement) (cancelled []bool, err error) {
	for _, d := range deliveries {
		is, err := w.cancel(ctx, 0, d, now, webhook.CancelAsked)
		if err != nil {
			return nil, err
		}
		cancelled = append(cancelled, is)
		if !is {
			continue
		}
		for i := range announce {
			about := store.About{Tenant: announce[i].About.Tenant, Endpoint: d.Endpoint, Event: d.Event}
			if err := w.insertOutbox(ctx, &announce[i], about); err != nil {
				return nil, err
			}
		}
	}
	return cancelled, nil
}

// cancel ends a delivery, and says whether it was open.
func (w *writer) cancel(ctx context.Context, tenant store.TenantKey, d store.DeliveryRef, now time.Time, reason webhook.Reason) (bool, error) {
	tried, err := first(ctx, w.conn, (*row).int, triedSQL, int64(d.Endpoint), int64(d.Event))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o := store.Outcome{Tenant: tenant, Endpoint: d.Endpoint, Event: d.Event, Tried: int(tried), State: webhook.Cancelled, Reason: reason}
	return w.moveDelivery(ctx, &o, o.Tried, now)
}

// whose says of which tenant sends and openings are.
func whose(sends []store.Send, openings []store.Opening) store.TenantKey {
	switch {
	case len(sends) > 0:
		return sends[0].Tenant
	case len(openings) > 0:
		return openings[0].Tenant
	}
	return 0
}
