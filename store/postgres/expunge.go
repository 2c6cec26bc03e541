package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	openRefsSQL = `SELECT endpoint, event FROM delivery WHERE event = ANY ($1)
		UNION SELECT endpoint, event FROM waiting WHERE event = ANY ($1) ORDER BY event, endpoint`
	endSendsOfSQL      = `DELETE FROM send WHERE event = ANY ($1) RETURNING event, endpoint, key, job`
	endDeferralsSQL    = `DELETE FROM deferred WHERE event = ANY ($1) RETURNING event`
	cancelEventsSQL    = `UPDATE event SET cancelled_at = $2 WHERE key = ANY ($1)`
	sweptOfOneSQL      = sweptColumns + `WHERE key = $1 AND tenant = $2 FOR UPDATE`
	expungeResponseSQL = `UPDATE attempt SET response = '' WHERE key = $1 AND event = $2`
)

// expunging is a transaction that deletes what somebody asked to delete.
type expunging struct {
	pgx.Tx
	now     time.Time
	counted counted
	open    []store.Turn
	touched []store.EventKey
	keys    []int64 // of which something was deleted
	dropped int     // payloads
}

func (s *Store) expunging(ctx context.Context, now time.Time, do func(context.Context, *expunging, *post) error) (open []store.Turn, err error) {
	var keys []int64
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		e := &expunging{Tx: tx, now: instant(now)}
		if err := do(ctx, e, p); err != nil {
			return err
		}
		open, keys = e.open, e.keys
		batch := new(pgx.Batch)
		queueRevisits(batch, now, e.touched)
		e.counted.queue(batch, now)
		if batch.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return nil, err
	}
	s.expunged.note(keys)
	return open, nil
}

// forget deletes all that is kept of events of which nothing is open any more.
func (e *expunging) forget(ctx context.Context, keys []int64) error {
	_, _, err := forgetEvents(ctx, e, keys)
	e.keys = append(e.keys, keys...)
	return err
}

// endOpen ends what is open of events of a tenant, which are locked.
func (e *expunging) endOpen(ctx context.Context, tenant store.TenantKey, events []int64) error {
	refs, err := all(ctx, e, func(row pgx.CollectableRow) (ref store.DeliveryRef, err error) {
		return ref, row.Scan(&ref.Endpoint, &ref.Event)
	}, openRefsSQL, events)
	if err != nil {
		return err
	}
	was, err := cancel(ctx, e, e.now, refs, webhook.PayloadExpunged, &e.counted, nil)
	if err != nil {
		return err
	}
	for i, ref := range refs {
		if was[i] {
			e.open = append(e.open, store.Turn{Tenant: tenant, DeliveryRef: ref})
		}
	}
	return errors.Join(e.endSends(ctx, tenant, events), e.endDeferrals(ctx, events))
}

func (e *expunging) endSends(ctx context.Context, tenant store.TenantKey, events []int64) error {
	rows, err := e.Query(ctx, endSendsOfSQL, events)
	if err != nil {
		return err
	}
	jobs := make(endedOfJobs)
	var ended []store.Turn
	turn := store.Turn{Tenant: tenant}
	var job int64
	if _, err := pgx.ForEachRow(rows, []any{&turn.Event, &turn.Endpoint, &turn.Send, &job}, func() error {
		ended = append(ended, turn)
		e.touched = append(e.touched, turn.Event)
		jobs.add(job, false)
		return nil
	}); err != nil || len(ended) == 0 {
		return err
	}
	slices.SortFunc(ended, func(a, b store.Turn) int { return int(a.Send - b.Send) })
	e.open = append(e.open, ended...)
	batch := new(pgx.Batch)
	jobs.queue(batch)
	if batch.Len() == 0 {
		return nil
	}
	return e.SendBatch(ctx, batch).Close()
}

func (e *expunging) endDeferrals(ctx context.Context, events []int64) error {
	ended, err := all(ctx, e, scanKey, endDeferralsSQL, events)
	if err != nil || len(ended) == 0 {
		return err
	}
	for _, event := range ended {
		e.touched = append(e.touched, store.EventKey(event))
	}
	_, err = e.Exec(ctx, cancelEventsSQL, ended, e.now)
	return err
}

// payloads deletes the payloads of events of a tenant, and ends what is open of those that
// had one.
func (e *expunging) payloads(ctx context.Context, tenant store.TenantKey, events []swept) error {
	events = slices.DeleteFunc(events, func(ev swept) bool { return !ev.payload })
	if len(events) == 0 {
		return nil
	}
	keys := keysOf(events)
	e.keys = append(e.keys, keys...)
	e.dropped += len(keys)
	if _, err := e.Exec(ctx, deletePayloadsSQL, keys); err != nil {
		return err
	}
	return e.endOpen(ctx, tenant, keys)
}

