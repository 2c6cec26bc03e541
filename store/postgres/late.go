package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

const (
	// lockEventsSQL keeps events from being deleted.
	lockEventsSQL = `SELECT key, tenant, type FROM event WHERE key = ANY ($1) ORDER BY key FOR KEY SHARE`
	endSendsSQL   = `DELETE FROM send USING unnest($1::int[], $2::bigint[], $3::int[], $4::boolean[]) AS o (place, send, expected, succeeded)
		WHERE send.key = o.send AND (send.tried = o.expected OR o.succeeded) RETURNING place, job`
	againSendsSQL = `UPDATE send SET tried = o.expected + 1, due_at = o.due_at
		FROM unnest($1::int[], $2::bigint[], $3::int[], $4::timestamptz[]) AS o (place, send, expected, due_at)
		WHERE send.key = o.send AND send.tried = o.expected RETURNING place`

	fromSuccesses = `unnest($2::int[], $3::bigint[], $4::bigint[], $5::int[]) AS o (place, at, event, counts)`
	storeClosed   = `ended AS (INSERT INTO history (event, endpoint, state, tried, ended_at) SELECT event, at, 5, tried, $1::timestamptz FROM closed)
		SELECT place, job FROM closed`
	closeFreshSQL = `WITH closed AS (DELETE FROM delivery USING ` + fromSuccesses + ` WHERE delivery.endpoint = o.at AND delivery.event = o.event
			RETURNING place, at, o.event, counts AS tried, 0::bigint AS job),
		` + storeClosed
	closeWaitingSQL = `WITH closed AS (DELETE FROM waiting USING ` + fromSuccesses + ` WHERE waiting.endpoint = o.at AND waiting.event = o.event
			RETURNING place, at, o.event, tried + counts AS tried, job),
		` + storeClosed
	recoverSQL = `UPDATE history SET recovered_at = $1 FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS o (place, at, event)
		WHERE history.event = o.event AND history.endpoint = o.at AND state <> 5 AND recovered_at IS NULL RETURNING place`
)

// late carries outcomes out that did not fit, or are of no schedule, where the event is
// there still: sends go on or end, and successes close or recover the delivery.
func (r *recording) late(batch *pgx.Batch, places []int) {
	events := make([]store.EventKey, 0, len(places))
	for _, i := range places {
		events = append(events, r.outcomes[i].Event)
	}
	batch.Queue(lockEventsSQL, events).Query(eachRow(r.scanEvent))
	r.carrySends(batch, places)
	r.closeOpen(batch, places)
}

func (r *recording) carrySends(batch *pgx.Batch, places []int) {
	var ending, going []int32
	var ended, again []store.SendKey
	var endedTried, againTried []int32
	var succeed []bool
	var due []time.Time
	for _, i := range places {
		switch o := &r.outcomes[i]; {
		case o.Send == 0:
		case o.State.Ended():
			ending, ended = append(ending, int32(i)), append(ended, o.Send)                         //nolint:gosec // a batch is small
			endedTried, succeed = append(endedTried, int32(o.Tried)), append(succeed, succeeded(o)) //nolint:gosec // a schedule is short
		default:
			going = append(going, int32(i))                                                                                     //nolint:gosec // a batch is small
			again, againTried, due = append(again, o.Send), append(againTried, int32(o.Tried)), append(due, instant(o.RetryAt)) //nolint:gosec // a schedule is short
		}
	}
	if len(ended) > 0 {
		batch.Queue(endSendsSQL, ending, ended, endedTried, succeed).Query(eachRow(func(rows pgx.Rows) error {
			var place int
			var job int64
			if err := rows.Scan(&place, &job); err != nil {
				return err
			}
			r.touched = append(r.touched, r.outcomes[place].Event)
			r.results[place].sendEnded = true
			r.jobs.add(job, succeeded(&r.outcomes[place]))
			return nil
		}))
	}
	if len(again) > 0 {
		batch.Queue(againSendsSQL, going, again, againTried, due).Query(eachRow(func(rows pgx.Rows) error {
			var place int
			err := rows.Scan(&place)
			r.results[place].waits = true
			return err
		}))
	}
}

// closeOpen ends deliveries by a success that are open, however often they were tried; and
// recovers by a send what had ended otherwise. Each statement finds what others have
// stored while the one before was waiting for them.
func (r *recording) closeOpen(batch *pgx.Batch, places []int) {
	var successes, sends []int32
	var endpoints, events, sentTo, sent []int64
	var counts []int32
	for _, i := range places {
		o := &r.outcomes[i]
		if !succeeded(o) {
			continue
		}
		count := int32(0)
		if scheduled(o) {
			count = 1
		}
		successes, counts = append(successes, int32(i)), append(counts, count) //nolint:gosec // a batch is small
		endpoints, events = append(endpoints, int64(o.Endpoint)), append(events, int64(o.Event))
		if o.Send != 0 {
			sends = append(sends, int32(i)) //nolint:gosec // a batch is small
			sentTo, sent = append(sentTo, int64(o.Endpoint)), append(sent, int64(o.Event))
		}
	}
	if len(successes) > 0 {
		batch.Queue(closeFreshSQL, r.now, successes, endpoints, events, counts).Query(eachRow(r.scanClosed))
		batch.Queue(closeWaitingSQL, r.now, successes, endpoints, events, counts).Query(eachRow(r.scanClosed))
	}
	if len(sends) > 0 {
		batch.Queue(recoverSQL, r.now, sends, sentTo, sent).Query(eachRow(func(rows pgx.Rows) error {
			var place int
			err := rows.Scan(&place)
			r.results[place].moved, r.results[place].recover = true, true
			return err
		}))
	}
}

func (r *recording) scanClosed(rows pgx.Rows) error {
	var place int
	var job int64
	if err := rows.Scan(&place, &job); err != nil {
		return err
	}
	result := &r.results[place]
	result.moved, result.ended, result.job = true, webhook.Succeeded, job
	return nil
}
