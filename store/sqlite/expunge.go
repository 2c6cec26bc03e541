package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	sendsOfEventSQL    = `SELECT key, endpoint, job FROM send WHERE event = ? ORDER BY key`
	deleteSendSQL      = `DELETE FROM send WHERE key = ?`
	sweptOfOneSQL      = sweptColumns + `event WHERE key = ? AND tenant = ?`
	expungeResponseSQL = `UPDATE attempt SET response = x'' WHERE key = ?1 AND event = ?2 AND EXISTS (SELECT 1 FROM event WHERE event.key = ?2)`
)

// endOpen ends what is open of an event, and returns it.
func (w *writer) endOpen(ctx context.Context, ev *swept, now time.Time) (open []store.Turn, err error) {
	lanes, err := w.openLanes(ctx, ev.tenant)
	if err != nil {
		return nil, err
	}
	event := store.EventKey(ev.key)
	var sends []store.Turn
	var jobs []int64
	for _, lane := range lanes {
		d := store.DeliveryRef{Endpoint: lane.endpoint, Event: event}
		is, err := w.cancel(ctx, ev.tenant, d, now, webhook.PayloadExpunged)
		if err != nil {
			return nil, err
		}
		if is {
			open = append(open, store.Turn{Tenant: ev.tenant, DeliveryRef: d})
		}
	}
	for r, err := range w.rows(ctx, sendsOfEventSQL, ev.key) {
		if err != nil {
			return nil, err
		}
		turn := store.Turn{Tenant: ev.tenant, Send: store.SendKey(r.int())}
		turn.DeliveryRef = store.DeliveryRef{Endpoint: store.EndpointKey(r.int()), Event: event}
		if job := r.int(); job != 0 {
			jobs = append(jobs, job)
		}
		sends = append(sends, turn)
	}
	for _, send := range sends {
		if _, err := w.exec(ctx, deleteSendSQL, int64(send.Send)); err != nil {
			return nil, err
		}
	}
	for _, job := range jobs {
		if err := w.countJob(ctx, job, false); err != nil {
			return nil, err
		}
	}
	return append(open, sends...), w.endDeferral(ctx, ev, now)
}

// endDeferral cancels a deferred event.
func (w *writer) endDeferral(ctx context.Context, ev *swept, now time.Time) error {
	if ev.deliverAt == 0 {
		return nil
	}
	deleted, err := w.exec(ctx, deleteDeferredSQL, ev.deliverAt, ev.key)
	if err != nil || deleted == 0 {
		return err
	}
	_, err = w.exec(ctx, cancelEventSQL, ev.key, micros(now))
	return err
}

func (w *writer) expungePayload(ctx context.Context, ev *swept, now time.Time) ([]store.Turn, error) {
	if !ev.payload {
		return nil, nil
	}
	if _, err := w.exec(ctx, deletePayloadsSQL, ev.key, ev.key); err != nil {
		return nil, err
	}
	return w.endOpen(ctx, ev, now)
}

// expungeEvent deletes an event and all that is kept of it, and takes it out of what was
// counted, unless all of that is to go.
func (w *writer) expungeEvent(ctx context.Context, ev *swept, now time.Time, uncounted bool) ([]store.Turn, error) {
	open, err := w.endOpen(ctx, ev, now)
	if err == nil && uncounted {
		err = w.uncount(ctx, ev)
	}
	if err != nil {
		return nil, err
	}
	_, _, _, err = w.forgetEvents(ctx, []swept{*ev})
	return open, err
}

// ExpungePayload deletes the payload of an event, and ends what is open of it.
func (s *Store) ExpungePayload(ctx context.Context, now time.Time, tenant store.TenantKey, event store.EventKey) (open []store.Turn, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		ev, err := first(ctx, w.conn, scanSwept, sweptOfOneSQL, int64(event), int64(tenant))
		if err != nil {
			return err
		}
		open, err = w.expungePayload(ctx, &ev, now)
		return err
	})
	return turns(open, err)
}