// ExpungePayload deletes the payload of an event, and ends what is open of it.
func (s *Store) ExpungePayload(ctx context.Context, now time.Time, tenant store.TenantKey, event store.EventKey) ([]store.Turn, error) {
	return s.expunging(ctx, now, func(ctx context.Context, e *expunging, p *post) error {
		ev, err := first(ctx, e, scanSwept, sweptOfOneSQL, event, tenant)
		if err != nil {
			return err
		}
		if ev.payload {
			p.of(store.Signal{Kind: store.SignalForget, Tenant: tenant, Event: event})
		}
		return e.payloads(ctx, tenant, []swept{ev})
	})
}

// ExpungeResponse deletes what an attempt was answered.
func (s *Store) ExpungeResponse(ctx context.Context, event store.EventKey, attempt store.AttemptKey) error {
	return s.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		expunged, err := tx.Exec(ctx, expungeResponseSQL, attempt, event)
		if err == nil && expunged.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		s.expunged.note([]int64{int64(event)})
		return err
	})
}

// ExpungeEvent deletes an event and all that is kept of it.
func (s *Store) ExpungeEvent(ctx context.Context, now time.Time, tenant store.TenantKey, event store.EventKey) ([]store.Turn, error) {
	return s.expunging(ctx, now, func(ctx context.Context, e *expunging, p *post) error {
		ev, err := first(ctx, e, scanSwept, sweptOfOneSQL, event, tenant)
		if err != nil {
			return err
		}
		keys := []int64{ev.key}
		if err := e.endOpen(ctx, tenant, keys); err != nil {
			return err
		}
		if err := e.counted.uncount(ctx, e, &ev); err != nil {
			return err
		}
		p.of(store.Signal{Kind: store.SignalForget, Tenant: tenant, Event: event})
		return e.forget(ctx, keys)
	})
}

const (
	expungedTenantSQL = `SELECT deleted_at IS NOT NULL FROM tenant WHERE key = $1 AND organisation = $2 FOR UPDATE`
	expungeColumns    = `key, tenant, everything, job, through, asked_at`
	expungesSQL       = `SELECT ` + expungeColumns + ` FROM expunge WHERE key > $1 ORDER BY key LIMIT $2`
	insertExpungeSQL  = `INSERT INTO expunge (key, tenant, everything, job, through, asked_at, next)
		VALUES (nextval('directory_key'), $1, $2, $3, $4, $5, 1)
		ON CONFLICT (tenant, everything, job) DO UPDATE SET through = excluded.through
		RETURNING ` + expungeColumns
	lastEventSQL  = `SELECT last_value FROM event_key`
	throughJobSQL = `SELECT through FROM job WHERE key = $1`
)

func scanExpunge(row pgx.CollectableRow) (e store.Expunge, err error) {
	err = row.Scan(&e.Key, &e.Tenant, &e.Everything, &e.Job, &e.Through, &e.AskedAt)
	e.AskedAt = e.AskedAt.UTC()
	return e, err
}

// InsertExpunge stores that something large is to be deleted.
func (s *Store) InsertExpunge(ctx context.Context, organisation string, asked store.Expunge) (stored store.Expunge, err error) {
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) error {
		deleted, err := first(ctx, tx, pgx.RowTo[bool], expungedTenantSQL, asked.Tenant, organisation)
		if err != nil {
			return err
		}
		if asked.Everything && !deleted {
			if err := deleteTenant(ctx, tx, p, asked.Tenant, asked.AskedAt); err != nil {
				return err
			}
		}
		through, err := expungeThrough(ctx, tx, asked.Job)
		if err != nil {
			return err
		}
		stored, err = first(ctx, tx, scanExpunge, insertExpungeSQL, asked.Tenant, asked.Everything, asked.Job, through, instant(asked.AskedAt))
		return err
	})
	if err != nil {
		return store.Expunge{}, err
	}
	return stored, nil
}

// expungeThrough is the highest event that an Expunge is for: that of its job, or the last
// there is.
func expungeThrough(ctx context.Context, tx pgx.Tx, job store.JobKey) (int64, error) {
	if job == 0 {
		return first(ctx, tx, scanKey, lastEventSQL)
	}
	return first(ctx, tx, scanKey, throughJobSQL, job)
}

// Expunges lists those that are not done.
func (s *Store) Expunges(ctx context.Context, after store.ExpungeKey, limit int) ([]store.Expunge, error) {
	return readAll(ctx, s, scanExpunge, expungesSQL, after, limit)
}

const (
	expungeSQL       = `SELECT ` + expungeColumns + `, next FROM expunge WHERE key = $1 FOR UPDATE`
	moveExpungeSQL   = `UPDATE expunge SET next = $2 WHERE key = $1`
	deleteExpungeSQL = `DELETE FROM expunge WHERE key = $1`
	countDroppedSQL  = `UPDATE job SET made = made + $2 WHERE key = $1`
	lockRunningSQL   = `SELECT true FROM job WHERE key = $1 AND state = 1 FOR UPDATE`
)

