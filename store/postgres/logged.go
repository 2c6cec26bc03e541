package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neohook/neohook/store"
)

const (
	drawAttemptsSQL   = `SELECT nextval('attempt_key') FROM generate_series(1, $1::int)`
	insertAttemptsSQL = `INSERT INTO attempt (key, event, endpoint, number, trigger, url, succeeded, status_code, code, timed_out, started_at, duration, response)
		SELECT key, event, endpoint, number, trigger, url, succeeded, status_code, nullif(code, ''), timed_out, started_at, duration, response
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::smallint[], $6::text[], $7::boolean[], $8::int[], $9::text[], $10::boolean[],
			$11::timestamptz[], $12::bigint[], $13::bytea[])
			AS new (key, event, endpoint, number, trigger, url, succeeded, status_code, code, timed_out, started_at, duration, response)`
)

// drawAttempts draws a key for each attempt, in the order of their outcomes.
func (r *recording) drawAttempts(batch *pgx.Batch) {
	var of []int
	for i := range r.outcomes {
		if r.outcomes[i].Attempt != nil {
			of = append(of, i)
		}
	}
	if len(of) == 0 {
		return
	}
	next := 0
	batch.Queue(drawAttemptsSQL, len(of)).Query(eachRow(func(rows pgx.Rows) error {
		err := rows.Scan(&r.results[of[next]].attempt)
		next++
		return err
	}))
}

// logAttempts stores the attempts whose events are there.
func (r *recording) logAttempts(batch *pgx.Batch) {
	var c attemptColumns
	for i := range r.outcomes {
		if r.results[i].logged {
			c.append(r.results[i].attempt, &r.outcomes[i])
		}
	}
	if len(c.keys) > 0 {
		batch.Queue(insertAttemptsSQL, c.keys, c.events, c.endpoints,
			c.numbers, c.triggers, c.urls, c.succeeded, c.statusCodes, c.codes, c.timedOut, c.startedAt, c.durations, c.responses)
	}
}

// attemptColumns are attempts as arrays, one for each column.
type attemptColumns struct {
	keys, events, endpoints []int64

	numbers     []int32
	triggers    []int16
	urls        []string
	succeeded   []bool
	statusCodes []int32
	codes       []string
	timedOut    []bool
	startedAt   []time.Time
	durations   []int64
	responses   [][]byte
}

func (c *attemptColumns) append(key store.AttemptKey, o *store.Outcome) {
	a := o.Attempt
	c.keys, c.events, c.endpoints = append(c.keys, int64(key)), append(c.events, int64(o.Event)), append(c.endpoints, int64(o.Endpoint))
	c.numbers, c.triggers, c.urls = append(c.numbers, int32(a.Number)), append(c.triggers, int16(a.Trigger)), append(c.urls, a.URL) //nolint:gosec // a number of attempts
	c.succeeded, c.statusCodes = append(c.succeeded, a.Succeeded), append(c.statusCodes, int32(a.StatusCode))                       //nolint:gosec // a status
	c.codes, c.timedOut = append(c.codes, string(a.Code)), append(c.timedOut, a.TimedOut)
	c.startedAt, c.durations = append(c.startedAt, instant(a.StartedAt)), append(c.durations, a.Duration.Microseconds())
	c.responses = append(c.responses, listOrNull(a.Response))
}