// ExpungeResponse deletes what an attempt was answered.
func (s *Store) ExpungeResponse(ctx context.Context, event store.EventKey, attempt store.AttemptKey) error {
	return s.write(ctx, func(ctx context.Context, w *writer) error {
		expunged, err := w.exec(ctx, expungeResponseSQL, int64(attempt), int64(event))
		if err == nil && expunged == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

// ExpungeEvent deletes an event and all that is kept of it.
func (s *Store) ExpungeEvent(ctx context.Context, now time.Time, tenant store.TenantKey, event store.EventKey) (open []store.Turn, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		ev, err := first(ctx, w.conn, scanSwept, sweptOfOneSQL, int64(event), int64(tenant))
		if err != nil {
			return err
		}
		open, err = w.expungeEvent(ctx, &ev, now, true)
		return err
	})
	return turns(open, err)
}

// turns returns nothing that was not done in the end.
func turns(open []store.Turn, err error) ([]store.Turn, error) {
	if err != nil {
		return nil, err
	}
	return open, nil
}

const (
	expungedTenantSQL = `SELECT deleted_at IS NOT NULL FROM tenant WHERE key = ? AND organisation = ?`
	expungeColumns    = `key, tenant, everything, job, through, asked_at`
	sameExpungeSQL    = `SELECT ` + expungeColumns + ` FROM expunge WHERE tenant = ? AND everything = ? AND job = ?`
	expungesSQL       = `SELECT ` + expungeColumns + ` FROM expunge WHERE key > ? ORDER BY key LIMIT ?`
	insertExpungeSQL  = `INSERT INTO expunge (key, tenant, everything, job, through, asked_at, next, page) VALUES (?, ?, ?, ?, ?, ?, 1, 0)`
	extendExpungeSQL  = `UPDATE expunge SET through = ?2 WHERE key = ?1`
)

func scanExpunge(r *row) store.Expunge {
	return store.Expunge{
		Key: store.ExpungeKey(r.int()), Tenant: store.TenantKey(r.int()), Everything: r.bool(), Job: store.JobKey(r.int()),
		Through: store.EventKey(r.int()), AskedAt: r.time(),
	}
}

// InsertExpunge stores that something large is to be deleted.
func (s *Store) InsertExpunge(ctx context.Context, organisation string, asked store.Expunge) (stored store.Expunge, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		deleted, err := first(ctx, w.conn, (*row).bool, expungedTenantSQL, int64(asked.Tenant), organisation)
		if err != nil {
			return err
		}
		if asked.Everything && !deleted {
			if err := w.deleteTenant(ctx, asked.Tenant, asked.AskedAt); err != nil {
				return err
			}
		}
		through, err := w.expungeThrough(ctx, asked.Job)
		if err != nil {
			return err
		}
		stored, err = first(ctx, w.conn, scanExpunge, sameExpungeSQL, int64(asked.Tenant), integer(asked.Everything), int64(asked.Job))
		if err == nil {
			stored.Through = through
			_, err = w.exec(ctx, extendExpungeSQL, int64(stored.Key), int64(stored.Through))
			return err
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := w.directory.reserve(ctx, w.conn, 1); err != nil {
			return err
		}
		stored = asked
		stored.Key, stored.Through = store.ExpungeKey(w.directory.draw()), through
		stored.AskedAt = time.UnixMicro(micros(asked.AskedAt)).UTC()
		_, err = w.exec(ctx, insertExpungeSQL, int64(stored.Key), int64(stored.Tenant), integer(stored.Everything),
			int64(stored.Job), int64(stored.Through), micros(stored.AskedAt))
		return err
	})
	if err != nil {
		return store.Expunge{}, err
	}
	return stored, nil
}

// expungeThrough is the highest event that an Expunge is for: that of its job, or the last
// there is.
func (w *writer) expungeThrough(ctx context.Context, job store.JobKey) (store.EventKey, error) {
	if job == 0 {
		return store.EventKey(w.events.last()), nil
	}
	of, err := first(ctx, w.conn, scanJob, jobByKeySQL, int64(job))
	return of.Through, err
}

// Expunges lists those that are not done.
func (s *Store) Expunges(ctx context.Context, after store.ExpungeKey, limit int) ([]store.Expunge, error) {
	return readAll(ctx, s, scanExpunge, expungesSQL, int64(after), int64(limit))
}

// expunging is an ExpungeStep, inside its transaction.
type expunging struct {
	*writer
	store.Expunge
	now        time.Time
	next, page int64
	open       []store.Turn
	dropped    int64 // payloads
}

const (
	expungeSQL       = `SELECT ` + expungeColumns + `, next, page FROM expunge WHERE key = ?`
	moveExpungeSQL   = `UPDATE expunge SET next = ?2, page = ?3 WHERE key = ?1`
	deleteExpungeSQL = `DELETE FROM expunge WHERE key = ?`
	runningJobSQL    = `SELECT 1 FROM job WHERE key = ? AND state = 1`
	countDroppedSQL  = `UPDATE job SET made = made + ?2 WHERE key = ?1`
)

