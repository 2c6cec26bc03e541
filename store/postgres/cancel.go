package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Cancel ends the open deliveries among these, and says which those were.
func (s *Store) Cancel(ctx context.Context, now time.Time, deliveries []store.DeliveryRef, announce ...store.Announcement) (cancelled []bool, err error) {
	err = s.posting(ctx, func(ctx context.Context, tx pgx.Tx, p *post) (err error) {
		var counted counted
		cancelled, err = cancel(ctx, tx, now, deliveries, webhook.CancelAsked, &counted, announce)
		if err != nil {
			return err
		}
		if err := p.cancelled(ctx, tx, deliveries, cancelled); err != nil {
			return err
		}
		return counted.save(ctx, tx, now)
	})
	if err != nil {
		return nil, err
	}
	return cancelled, nil
}

const (
	fromRefs       = `unnest($2::bigint[], $3::bigint[]) AS o (at, event)`
	storeCancelled = `ended AS (INSERT INTO history (event, endpoint, state, reason, tried, ended_at)
			SELECT event, at, 7, $4, tried, $1::timestamptz FROM cancelled)
		SELECT at, event, job FROM cancelled`
	cancelFreshSQL = `WITH cancelled AS (DELETE FROM delivery USING ` + fromRefs + ` WHERE delivery.endpoint = o.at AND delivery.event = o.event
			RETURNING at, o.event, 0 AS tried, 0::bigint AS job),
		` + storeCancelled
	cancelWaitingSQL = `WITH cancelled AS (DELETE FROM waiting USING ` + fromRefs + ` WHERE waiting.endpoint = o.at AND waiting.event = o.event
			RETURNING at, o.event, tried, job),
		` + storeCancelled
)

// cancel ends the open deliveries among these for a reason, and says which those were. It
// counts them, also for jobs, and puts the announcements into the outbox for each.
func cancel(ctx context.Context, tx pgx.Tx, now time.Time, refs []store.DeliveryRef, reason webhook.Reason, counted *counted, announce []store.Announcement) ([]bool, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	c := cancelling{now: instant(now), ended: make(map[store.DeliveryRef]int64), jobs: make(endedOfJobs)}
	if err := c.end(ctx, tx, refs, reason); err != nil {
		return nil, err
	}
	if err := c.tell(ctx, tx, refs, counted, announce); err != nil {
		return nil, err
	}
	cancelled := make([]bool, len(refs))
	for i, ref := range refs {
		_, cancelled[i] = c.ended[ref]
		delete(c.ended, ref) // the same one again was not open any more
	}
	return cancelled, nil
}

// cancelling is what came of a call of cancel.
type cancelling struct {
	now   time.Time
	ended map[store.DeliveryRef]int64 // those that were open, each with the job that opened it, or 0
	jobs  endedOfJobs
}

func (c *cancelling) end(ctx context.Context, tx pgx.Tx, refs []store.DeliveryRef, reason webhook.Reason) error {
	refs = slices.Clone(refs)
	slices.SortFunc(refs, compareRefs)
	endpoints, events := make([]store.EndpointKey, len(refs)), make([]store.EventKey, len(refs))
	for i, ref := range refs {
		endpoints[i], events[i] = ref.Endpoint, ref.Event
	}
	batch := new(pgx.Batch)
	for _, query := range []string{cancelFreshSQL, cancelWaitingSQL} {
		batch.Queue(query, c.now, endpoints, events, string(reason)).Query(eachRow(func(rows pgx.Rows) error {
			var ref store.DeliveryRef
			var job int64
			err := rows.Scan(&ref.Endpoint, &ref.Event, &job)
			c.ended[ref] = job
			return err
		}))
	}
	return tx.SendBatch(ctx, batch).Close()
}

// tell counts what has ended, and puts announcements of it into the outbox.
func (c *cancelling) tell(ctx context.Context, tx pgx.Tx, refs []store.DeliveryRef, counted *counted, announce []store.Announcement) error {
	if len(c.ended) == 0 {
		return nil
	}
	events := make([]store.EventKey, 0, len(c.ended))
	for ref := range c.ended {
		events = append(events, ref.Event)
	}
	found := make(map[store.EventKey]countedEvent, len(events))
	batch := new(pgx.Batch)
	batch.Queue(countedEventsSQL, events).Query(eachRow(func(rows pgx.Rows) error { return scanCounted(rows, found) }))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	batch = new(pgx.Batch)
	for ref, job := range c.ended {
		of := found[ref.Event]
		counted.counts(c.now, of.tenant, ref.Endpoint, of.eventType).AddEnding(webhook.Cancelled, 1)
		c.jobs.add(job, false)
	}
	for i, ref := range refs {
		if _, is := c.ended[ref]; !is || slices.Contains(refs[:i], ref) {
			continue
		}
		for at := range announce {
			about := store.About{Tenant: announce[at].About.Tenant, Endpoint: ref.Endpoint, Event: ref.Event}
			batch.Queue(insertOutboxSQL, announced(&announce[at], about)...)
		}
	}
	c.jobs.queue(batch)
	queueRevisits(batch, c.now, events)
	return tx.SendBatch(ctx, batch).Close()
}

const endJobSQL = `UPDATE job SET succeeded = succeeded + $2, failed = failed + $3 WHERE ` + thisJob

// endedOfJobs counts by job what has ended that it has made.
type endedOfJobs map[int64]*struct{ succeeded, failed int64 }

// add counts an ending. 0 is no job.
func (e endedOfJobs) add(job int64, succeeded bool) {
	if job == 0 {
		return
	}
	if e[job] == nil {
		e[job] = new(struct{ succeeded, failed int64 })
	}
	if succeeded {
		e[job].succeeded++
	} else {
		e[job].failed++
	}
}

func (e endedOfJobs) queue(batch *pgx.Batch) {
	for _, key := range slices.Sorted(maps.Keys(e)) {
		batch.Queue(lockJobSQL, key)
		batch.Queue(endJobSQL, key, e[key].succeeded, e[key].failed)
	}
}