// expungeStep is an ExpungeStep, inside its transaction.
type expungeStep struct {
	*expunging
	store.Expunge
	next int64
}

// ExpungeStep does a part of an Expunge.
func (s *Store) ExpungeStep(ctx context.Context, now time.Time, key store.ExpungeKey, budget time.Duration) (open []store.Turn, done bool, err error) {
	begun := time.Now()
	open, err = s.expunging(ctx, now, func(ctx context.Context, e *expunging, p *post) error {
		step := expungeStep{expunging: e}
		done = false
		err := scanOne(ctx, e, expungeSQL, []any{key}, &step.Key, &step.Tenant, &step.Everything, &step.Job, &step.Through, &step.AskedAt, &step.next)
		if errors.Is(err, pgx.ErrNoRows) {
			done = true
			return nil
		}
		if step.Job != 0 && err == nil {
			// Of one that is cancelled nothing more is deleted.
			_, err = first(ctx, e, pgx.RowTo[bool], lockRunningSQL, step.Job)
			if errors.Is(err, pgx.ErrNoRows) {
				done = true
				_, err = e.Exec(ctx, deleteExpungeSQL, key)
				return err
			}
		}
		for more := true; more && err == nil; more = more && time.Since(begun) < budget {
			more, err = step.do(ctx)
			done = !more
		}
		if errors.Is(err, errElsewhere) {
			done, err = false, nil
		}
		if err != nil {
			return err
		}
		if step.Job != 0 && e.dropped > 0 {
			if _, err := e.Exec(ctx, countDroppedSQL, step.Job, e.dropped); err != nil {
				return err
			}
		}
		if len(e.open) > 0 {
			p.of(store.Signal{Kind: store.SignalReview, Tenant: step.Tenant})
		}
		if done {
			_, err = e.Exec(ctx, deleteExpungeSQL, key)
		} else {
			_, err = e.Exec(ctx, moveExpungeSQL, key, step.next)
		}
		return err
	})
	return open, done && err == nil, err
}

// expungePage is how many events are looked at in a step.
const expungePage = 100

// do does what takes a moment, and says whether there is more to do.
func (e *expungeStep) do(ctx context.Context) (bool, error) {
	events, err := all(ctx, e, scanSwept, sweptOfTenantSQL+` FOR UPDATE`, e.next, expungePage, e.Tenant)
	if err != nil {
		return false, err
	}
	if !e.Everything {
		events = slices.DeleteFunc(events, func(ev swept) bool { return ev.key > int64(e.Through) })
	}
	if len(events) == 0 {
		if e.Everything {
			return e.expungeDirectory(ctx)
		}
		return false, nil
	}
	e.next = events[len(events)-1].key + 1
	if !e.Everything {
		return true, e.payloads(ctx, e.Tenant, events)
	}
	keys := keysOf(events)
	if err := e.endOpen(ctx, e.Tenant, keys); err != nil {
		return false, err
	}
	return true, e.forget(ctx, keys)
}

// What is a tenant's beside its events, some rows at a time.
var expungeRowsSQL = [...]string{
	`DELETE FROM endpoint WHERE key IN (SELECT key FROM endpoint WHERE tenant = $1 AND deleted_at IS NOT NULL LIMIT $2)`,
	`DELETE FROM once WHERE hash IN (SELECT hash FROM once WHERE tenant = $1 AND tenant <> 0 LIMIT $2)`,
	`DELETE FROM job WHERE key IN (SELECT key FROM job WHERE tenant = $1 LIMIT $2)`,
	`DELETE FROM outbox WHERE key IN (SELECT key FROM outbox WHERE tenant = $1 LIMIT $2)`,
	`DELETE FROM expunge WHERE tenant = $1 AND NOT everything AND $2 > 0`,
}

// expungeDirectory deletes what is left of a tenant without events, and says whether there
// is more to do.
func (e *expungeStep) expungeDirectory(ctx context.Context) (bool, error) {
	const some = 1000
	for _, query := range expungeRowsSQL {
		deleted, err := e.Exec(ctx, query, e.Tenant, some)
		if err != nil || deleted.RowsAffected() == some {
			return true, err
		}
	}
	// What was counted of the tenant a moment ago goes with the rest.
	if err := e.counted.save(ctx, e, e.now); err != nil {
		return false, err
	}
	e.counted.reset()
	if more, err := forgetRollups(ctx, e, e.Tenant); err != nil || more {
		return true, err
	}
	if err := deleteTokensOf(ctx, e, e.Tenant); err != nil {
		return false, err
	}
	return false, purgeTenant(ctx, e, e.Tenant)
}