// ExpungeStep does a part of an Expunge.
func (s *Store) ExpungeStep(ctx context.Context, now time.Time, key store.ExpungeKey, budget time.Duration) (open []store.Turn, done bool, err error) {
	begun := time.Now()
	err = s.write(ctx, func(ctx context.Context, w *writer) error {
		e, err := first(ctx, w.conn, func(r *row) expunging {
			return expunging{writer: w, Expunge: scanExpunge(r), now: now, next: r.int(), page: r.int()}
		}, expungeSQL, int64(key))
		if errors.Is(err, store.ErrNotFound) {
			done = true
			return nil
		}
		more, err := e.wanted(ctx)
		for done = !more; more && err == nil; more = more && time.Since(begun) < budget {
			more, err = e.step(ctx)
			done = !more
		}
		if err != nil {
			return err
		}
		open = e.open
		if e.Job != 0 && e.dropped > 0 {
			if _, err := w.exec(ctx, countDroppedSQL, int64(e.Job), e.dropped); err != nil {
				return err
			}
		}
		if done {
			_, err = w.exec(ctx, deleteExpungeSQL, int64(key))
		} else {
			_, err = w.exec(ctx, moveExpungeSQL, int64(key), e.next, e.page)
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return open, done, nil
}

// wanted says whether the job that it is for still runs.
func (e *expunging) wanted(ctx context.Context) (bool, error) {
	if e.Job == 0 {
		return true, nil
	}
	return e.has(ctx, runningJobSQL, int64(e.Job))
}

// step does what takes a moment, and says whether there is more to do.
func (e *expunging) step(ctx context.Context) (bool, error) {
	if e.page > 0 {
		return e.overwritePages(ctx)
	}
	events, err := all(ctx, e.conn, scanSwept, sweptOfTenantSQL, e.next, int64(sweepPage), int64(e.Tenant))
	if err != nil {
		return false, err
	}
	for i := range events {
		ev := &events[i]
		var open []store.Turn
		switch {
		case e.Everything:
			open, err = e.expungeEvent(ctx, ev, e.now, false)
		case ev.key > int64(e.Through):
			return false, nil
		default:
			open, err = e.expungePayload(ctx, ev, e.now)
			e.dropped += integer(ev.payload)
		}
		if err != nil {
			return false, err
		}
		e.open = append(e.open, open...)
		e.next = ev.key + 1
	}
	if len(events) > 0 || !e.Everything {
		return len(events) > 0, nil
	}
	return true, e.expungeDirectory(ctx)
}

// What is a tenant's beside its events, a few rows at a time.
var expungeRowsSQL = [...]string{
	`DELETE FROM delivery WHERE (endpoint, event) IN (SELECT delivery.endpoint, event FROM endpoint CROSS JOIN delivery ON delivery.endpoint = endpoint.key
		WHERE tenant = ?1 AND deleted_at IS NOT NULL LIMIT ?2)`,
	`DELETE FROM history_span WHERE (endpoint, span) IN (SELECT history_span.endpoint, span FROM endpoint CROSS JOIN history_span ON history_span.endpoint = endpoint.key
		WHERE tenant = ?1 AND deleted_at IS NOT NULL LIMIT ?2)`,
	`DELETE FROM attempt_span WHERE (endpoint, span) IN (SELECT attempt_span.endpoint, span FROM endpoint CROSS JOIN attempt_span ON attempt_span.endpoint = endpoint.key
		WHERE tenant = ?1 AND deleted_at IS NOT NULL LIMIT ?2)`,
	`DELETE FROM endpoint WHERE key IN (SELECT key FROM endpoint WHERE tenant = ?1 AND deleted_at IS NOT NULL LIMIT ?2)`,
	`DELETE FROM once WHERE hash IN (SELECT hash FROM once WHERE tenant = ?1 AND tenant <> 0 LIMIT ?2)`,
	`DELETE FROM job WHERE key IN (SELECT key FROM job WHERE tenant = ?1 LIMIT ?2)`,
	`DELETE FROM outbox WHERE key IN (SELECT key FROM outbox WHERE tenant = ?1 LIMIT ?2)`,
	`DELETE FROM event_span WHERE (tenant, span) IN (SELECT tenant, span FROM event_span WHERE tenant = ?1 LIMIT ?2)`,
	`DELETE FROM expunge WHERE tenant = ?1 AND NOT everything AND ?2`,
}

// expungeDirectory deletes what is left of a tenant without events. When it is all gone, the
// pages of the file are next.
func (e *expunging) expungeDirectory(ctx context.Context) error {
	const some = 100
	for _, query := range expungeRowsSQL {
		deleted, err := e.exec(ctx, query, int64(e.Tenant), int64(some))
		if err != nil || deleted == some {
			return err
		}
	}
	if more, err := e.forgetRollups(ctx, e.Tenant, some); err != nil || more {
		return err
	}
	if err := e.deleteTokensOf(ctx, e.Tenant); err != nil {
		return err
	}
	e.page = 1
	return e.purgeTenant(ctx, e.Tenant)
}
